/** DER, the one-way-only encoding of ASN.1 values (ITU-T X.690 §8, §10, §11). */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";

/** First octet of a value: class, constructed bit and number together. */
export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export function encode(tagOctet: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tagOctet, ...lengthOctets(length)]), ...contents]);
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [0x80 | octets.length, ...octets];
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return encode(tag.sequence, ...parts);
}

/** SET OF: the elements in ascending order of their octets (X.690 §11.6). */
export function setOf(...parts: readonly Uint8Array[]): Buffer {
  return encode(tag.set, ...[...parts].sort((one, other) => Buffer.compare(one, other)));
}

/** @param value a number, or the big-endian octets of a number that is not negative */
export function integer(value: number | Uint8Array): Buffer {
  let octets = typeof value === "number" ? Buffer.from(evenHex(value), "hex") : Buffer.from(value);
  while (octets.length > 1 && octets[0] === 0) octets = octets.subarray(1);
  const positive = (octets[0] ?? 0) >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0);
  return encode(tag.integer, positive, octets.length > 0 ? octets : Buffer.from([0]));
}

function evenHex(value: number): string {
  const text = value.toString(16);
  return text.length % 2 === 0 ? text : `0${text}`;
}

export function boolean(value: boolean): Buffer {
  return encode(tag.boolean, Buffer.from([value ? 0xff : 0]));
}

export function octetString(octets: Uint8Array): Buffer {
  return encode(tag.octetString, octets);
}

/** @param unusedBits how many of the last octet's low bits say nothing */
export function bitString(octets: Uint8Array, unusedBits = 0): Buffer {
  return encode(tag.bitString, Buffer.from([unusedBits]), octets);
}

export function utf8String(text: string): Buffer {
  return encode(tag.utf8String, Buffer.from(text, "utf8"));
}

/** @param dotted "1.2.840.10045.2.1" */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...arcs] = dotted.split(".").map(Number);
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...arcs]) {
    const group = [arc & 0x7f];
    for (let rest = arc >>> 7; rest > 0; rest >>>= 7) group.unshift(0x80 | (rest & 0x7f));
    octets.push(...group);
  }
  return encode(tag.oid, Buffer.from(octets));
}

/** [n] around other values (constructed), or in place of a primitive value's own tag. */
export function context(
  number: number,
  form: "constructed" | "primitive",
  ...parts: Uint8Array[]
): Buffer {
  return encode((form === "constructed" ? 0xa0 : 0x80) | number, ...parts);
}

/** UTCTime up to 2049, GeneralizedTime after, whole seconds (RFC 5280 §4.1.2.5). */
export function time(atMs: number): Buffer {
  const text = new Date(atMs).toISOString().replace(/\.\d+|[-:T]/g, ""); // YYYYMMDDHHMMSSZ
  return text < "2050"
    ? encode(tag.utcTime, Buffer.from(text.slice(2), "latin1"))
    : encode(tag.generalizedTime, Buffer.from(text, "latin1"));
}

export interface DerValue {
  readonly tag: number;
  /** What is between the length and the end. */
  readonly content: Buffer;
  /** The whole value, header included. */
  readonly raw: Buffer;
  /** Of a constructed value; empty for a primitive one. */
  readonly children: readonly DerValue[];
}

export type DerFault =
  | "too-long"
  | "truncated"
  | "long-tag"
  | "bad-length"
  | "too-deep"
  | "too-many"
  | "trailing-octets";

/** Our limits: far above any certificate or CMS head that is meant honestly. */
const maxOctets = 16 * 1024 * 1024;
const maxDepth = 32;
const maxValues = 20_000;

/**
 * Reads exactly one value with all that is in it. The content of primitive values is not judged.
 *
 * @param octets untrusted
 */
export function parseDer(octets: Uint8Array): Result<DerValue, DerFault> {
  if (octets.length > maxOctets) return refuse("too-long", maxOctets);
  const all = Buffer.from(octets.buffer, octets.byteOffset, octets.length);
  const count = { left: maxValues };
  const one = readValue(all, 0, { limit: all.length, depth: maxDepth, count });
  if (!one.ok) return one;
  const end = one.value.raw.length;
  return end === all.length ? one : refuse("trailing-octets", end);
}

/** What is left of the limits, and where the enclosing value ends. */
interface Bounds {
  readonly limit: number;
  readonly depth: number;
  readonly count: { left: number };
}

function readValue(all: Buffer, start: number, bounds: Bounds): Result<DerValue, DerFault> {
  if (bounds.depth === 0) return refuse("too-deep", start);
  if (bounds.count.left === 0) return refuse("too-many", start);
  bounds.count.left -= 1;
  const header = readHeader(all, start, bounds.limit);
  if (!header.ok) return header;
  const { from, to } = header.value;
  const tagOctet = all[start] ?? 0;
  const children: DerValue[] = [];
  if ((tagOctet & 0x20) !== 0) {
    const inner = { ...bounds, limit: to, depth: bounds.depth - 1 };
    for (let at = from; at < to; ) {
      const child = readValue(all, at, inner);
      if (!child.ok) return child;
      children.push(child.value);
      at += child.value.raw.length;
    }
  }
  const content = all.subarray(from, to);
  return accept({ tag: tagOctet, content, raw: all.subarray(start, to), children });
}

/** Where the content begins and ends. */
function readHeader(
  all: Buffer,
  start: number,
  limit: number,
): Result<{ readonly from: number; readonly to: number }, DerFault> {
  if (limit - start < 2) return refuse("truncated", start);
  if (((all[start] ?? 0) & 0x1f) === 0x1f) return refuse("long-tag", start); // none of ours has one
  const first = all[start + 1] ?? 0;
  let length = first;
  let from = start + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    // Indefinite lengths are BER (§10.1); more than four octets pass every limit of ours.
    if (count === 0 || count > 4) return refuse("bad-length", start + 1);
    if (limit - from < count) return refuse("truncated", start);
    length = all.readUIntBE(from, count);
    const shortest = length >= 0x80 && length >= 256 ** (count - 1);
    if (!shortest) return refuse("bad-length", start + 1);
    from += count;
  }
  if (length > limit - from) return refuse("truncated", start);
  return accept({ from, to: from + length });
}
