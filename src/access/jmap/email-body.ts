/** The body a client describes, as a tree to be written (RFC 8621 §4.6). */

import type { BodyNode } from "#formats/mime";
import { type Args, isObject } from "./arguments.ts";
import type { Context } from "./context.ts";
import { done, invalid, type Outcome, refused } from "./failure.ts";
import { maxAttachmentsPerEmail } from "./limits.ts";

/** What the parts of one message share. */
interface Reading {
  readonly context: Context;
  readonly values: Args;
  parts: number;
  octets: number;
}

const maxParts = 200;
const maxText = 10_000_000;

export async function readBody(context: Context, given: Args): Promise<Outcome<BodyNode>> {
  const { bodyValues, bodyStructure, textBody, htmlBody, attachments } = given;
  const values = isObject(bodyValues) ? bodyValues : {};
  const reading: Reading = { context, values, parts: 0, octets: 0 };
  if (bodyStructure !== undefined && bodyStructure !== null) {
    if (textBody ?? htmlBody ?? attachments) {
      return refused(
        invalid(["bodyStructure"], "Not together with textBody, htmlBody, attachments."),
      );
    }
    return await readNode(reading, bodyStructure, "bodyStructure");
  }
  const text = await readOne(reading, textBody, "textBody", "text/plain");
  if (text !== undefined && !text.ok) return text;
  const html = await readOne(reading, htmlBody, "htmlBody", "text/html");
  if (html !== undefined && !html.ok) return html;
  const files: BodyNode[] = [];
  for (const one of Array.isArray(attachments) ? attachments : []) {
    const file = await readNode(reading, one, "attachments");
    if (!file.ok) return file;
    files.push(file.value);
  }
  return done(arranged(text?.value, html?.value, files));
}

/** textBody and htmlBody hold one part each, of their own type (§4.6). */
async function readOne(
  reading: Reading,
  given: unknown,
  property: string,
  type: string,
): Promise<Outcome<BodyNode> | undefined> {
  if (given === undefined || given === null) return undefined;
  if (Array.isArray(given) && given.length === 0) return undefined;
  const part = Array.isArray(given) && given.length === 1 ? given[0] : undefined;
  if (!isObject(part) || (part["type"] ?? type) !== type) {
    return refused(invalid([property], `Must be one part of type ${type}.`));
  }
  return await readNode(reading, { ...part, type }, property);
}

function arranged(
  text: BodyNode | undefined,
  html: BodyNode | undefined,
  files: readonly BodyNode[],
): BodyNode {
  const isRelated = (node: BodyNode): boolean =>
    html !== undefined && node.kind === "attachment" && node.attachment.contentId !== undefined;
  const related = files.filter(isRelated);
  const others = files.filter((node) => !isRelated(node));
  let rich = html;
  if (rich !== undefined && related.length > 0) {
    rich = { kind: "multipart", subtype: "related", parts: [rich, ...related] };
  }
  let node: BodyNode = rich ?? text ?? { kind: "text", subtype: "plain", text: "" };
  if (rich !== undefined && text !== undefined) {
    node = { kind: "multipart", subtype: "alternative", parts: [text, rich] };
  }
  return others.length === 0
    ? node
    : { kind: "multipart", subtype: "mixed", parts: [node, ...others] };
}

/** The request's nesting is bounded before, so this may recurse. */
async function readNode(
  reading: Reading,
  given: unknown,
  property: string,
): Promise<Outcome<BodyNode>> {
  reading.parts += 1;
  if (!isObject(given)) return refused(invalid([property], "Not a body part."));
  if (reading.parts > maxParts)
    return refused({ type: "tooLarge", description: "Too many parts." });
  if (Object.keys(given).some((name) => name.startsWith("header"))) {
    return refused(invalid([property], "Header fields of parts cannot be set."));
  }
  const type = String(given["type"] ?? "text/plain").toLowerCase();
  if (type.startsWith("multipart/")) {
    const parts: BodyNode[] = [];
    const children = Array.isArray(given["subParts"]) ? given["subParts"] : [];
    if (children.length === 0) return refused(invalid([property], "A multipart needs parts."));
    for (const child of children) {
      const part = await readNode(reading, child, property);
      if (!part.ok) return part;
      parts.push(part.value);
    }
    return done({ kind: "multipart", subtype: type.slice(10), parts });
  }
  return typeof given["partId"] === "string"
    ? readText(reading, given, type, property)
    : await readFile(reading, given, type, property);
}

function readText(
  reading: Reading,
  given: Args,
  type: string,
  property: string,
): Outcome<BodyNode> {
  const partId = String(given["partId"]);
  const value = Object.hasOwn(reading.values, partId) ? reading.values[partId] : undefined;
  const text = isObject(value) ? value["value"] : undefined;
  if (typeof text !== "string") return refused(invalid(["bodyValues"], `${partId} is missing.`));
  if (given["blobId"] !== undefined && given["blobId"] !== null) {
    return refused(invalid([property], "Either partId or blobId."));
  }
  reading.octets += text.length;
  if (reading.octets > maxAttachmentsPerEmail || text.length > maxText)
    return refused({ type: "tooLarge" });
  if (type === "text/plain" || type === "text/html") {
    return done({ kind: "text", subtype: type === "text/html" ? "html" : "plain", text });
  }
  return refused(invalid([property], "A part with a value is text/plain or text/html."));
}

async function readFile(
  reading: Reading,
  given: Args,
  type: string,
  property: string,
): Promise<Outcome<BodyNode>> {
  const { blobId, cid, disposition } = given;
  const name = given["name"] ?? null;
  const fits =
    typeof blobId === "string" &&
    (name === null || (typeof name === "string" && name.length <= 1000)) &&
    (cid === undefined || cid === null || typeof cid === "string");
  if (!fits) return refused(invalid([property], "A part needs a partId or a blobId."));
  const { context } = reading;
  const blob = await context.blobs.get(context.account, blobId);
  if (blob === undefined) return refused({ type: "blobNotFound", notFound: [blobId] });
  reading.octets += blob.octets.length;
  if (reading.octets > maxAttachmentsPerEmail) return refused({ type: "tooLarge" });
  return done({
    kind: "attachment",
    attachment: {
      name,
      type: given["type"] === undefined ? blob.type : type,
      octets: blob.octets,
      inline: disposition === "inline",
      ...(typeof cid === "string" && { contentId: cid.slice(0, 200) }),
    },
  });
}
