/** A new message from what a person wrote (RFC 5322, RFC 2045); the webmail's and the notices' pen. */

import { Buffer } from "node:buffer";
import { formatDate } from "#formats/date";
import { encodeWords, formatParameter } from "#formats/encoded-word";
import type { MailAddress } from "#model/description";

export interface Attachment {
  readonly name: string | null;
  /** "application/pdf"; what is not of that shape becomes application/octet-stream. */
  readonly type: string;
  readonly octets: Uint8Array;
  /** Shown within the HTML, which names it by this id (without angle brackets). */
  readonly contentId?: string;
  readonly inline?: boolean;
}

export interface Draft {
  readonly from: readonly MailAddress[];
  readonly sender?: MailAddress;
  readonly replyTo?: readonly MailAddress[];
  readonly to?: readonly MailAddress[];
  readonly cc?: readonly MailAddress[];
  /** Kept in the message: a draft needs it. Whoever sends takes it out. */
  readonly bcc?: readonly MailAddress[];
  readonly subject: string;
  readonly text: string;
  readonly html?: string;
  readonly attachments?: readonly Attachment[];
  /** With angle brackets, as are the references. */
  readonly messageId: string;
  readonly inReplyTo?: readonly string[];
  readonly references?: readonly string[];
  readonly dateMs: number;
  /** In place of text, html and attachments: a tree of the writer's own. */
  readonly structure?: BodyNode;
  /** Fields that stand behind the usual ones, their values as they are to be. */
  readonly further?: readonly (readonly [string, string])[];
}

/** A node of a body to be written. */
export type BodyNode =
  | { readonly kind: "text"; readonly subtype: "plain" | "html"; readonly text: string }
  | { readonly kind: "attachment"; readonly attachment: Attachment }
  | {
      readonly kind: "multipart";
      readonly subtype: string;
      /** Further ones of its Content-Type, their values tokens (RFC 2045 §5.1). */
      readonly parameters?: readonly (readonly [string, string])[];
      readonly parts: readonly BodyNode[];
    };

/** Pure ASCII with CRLF; no line above 998 octets, header lines above 78 only where a word is longer. */
export function composeMessage(draft: Draft): Buffer {
  const lines = [
    ...addressField("From", draft.from),
    ...(draft.sender ? addressField("Sender", [draft.sender]) : []),
    ...addressField("Reply-To", draft.replyTo ?? []),
    ...addressField("To", draft.to ?? []),
    ...addressField("Cc", draft.cc ?? []),
    ...addressField("Bcc", draft.bcc ?? []),
    foldField("Subject", encodeWords(draft.subject)),
    foldField("Date", formatDate(draft.dateMs)),
    ...idField("Message-ID", [draft.messageId]),
    ...idField("In-Reply-To", draft.inReplyTo ?? []),
    ...idField("References", draft.references ?? []),
    ...(draft.further ?? []).flatMap(([name, value]) => furtherField(name, value)),
    "MIME-Version: 1.0",
  ];
  const unique = draft.messageId.replace(/[^A-Za-z0-9]/g, "").slice(0, 24);
  const entity = entityOf(draft.structure ?? structureOf(draft), unique);
  return Buffer.concat([
    // UTF-8 for addresses that cannot be ASCII (RFC 6532)
    Buffer.from(`${[...lines, ...entity.head].join("\r\n")}\r\n\r\n`),
    ...entity.body,
  ]);
}

/** A part: its header lines and its octets, which end with a line break. */
interface Entity {
  readonly head: readonly string[];
  readonly body: readonly Buffer[];
}

