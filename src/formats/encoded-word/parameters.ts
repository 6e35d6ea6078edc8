/** Parameters of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231). */

import { Buffer } from "node:buffer";
import { decodeCharset } from "./charset.ts";
import { decodeWords } from "./words.ts";

/** Lower-case names, decoded values, in order of appearance; each name once. */
export type ParameterList = readonly (readonly [string, string])[];

/** Ours: no honest field has more pieces, and the rest is not looked at. */
const maxPieces = 400;
const maxLength = 65_536;

interface Piece {
  readonly section: number;
  /** Percent-encoded, so the name ended in "*". */
  readonly extended: boolean;
  readonly value: string;
}

/**
 * Reads `value; name=value; …`. What cannot be read is skipped; never throws, linear.
 *
 * @param text untrusted, unfolded field body
 */
export function parseParameters(text: string): { value: string; parameters: ParameterList } {
  const scan = new Scan(text.slice(0, maxLength));
  const value = scan.until(";").trim();
  const pieces = new Map<string, Piece[]>();
  for (let count = 0; count < maxPieces && !scan.atEnd(); count += 1) {
    scan.skipSemicolon();
    const name = scan.until("=;").trim().toLowerCase();
    if (!scan.takes("=")) continue;
    addPiece(pieces, name, scan.parameterValue(name));
  }
  const parameters: [string, string][] = [];
  for (const [name, list] of pieces) parameters.push([name, join(name, list)]);
  return { value, parameters };
}

/** Splits `name*1*` into name, section and mark (RFC 2231 §3, §4.1). */
function addPiece(pieces: Map<string, Piece[]>, full: string, value: string): void {
  const extended = full.endsWith("*");
  const bare = extended ? full.slice(0, -1) : full;
  const star = bare.indexOf("*");
  const number = star < 0 ? "" : bare.slice(star + 1);
  const numbered = /^\d{1,4}$/.test(number);
  const name = numbered ? bare.slice(0, star) : bare;
  if (name === "" || name.length > 128) return;
  const section = numbered ? Number(number) : -1; // -1: the value in one piece
  const list = pieces.get(name);
  const piece = { section, extended, value };
  if (list === undefined) pieces.set(name, [piece]);
  else list.push(piece);
}

/** The extended form wins over the plain one, a whole one over pieces (RFC 6266 §4.3 in spirit). */
function join(name: string, list: readonly Piece[]): string {
  const whole = list.find((piece) => piece.section < 0 && piece.extended);
  if (whole !== undefined) return decodePieces([whole]);
  const numbered = list.filter((piece) => piece.section >= 0);
  if (numbered.length > 0) {
    numbered.sort((one, other) => one.section - other.section);
    const used: Piece[] = [];
    for (const piece of numbered) {
      if (piece.section === used.length) used.push(piece);
      else if (piece.section > used.length) break; // §3: a gap ends the value
    }
    if (used.length > 0) return decodePieces(used);
  }
  const plain = list.find((piece) => piece.section < 0)?.value ?? "";
  // Against RFC 2047 §5, but most mailers have written file names so.
  return name === "filename" || name === "name" ? decodeWords(plain) : plain;
}

