/** How much header a message may have: row S10 of the attack catalogue. */

import type { Buffer } from "node:buffer";
import { maxHeaderBytes } from "#formats/message";

/** Ours; mail with a hundred hops, each of them sealed, has some five hundred. */
export const maxHeaderFields = 1000;

const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;

/**
 * Counts along while a message comes in; keeps none of its octets and stops at the empty line. What the
 * programs behind look at is a header that ends before `maxHeaderBytes`: no other is let in.
 */
export class HeaderBound {
  #fields = 0;
  #bytes = 0;
  #isAtLineStart = true;
  #isBehind = false;

  /**
   * @param piece dots unstuffed, every line end CRLF, in pieces cut anywhere
   * @returns whether the header is within bounds so far
   */
  take(piece: Buffer): boolean {
    for (let at = 0; !this.#isBehind && at < piece.length; ) {
      if (this.#isAtLineStart) this.#beginLine(piece[at]);
      const lineFeed = piece.indexOf(LF, at);
      this.#isAtLineStart = lineFeed >= 0;
      const next = lineFeed < 0 ? piece.length : lineFeed + 1;
      this.#bytes += next - at;
      at = next;
      if (this.#fields > maxHeaderFields || this.#bytes >= maxHeaderBytes) return false;
    }
    return true;
  }

  #beginLine(first: number | undefined): void {
    if (first === CR) this.#isBehind = true;
    else if (first !== SPACE && first !== TAB) this.#fields += 1; // else a fold (RFC 5322 §2.2.3)
  }
}
