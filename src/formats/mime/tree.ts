/** The MIME tree of a message, found in one pass over its octets (RFC 2046 §5, RFC 9051 §7.5.2). */

import { Buffer } from "node:buffer";
import { buffer } from "#base/bytes";
import { type ParameterList, parseParameters } from "#formats/encoded-word";
import { type Header, parseHeader, valueOf } from "#formats/message";
import type { MailEnvelope, MimePart } from "#model/description";
import { envelopeOf, fieldText } from "./envelope.ts";

/** Ours: what lies deeper, and parts beyond the number, stay one opaque part. */
const maxDepth = 50;
const maxParts = 1000;
/** RFC 2046 §5.1.1 allows 70; longer ones are met. */
const maxBoundary = 250;

const lineOfDashes = Buffer.from("\n--");

type Writable<Value> = { -readonly [Key in keyof Value]: Value[Key] };
type Node = Writable<Omit<MimePart, "parts" | "message">> & {
  parts: Node[];
  message?: { envelope: MailEnvelope; root: Node };
};

/** A line that ends a part. */
interface Delimiter {
  readonly lineStart: number;
  /** Behind its line break. */
  readonly lineEnd: number;
  /** Which of the open multiparts it belongs to, outermost 0. */
  readonly level: number;
  readonly closes: boolean;
}

export interface Tree {
  readonly header: Header;
  readonly root: MimePart;
}

/** Never throws; linear in the octets whatever they are. */
export function readTree(octets: Uint8Array): Tree {
  const walk = new Walk(octets);
  const header = parseHeader(octets);
  const { part } = walk.part(header, 0, "text");
  numberParts(part, "", true);
  countLines(octets, part);
  return { header, root: part };
}

class Walk {
  readonly #octets: Uint8Array;
  readonly #bytes: Buffer;
  /** "--boundary" of the open multiparts to their level. */
  readonly #open = new Map<string, number>();
  /** Of all delimiter lines so far: spares making strings of lines that only look like one. */
  readonly #hashes = new Set<number>();
  #parts = 0;

  constructor(octets: Uint8Array) {
    this.#octets = octets;
    this.#bytes = buffer(octets);
  }

  /** Reads the body behind a header; answers the part and the delimiter that ended it. */
  part(
    header: Header,
    depth: number,
    kind: "text" | "digest",
  ): { part: Node; ender: Delimiter | undefined } {
    this.#parts += 1;
    const part = describePart(header, kind);
    const deeper = depth < maxDepth && this.#parts < maxParts;
    const end = this.#octets.length;
    let ender: Delimiter | undefined;
    let read = false;
    if (deeper && part.type === "multipart") {
      const boundary = parameter(part.parameters, "boundary").trimEnd();
      if (boundary !== "" && boundary.length <= maxBoundary) {
        ender = this.#multipart(part, boundary, depth);
        read = true;
      }
    } else if (deeper && isMessage(part)) {
      const inner = parseHeader(this.#octets, part.bodyStart, end, (at) => this.#isDelimiter(at));
      const answer = this.part(inner, depth + 1, "text");
      ender = answer.ender;
      part.message = { envelope: envelopeOf(inner), root: answer.part };
      read = true;
    }
    if (!read) ender = this.#next(part.bodyStart);
    part.bodyEnd = ender === undefined ? end : this.#before(ender, part.bodyStart);
    const inside = part.parts.at(-1) ?? part.message?.root;
    if (inside !== undefined) part.bodyEnd = Math.max(part.bodyEnd, inside.bodyEnd);
    settle(part);
    return { part, ender };
  }

  #multipart(part: Node, boundary: string, depth: number): Delimiter | undefined {
    const mark = `--${Buffer.from(boundary).toString("latin1")}`;
    const level = depth; // grows inwards, so it names the multipart
    const hidden = this.#open.get(mark); // the same boundary further out: the inner one wins
    this.#open.delete(mark);
    this.#open.set(mark, level);
    this.#hashes.add(hashOf(mark)).add(hashOf(`${mark}--`));
    let found = this.#next(part.bodyStart);
    while (found !== undefined && found.level === level && !found.closes) {
      if (this.#parts >= maxParts) break;
      const header = parseHeader(this.#octets, found.lineEnd, this.#octets.length, (at) =>
        this.#isDelimiter(at),
      );
      const kind = part.subtype === "digest" ? "digest" : "text";
      const answer = this.part(header, depth + 1, kind);
      part.parts.push(answer.part);
      found = answer.ender;
    }
    // Ours is closed, or left in the middle because an outer delimiter came or too many parts did.
    while (found !== undefined && found.level === level && !found.closes) {
      found = this.#next(found.lineEnd);
    }
    this.#open.delete(mark);
    if (hidden !== undefined) this.#open.set(mark, hidden);
    if (found === undefined || found.level !== level) return found;
    return this.#next(found.lineEnd); // the epilogue
  }

  /** The next delimiter line of any open multipart that begins at the offset or later. */
  #next(from: number): Delimiter | undefined {
    if (this.#open.size === 0) return undefined;
    const bytes = this.#bytes;
    let at = from;
    if (!(from === 0 || bytes[from - 1] === 0x0a)) at = bytes.indexOf(lineOfDashes, from) + 1 || -1;
    while (at >= 0) {
      const found = this.#delimiterAt(at);
      if (found !== undefined) return found;
      const mark = bytes.indexOf(lineOfDashes, at);
      at = mark < 0 ? -1 : mark + 1;
    }
    return undefined;
  }

  #isDelimiter(lineStart: number): boolean {
    return this.#open.size > 0 && this.#delimiterAt(lineStart) !== undefined;
  }

