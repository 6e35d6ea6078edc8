/** The hash of a body in its "relaxed" form (RFC 6376 §3.4.4), made from chunks as they lie. */

import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { buffer } from "#base/bytes";

const space = 0x20;
const tab = 0x09;
const cr = 0x0d;
const lf = 0x0a;

/** Of a large chunk, each piece takes the fastest way that it can. */
const pieceOctets = 65_536;

/**
 * SHA-256, base64, as the bh= tag has it.
 *
 * @param chunks the message or its body, lines ending in CRLF; nothing of it is kept
 * @param from how many octets to pass over first: where the header ends
 */
export function hashBody(chunks: Iterable<Uint8Array>, from = 0): string {
  const body = new RelaxedBody(createHash("sha256"));
  let skip = from;
  for (const chunk of chunks) {
    for (let at = skip; at < chunk.length; at += pieceOctets) {
      body.write(buffer(chunk.subarray(at, at + pieceOctets)));
    }
    skip = Math.max(0, skip - chunk.length);
  }
  return body.end();
}

/** Lines without tabs, double spaces and space at their end pass as they are, many at a time. */
class RelaxedBody {
  readonly #hash: Hash;
  /** Gathers what is small, so that the hash is called seldom. */
  readonly #out: Buffer = Buffer.allocUnsafe(16_384);
  #outLength = 0;
  /** For one line that is rewritten; RFC 5322 §2.1.1 allows no longer ones. */
  readonly #line: Buffer = Buffer.allocUnsafe(1000);
  /** Line breaks that count only when something follows: §3.4.4 drops empty lines at the end. */
  #owed = 0;
  /** The beginning of a line whose end is still to come. */
  #open: Buffer[] = [];
  #isEmpty = true;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  write(chunk: Buffer): void {
    const last = chunk.lastIndexOf(lf);
    if (last < 0) {
      this.#open.push(chunk);
      return;
    }
    let start = 0;
    if (this.#open.length > 0) {
      start = chunk.indexOf(lf) + 1;
      this.#lines(Buffer.concat([...this.#open, chunk.subarray(0, start)]));
    }
    if (start <= last) this.#lines(chunk.subarray(start, last + 1));
    this.#open = last + 1 < chunk.length ? [chunk.subarray(last + 1)] : [];
  }

  end(): string {
    if (this.#open.length > 0) this.#lines(Buffer.concat([...this.#open, Buffer.from("\r\n")]));
    if (!this.#isEmpty) this.#put(Buffer.from("\r\n"));
    this.#flush();
    return this.#hash.digest("base64");
  }

  /** @param lines whole ones */
  #lines(lines: Buffer): void {
    if (!lines.includes(space) && !lines.includes(tab)) return this.#clean(lines); // as base64
    let passed = 0;
    for (let odd = findOdd(lines, 0); odd >= 0; odd = findOdd(lines, passed)) {
      const lineStart = lines.lastIndexOf(lf, odd) + 1;
      if (lineStart > passed) this.#clean(lines.subarray(passed, lineStart));
      passed = lines.indexOf(lf, odd) + 1;
      this.#rewrite(lines, lineStart, passed);
    }
    if (passed < lines.length) this.#clean(lines.subarray(passed));
  }

  /** Whole lines in their final form; line breaks at the end are owed. */
  #clean(lines: Buffer): void {
    let end = lines.length;
    let breaks = 0;
    while (end >= 2 && lines[end - 1] === lf && lines[end - 2] === cr) {
      end -= 2;
      breaks += 1;
    }
    if (end > 0) this.#content(lines.subarray(0, end));
    this.#owed += breaks;
  }

  /** One line: runs of space become one, none at its end. */
  #rewrite(lines: Buffer, start: number, lineEnd: number): void {
    const hasBreak = lines[lineEnd - 2] === cr && lineEnd - 2 >= start;
    const end = hasBreak ? lineEnd - 2 : lineEnd;
    const short = end - start > this.#line.length ? Buffer.allocUnsafe(end - start) : this.#line;
    let size = 0;
    let gap = false;
    for (let at = start; at < end; at += 1) {
      const octet = lines[at] ?? 0;
      if (octet === space || octet === tab) gap = true;
      else {
        if (gap) short[size++] = space;
        gap = false;
        short[size++] = octet;
      }
    }
    if (size > 0) this.#content(short.subarray(0, size));
    if (hasBreak) this.#owed += 1;
  }

  #content(octets: Buffer): void {
    for (; this.#owed >= 4096; this.#owed -= 4096) this.#put(manyBreaks);
    if (this.#owed > 0) this.#put(manyBreaks.subarray(0, this.#owed * 2));
    this.#owed = 0;
    this.#isEmpty = false;
    this.#put(octets);
  }

  #put(octets: Buffer): void {
    if (this.#outLength + octets.length > this.#out.length) this.#flush();
    if (octets.length > 4096) {
      this.#flush();
      this.#hash.update(octets);
    } else {
      this.#out.set(octets, this.#outLength);
      this.#outLength += octets.length;
    }
  }

  #flush(): void {
    if (this.#outLength > 0) this.#hash.update(this.#out.subarray(0, this.#outLength));
    this.#outLength = 0;
  }
}

const manyBreaks = Buffer.alloc(8192, "\r\n");

/** Where space stands that the relaxed form changes; -1: nowhere. A loop beats three searches for pairs. */
function findOdd(octets: Buffer, from: number): number {
  const end = octets.length;
  for (let at = from; at < end; at += 1) {
    const octet = octets[at] ?? 0;
    if (octet > space) continue; // nearly all of them
    if (octet === tab) return at;
    const next = octets[at + 1] ?? 0;
    if (octet === space && (next === space || next === tab || next === cr)) return at;
  }
  return -1;
}
