/** Finding a record by its sequence number: the views keep places of messages only. */

import { Unavailable } from "#base/errors";
import { Damaged } from "./damage.ts";
import { checkPage, noRecord, pageBytes, payloadBytes } from "./pages.ts";
import { leafOfFacts, type RecordFacts, readFacts, recordHeaderBytes } from "./records.ts";
import { type Batch, PageWindow, readBatch } from "./scan.ts";
import type { Segments } from "./segments.ts";

/**
 * @param leaf that the record makes
 * @throws Damaged, or Unavailable when the ledger has no such record
 */
export async function locateRecord(
  segments: Segments,
  lsn: number,
  leaf: Buffer,
): Promise<RecordFacts> {
  try {
    const found = await bisect(segments, lsn);
    if (found !== undefined && leafOfFacts(found).equals(leaf)) return found;
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
  }
  // Void or damaged pages led astray.
  return walk(segments, lsn, leaf);
}

/** Numbers ascend over segments and pages: a few pages of a large store are read. */
async function bisect(segments: Segments, lsn: number): Promise<RecordFacts | undefined> {
  const numbers = await segments.numbers();
  const index = await lastOf(numbers.length, async (at) => {
    const first = await firstRecord(segments, numbers[at] as number, 0);
    return first !== undefined && first.lsn <= lsn;
  });
  const segment = numbers[index];
  if (segment === undefined) return undefined;
  const page = await lastOf(await segments.pages(segment), async (at) => {
    const first = await firstRecord(segments, segment, at);
    return first !== undefined && first.lsn <= lsn;
  });
  let record = await firstRecord(segments, segment, page);
  while (record !== undefined && record.lsn < lsn) {
    record = await headerAt(segments, segment, record.at + record.bytes);
  }
  return record?.lsn === lsn ? factsAt(segments, segment, record) : undefined;
}

/** The last of so many that holds, where none holds behind one that does not; -1 for none. */
async function lastOf(count: number, holds: (at: number) => Promise<boolean>): Promise<number> {
  let low = -1;
  for (let high = count; high - low > 1; ) {
    const middle = (low + high) >>> 1;
    if (await holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

interface Found {
  readonly lsn: number;
  /** Its place in the joined payload. */
  readonly at: number;
  readonly bytes: number;
}

/** The first record that begins in that page or behind it; undefined where nothing sound stands. */
async function firstRecord(
  segments: Segments,
  segment: number,
  from: number,
): Promise<Found | undefined> {
  const page = Buffer.alloc(pageBytes);
  for (let number = from; ; number += 1) {
    await segments.readAll(segment, number, page);
    const header = checkPage(page, segments.storeId, segment, number);
    if (typeof header === "string") return undefined;
    if (header.firstRecord === noRecord) continue;
    return headerAt(segments, segment, number * payloadBytes + header.firstRecord);
  }
}

async function headerAt(
  segments: Segments,
  segment: number,
  at: number,
): Promise<Found | undefined> {
  const header = await segments.read([segment, at, recordHeaderBytes], 0, recordHeaderBytes);
  const [region, blob] = [header.readUInt32LE(0), header.readUInt32LE(4)];
  if (region === 0) return undefined; // what fills a page up
  return { lsn: header.readUIntLE(16, 6), at, bytes: recordHeaderBytes + region + blob };
}

async function factsAt(
  segments: Segments,
  segment: number,
  { at, bytes }: Found,
): Promise<RecordFacts | undefined> {
  const payload = await segments.read([segment, at, bytes], 0, bytes);
  return readFacts({ segment, payload, base: at }, 0);
}

/** Reads one segment at most to its end, and the first batches of those behind it. */
async function walk(segments: Segments, lsn: number, leaf: Buffer): Promise<RecordFacts> {
  const window = new PageWindow(segments);
  for (const segment of (await segments.numbers()).toReversed()) {
    for await (const batch of batchesIn(window, segments, segment)) {
      const found = [...recordsOf(batch)];
      const first = found[0]?.place.lsn;
      if (first !== undefined && first > lsn) break; // it stands in an earlier segment
      const wanted = found.find(({ place }) => place.lsn === lsn);
      if (wanted !== undefined && leafOfFacts(wanted).equals(leaf)) return wanted;
    }
  }
  throw new Unavailable(`record ${lsn} cannot be found`);
}

async function* batchesIn(
  window: PageWindow,
  segments: Segments,
  segment: number,
): AsyncGenerator<Batch> {
  const front = await window.page(segment, 0);
  const header = front && checkPage(front, segments.storeId, segment, 0);
  if (header === undefined || typeof header === "string") return;
  let at = { segment, page: 0, generation: header.generation };
  for (;;) {
    const batch = await readBatch(window, segments, at);
    if (batch === undefined) return;
    yield batch;
    at = { segment, page: batch.firstPage + batch.pages, generation: batch.generation + 1 };
  }
}

function* recordsOf({ segment, payload, firstPage }: Batch): Generator<RecordFacts> {
  const stretch = { segment, payload, base: firstPage * payloadBytes };
  for (let at = 0; at < payload.length; ) {
    const facts = readFacts(stretch, at);
    if (facts === undefined) return;
    yield facts;
    at = facts.end;
  }
}
