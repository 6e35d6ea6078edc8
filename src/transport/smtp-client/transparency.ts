/**
 * Content as it may go on the wire: every line ends with CRLF, and for DATA a leading dot is doubled
 * (RFC 5321 §2.3.8, §4.5.2). Whatever was submitted, no bare CR, bare LF or NUL leaves, so nothing
 * another server could take for the end of the message is inside it.
 */

import { Buffer } from "node:buffer";

const [nul, lf, cr, dot] = [0x00, 0x0a, 0x0d, 0x2e];

export class Transparency {
  readonly #stuffing: boolean;
  #atLineStart = true;
  /** A CR ended the last chunk; whether it is bare shows in the next. */
  #heldCr = false;

  /** @param stuffing double leading dots: for DATA, never for BDAT */
  constructor(stuffing: boolean) {
    this.#stuffing = stuffing;
  }

  /** Keeps no reference to the chunk; the answer may be the chunk itself. */
  push(chunk: Buffer): Buffer {
    if (chunk.length === 0) return chunk;
    return !this.#heldCr && this.#isClean(chunk) ? chunk : this.#rewrite(chunk);
  }

  /** What is still owed so that the content ends with a whole line. */
  end(): Buffer {
    const owed = this.#heldCr || !this.#atLineStart;
    this.#heldCr = false;
    this.#atLineStart = true;
    return Buffer.from(owed ? "\r\n" : "");
  }

  /** Nothing to change; then the state is brought up to the chunk's end. Native searches only. */
  #isClean(chunk: Buffer): boolean {
    if (chunk.includes(nul)) return false;
    if (this.#stuffing) {
      if (this.#atLineStart && chunk[0] === dot) return false;
      if (chunk.includes("\n.")) return false;
    }
    let at = 0;
    let feed = chunk.indexOf(lf);
    while (feed >= 0) {
      // Without the first test a line feed at the very start would pass: -1 is also "not found".
      if (feed === 0 || chunk.indexOf(cr, at) !== feed - 1) return false;
      at = feed + 1;
      feed = chunk.indexOf(lf, at);
    }
    if (chunk.indexOf(cr, at) >= 0) return false;
    this.#atLineStart = at === chunk.length;
    return true;
  }

  /** At most two octets for one, and two for a held CR. */
  #rewrite(chunk: Buffer): Buffer {
    const out = Buffer.allocUnsafe(2 * chunk.length + 2);
    let length = 0;
    const endLine = (): void => {
      out[length++] = cr;
      out[length++] = lf;
      this.#atLineStart = true;
      this.#heldCr = false;
    };
    for (let index = 0; index < chunk.length; index += 1) {
      const octet = chunk[index] ?? nul;
      if (octet === nul) continue; // dropped before lines are judged: "\r\n\0." is a leading dot
      if (octet === lf) {
        endLine();
        continue;
      }
      if (this.#heldCr) endLine();
      if (octet === cr) {
        this.#heldCr = true;
        continue;
      }
      if (this.#stuffing && this.#atLineStart && octet === dot) out[length++] = dot;
      out[length++] = octet;
      this.#atLineStart = false;
    }
    return out.subarray(0, length);
  }
}
