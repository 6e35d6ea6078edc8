/** Canonical forms of a body (RFC 6376 §3.4.3, §3.4.4) and their hash, from chunks as they lie. */

import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { buffer } from "#base/bytes";

/** "simple" only ends the body with exactly one line break; "relaxed" also evens out white space. */
export type Form = "simple" | "relaxed";

const space = 0x20;
const tab = 0x09;
const cr = 0x0d;
const lf = 0x0a;

/** Of a large chunk, each piece takes the fastest way that it can. */
const pieceOctets = 65_536;

/**
 * SHA-256 of the relaxed body, base64, as the bh= tag has it.
 *
 * @param chunks the message or its body, lines ending in CRLF; nothing of it is kept
 * @param from how many octets to pass over first: where the header ends
 */
export function hashBody(chunks: Iterable<Uint8Array>, from = 0): string {
  const hash = new BodyHash([]);
  const body = new CanonicalBody("relaxed", hash);
  let skip = from;
  for (const chunk of chunks) {
    if (skip < chunk.length) body.write(buffer(chunk.subarray(skip)));
    skip = Math.max(0, skip - chunk.length);
  }
  body.end();
  return hash.end();
}

/** SHA-256 of canonical octets: of all, and of the first ones for each length that is asked for. */
export class BodyHash {
  readonly #hash: Hash = createHash("sha256");
  /** Of what was gathered. */
  #outLength = 0;
  /** Octets seen. */
  length = 0;
  /** Ascending. */
  readonly #cuts: Iterator<number, undefined>;
  #nextCut: number;
  readonly #digests = new Map<number, string>();

  constructor(lengths: Iterable<number>) {
    this.#cuts = [...new Set(lengths)].sort((one, other) => one - other).values();
    this.#nextCut = this.#cuts.next().value ?? Number.POSITIVE_INFINITY;
    if (this.#nextCut === 0) this.#cut();
  }

  update(octets: Buffer, from = 0, to: number = octets.length): void {
    let at = from;
    while (this.#nextCut - this.length <= to - at) {
      const cutAt = at + this.#nextCut - this.length;
      this.#put(octets, at, cutAt);
      this.#cut();
      at = cutAt;
    }
    if (at < to) this.#put(octets, at, to);
  }

  /** Must follow the updates from one chunk: until then what is small is only gathered. */
  flush(): void {
    if (this.#outLength > 0) this.#hash.update(gathered.subarray(0, this.#outLength));
    this.#outLength = 0;
  }

  /** Base64. */
  end(): string {
    this.flush();
    return this.#hash.digest("base64");
  }

  /** Of the first octets; undefined when there were fewer. @param length one of those announced */
  first(length: number): string | undefined {
    return this.#digests.get(length);
  }

  #cut(): void {
    this.flush();
    this.#digests.set(this.length, this.#hash.copy().digest("base64"));
    this.#nextCut = this.#cuts.next().value ?? Number.POSITIVE_INFINITY;
  }

  #put(octets: Buffer, from: number, to: number): void {
    const size = to - from;
    this.length += size;
    if (this.#outLength + size > gathered.length) this.flush();
    if (size > 4096) {
      this.flush();
      this.#hash.update(octets.subarray(from, to));
    } else {
      octets.copy(gathered, this.#outLength, from, to);
      this.#outLength += size;
    }
  }
}

/** One for all, since nothing of it outlives a chunk: small pieces, so that the hash is called seldom. */
const gathered = Buffer.allocUnsafeSlow(16_384);

/** Octets that are canonical already pass as they are, many at a time. */
export class CanonicalBody {
  readonly #isRelaxed: boolean;
  readonly #sink: BodyHash;
  /** Line breaks that count only when something follows: empty lines at the end are dropped. */
  #owed = 0;
  /** White space whose meaning the octets to come decide. */
  #gap = false;
  /** A CR whose LF may be to come. */
  #cr = false;
  #isEmpty = true;

  constructor(form: Form, sink: BodyHash) {
    this.#isRelaxed = form === "relaxed";
    this.#sink = sink;
  }

  write(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += pieceOctets) {
      this.#piece(chunk.subarray(at, at + pieceOctets));
    }
    this.#sink.flush();
  }

  end(): void {
    if (this.#cr) this.#content(loneCr); // as is the space before it, which #content gives
    // §3.4.3: "simple" makes an empty body one line break; §3.4.4: "relaxed" leaves it empty.
    if (!this.#isRelaxed || !this.#isEmpty) this.#sink.update(manyBreaks, 0, 2);
  }

  #piece(octets: Buffer): void {
    let at = this.#resume(octets);
    if (!this.#isRelaxed || (!octets.includes(space) && !octets.includes(tab))) {
      return this.#clean(octets, at, octets.length); // as base64
    }
    const words = octets.length < 64 || octets.includes(tab) ? undefined : wordsOf(octets);
    for (let odd = findOdd(octets, at, words); odd >= 0; odd = findOdd(octets, at, words)) {
      this.#clean(octets, at, odd);
      at = this.#afterSpace(octets, odd);
    }
    this.#clean(octets, at, octets.length);
  }

  /** What the last piece left undecided. Gives where to go on. */
  #resume(octets: Buffer): number {
    if (this.#cr) {
      this.#cr = false;
      if (octets[0] === lf) {
        this.#gap = false;
        this.#owed += 1;
        return 1;
      }
      this.#content(loneCr);
    }
    return this.#gap ? this.#afterSpace(octets, 0) : 0;
  }

  /** A run of white space becomes one space, or nothing before a line break. Gives where it ends. */
  #afterSpace(octets: Buffer, from: number): number {
    let at = from;
    while (octets[at] === space || octets[at] === tab) at += 1;
    const isBreak = octets[at] === cr && octets[at + 1] === lf;
    // At the end of the piece, and at a CR there, the next one decides.
    this.#gap = at === octets.length || (octets[at] === cr && at + 1 === octets.length);
    if (!isBreak && !this.#gap) this.#content(oneSpace);
    return at;
  }

  /** Octets in their final form but for what the end may hold: line breaks, or half of one. */
  #clean(octets: Buffer, from: number, to: number): void {
    let end = to;
    if (end === octets.length && end > from && octets[end - 1] === cr) {
      this.#cr = true;
      end -= 1;
    }
    let breaks = 0;
    while (end - from >= 2 && octets[end - 1] === lf && octets[end - 2] === cr) {
      end -= 2;
      breaks += 1;
    }
    if (end > from) this.#content(octets, from, end);
    this.#owed += breaks;
  }

