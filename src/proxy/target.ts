/** Request targets, decoded once and normalised, or refused (RFC 9112 §3.2, RFC 3986 §6.2.2). */

import { accept, type Result, refuse } from "#base/result";
import type { TargetRules } from "#model/publishing";

/** A path and query that mean the same to everybody who reads them. */
export interface Target {
  /**
   * The only spelling that goes on: unreserved characters plain, every other escape in capitals,
   * and neither an empty segment nor one of dots in it.
   */
  readonly path: string;
  /** Without "?", octet for octet as given; "" when there is none. */
  readonly query: string;
  /** What rules of kind "plain" do not take, though the target means one thing only. */
  readonly notPlain?: TargetFault;
  /** A segment ends with a dot or a blank: systems that drop those would read another name. */
  readonly looseEnd?: boolean;
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

/** Ours, in characters: "plain" addresses are Postern's own and short. */
const maxLength: Readonly<Record<TargetRules, number>> = { plain: 4096, mail: 8192 };

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// What a character is good for; anything else is refused where it stands.
const unreserved = 1;
const inPath = 2;
const inPlainQuery = 4;
const inQuery = 8;

/** By character code; RFC 3986 §3.3 pchar without ";", which everybody reads differently in a path. */
const kinds: Uint8Array = kindsOf([
  ["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", unreserved],
  ["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@", inPath],
  [
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@/?",
    inPlainQuery | inQuery,
  ],
  // Browsers send these as they are, and applications put lists into names such as "uid[]".
  [";[]{}|^`", inQuery],
]);

function kindsOf(sets: readonly (readonly [characters: string, kind: number])[]): Uint8Array {
  const table = new Uint8Array(128);
  for (const [characters, kind] of sets) {
    for (const one of characters) table[one.charCodeAt(0)] = (table[one.charCodeAt(0)] ?? 0) | kind;
  }
  return table;
}

/** @param text untrusted: the second word of the request line, or `:path` */
export function parseTarget(text: string): Result<Target, TargetFault> {
  if (text.length > maxLength.mail) return refuse("too-long", maxLength.mail);
  if (text.charCodeAt(0) !== slash) return refuse("not-origin-form"); // absolute, authority, asterisk
  const mark = text.indexOf("?");
  const raw = mark < 0 ? text : text.slice(0, mark);
  const path = readPath(raw);
  if (!path.ok) return path;
  const query = mark < 0 ? "" : text.slice(mark + 1);
  const queryFault = checkQuery(query, raw.length + 1);
  if (!queryFault.ok) return queryFault;
  const long = text.length > maxLength.plain ? "too-long" : undefined;
  const notPlain = path.value.notPlain ?? queryFault.value ?? long;
  return accept({
    path: path.value.path,
    query,
    ...(notPlain !== undefined && { notPlain }),
    ...(path.value.looseEnd && { looseEnd: true }),
  });
}

/** Whether a rule may name the path: unreserved characters alone, so there is one way to spell it. */
export function isRulePath(path: string): boolean {
  if (!/^[A-Za-z0-9._~/-]+$/.test(path)) return false;
  const target = parseTarget(path);
  return target.ok && target.value.path === path;
}

const slash = 0x2f;
const percent = 0x25;
const dot = 0x2e;

interface ReadPath {
  readonly path: string;
  readonly notPlain?: TargetFault | undefined;
  readonly looseEnd: boolean;
}

function readPath(raw: string): Result<ReadPath, TargetFault> {
  let path = "";
  let notPlain: TargetFault | undefined;
  let looseEnd = false;
  for (let from = 1; from <= raw.length; ) {
    const slashAt = raw.indexOf("/", from);
    const to = slashAt < 0 ? raw.length : slashAt;
    if (to === from && slashAt >= 0) return refuse("empty-segment", from);
    const segment = readSegment(raw, from, to);
    if (!segment.ok) return segment;
    path += `/${segment.value.text}`;
    notPlain ??= segment.value.notPlain;
    looseEnd ||= segment.value.looseEnd;
    from = to + 1;
    if (slashAt >= 0 && from === raw.length) {
      path += "/";
      break;
    }
  }
  return accept({ path: path === "" ? "/" : path, notPlain, looseEnd });
}

interface Segment {
  /** In normal form. */
  readonly text: string;
  readonly notPlain?: TargetFault | undefined;
  readonly looseEnd: boolean;
}

function readSegment(raw: string, from: number, to: number): Result<Segment, TargetFault> {
  for (let at = from; at < to; at += 1) {
    const code = raw.charCodeAt(at);
    if (code === percent) return readEscaped(raw.slice(from, to), from);
    if (((kinds[code] ?? 0) & inPath) === 0) return refuse("bad-character", at);
  }
  const text = raw.slice(from, to);
  if (!text.endsWith(".")) return accept({ text, looseEnd: false });
  if (isDots(text)) return refuse("dot-segment", from);
  return accept({ text, notPlain: "dot-segment", looseEnd: true });
}

/** A segment with escapes: what each stands for, and what it would if somebody decoded again. */
function readEscaped(raw: string, from: number): Result<Segment, TargetFault> {
  const octets: number[] = [];
  let text = "";
  let notPlain: TargetFault | undefined;
  for (let at = 0; at < raw.length; at += 1) {
    const code = raw.charCodeAt(at);
    if (code !== percent) {
      if (((kinds[code] ?? 0) & inPath) === 0) return refuse("bad-character", from + at);
      octets.push(code);
      text += raw[at];
      continue;
    }
    const octet = escapedOctet(raw, at);
    if (octet === undefined) return refuse("bad-escape", from + at);
    if (octet < 0x20 || octet === 0x7f) return refuse("bad-character", from + at);
    // "/" and "\" would be delimiters for whoever decodes first.
    if (octet === slash || octet === 0x5c) return refuse("encoded-delimiter", from + at);
    if (octet === 0x3b) notPlain ??= "encoded-delimiter";
    if (octet === percent) notPlain ??= "double-encoded";
    octets.push(octet);
    const isPlain = ((kinds[octet] ?? 0) & unreserved) !== 0;
    text += isPlain ? String.fromCharCode(octet) : raw.slice(at, at + 3).toUpperCase();
    at += 2;
  }
  const decoded = decodeUtf8(octets); // refuses overlong forms and surrogates
  if (decoded === undefined) return refuse("bad-utf8", from);
  if (isDots(decoded)) return refuse("dot-segment", from);
  if (decoded.includes("%") && decodesToMischief(decoded)) return refuse("double-encoded", from);
  const looseEnd = /[. ]$/.test(decoded);
  return accept({ text, notPlain: notPlain ?? (looseEnd ? "dot-segment" : undefined), looseEnd });
}

/** ".", "..", and with them "...", and what stands before parameters: "..;x". */
function isDots(segment: string): boolean {
  for (let at = 0; at < segment.length; at += 1) {
    const code = segment.charCodeAt(at);
    if (code === 0x3b) return true;
    if (code !== dot && code !== 0x20) return false;
  }
  return segment !== "";
}

/** Nobody honest encodes more often; the bound keeps the work linear. */
const mostDecodings = 4;

// Delimiters, ends of line, NUL, what begins an overlong form, and %u002f, which some systems of
// Windows decode.
const odd = /%(?:2f|5c|3b|0[0ad]|7f|c[01]|e0|f0|u[0-9a-f]{4})/i;

/**
 * True when a reader who decodes again and again comes to a delimiter, a control, a dot segment or
 * an overlong form: "100%25" is a name, "%252e%252e" is a trick.
 */
function decodesToMischief(decoded: string): boolean {
  let text = decoded;
  for (let turn = 0; turn < mostDecodings; turn += 1) {
    if (odd.test(text)) return true;
    const next = text.replace(/%([2-7][0-9a-f])/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    if (isDots(next)) return true;
    if (next === text) return false;
    text = next;
  }
  return true;
}

/**
 * A query keeps its escapes: only its application reads it, and reads it once, as data.
 *
 * @returns what rules of kind "plain" refuse in it
 */
function checkQuery(query: string, at: number): Result<TargetFault | undefined, TargetFault> {
  let notPlain: TargetFault | undefined;
  for (let index = 0; index < query.length; index += 1) {
    const code = query.charCodeAt(index);
    if (code !== percent) {
      const kind = kinds[code] ?? 0;
      if ((kind & inQuery) === 0) return refuse("bad-character", at + index);
      if ((kind & inPlainQuery) === 0) notPlain ??= "bad-character";
      continue;
    }
    const octet = escapedOctet(query, index);
    if (octet === undefined) return refuse("bad-escape", at + index);
    if (octet < 0x20 || octet === 0x7f) return refuse("bad-character", at + index);
    index += 2;
    if (octet !== percent) continue;
    const again = hexValue(query, index + 1) >= 0 && hexValue(query, index + 2) >= 0;
    if (again) notPlain ??= "double-encoded";
  }
  return accept(notPlain);
}

function decodeUtf8(octets: readonly number[]): string | undefined {
  try {
    return utf8.decode(Uint8Array.from(octets));
  } catch {
    return undefined;
  }
}

function escapedOctet(text: string, percentAt: number): number | undefined {
  const high = hexValue(text, percentAt + 1);
  const low = hexValue(text, percentAt + 2);
  return high < 0 || low < 0 ? undefined : high * 16 + low;
}

/** -1 for no digit, and behind the end. */
function hexValue(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
