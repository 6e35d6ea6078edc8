/** Reading the ledger from a position to its end: what counts, what is a torn tail, what is damage. */

import { Damaged } from "./damage.ts";
import {
  checkPage,
  firstOfBatch,
  headerBytes,
  lastOfBatch,
  type PageFault,
  type PageHeader,
  pageBytes,
  storeIdOf,
} from "./pages.ts";
import { type Segments, segmentName } from "./segments.ts";

export interface Position {
  readonly segment: number;
  readonly page: number;
  /** Of the batch that stands, or will stand, there. */
  readonly generation: number;
}

export interface Batch {
  readonly segment: number;
  readonly firstPage: number;
  readonly pages: number;
  readonly generation: number;
  /** Joined payload. */
  readonly payload: Buffer;
}

/** The end of the ledger. */
export interface Tail {
  readonly next: Position;
  readonly last: Batch | undefined;
  /** Something stands behind the end in its segment: a torn batch. */
  readonly dirty: boolean;
  /** Later segments that hold nothing but zeros. */
  readonly unused: readonly number[];
  /** Later segments with what is left of a torn batch, and nothing that counts. */
  readonly torn: readonly number[];
}

/** A mebibyte. */
const windowPages = 128;

/** Pages of one segment, read ahead. */
export class PageWindow {
  readonly #segments: Segments;
  #memory: Buffer = Buffer.alloc(0);
  #segment = -1;
  #first = 0;
  #count = 0;

  constructor(segments: Segments) {
    this.#segments = segments;
  }

  /** Valid until the next call; undefined behind the end of the file. */
  page(segment: number, number: number): Buffer | undefined | Promise<Buffer | undefined> {
    const index = number - this.#first;
    if (segment === this.#segment && index >= 0 && index < this.#count) return this.#at(index);
    return this.#load(segment, number);
  }

  async #load(segment: number, number: number): Promise<Buffer | undefined> {
    this.#segment = -1;
    const bytes = Math.min(windowPages, await this.#segments.pages(segment)) * pageBytes;
    if (this.#memory.length < bytes) this.#memory = Buffer.allocUnsafe(bytes);
    this.#count = await this.#segments.readPages(segment, number, this.#memory);
    this.#segment = segment;
    this.#first = number;
    return this.#count > 0 ? this.#at(0) : undefined;
  }

  #at(index: number): Buffer {
    return this.#memory.subarray(index * pageBytes, (index + 1) * pageBytes);
  }
}

/**
 * Hands over each whole batch from the position on.
 *
 * @throws Damaged when something that was durable cannot be read
 */
export async function scan(
  segments: Segments,
  from: Position,
  take: (batch: Batch) => void,
): Promise<Tail> {
  const numbers = await segments.numbers();
  if (numbers.length === 0) {
    return { next: from, last: undefined, dirty: false, unused: [], torn: [] };
  }
  const window = new PageWindow(segments);
  let { segment, page, generation } = from;
  let last: Batch | undefined;
  for (;;) {
    let batch = await readBatch(window, segments, { segment, page, generation });
    // The next batch may begin a later segment: this one was full, or was left after a crash.
    for (const later of batch === undefined ? numbers.filter((one) => one > segment) : []) {
      batch = await readBatch(window, segments, { segment: later, page: 0, generation });
      if (batch !== undefined) break;
    }
    if (batch === undefined) break;
    take(batch);
    last = batch;
    segment = batch.segment;
    page = batch.firstPage + batch.pages;
    generation += 1;
  }
  const next = { segment, page, generation };
  return { next, last, ...(await inspectRest(window, segments, numbers, next)) };
}

/** The batch that should stand there, or undefined unless all its pages do. */
export async function readBatch(
  window: PageWindow,
  segments: Segments,
  at: Position,
): Promise<Batch | undefined> {
  const parts: Buffer[] = [];
  for (let number = at.page; ; number += 1) {
    const page = await window.page(at.segment, number);
    if (page === undefined) return undefined;
    const header = checkPage(page, segments.storeId, at.segment, number);
    if (typeof header === "string" || header.generation !== at.generation) return undefined;
    if ((header.flags & firstOfBatch) !== (number === at.page ? firstOfBatch : 0)) return undefined;
    parts.push(Buffer.from(page.subarray(headerBytes, headerBytes + header.length)));
    if ((header.flags & lastOfBatch) !== 0) break;
  }
  return {
    segment: at.segment,
    firstPage: at.page,
    pages: parts.length,
    generation: at.generation,
    payload: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts),
  };
}

/**
 * Looks at everything behind the end. A batch is written only after the one before it is durable,
 * so a sound page of a later batch proves that what is missing here was durable: damage. Pages of
 * the missing batch itself, or garbage, are what a cut leaves of a write nobody was told about.
 */
async function inspectRest(
  window: PageWindow,
  segments: Segments,
  numbers: readonly number[],
  end: Position,
): Promise<Omit<Tail, "next" | "last">> {
  let dirty = false;
  const unused: number[] = [];
  const torn: number[] = [];
  for (const segment of numbers.filter((one) => one >= end.segment)) {
    const start = segment === end.segment ? end.page : 0;
    let firstBad: { page: number; fault: PageFault } | undefined;
    let empty = true;
    for (let number = start; ; number += 1) {
      const page = await window.page(segment, number);
      if (page === undefined) break;
      const header: PageHeader | PageFault = checkPage(page, segments.storeId, segment, number);
      if (header !== "empty") empty = false;
      if (typeof header === "string") firstBad ??= { page: number, fault: header };
      else if (header.generation > end.generation) throw damageBefore(segment, end, firstBad);
    }
    if (segment === end.segment) dirty = !empty;
    else if (!empty) torn.push(segment);
    else if ((await segments.pages(segment)) > 0) unused.push(segment);
  }
  return { dirty, unused, torn };
}

function damageBefore(
  segment: number,
  end: Position,
  firstBad: { page: number; fault: PageFault } | undefined,
): Damaged {
  if (firstBad !== undefined) {
    const what = firstBad.fault === "empty" ? "missing" : firstBad.fault;
    return new Damaged({ file: segmentName(segment), page: firstBad.page, what, messages: [] });
  }
  const isHere = segment === end.segment;
  return new Damaged({
    file: segmentName(isHere ? segment : end.segment + 1),
    page: isHere ? end.page : 0,
    what: "missing",
    messages: [],
  });
}

/** The store's id stands in every page; the first sound page tells it. */
export async function findStoreId(segments: Segments): Promise<Buffer | undefined> {
  const window = new PageWindow(segments);
  for (const segment of await segments.numbers()) {
    for (let number = 0; ; number += 1) {
      const page = await window.page(segment, number);
      if (page === undefined) break;
      const header = checkPage(page, undefined, segment, number);
      if (typeof header !== "string") return Buffer.from(storeIdOf(page));
    }
  }
  return undefined;
}