  #content(octets: Buffer, from = 0, to: number = octets.length): void {
    for (; this.#owed >= 4096; this.#owed -= 4096) this.#sink.update(manyBreaks);
    if (this.#owed > 0) this.#sink.update(manyBreaks, 0, this.#owed * 2);
    this.#owed = 0;
    if (this.#gap) this.#sink.update(oneSpace);
    this.#gap = false;
    this.#isEmpty = false;
    this.#sink.update(octets, from, to);
  }
}

const manyBreaks = Buffer.alloc(8192, "\r\n");
const oneSpace = Buffer.from(" ");
const loneCr = Buffer.from("\r");

/** The octets in aligned words of four, and how many stand before the first. */
interface Words {
  readonly words: Int32Array;
  readonly lead: number;
}

/** @param octets at least three, so that the first word does not lie behind their memory */
function wordsOf(octets: Buffer): Words {
  const lead = -octets.byteOffset & 3;
  const count = (octets.length - lead) >> 2;
  return { words: new Int32Array(octets.buffer, octets.byteOffset + lead, count), lead };
}

/**
 * Where space begins that the relaxed form changes; -1: nowhere.
 *
 * @param words absent when there are tabs, which they are not searched for, or only few octets
 */
function findOdd(octets: Buffer, from: number, words: Words | undefined): number {
  if (words === undefined) return findOddByOctet(octets, from, octets.length);
  // In blocks: lines without any space, as base64 has them, are passed over at once.
  for (let at = from; at >= 0; at = octets.indexOf(space, at + blockOctets)) {
    const odd = findOddByWord(octets, at, Math.min(octets.length, at + blockOctets), words);
    if (odd >= 0 || at + blockOctets >= octets.length) return odd;
  }
  return -1;
}

const blockOctets = 2048;

function findOddByWord(octets: Buffer, from: number, to: number, { words, lead }: Words): number {
  const first = Math.max(0, (from - lead + 3) >> 2);
  const early = findOddByOctet(octets, from, Math.min(to, lead + 4 * first));
  if (early >= 0) return early;
  const index = findOddWord(words, first, Math.min(words.length, (to - lead) >> 2));
  return findOddByOctet(octets, Math.max(from, lead + 4 * index - 1), to);
}

/**
 * The first word with the end of a pair of spaces, or of space and CR, in it; `to` when there is none.
 * In text, most octets are near a space: without branches this takes a third of the time.
 */
function findOddWord(words: Int32Array, from: number, to: number): number {
  let before = 0; // bit 7: the word before ends in a space
  for (let at = from; at < to; at += 1) {
    const word = words[at] ?? 0;
    const spaces = zeros(word ^ 0x20202020);
    const pairs = ((spaces << 8) | before) & (spaces | zeros(word ^ 0x0d0d0d0d));
    if (pairs !== 0) return at;
    before = spaces >>> 24;
  }
  return Math.max(from, to);
}

/** Bit 7 of each octet that is zero. */
function zeros(word: number): number {
  return ~(((word & 0x7f7f7f7f) + 0x7f7f7f7f) | word | 0x7f7f7f7f);
}

/** The same for the octets up to `to`, one by one. */
function findOddByOctet(octets: Buffer, from: number, to: number): number {
  for (let at = from; at < to; at += 1) {
    const octet = octets[at] ?? 0;
    if (octet > space) continue;
    if (octet === tab) return at;
    if (octet !== space) continue;
    const next = octets[at + 1] ?? cr; // of the last one, the next piece decides
    if (next === space || next === tab || next === cr) return at;
  }
  return -1;
}
