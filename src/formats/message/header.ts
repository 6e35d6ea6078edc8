/** The fields of a header section, found in one pass; the octets are never altered (RFC 5322 §2.2). */

import { buffer } from "#base/bytes";
import { decodeCharset } from "#formats/encoded-word";

/** All offsets count from the start of the octets that were given. */
export interface Field {
  /** As written, "" when the line has no name; the text before the colon without white space. */
  readonly name: string;
  /** The name in lower case: compare this one. */
  readonly key: string;
  /** First octet of the field, which ends behind its line break at `end`. */
  readonly start: number;
  /** Behind the colon. */
  readonly valueStart: number;
  /** Before the last line break. Folds inside are kept. */
  readonly valueEnd: number;
  readonly end: number;
}

export interface Header {
  readonly octets: Uint8Array;
  readonly start: number;
  readonly fields: readonly Field[];
  /** Behind the empty line; where that is missing, behind the last header line. */
  readonly end: number;
  /** There were more octets or fields than are looked at: trust no absence. */
  readonly truncated: boolean;
}

/** Ours, in octets: whoever looks at a header looks at so much, so that nobody sees what another misses. */
export const maxHeaderBytes = 262_144;
/** Ours; what follows is skipped, not read. */
const maxFields = 20_000;

const lf = 0x0a;
const cr = 0x0d;

/**
 * Takes CRLF and bare LF as line ends, any octet inside a line, lines without a colon and a leading
 * continuation (as a field without a name). Linear.
 *
 * @param stopsAt asked for lines that begin with "--": true ends the header before that line
 */
export function parseHeader(
  octets: Uint8Array,
  start = 0,
  end: number = octets.length,
  stopsAt?: (lineStart: number) => boolean,
): Header {
  const bytes = buffer(octets);
  const found: Field[] = [];
  let fieldStart = -1;
  let at = start;
  let truncated = false;
  const close = (fieldEnd: number): void => {
    if (fieldStart < 0) return;
    if (found.length >= maxFields || fieldStart - start > maxHeaderBytes) truncated = true;
    else found.push(fieldAt(bytes, fieldStart, fieldEnd));
    fieldStart = -1;
  };
  while (at < end) {
    const first = bytes[at];
    if (first === lf || (first === cr && bytes[at + 1] === lf && at + 1 < end)) {
      close(at);
      return { octets, start, fields: found, end: at + (first === lf ? 1 : 2), truncated };
    }
    if (first === 0x2d && bytes[at + 1] === 0x2d && stopsAt?.(at) === true) break;
    if (first !== 0x20 && first !== 0x09) close(at); // else a continuation (§2.2.3)
    if (fieldStart < 0) fieldStart = at;
    const lineFeed = bytes.indexOf(lf, at);
    at = lineFeed < 0 || lineFeed >= end ? end : lineFeed + 1;
  }
  close(at);
  return { octets, start, fields: found, end: at, truncated };
}

function fieldAt(bytes: Buffer, start: number, end: number): Field {
  let valueEnd = end;
  if (valueEnd > start && bytes[valueEnd - 1] === lf) valueEnd -= 1;
  if (valueEnd > start && bytes[valueEnd - 1] === cr) valueEnd -= 1;
  let colon = start;
  while (colon < valueEnd && bytes[colon] !== 0x3a && bytes[colon] !== lf) colon += 1;
  if (bytes[colon] !== 0x3a || colon >= valueEnd || colon - start > 998) {
    return { name: "", key: "", start, valueStart: start, valueEnd, end };
  }
  let nameEnd = colon; // §4.5.8: white space before the colon was once allowed
  while (nameEnd > start && (bytes[nameEnd - 1] === 0x20 || bytes[nameEnd - 1] === 0x09)) {
    nameEnd -= 1;
  }
  const name = bytes.toString("latin1", start, nameEnd);
  return { name, key: name.toLowerCase(), start, valueStart: colon + 1, valueEnd, end };
}

/** Where the body begins: behind the empty line, or the end of the octets when there is none. */
export function headerEnd(octets: Uint8Array): number {
  const bytes = buffer(octets);
  if (bytes[0] === lf) return 1;
  if (bytes[0] === cr && bytes[1] === lf) return 2;
  for (let at = bytes.indexOf(lf); at >= 0; at = bytes.indexOf(lf, at + 1)) {
    if (bytes[at + 1] === lf) return at + 2;
    if (bytes[at + 1] === cr && bytes[at + 2] === lf) return at + 3;
  }
  return octets.length;
}

/** The first field of that name. @param name in any case */
export function field(header: Header, name: string): Field | undefined {
  const key = name.toLowerCase();
  return header.fields.find((one) => one.key === key);
}

/** All fields of that name, from top to bottom. */
export function fields(header: Header, name: string): readonly Field[] {
  const key = name.toLowerCase();
  return header.fields.filter((one) => one.key === key);
}

/** The field with its name and line break, as it stands in the message. */
export function rawField(header: Header, one: Field): Buffer {
  return buffer(header.octets).subarray(one.start, one.end);
}

/**
 * The unfolded value without outer white space (RFC 5322 §2.2.3); octets above ASCII are read as
 * UTF-8 (RFC 6532) or else windows-1252. Encoded words are left as they are.
 */
export function valueOf(header: Header, one: Field): string {
  const text = decodeCharset(header.octets.subarray(one.valueStart, one.valueEnd));
  return (text.includes("\n") ? text.replace(/\r?\n/g, "") : text).trim();
}