function decodePieces(pieces: readonly Piece[]): string {
  const first = pieces[0];
  if (first === undefined) return "";
  let charset = "";
  let head = first.value;
  if (first.extended) {
    const parts = /^([^']*)'[^']*'/.exec(head); // charset'language'text
    if (parts !== null) {
      charset = parts[1] ?? "";
      head = head.slice(parts[0].length);
    }
  }
  const octets = pieces.map((piece, index) => {
    const value = index === 0 ? head : piece.value;
    return piece.extended ? fromPercent(value) : Buffer.from(value, "utf8");
  });
  return decodeCharset(Buffer.concat(octets), charset);
}

function fromPercent(text: string): Buffer {
  if (!text.includes("%")) return Buffer.from(text, "utf8");
  const parts = text.split(/(%[0-9A-Fa-f]{2})/);
  return Buffer.concat(
    parts.map((part, index) =>
      index % 2 === 1 ? Buffer.from(part.slice(1), "hex") : Buffer.from(part, "utf8"),
    ),
  );
}

/** Reads forward only, so the whole field costs one pass. */
class Scan {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  skipSemicolon(): void {
    while (this.#text[this.#at] === ";" || isSpace(this.#text[this.#at])) this.#at += 1;
  }

  /** Up to one of the marks, which is left standing; comments are dropped. */
  until(marks: string): string {
    let out = "";
    let from = this.#at;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at] as string;
      if (marks.includes(character)) break;
      if (character === "(") {
        out += this.#text.slice(from, this.#at);
        this.#skipComment();
        from = this.#at;
      } else this.#at += 1;
    }
    return out + this.#text.slice(from, this.#at);
  }

  /** @param name decides whether " (" begins a comment; unquoted file names hold it as well */
  parameterValue(name: string): string {
    while (isSpace(this.#text[this.#at])) this.#at += 1;
    if (this.#text[this.#at] !== '"') {
      const from = this.#at;
      const end = this.#text.indexOf(";", from);
      this.#at = end < 0 ? this.#text.length : end;
      const value = this.#text.slice(from, this.#at).trim();
      const comment = name.startsWith("filename") || name === "name" ? -1 : value.indexOf(" (");
      return comment < 0 ? value : value.slice(0, comment).trimEnd();
    }
    const value = this.#quoted();
    this.until(";"); // what follows the closing quote belongs to nobody
    return value;
  }

  #quoted(): string {
    this.#at += 1;
    let out = "";
    let from = this.#at;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at];
      if (character === '"') {
        out += this.#text.slice(from, this.#at);
        this.#at += 1;
        return out;
      }
      if (character === "\\" && /["\\]/.test(this.#text[this.#at + 1] ?? "")) {
        // Windows paths come with single backslashes, so only these two are unescaped.
        out += this.#text.slice(from, this.#at);
        from = this.#at + 1;
        this.#at += 2;
      } else this.#at += 1;
    }
    return out + this.#text.slice(from);
  }

  #skipComment(): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at];
      if (character === "\\") this.#at += 1;
      else if (character === "(") depth += 1;
      else if (character === ")") depth -= 1;
      this.#at += 1;
      if (depth === 0) return;
    }
  }
}

function isSpace(character: string | undefined): boolean {
  return character === " " || character === "\t" || character === "\r" || character === "\n";
}

/** `name=value` in as many parameters as it needs, each at most 76 characters (RFC 2231 §3, §4). */
export function formatParameter(name: string, value: string): readonly string[] {
  const clean = value.replace(/[\r\n\0]+/g, " ").toWellFormed();
  const room = Math.max(70 - name.length, 20);
  if (/^[\x20-\x7e]*$/.test(clean) && clean.length <= room - 2) {
    if (/^[A-Za-z0-9!#$&+.^_`{|}~-]+$/.test(clean)) return [`${name}=${clean}`];
    return [`${name}="${clean.replace(/["\\]/g, "\\$&")}"`];
  }
  const pieces: string[] = [];
  let piece = "utf-8''";
  for (const character of clean) {
    const encoded = percent(character);
    if (piece.length + encoded.length > room - 6) {
      pieces.push(piece);
      piece = "";
    }
    piece += encoded;
  }
  pieces.push(piece);
  if (pieces.length === 1) return [`${name}*=${pieces[0]}`];
  return pieces.map((text, index) => `${name}*${index}*=${text}`);
}

function percent(character: string): string {
  if (/^[A-Za-z0-9!#$&+.^_`{|}~-]$/.test(character)) return character;
  let out = "";
  for (const octet of Buffer.from(character)) {
    out += `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}
