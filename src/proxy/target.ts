/** Request targets, decoded once and normalised, or refused (RFC 9112 §3.2, RFC 3986 §6.2). */

import { accept, type Result, refuse } from "#base/result";

/** A path and query that mean the same to everybody who reads them. */
export interface Target {
  /** Decoded segments; the last is "" when the path ends with a slash. */
  readonly segments: readonly string[];
  /** Re-encoded from the segments: the only spelling that goes on. */
  readonly path: string;
  /** Without "?", as given but checked; "" when there is none. */
  readonly query: string;
}

export type TargetFault =
  | "not-origin-form"
  | "too-long"
  | "bad-character"
  | "bad-escape"
  | "encoded-delimiter"
  | "double-encoded"
  | "bad-utf8"
  | "dot-segment"
  | "empty-segment";

/** Ours: no address of the application comes near. */
const maxLength = 4096;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const hexDigit = /^[0-9A-Fa-f]$/;
/** RFC 3986 §3.3 pchar without ";": parameters of segments are read differently by everybody. */
const pathCharacter = /^[A-Za-z0-9._~!$&'()*+,=:@-]$/;
const queryCharacter = /^[A-Za-z0-9._~!$&'()*+,=:@/?-]$/;

/** @param text untrusted: the second word of the request line */
export function parseTarget(text: string): Result<Target, TargetFault> {
  if (text.length > maxLength) return refuse("too-long", maxLength);
  if (!text.startsWith("/")) return refuse("not-origin-form"); // absolute, authority, asterisk
  const mark = text.indexOf("?");
  const path = mark < 0 ? text : text.slice(0, mark);
  const query = mark < 0 ? "" : text.slice(mark + 1);

  const segments: string[] = [];
  let at = 1;
  for (const raw of path.slice(1).split("/")) {
    const segment = decodeSegment(raw, at);
    if (!segment.ok) return segment;
    const last = at + raw.length === path.length;
    if (segment.value === "" && !last) return refuse("empty-segment", at);
    if (segment.value.endsWith(".")) return refuse("dot-segment", at); // ".", "..", "a."
    segments.push(segment.value);
    at += raw.length + 1;
  }
  const checked = checkQuery(query, path.length + 1);
  if (!checked.ok) return checked;
  return accept({ segments, path: `/${segments.map(encodeSegment).join("/")}`, query });
}

function decodeSegment(raw: string, at: number): Result<string, TargetFault> {
  const octets: number[] = [];
  for (let index = 0; index < raw.length; index += 1) {
    const character = raw[index] ?? "";
    if (character !== "%") {
      if (!pathCharacter.test(character)) return refuse("bad-character", at + index);
      octets.push(character.charCodeAt(0));
      continue;
    }
    const octet = escapedOctet(raw, index);
    if (octet === undefined) return refuse("bad-escape", at + index);
    if (octet < 0x20 || octet === 0x7f) return refuse("bad-character", at + index);
    if (octet === 0x25) return refuse("double-encoded", at + index);
    // "/", "\" and ";" would be delimiters for whoever decodes first.
    if (octet === 0x2f || octet === 0x5c || octet === 0x3b) {
      return refuse("encoded-delimiter", at + index);
    }
    octets.push(octet);
    index += 2;
  }
  try {
    return accept(utf8.decode(Uint8Array.from(octets))); // refuses overlong forms and surrogates
  } catch {
    return refuse("bad-utf8", at);
  }
}

/** A query keeps its escapes: only its application reads it, and reads it once. */
function checkQuery(query: string, at: number): Result<true, TargetFault> {
  for (let index = 0; index < query.length; index += 1) {
    const character = query[index] ?? "";
    if (character !== "%") {
      if (!queryCharacter.test(character)) return refuse("bad-character", at + index);
      continue;
    }
    const octet = escapedOctet(query, index);
    if (octet === undefined) return refuse("bad-escape", at + index);
    if (octet < 0x20 || octet === 0x7f) return refuse("bad-character", at + index);
    const again = hexDigit.test(query[index + 3] ?? "") && hexDigit.test(query[index + 4] ?? "");
    if (octet === 0x25 && again) return refuse("double-encoded", at + index);
    index += 2;
  }
  return accept(true);
}

function escapedOctet(text: string, percentAt: number): number | undefined {
  const [high, low] = [text[percentAt + 1] ?? "", text[percentAt + 2] ?? ""];
  if (!hexDigit.test(high) || !hexDigit.test(low)) return undefined;
  return Number.parseInt(high + low, 16);
}

function encodeSegment(segment: string): string {
  return encodeURIComponent(segment);
}