  #delimiterAt(lineStart: number): Delimiter | undefined {
    const bytes = this.#bytes;
    if (bytes[lineStart] !== 0x2d || bytes[lineStart + 1] !== 0x2d) return undefined;
    const limit = Math.min(bytes.length, lineStart + maxBoundary + 200);
    let at = lineStart;
    let end = at; // of the line without its transport padding (§5.1.1)
    let hash = 0;
    let found = 0;
    for (; at < limit; at += 1) {
      const octet = bytes[at] ?? 0;
      if (octet === 0x0a) break;
      hash = nextHash(hash, octet);
      if (octet > 0x20) [end, found] = [at + 1, hash];
    }
    if (at === limit && limit < bytes.length) return undefined; // too long for a delimiter
    if (!this.#hashes.has(found)) return undefined;
    const line = bytes.toString("latin1", lineStart, end);
    const closes = !this.#open.has(line) && line.endsWith("--");
    const level = this.#open.get(closes ? line.slice(0, -2) : line);
    if (level === undefined) return undefined;
    return { lineStart, lineEnd: Math.min(at + 1, bytes.length), level, closes };
  }

  /** The line break before a delimiter belongs to it (§5.1.1). */
  #before(ender: Delimiter, bodyStart: number): number {
    let end = ender.lineStart;
    if (end > bodyStart && this.#bytes[end - 1] === 0x0a) end -= 1;
    if (end > bodyStart && this.#bytes[end - 1] === 0x0d) end -= 1;
    return end;
  }
}

function nextHash(hash: number, octet: number): number {
  return (Math.imul(hash, 31) + octet) | 0;
}

function hashOf(line: string): number {
  let hash = 0;
  for (let at = 0; at < line.length; at += 1) hash = nextHash(hash, line.charCodeAt(at));
  return hash;
}

function describePart(header: Header, kind: "text" | "digest"): Node {
  const contentType = header.fields.find((one) => one.key === "content-type");
  const given = contentType && parseParameters(valueOf(header, contentType));
  const [, type, subtype] =
    /^\s*([^\s/()<>@,;:\\"[\]?=]{1,127})\s*\/\s*([^\s/()<>@,;:\\"[\]?=]{1,127})\s*$/.exec(
      given?.value ?? (kind === "digest" ? "message/rfc822" : "text/plain"), // §5.1.5
    ) ?? [undefined, "text", "plain"]; // RFC 2045 §5.2: unreadable is as good as absent
  const placed = fieldText(header, "content-disposition");
  const disposition = placed === null ? undefined : parseParameters(placed);
  const languages = fieldText(header, "content-language");
  const encoding = fieldText(header, "content-transfer-encoding") ?? "7bit";
  return {
    section: "",
    type: (type ?? "text").toLowerCase(),
    subtype: (subtype ?? "plain").toLowerCase(),
    parameters: given?.parameters ?? [],
    disposition: disposition?.value.toLowerCase() || null,
    dispositionParameters: disposition?.parameters ?? [],
    id: fieldText(header, "content-id"),
    description: fieldText(header, "content-description"),
    location: fieldText(header, "content-location")?.replace(/\s+/g, "") ?? null, // RFC 2557 §4.4
    md5: fieldText(header, "content-md5"),
    language:
      languages
        ?.split(",", 50)
        .map((one) => one.trim())
        .filter(Boolean) ?? [],
    encoding: encoding.replace(/[\s(;].*$/, "").toLowerCase() || "7bit",
    headerStart: header.start,
    bodyStart: header.end,
    bodyEnd: header.end,
    lines: 0,
    parts: [],
  };
}

/**
 * What readers of the tree may rely on: a multipart has parts, and a message/rfc822 or
 * message/global has its message. What lacks them is shown as what it then is.
 */
function settle(part: Node): void {
  if (part.type === "multipart" && part.parts.length === 0) {
    [part.type, part.subtype, part.parameters] = ["text", "plain", []];
  } else if (isMessageType(part) && part.message === undefined) {
    [part.type, part.subtype] = ["application", "octet-stream"];
  }
}

function isMessageType(part: Node): boolean {
  return part.type === "message" && (part.subtype === "rfc822" || part.subtype === "global");
}

/** RFC 2046 §5.2.1: only unencoded; an encoded one is left closed. */
function isMessage(part: Node): boolean {
  return isMessageType(part) && !/^(base64|quoted-printable|x-)/.test(part.encoding);
}

/** Section numbers as IMAP counts them (RFC 9051 §6.4.5.1). */
function numberParts(part: Node, prefix: string, isRoot: boolean): void {
  if (isRoot) part.section = part.type === "multipart" ? "" : joined(prefix, 1);
  part.parts.forEach((child, index) => {
    child.section = joined(isRoot ? prefix : part.section, index + 1);
    numberParts(child, child.section, false);
  });
  if (part.message !== undefined) numberParts(part.message.root, part.section, true);
}

function joined(prefix: string, index: number): string {
  return prefix === "" ? String(index) : `${prefix}.${index}`;
}

/** Counts line feeds once over the message, however deeply the bodies that ask for it nest. */
function countLines(octets: Uint8Array, root: Node): void {
  const asking: Node[] = [];
  const gather = (part: Node): void => {
    if (part.type === "text" || part.type === "message") asking.push(part);
    part.parts.forEach(gather);
    if (part.message !== undefined) gather(part.message.root);
  };
  gather(root);
  const stops = [...new Set(asking.flatMap((part) => [part.bodyStart, part.bodyEnd]))];
  stops.sort((one, other) => one - other);
  const before = new Map<number, number>();
  let count = 0;
  let at = stops[0] ?? 0;
  for (const stop of stops) {
    count += lineFeeds(octets, at, stop);
    at = stop;
    before.set(stop, count);
  }
  for (const part of asking) {
    part.lines = (before.get(part.bodyEnd) ?? 0) - (before.get(part.bodyStart) ?? 0);
  }
}

/** Four octets at a time: a byte loop takes as long as all the rest of the description. */
function lineFeeds(octets: Uint8Array, start: number, end: number): number {
  let count = 0;
  let at = start;
  while (at < end && ((octets.byteOffset + at) & 3) !== 0) if (octets[at++] === 0x0a) count += 1;
  if (end - at >= 4) {
    const words = new Uint32Array(octets.buffer, octets.byteOffset + at, (end - at) >>> 2);
    for (let index = 0; index < words.length; index += 1) {
      const word = (words[index] ?? 0) ^ 0x0a0a0a0a; // a line feed becomes a zero octet
      if (((word - 0x01010101) & ~word & 0x80808080) === 0) continue;
      for (let shift = 0; shift < 32; shift += 8) if (((word >>> shift) & 0xff) === 0) count += 1;
    }
    at += words.length * 4;
  }
  for (; at < end; at += 1) if (octets[at] === 0x0a) count += 1;
  return count;
}

function parameter(parameters: ParameterList, name: string): string {
  return parameters.find(([key]) => key === name)?.[1] ?? "";
}
