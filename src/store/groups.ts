/** Walking the ledger without giving up at damage: what counts in each segment, batch by batch. */

import {
  checkPage,
  firstOfBatch,
  headerBytes,
  headerOf,
  lastOfBatch,
  noRecord,
  type PageFault,
  type PageHeader,
  payloadBytes,
} from "./pages.ts";
import {
  guessRecord,
  openFacts,
  type PlacedRecord,
  type RecordKeys,
  readFacts,
  readRecords,
} from "./records.ts";
import type { PageWindow } from "./scan.ts";
import type { Segments } from "./segments.ts";

/** The pages of a segment that hold durable batches, and the faults among them. */
export interface Span {
  readonly segment: number;
  /** Behind the last page that counts. */
  readonly end: number;
  readonly faults: ReadonlyMap<number, PageFault | "absent">;
  readonly tornPages: number;
}

/** One batch as it stands on the disk, sound or not. */
export interface RawBatch {
  readonly segment: number;
  readonly first: number;
  readonly pages: readonly Buffer[];
  readonly isSound: boolean;
  /** Joined payload. */
  readonly payload: Buffer;
}

type Verdict = PageHeader | PageFault;

interface Survey {
  readonly segment: number;
  readonly pages: readonly Verdict[];
  readonly lowest: number;
}

/** @param until number of the last batch to look at, in a store that is being written */
export async function surveyLedger(
  window: PageWindow,
  segments: Segments,
  until: number,
): Promise<Span[]> {
  // From the last segment to the first: what a later one holds no longer counts in an earlier one.
  const spans: Span[] = [];
  let limit = until + 1;
  let later: Survey | undefined;
  for (const segment of (await segments.numbers()).toReversed()) {
    const survey = await surveySegment(window, segments, segment, until);
    if (survey.lowest === Number.POSITIVE_INFINITY) continue;
    const span = judge(survey, limit, later);
    if (span.end > 0 || span.tornPages > 0) spans.unshift(span);
    if (survey.lowest < limit) later = survey;
    limit = Math.min(limit, survey.lowest);
  }
  return spans;
}

async function surveySegment(
  window: PageWindow,
  segments: Segments,
  segment: number,
  until: number,
): Promise<Survey> {
  const pages: Verdict[] = [];
  let lowest = Number.POSITIVE_INFINITY;
  for (let number = 0; ; number += 1) {
    const page = await window.page(segment, number);
    if (page === undefined) break;
    const verdict = checkPage(page, segments.storeId, segment, number);
    if (typeof verdict !== "string" && verdict.generation > until) break;
    if (typeof verdict !== "string") lowest = Math.min(lowest, verdict.generation);
    pages.push(verdict);
  }
  return { segment, pages, lowest };
}

function judge({ segment, pages }: Survey, limit: number, later: Survey | undefined): Span {
  let end = pages.findLastIndex((page) => typeof page !== "string" && page.generation < limit) + 1;
  // The last batch of all is not known to have been durable: incomplete, it is a torn tail.
  if (later === undefined && end > 0) end = withoutTornTail(pages, end);
  const faults = new Map<number, PageFault | "absent">();
  let last = 0;
  for (let number = 0; number < end; number += 1) {
    const page = pages[number] as Verdict;
    if (typeof page === "string") faults.set(number, page);
    else {
      const isGap = last > 0 && page.generation > last + 1 && typeof pages[number - 1] !== "string";
      if (isGap) faults.set(number, "absent");
      last = page.generation;
    }
  }
  let tornPages = 0;
  for (const page of pages.slice(end)) if (page !== "empty") tornPages += 1;
  const isShort = later !== undefined && last > 0 && last < limit - 1;
  if (isShort && typeof later.pages[0] !== "string") {
    faults.set(end, (pages[end] as PageFault | undefined) ?? "absent");
    return { segment, end: end + 1, faults, tornPages: Math.max(0, tornPages - 1) };
  }
  return { segment, end, faults, tornPages };
}

function withoutTornTail(pages: readonly Verdict[], end: number): number {
  const last = pages[end - 1] as PageHeader;
  const start = pages.findIndex(
    (page) => typeof page !== "string" && page.generation === last.generation,
  );
  const batch = pages.slice(start, end);
  const isWhole =
    batch.every((page) => typeof page !== "string") &&
    ((batch[0] as PageHeader).flags & firstOfBatch) !== 0 &&
    (last.flags & lastOfBatch) !== 0;
  if (isWhole) return end;
  const before = pages.slice(0, start).findLastIndex((page) => typeof page !== "string");
  return before + 1;
}

export async function* batchesOf(window: PageWindow, span: Span): AsyncGenerator<RawBatch> {
  const { segment } = span;
  let first = 0;
  let pages: Buffer[] = [];
  const take = (): RawBatch => {
    const isSound = pages.every((_, index) => !span.faults.has(first + index));
    return { segment, first, pages, isSound, payload: payloadOf(pages, isSound) };
  };
  for (let number = 0; number < span.end; number += 1) {
    const page = await window.page(segment, number);
    if (page === undefined) break;
    const isFirst = !span.faults.has(number) && (headerOf(page).flags & firstOfBatch) !== 0;
    if (isFirst && pages.length > 0) {
      yield take();
      pages = [];
    }
    if (pages.length === 0) first = number;
    pages.push(Buffer.from(page));
  }
  if (pages.length > 0) yield take();
}

function payloadOf(pages: readonly Buffer[], isSound: boolean): Buffer {
  const end = (page: Buffer): number =>
    headerBytes + (isSound ? headerOf(page).length : payloadBytes);
  return Buffer.concat(pages.map((page) => page.subarray(headerBytes, end(page))));
}

/** The records; of a batch that is not sound those that can still be made out. */
export function recordsIn(batch: RawBatch, keys: RecordKeys): PlacedRecord[] | undefined {
  const { segment, payload } = batch;
  const stretch = { segment, payload, base: batch.first * payloadBytes };
  if (batch.isSound) return readRecords(stretch, keys);
  const records: PlacedRecord[] = [];
  let at = 0;
  while (at < payload.length) {
    const facts = readFacts(stretch, at);
    if (facts !== undefined) records.push(openFacts(facts, keys) ?? guessRecord(facts, keys));
    at = facts?.end ?? nextStart(batch, at);
  }
  return records;
}

/** Where the next page says that a record begins. */
function nextStart(batch: RawBatch, at: number): number {
  for (let page = Math.floor(at / payloadBytes) + 1; page < batch.pages.length; page += 1) {
    const { firstRecord } = headerOf(batch.pages[page] as Buffer);
    if (firstRecord !== noRecord && firstRecord < payloadBytes) {
      return page * payloadBytes + firstRecord;
    }
  }
  return Number.POSITIVE_INFINITY;
}
