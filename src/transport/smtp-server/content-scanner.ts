/** Finds the end of a message and everything that may not be in it (RFC 5321 §4.1.1.4, §4.5.2, §2.3.8). */

/** more: all octets read; end: the final dot was met; the others are offences. */
export type ScanOutcome = "more" | "end" | "bad-octet" | "long-line";

const CR = 13;
const LF = 10;
const DOT = 46;

// Where the last octet left us. Only the five exact octets CR LF . CR LF ever reach "end".
const inLine = 0;
const afterCr = 1;
const atLineStart = 2;
const afterDot = 3;
const afterDotCr = 4;

/** One message; the state between chunks is all it holds. */
export class ContentScanner {
  readonly #dotted: boolean;
  readonly #maxLineBytes: number;
  #state = atLineStart;
  #lineBytes = 0;
  /** What the last scan() found to be content. */
  pieceStart = 0;
  pieceEnd = 0;
  /** Behind the last octet that scan() read. */
  next = 0;

  /** @param dotted whether dots are stuffed and end the message: DATA yes, BDAT no */
  constructor(dotted: boolean, maxLineBytes: number) {
    this.#dotted = dotted;
    this.#maxLineBytes = maxLineBytes;
  }

  /** A message by BDAT may not stop between CR and LF. */
  get isWhole(): boolean {
    return this.#state !== afterCr;
  }

  /**
   * Reads octets [at, end) of a chunk. Stuffed dots are squeezed out inside the chunk, so a message
   * of nothing but dots costs two moves of its octets and no more; without dots nothing is touched.
   */
  scan(chunk: Buffer, at: number, end: number): ScanOutcome {
    const before = -chunk.byteOffset & 3;
    const words = wordsOf(chunk, before, end);
    const piece = end === chunk.length ? chunk : chunk.subarray(0, end);
    let state = this.#state;
    let lineBegin = at - this.#lineBytes;
    let out = at; // end of the squeezed content
    let from = at; // start of what is not yet moved down to it
    let index = at;
    let outcome: ScanOutcome = "more";
    while (index < end) {
      if (state === atLineStart) {
        state = inLine;
        if (this.#dotted && chunk[index] === DOT) {
          out = moveDown(chunk, from, index, out);
          from = index += 1;
          state = afterDot;
          continue;
        }
      }
      if (state === inLine) {
        index = nextOffender(piece, words, before, index);
        if (index >= end) break;
        if (chunk[index] !== CR) {
          outcome = "bad-octet"; // a LF without its CR, or NUL
          break;
        }
        state = afterCr;
        index += 1;
      } else if (state === afterDot) {
        state = chunk[index] === CR ? afterDotCr : inLine; // §4.5.2: the first dot goes
        if (state === afterDotCr) index += 1;
      } else if (chunk[index] !== LF) {
        outcome = "bad-octet"; // a CR without its LF
        break;
      } else {
        index += 1;
        if (state === afterDotCr) outcome = "end";
        else state = atLineStart;
        if (outcome === "end" || index - lineBegin > this.#maxLineBytes) break;
        lineBegin = index;
      }
    }
    this.#state = state;
    this.next = index;
    this.#lineBytes = index - lineBegin;
    if (this.#lineBytes > this.#maxLineBytes) outcome = "long-line";
    this.pieceStart = at;
    // The CR (and LF) behind a lone dot is no content.
    const held = outcome === "end" ? 2 : state === afterDotCr ? 1 : 0;
    this.pieceEnd = moveDown(chunk, from, Math.max(from, index - held), out);
    return outcome;
  }
}

function moveDown(chunk: Buffer, from: number, to: number, out: number): number {
  if (from === out) return to;
  chunk.copyWithin(out, from, to);
  return out + to - from;
}

/** Whole words of a chunk, and how many octets stand before the first of them. */
function wordsOf(chunk: Buffer, before: number, end: number): Int32Array {
  const whole = Math.max(0, end - before) >> 2;
  return new Int32Array(chunk.buffer, chunk.byteOffset + before, whole);
}

/** The high bit of each octet below 14, and now and then that of one above such an octet. */
function lowOctets(four: number): number {
  return (four - 0x0e0e0e0e) & ~four & 0x80808080;
}

/**
 * Place of the next CR, LF or NUL, or the end. Four octets at a time, little end first: several
 * times as fast as one by one, or as indexOf for every line.
 *
 * @param before octets of the chunk in front of the words
 */
function nextOffender(chunk: Buffer, words: Int32Array, before: number, at: number): number {
  const end = chunk.length;
  const whole = words.length;
  let index = at;
  while (index < end) {
    let word = (index - before) >> 2;
    if (index >= before && word < whole) {
      let found = lowOctets(words[word] as number) & (-1 << (((index - before) & 3) << 3));
      while (found === 0 && ++word < whole) found = lowOctets(words[word] as number);
      index = before + (word << 2);
      if (found === 0) continue;
      index += (31 - Math.clz32(found & -found)) >> 3; // the lowest
    }
    const octet = chunk[index] as number;
    if (octet === CR || octet === LF || octet === 0) return index;
    index += 1;
  }
  return end;
}
