/** Reading the ledger from a position to its end: what counts, what is a torn tail, what is damage. */

import { hex } from "#base/bytes";
import { type Damaged, pageError, type WrongVersion } from "./damage.ts";
import {
  checkPage,
  firstOfBatch,
  headerBytes,
  headerOf,
  lastOfBatch,
  type PageFault,
  type PageHeader,
  pageBytes,
  storeIdOf,
} from "./pages.ts";
import { type Segments, segmentName } from "./segments.ts";
import { isUnreadable } from "./units.ts";

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
  /** Later segments that hold nothing but zeros. Others with strange pages are not used. */
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
  #unreadable: readonly number[] = [];

  constructor(segments: Segments) {
    this.#segments = segments;
  }

  /** Valid until the next call; undefined behind the end of the file. */
  page(segment: number, number: number): Buffer | undefined | Promise<Buffer | undefined> {
    const index = number - this.#first;
    if (segment !== this.#segment || index < 0 || index >= this.#count) {
      return this.#load(segment, number);
    }
    return this.#unreadable.includes(number) ? this.#repaired(number) : this.#at(index);
  }

  /** From now on a right page stands where a bad one was. */
  put(number: number, page: Buffer): void {
    page.copy(this.#at(number - this.#first));
    this.#unreadable = this.#unreadable.filter((one) => one !== number);
  }

  async #load(segment: number, number: number): Promise<Buffer | undefined> {
    this.#segment = -1;
    this.#unreadable = [];
    const pages = await this.#segments.pages(segment);
    const bytes = Math.min(windowPages, pages) * pageBytes;
    if (this.#memory.length < bytes) this.#memory = Buffer.allocUnsafe(bytes);
    try {
      this.#count = await this.#segments.readPages(segment, number, this.#memory);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.#count = Math.min(windowPages, pages - number);
      const memory = this.#memory.subarray(0, this.#count * pageBytes);
      this.#unreadable = await this.#segments.readAll(segment, number, memory);
    }
    this.#segment = segment;
    this.#first = number;
    return this.#count > 0 ? this.page(segment, number) : undefined;
  }

  /** What cannot be read may be the last batch, so it does not count as room that is empty. */
  async #repaired(number: number): Promise<Buffer> {
    const right = await this.#segments.repair?.repairPage(this.#segment, number);
    if (right === undefined) throw pageError(segmentName(this.#segment), number, "unreadable");
    this.put(number, right.page);
    return right.page;
  }

  #at(index: number): Buffer {
    return this.#memory.subarray(index * pageBytes, (index + 1) * pageBytes);
  }
}

/**
 * Hands over each whole batch from the position on. A bad page is repaired on the way if it can be;
 * what void octets stand behind the end is no business of a repair: neither the second copy nor
 * parity holds them.
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
    const page = await soundPage(window, segments, at.segment, number);
    if (page === undefined) return undefined;
    const header = headerOf(page);
    if (header.generation !== at.generation) return undefined;
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

async function soundPage(
  window: PageWindow,
  segments: Segments,
  segment: number,
  number: number,
): Promise<Buffer | undefined> {
  const page = await window.page(segment, number);
  const fault = page === undefined ? "empty" : checkPage(page, segments.storeId, segment, number);
  if (typeof fault !== "string") return page;
  if (fault === "future" || fault === "earlier")
    throw pageError(segmentName(segment), number, fault);
  const right = await segments.repair?.repairPage(segment, number);
  if (right !== undefined && page !== undefined) window.put(number, right.page);
  return right?.page;
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
  /** Where what is missing may have stood, in the segments before. */
  let suspect: BadPage | undefined;
  for (const segment of numbers.filter((one) => one >= end.segment)) {
    const start = segment === end.segment ? end.page : 0;
    let firstBad: BadPage | undefined;
    /** Sound pages of another place: a file that was swapped, or a write that went astray. */
    let strange: number | undefined;
    let empty = true;
    for (let number = start; ; number += 1) {
      const page = await window.page(segment, number);
      if (page === undefined) break;
      const header: PageHeader | PageFault = checkPage(page, segments.storeId, segment, number);
      if (header !== "empty") empty = false;
      if (header === "misplaced") strange ??= number;
      if (typeof header === "string") firstBad ??= { segment, page: number, fault: header };
      else if (header.generation > end.generation) {
        throw damageBefore(segment, end, firstBad ?? suspect);
      }
    }
    if (segment === end.segment) {
      dirty = !empty;
      if (!empty) suspect = firstBad;
    } else {
      if (strange === 0) throw pageError(segmentName(segment), 0, "misplaced");
      suspect ??= firstBad ?? { segment, page: 0, fault: "empty" };
      if (!empty && strange === undefined) torn.push(segment);
      if (empty && (await segments.pages(segment)) > 0) unused.push(segment);
    }
  }
  return { dirty, unused, torn };
}

interface BadPage {
  readonly segment: number;
  readonly page: number;
  readonly fault: PageFault;
}

/** @param segment where a later batch stands */
function damageBefore(
  segment: number,
  end: Position,
  bad: BadPage | undefined,
): Damaged | WrongVersion {
  if (bad !== undefined) return pageError(segmentName(bad.segment), bad.page, bad.fault);
  return segment <= end.segment + 1
    ? pageError(segmentName(end.segment), end.page, "empty")
    : pageError(segmentName(end.segment + 1), 0, "empty");
}

/** The store's id stands in every page: most first pages tell it, for one may be a stranger's. */
export async function findStoreId(segments: Segments): Promise<Buffer | undefined> {
  const votes = new Map<string, number>();
  const numbers = await segments.numbers();
  for (const segment of numbers) {
    const id = await firstStoreId(segments, segment, 1);
    if (id !== undefined) votes.set(id, (votes.get(id) ?? 0) + 1);
  }
  const [most] = [...votes].sort(([, one], [, other]) => other - one);
  if (most !== undefined) return Buffer.from(most[0], "hex");
  for (const segment of numbers) {
    const id = await firstStoreId(segments, segment, await segments.pages(segment));
    if (id !== undefined) return Buffer.from(id, "hex");
  }
  return undefined;
}

async function firstStoreId(
  segments: Segments,
  segment: number,
  pages: number,
): Promise<string | undefined> {
  const page = Buffer.alloc(pageBytes);
  for (let number = 0; number < pages; number += 1) {
    await segments.readAll(segment, number, page);
    const header = checkPage(page, undefined, segment, number);
    if (header === "future" || header === "earlier") {
      throw pageError(segmentName(segment), number, header);
    }
    if (typeof header !== "string") return hex(storeIdOf(page));
  }
  return undefined;
}
