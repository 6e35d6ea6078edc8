/** Tag=value lists, the syntax that DKIM, ARC and DMARC records share (RFC 6376 §3.2). */

import { accept, type Result, refuse } from "#base/result";

/** Tag name, case-sensitive, to its value without the white space around it. */
export type TagList = ReadonlyMap<string, string>;

export type TagListFault = "too-long" | "bad-character" | "bad-name" | "repeated-tag";

/** Our limit, not the RFC's: no honest record is longer. In UTF-16 units. */
const maxLength = 8192;

const tagName = /^[A-Za-z][A-Za-z0-9_]*$/;
const asciiText = /^[\x20-\x7e\t\r\n]*$/;

/**
 * Reads a whole list or refuses it; a fault points at the start of the offending tag.
 *
 * @param text untrusted: a joined TXT record, or the body of a header field
 */
export function parseTagList(text: string): Result<TagList, TagListFault> {
  if (text.length > maxLength) return refuse("too-long", maxLength);

  const specs = text.split(";");
  if (specs.length > 1 && specs.at(-1)?.trim() === "") specs.pop(); // one closing ";" is allowed

  const isAscii = asciiText.test(text);
  const tags = new Map<string, string>();
  let at = 0;
  for (const spec of specs) {
    if (!isAscii && !asciiText.test(spec)) return refuse("bad-character", at); // so trim() meets ASCII only
    const equals = spec.indexOf("="); // a value may hold further "=", as base64 does
    const name = spec.slice(0, Math.max(equals, 0)).trim();
    if (!tagName.test(name)) return refuse("bad-name", at);
    if (tags.has(name)) return refuse("repeated-tag", at); // §3.2: makes the whole list invalid
    tags.set(name, spec.slice(equals + 1).trim());
    at += spec.length + 1;
  }
  return accept(tags);
}

/**
 * One header field body, folded between tags and, where a value says how, inside values.
 *
 * @param tags name and value in order; a space in a value marks a place where it may be folded
 * @param column how many characters stand before the list in its first line
 */
export function formatTagList(
  tags: readonly (readonly [string, string])[],
  column: number,
): string {
  let text = "";
  let width = column;
  for (const [index, [name, value]] of tags.entries()) {
    const mark = index < tags.length - 1 ? ";" : "";
    for (const [piece, part] of `${name}=${value}${mark}`.split(" ").entries()) {
      // RFC 5322 §2.1.1: lines of at most 78 characters
      const breaks = width + 1 + part.length > 78;
      const space = piece === 0 ? " " : ""; // pieces of one value join without a gap
      const lead = text === "" ? "" : breaks ? "\r\n\t" : space;
      width = breaks && text !== "" ? 8 + part.length : width + lead.length + part.length;
      text += lead + part;
    }
  }
  return text;
}
