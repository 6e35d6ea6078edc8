/** The MIME tree as JMAP shows it: EmailBodyPart and EmailBodyValue (RFC 8621 §4.1.4). */

import { Buffer } from "node:buffer";
import { parseHeader } from "#formats/message";
import { bodyText, decodeBody, fileName, parameterOf } from "#formats/mime";
import type { MimePart } from "#model/description";
import { headerValue, parseHeaderProperty, rawHeaders } from "./header-forms.ts";

/** Where the octets of a message come from: the store, or memory for a message that is only parsed. */
export interface Source {
  read(start: number, end: number): Promise<Buffer>;
  blobIdOf(part: MimePart): string;
}

const partProperties: readonly string[] = [
  "partId",
  "blobId",
  "size",
  "name",
  "type",
  "charset",
  "disposition",
  "cid",
  "language",
  "location",
  "subParts",
  "headers",
];

/** What bodyProperties holds when the client does not say (§4.2). */
export const defaultPartProperties: readonly string[] = partProperties.filter(
  (name) => name !== "subParts" && name !== "headers",
);

export function isPartProperty(name: string): boolean {
  return partProperties.includes(name) || parseHeaderProperty(name) !== undefined;
}

export async function partView(
  source: Source,
  part: MimePart,
  properties: readonly string[],
  withChildren = false,
): Promise<Record<string, unknown>> {
  const view: Record<string, unknown> = {};
  const isMultipart = part.type === "multipart";
  const wantsHeader = properties.some((name) => name.startsWith("header"));
  const header = wantsHeader
    ? parseHeader(await source.read(part.headerStart, part.bodyStart))
    : undefined;
  for (const name of properties) {
    const asked = header && parseHeaderProperty(name);
    if (name === "headers" && header) view["headers"] = rawHeaders(header);
    else if (header && asked) view[name] = headerValue(header, asked);
    else if (name === "size") view["size"] = isMultipart ? 0 : await decodedSize(source, part);
    else if (name !== "subParts") view[name] = simpleProperty(source, part, name);
  }
  if (withChildren || properties.includes("subParts")) {
    const all = [...new Set([...properties, ...(withChildren ? ["subParts"] : [])])];
    view["subParts"] = isMultipart
      ? await Promise.all(part.parts.map((child) => partView(source, child, all, withChildren)))
      : null;
  }
  return view;
}

function simpleProperty(source: Source, part: MimePart, name: string): unknown {
  const isMultipart = part.type === "multipart";
  switch (name) {
    case "partId":
      return isMultipart ? null : part.section;
    case "blobId":
      return isMultipart ? null : source.blobIdOf(part);
    case "name":
      return fileName(part);
    case "type":
      return `${part.type}/${part.subtype}`;
    case "charset":
      return part.type === "text" ? (parameterOf(part, "charset") ?? "us-ascii") : null;
    case "disposition":
      return part.disposition;
    case "cid":
      return part.id === null ? null : part.id.replace(/^\s*<|>\s*$/g, "");
    case "language":
      return part.language.length > 0 ? part.language : null;
    case "location":
      return part.location;
    default:
      return null;
  }
}

const edgeOctets = 1024;

/** Exact for small parts; for large base64 counted from its line length and padding. */
async function decodedSize(source: Source, part: MimePart): Promise<number> {
  const encoded = part.bodyEnd - part.bodyStart;
  if (part.encoding !== "base64" && part.encoding !== "quoted-printable") return encoded;
  if (encoded <= 65_536 || part.encoding === "quoted-printable") {
    return decodeBody(await source.read(part.bodyStart, part.bodyEnd), part.encoding).length;
  }
  const head = await source.read(part.bodyStart, part.bodyStart + edgeOctets);
  const tail = (await source.read(part.bodyEnd - edgeOctets, part.bodyEnd)).toString("latin1");
  const lineFeed = head.indexOf(0x0a);
  const lineOctets = lineFeed < 0 ? encoded : lineFeed + 1;
  const breakOctets = lineFeed < 0 ? 0 : head[lineFeed - 1] === 0x0d ? 2 : 1;
  const text = tail.trimEnd();
  const octets = encoded - (tail.length - text.length);
  const padding = /={0,2}$/.exec(text)?.[0].length ?? 0;
  const breaks = Math.floor((octets - 1) / lineOctets) * breakOctets;
  return Math.floor(((octets - breaks - padding) * 3) / 4);
}

export interface BodyValue {
  readonly value: string;
  readonly isEncodingProblem: boolean;
  readonly isTruncated: boolean;
}

/** @param mostOctets of UTF-8 in the value; 0 for as much as `left` allows */
export async function bodyValue(
  source: Source,
  part: MimePart,
  mostOctets: number,
  left: { left: number },
): Promise<BodyValue> {
  const most = mostOctets === 0 ? left.left : Math.min(mostOctets, left.left);
  const whole = bodyText(await source.read(part.bodyStart, part.bodyEnd), part).toWellFormed();
  const value = cutAt(whole, most, part.subtype === "html");
  left.left = Math.max(0, left.left - Buffer.byteLength(value));
  return {
    value,
    isEncodingProblem: whole.includes("\ufffd"),
    isTruncated: value.length < whole.length,
  };
}

/** At most so many octets of UTF-8; never within a character, nor within a tag of HTML (§4.2). */
function cutAt(text: string, most: number, isHtml: boolean): string {
  if (text.length * 3 <= most || Buffer.byteLength(text) <= most) return text;
  let cut = Buffer.from(text)
    .subarray(0, most)
    .toString("utf8")
    .replace(/\ufffd+$/, "");
  if (isHtml && cut.lastIndexOf("<") > cut.lastIndexOf(">"))
    cut = cut.slice(0, cut.lastIndexOf("<"));
  return cut;
}
