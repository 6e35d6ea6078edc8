/** Address lists of header fields (RFC 5322 §3.4, with the obsolete forms of §4.4). Never fails whole. */

import { decodeWords } from "#formats/encoded-word";
import type { MailAddress } from "#model/description";

/** Our limits: no honest field comes near. Characters, and addresses. */
const maxText = 1 << 20;
const maxAddresses = 10_000;

const whiteSpace = /[ \t\r\n]+/y;
/** Everything that is neither white space nor special; dots and 8-bit text are let through. */
const atom = /[^ \t\r\n()<>[\]:;@\\,"]+/y;
// Each also ends at the end of the text, so that an open one costs one pass and not one per character.
const quoted = /"(?:[^"\\]+|\\[^])*(?:"|\\?$)/y;
const literal = /\[(?:[^\]\\]+|\\[^])*(?:\]|\\?$)/y;
const commentPiece = /[^()\\]+|\\[^]|\\$/y;

interface Piece {
  /** As it goes into an address. */
  readonly raw: string;
  /** As it goes into a name. */
  readonly words: string;
}

/**
 * Reads From, To and their kin. Encoded words are decoded in names only, so they can never change
 * an address. What cannot be understood is left out; the rest of the list survives.
 *
 * @param text untrusted body of a header field, folded or not
 */
export function parseAddressList(text: string): readonly MailAddress[] {
  const reader = new ListReader(text.slice(0, maxText));
  reader.readAll();
  return reader.found;
}

class ListReader {
  readonly found: MailAddress[] = [];
  readonly #text: string;
  #at = 0;
  #pieces: Piece[] = [];
  #angle: string | null = null;
  #comment: string | null = null;
  #group: string | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  readAll(): void {
    while (this.#at < this.#text.length && this.found.length < maxAddresses) this.#step();
    this.#finish();
  }

  #step(): void {
    const char = this.#text[this.#at];
    if (this.#skipSpaceAndComments()) return;
    if (char === ",") this.#finish();
    else if (char === ";") {
      this.#finish();
      this.#group = null;
    } else if (char === ":" && this.#group === null && !this.#pieces.some(isAt)) {
      this.#group = nameOf(this.#pieces) ?? "";
      this.#forget();
    } else if (char === "<") {
      if (this.#angle !== null) this.#finish(); // two addresses without a comma stay two
      this.#at += 1;
      this.#angle = this.#readAngle();
      return;
    } else {
      const piece = this.#piece();
      if (piece !== null) this.#pieces.push(piece);
      return;
    }
    this.#at += 1;
  }

  /** Inside the brackets white space and comments vanish (§4.4), and so does an obsolete route. */
  #readAngle(): string {
    const parts: string[] = [];
    while (this.#at < this.#text.length) {
      if (this.#skipSpaceAndComments()) continue;
      const char = this.#text[this.#at];
      if (char === ">") {
        this.#at += 1;
        break;
      }
      if (char === "<") break;
      if (char === ":" && parts[0] === "@") {
        parts.length = 0;
        this.#at += 1;
      } else {
        const piece = this.#piece() ?? this.#single();
        parts.push(piece.raw);
      }
    }
    return parts.join("");
  }

  #piece(): Piece | null {
    const word = this.#match(atom);
    if (word !== null) return { raw: word, words: word };
    const text = this.#text;
    const char = text[this.#at];
    if (char === '"') {
      const whole = this.#match(quoted) ?? "";
      const inner = whole.slice(1, whole.length > 1 && whole.endsWith('"') ? -1 : undefined);
      const raw = `"${inner.replace(/\r?\n/g, "")}"`;
      return { raw, words: inner.replace(/\\([^])/g, "$1").replace(/\r?\n/g, "") };
    }
    if (char === "[") {
      const whole = this.#match(literal) ?? "";
      return { raw: whole.replace(/\s+/g, ""), words: whole };
    }
    if (char === "@") return this.#single();
    this.#at += 1; // a stray special: ")", "]", ">", "\", or a colon that opens no group
    return null;
  }

  #single(): Piece {
    const char = this.#text[this.#at] ?? "";
    this.#at += 1;
    return { raw: char, words: char };
  }

  #skipSpaceAndComments(): boolean {
    if (this.#match(whiteSpace) !== null) return true;
    if (this.#text[this.#at] !== "(") return false;
    const parts: string[] = [];
    let depth = 0; // counted, not recursed: nesting costs an attacker more than us
    do {
      const char = this.#text[this.#at];
      const piece = this.#match(commentPiece);
      if (piece !== null)
        parts.push(piece.length === 2 && piece[0] === "\\" ? piece.slice(1) : piece);
      else {
        if (char === "(") depth += 1;
        else depth -= 1;
        if (depth > 0 && !(char === "(" && depth === 1)) parts.push(char ?? "");
        this.#at += 1;
      }
    } while (depth > 0 && this.#at < this.#text.length);
    this.#comment = parts.join("");
    return true;
  }

  #match(shape: RegExp): string | null {
    shape.lastIndex = this.#at;
    const found = shape.exec(this.#text);
    if (found === null) return null;
    this.#at = shape.lastIndex;
    return found[0];
  }

  #finish(): void {
    const address = this.#address();
    if (address !== null) {
      this.found.push(this.#group === null ? address : { ...address, group: this.#group });
    }
    this.#forget();
  }

  #address(): MailAddress | null {
    const pieces = this.#pieces;
    if (this.#angle !== null) return { name: nameOf(pieces), email: this.#angle };
    if (pieces.length === 0) return null;
    if (pieces.length === 1 || pieces.some(isAt)) {
      const name = this.#comment === null ? null : tidy(this.#comment);
      return { name, email: pieces.map((piece) => piece.raw).join("") };
    }
    return { name: nameOf(pieces), email: "" }; // a name whose address was forgotten
  }

  #forget(): void {
    this.#pieces = [];
    this.#angle = null;
    this.#comment = null;
  }
}

function isAt(piece: Piece): boolean {
  return piece.raw === "@";
}

function nameOf(pieces: readonly Piece[]): string | null {
  if (pieces.length === 0) return null;
  let text = "";
  let wasAt = true;
  for (const piece of pieces) {
    text += wasAt || isAt(piece) ? piece.words : ` ${piece.words}`;
    wasAt = isAt(piece);
  }
  return tidy(text);
}

function tidy(text: string): string | null {
  const folded = text.replace(/[ \t\r\n]+/g, " ").trim();
  const decoded = folded.includes("=?") ? decodeWords(folded).trim() : folded;
  return decoded === "" ? null : decoded;
}
