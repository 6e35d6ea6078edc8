/** A sealed segment written again into another file, proven page by page before and after. */

import { strict as assert } from "node:assert";
import { setImmediate } from "node:timers/promises";
import type { DiskFile } from "#base/disk";
import { type FormedRecord, PageLayout } from "./batch.ts";
import { pageError } from "./damage.ts";
import {
  firstOfBatch,
  headerBytes,
  headerOf,
  lastOfBatch,
  pageBytes,
  payloadBytes,
  provePage,
} from "./pages.ts";
import type { ParityFacts } from "./parity-file.ts";
import { factsIn, type Standing, standingsIn } from "./places.ts";
import { hollowed, type RecordFacts, recordHeaderBytes } from "./records.ts";
import { type Batch, PageWindow, type Position } from "./scan.ts";
import { type Segments, segmentName } from "./segments.ts";
import { readUnits } from "./units.ts";

/** What the name of the second file ends with until it has the segment's. */
export const unfinished = ".compact";
/** Pages proven before others get their turn. */
const stripPages = 128;
/** Flushed in pieces of about this size, so that no commit waits behind a large one. */
const flushBytes = 8 * 1024 * 1024;

export interface Rewritten {
  readonly pages: number;
  /** Only what stands elsewhere than before, and what is gone. */
  readonly moved: readonly Standing[];
}

/**
 * Writes the same batches, with records in them that have lost their blobs, of the next revision.
 *
 * @param facts of the segment as it is
 * @param to the file, empty, which is durable when this resolves; and the sequence numbers of the
 *   records that have a blob and shall have none
 * @throws Damaged when a page is beyond repair, or when the disk does not hold what was written
 */
export async function rewriteSegment(
  segments: Segments,
  facts: ParityFacts,
  { file, dead }: { readonly file: DiskFile; readonly dead: ReadonlySet<number> },
  signal: AbortSignal | undefined,
): Promise<Rewritten> {
  const { segment } = facts;
  const storeId = segments.storeId as Buffer;
  const revision = facts.revision + 1;
  const layout = new PageLayout();
  const moved: Standing[] = [];
  let pages = 0;
  let flushedPages = 0;
  for await (const batch of batchesOf(segments, facts)) {
    signal?.throwIfAborted();
    const records = factsIn(batch);
    const formed = records.map((one) => form(batch, one, dead.has(one.place.lsn)));
    const { generation } = batch;
    const place = { storeId, segment, firstPage: pages, generation, revision };
    const octets = layout.layOut(formed, place);
    await file.write([octets], pages * pageBytes);
    const payload = Buffer.concat(formed.flat());
    moved.push(...movedOf(records, factsIn({ segment, firstPage: pages, payload })));
    pages += octets.length / pageBytes;
    if ((pages - flushedPages) * pageBytes >= flushBytes) {
      await file.sync();
      flushedPages = pages;
    }
    await setImmediate();
  }
  await file.sync();
  await prove(segments, file, { segment, revision, pages }, signal);
  return { pages, moved };
}

function movedOf(before: readonly RecordFacts[], after: readonly RecordFacts[]): Standing[] {
  const old = standingsIn(before);
  return standingsIn(after).filter(({ lsn, at, isHollow }, index) => {
    const one = old[index];
    assert.equal(lsn, one?.lsn);
    return at !== one?.at || isHollow !== one.isHollow;
  });
}

function form({ firstPage, payload }: Batch, facts: RecordFacts, isDead: boolean): FormedRecord {
  const { region, end } = facts;
  const { jsonAt, blobBytes } = facts.place;
  const start = jsonAt - firstPage * payloadBytes - recordHeaderBytes;
  if (!isDead) return [payload.subarray(start, end)];
  assert.ok(facts.kind === "content" || facts.kind === "content-part");
  assert.ok(blobBytes > 0);
  return [hollowed(payload.subarray(start, start + recordHeaderBytes)), region];
}

/** Every batch of a sealed segment. @throws Damaged */
async function* batchesOf(segments: Segments, facts: ParityFacts): AsyncGenerator<Batch> {
  const { segment } = facts;
  const source = { window: new PageWindow(segments), segments, facts };
  let page = 0;
  let { generation } = headerOf(await provenPage(source, 0));
  while (page < facts.pages) {
    const batch = await provenBatch(source, { segment, page, generation });
    yield batch;
    page += batch.pages;
    generation += 1;
  }
  if (page !== facts.pages || generation !== facts.generation + 1) {
    throw pageError(segmentName(segment), page, "empty");
  }
}

interface Source {
  readonly window: PageWindow;
  readonly segments: Segments;
  readonly facts: ParityFacts;
}

async function provenBatch(source: Source, at: Position): Promise<Batch> {
  const { segment, page: firstPage, generation } = at;
  const pieces: Buffer[] = [];
  for (let number = firstPage; ; number += 1) {
    const page = await provenPage(source, number);
    const header = headerOf(page);
    const isFirst = (header.flags & firstOfBatch) !== 0;
    if (header.generation !== generation || isFirst !== (number === firstPage)) {
      throw pageError(segmentName(segment), number, "misplaced");
    }
    pieces.push(Buffer.from(page.subarray(headerBytes, headerBytes + header.length)));
    if ((header.flags & lastOfBatch) === 0) continue;
    const payload = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
    return { segment, firstPage, pages: pieces.length, generation, payload };
  }
}

/** What is written again gets a new hash, which must not vouch for what was bad already. */
async function provenPage({ window, segments, facts }: Source, number: number): Promise<Buffer> {
  const { segment, revision } = facts;
  const page = await window.page(segment, number);
  const proof = page && provePage(page, segments.storeId, segment, number);
  const isSound = typeof proof === "object" && proof.revision === revision;
  if (page !== undefined && isSound) return page;
  const right = await segments.repair?.repairPage(segment, number, revision);
  if (right !== undefined) return right.page;
  const fault = typeof proof === "object" ? "misplaced" : (proof ?? "empty");
  throw pageError(segmentName(segment), number, fault);
}

/** The only other copy goes: what will stand in its place is read back first. */
async function prove(
  segments: Segments,
  file: DiskFile,
  { segment, revision, pages }: Pick<ParityFacts, "segment" | "revision" | "pages">,
  signal: AbortSignal | undefined,
): Promise<void> {
  const memory = Buffer.alloc(stripPages * pageBytes);
  for (let first = 0; first < pages; first += stripPages) {
    signal?.throwIfAborted();
    const strip = memory.subarray(0, Math.min(stripPages, pages - first) * pageBytes);
    await readUnits(file, pageBytes, first, strip);
    for (let at = 0; at < strip.length; at += pageBytes) {
      const number = first + at / pageBytes;
      const proof = provePage(
        strip.subarray(at, at + pageBytes),
        segments.storeId,
        segment,
        number,
      );
      if (typeof proof !== "string" && proof.revision === revision) continue;
      const what = typeof proof === "string" ? proof : "misplaced";
      throw pageError(segmentName(segment) + unfinished, number, what);
    }
    await setImmediate();
  }
}