/** The usual arrangement: related inside alternative inside mixed, each only where it is needed. */
function structureOf(draft: Draft): BodyNode {
  const all = (draft.attachments ?? []).map(
    (one) => ({ kind: "attachment", attachment: one }) as const,
  );
  const { html } = draft;
  const related = all.filter((one) => html !== undefined && one.attachment.contentId !== undefined);
  const others = all.filter((one) => !related.includes(one));
  let node: BodyNode = { kind: "text", subtype: "plain", text: draft.text };
  if (html !== undefined) {
    let rich: BodyNode = { kind: "text", subtype: "html", text: html };
    if (related.length > 0)
      rich = { kind: "multipart", subtype: "related", parts: [rich, ...related] };
    node = { kind: "multipart", subtype: "alternative", parts: [node, rich] };
  }
  return others.length === 0
    ? node
    : { kind: "multipart", subtype: "mixed", parts: [node, ...others] };
}

/** @param place of the node in the tree: "0.2.1" */
function entityOf(node: BodyNode, unique: string, place = "0"): Entity {
  switch (node.kind) {
    case "text":
      return textEntity(node.subtype, node.text);
    case "attachment":
      return attachmentEntity(node.attachment);
    case "multipart":
      return multipart(node, unique, place);
  }
}

function multipart(node: BodyNode & { kind: "multipart" }, unique: string, place: string): Entity {
  // "=_" occurs in neither base64 nor quoted-printable, and no line of plain text begins with "--".
  // None is the beginning of another either (RFC 2046 §5.1.2).
  const boundary = `=_${place}_${unique}`;
  const body = node.parts.flatMap((child, index) => {
    const part = entityOf(child, unique, `${place}.${index}`);
    const head = `--${boundary}\r\n${part.head.join("\r\n")}\r\n\r\n`;
    return [Buffer.from(head), ...part.body];
  });
  body.push(Buffer.from(`--${boundary}--\r\n`));
  const subtype = /^[a-z0-9.+-]{1,40}$/.test(node.subtype) ? node.subtype : "mixed";
  const more = (node.parameters ?? []).map(([name, value]) => ` ${name}=${value};\r\n`);
  const type = `Content-Type: multipart/${subtype};\r\n${more.join("")} boundary="${boundary}"`;
  return { head: [type], body };
}

function textEntity(subtype: "plain" | "html", text: string): Entity {
  const octets = Buffer.from(text.toWellFormed().replace(/\r\n?|\n/g, "\r\n"));
  const ended = text.endsWith("\n") ? octets : Buffer.concat([octets, Buffer.from("\r\n")]);
  const plain = isPlain(ended);
  const charset = plain ? "us-ascii" : "utf-8";
  const type = `Content-Type: text/${subtype}; charset=${charset}`;
  if (plain) return { head: [type, "Content-Transfer-Encoding: 7bit"], body: [ended] };
  const quoted = toQuotedPrintable(ended);
  const base64 = ended.length * 1.37;
  if (quoted.length <= base64) {
    return { head: [type, "Content-Transfer-Encoding: quoted-printable"], body: [quoted] };
  }
  return { head: [type, "Content-Transfer-Encoding: base64"], body: [toBase64(ended)] };
}

/** Fit to travel as it is: ASCII without controls, short lines, nothing that relays are known to touch. */
function isPlain(octets: Buffer): boolean {
  const text = octets.toString("latin1");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the allowed ones are named
  return /^[\t\r\n\x20-\x7e]*$/.test(text) && !/[^\n]{79}|^From |^--|[ \t]\r\n/m.test(text);
}

function attachmentEntity(one: Attachment): Entity {
  const known = /^[A-Za-z0-9!#$&^_.+-]{1,100}\/[A-Za-z0-9!#$&^_.+-]{1,100}$/.test(one.type);
  const composite = /^(multipart|message)\//i.test(one.type); // RFC 2046 §5: never base64
  const type = known && !composite ? one.type : "application/octet-stream";
  const names = (key: string): readonly string[] =>
    one.name === null ? [] : formatParameter(key, one.name);
  const inline = one.inline === true || one.contentId !== undefined;
  const head = [
    [`Content-Type: ${type}`, ...names("name")].join(";\r\n "),
    [`Content-Disposition: ${inline ? "inline" : "attachment"}`, ...names("filename")].join(
      ";\r\n ",
    ),
    "Content-Transfer-Encoding: base64",
  ];
  const id = one.contentId?.replace(/[^\x21-\x7e]|[<>]/g, "");
  if (id !== undefined && id !== "") head.push(`Content-ID: <${id}>`);
  return { head, body: [toBase64(one.octets)] };
}

/** Lines of 76 (RFC 2045 §6.8). */
function toBase64(octets: Uint8Array): Buffer {
  const text = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString("base64");
  const lines = text.match(/.{1,76}/g) ?? [];
  return Buffer.from(`${lines.join("\r\n")}\r\n`, "latin1");
}

/** @param octets with CRLF line ends, which stay; lines of at most 76 (RFC 2045 §6.7) */
function toQuotedPrintable(octets: Buffer): Buffer {
  const out: string[] = [];
  for (const line of octets.toString("latin1").split("\r\n")) {
    let current = "";
    for (let at = 0; at < line.length; at += 1) {
      const code = line.charCodeAt(at);
      const last = at === line.length - 1;
      const blank = code === 0x20 || code === 0x09;
      const asIs = blank ? !last : code > 0x20 && code < 0x7f && code !== 0x3d;
      // A line that begins with "." or "From " is touched by some relays.
      const risky =
        current === "" && (code === 0x2e || (code === 0x46 && line.startsWith("From ", at)));
      const piece =
        asIs && !risky
          ? (line[at] as string)
          : `=${code.toString(16).toUpperCase().padStart(2, "0")}`;
      if (current.length + piece.length > (last ? 76 : 75)) {
        out.push(`${current}=`);
        current = "";
      }
      current += piece;
    }
    out.push(current);
  }
  return Buffer.from(out.join("\r\n"), "latin1");
}

function addressField(name: string, addresses: readonly MailAddress[]): readonly string[] {
  if (addresses.length === 0) return [];
  return [foldField(name, addresses.map(formatMailbox).join(", "))];
}

/** `name <address>`, the name quoted or encoded where it must be (RFC 5322 §3.4). */
function formatMailbox({ name, email }: MailAddress): string {
  const address = email.replace(/[\s<>\0]+/g, "");
  if (name === null || name.trim() === "") return address.includes("@") ? address : `<${address}>`;
  const plain = name.replace(/[\r\n\0]+/g, " ").trim();
  if (/^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+$/.test(plain) && !plain.includes("=?")) {
    return `${plain} <${address}>`;
  }
  if (/^[\x20-\x7e]+$/.test(plain) && !plain.includes("=?") && plain.length < 200) {
    return `"${plain.replace(/["\\]/g, "\\$&")}" <${address}>`;
  }
  // A space at an end would be lost between words, and ASCII in a phrase must be encoded too.
  return `${encodeWords(/^[\x20-\x7e]*$/.test(plain) ? `${plain}\u00a0` : plain)} <${address}>`;
}

function idField(name: string, ids: readonly string[]): readonly string[] {
  const clean = ids.filter((id) => /^<[^\s<>]{1,900}>$/.test(id));
  return clean.length === 0 ? [] : [foldField(name, clean.join(" "))];
}

function furtherField(name: string, value: string): readonly string[] {
  if (!/^[\x21-\x39\x3b-\x7e]{1,76}$/.test(name)) return [];
  return [foldField(name, encodeWords(value))];
}

/** Breaks before white space so that lines keep within 78 where they can (RFC 5322 §2.1.1). */
function foldField(name: string, value: string): string {
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of value.split(" ")) {
    const wouldBe = line.length + 1 + word.length;
    const blank = line.trim() === "" || (line.endsWith(":") && lines.length === 0);
    if (wouldBe > 78 && !blank && word !== "") {
      lines.push(line);
      line = "";
    }
    line += ` ${word}`;
  }
  lines.push(line);
  return lines.join("\r\n");
}
