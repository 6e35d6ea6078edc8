/** The ledger as a backup copies it: page by page through every check, while mail comes in. */

import { Unavailable } from "#base/errors";
import { affectedBy, DamagedMail } from "./affected.ts";
import { Damaged, pageError, type WrongVersion } from "./damage.ts";
import type { History } from "./history.ts";
import type { KeptKeys, KeyFile } from "./key-file.ts";
import type { Maintenance } from "./maintenance.ts";
import { findPage } from "./mend.ts";
import { noRecord, pageBytes, payloadBytes, provePage } from "./pages.ts";
import { ParityFile } from "./parity-file.ts";
import { revisionOf } from "./places.ts";
import { firstGeneration, pagesInUse } from "./seal.ts";
import { type Segments, segmentName } from "./segments.ts";
import type { Views } from "./views.ts";

/** Pages that are read at a time: a mebibyte. */
const stripPages = 128;
/** A record's region is not longer than these; what begins on a lost page may end on them. */
const reachPages = 16;

/** All of one moment: what is durable, and the keys that open it. */
export interface LedgerMoment {
  /** Of the last batch, with the segment that it stands in, and of the last record. */
  readonly generation: number;
  readonly segment: number;
  readonly lsn: number;
  /** The tree of all records up to there. */
  readonly tree: { readonly size: number; readonly root: Buffer };
  /** Copies: they stay when the store destroys its own, and whoever asked for them wipes them. */
  readonly keys: KeptKeys;
}

/** What counts of a segment, up to a moment. */
export interface SourceSegment {
  readonly segment: number;
  /** How often it was compacted. */
  readonly revision: number;
  readonly pages: number;
}

export interface SourcePiece {
  readonly segment: number;
  readonly revision: number;
  readonly first: number;
  readonly count: number;
}

export interface BackupSource {
  readonly storeId: Buffer;
  now(): LedgerMoment;
  /**
   * Every segment with something that counted at that moment, ascending.
   *
   * @throws DamagedMail when batches are missing among them, WrongVersion
   */
  segments(at: Pick<LedgerMoment, "generation" | "segment">): Promise<readonly SourceSegment[]>;
  /**
   * Pages in order, several at a time and each the reader's to keep, with checksum, hash, place and
   * revision proven; a bad one is repaired on the disk first. Nobody has to wait for a slow reader.
   *
   * @param onRepair told of each page that had to be
   * @throws Moved when the segment was compacted since it was counted
   * @throws DamagedMail at the first page that is beyond repair, WrongVersion
   */
  pages(piece: SourcePiece, onRepair: () => void): AsyncIterable<Buffer>;
}

/** Another revision stands under the segment's name: count again. */
export class Moved extends Unavailable {}

interface Parts {
  readonly segments: Segments;
  readonly views: Views;
  readonly history: Pick<History, "head">;
  readonly keys: KeyFile;
  readonly maintenance: Maintenance;
}

export function backupSource(parts: Parts): BackupSource {
  const { segments, views, history, keys, maintenance } = parts;
  const named = naming(segments, views);
  return {
    storeId: keys.storeId,
    now() {
      // The views' transaction, the tree and the keys change in one turn each: here is none between.
      const mark = views.watermark();
      if (mark === undefined) throw new Error("a store that is open has a first record");
      const { generation, segment, lsn } = mark;
      const tree = history.head();
      return { generation, segment, lsn: lsn - 1, tree, keys: copied(keys.kept()) };
    },
    // A segment that is put in the place of another while it is counted would be neither.
    segments: (at) => maintenance.run(() => named(() => countedSegments(segments, at))),
    async *pages(piece, onRepair) {
      const end = piece.first + piece.count;
      for (let first = piece.first; first < end; first += stripPages) {
        const strip = Buffer.allocUnsafe(Math.min(stripPages, end - first) * pageBytes);
        await named(() => readStrip(segments, piece, first, { strip, onRepair }));
        yield strip;
      }
    },
  };
}

function copied({ storeId, storeKey, epochs, destroyed }: KeptKeys): KeptKeys {
  const own = new Map([...epochs].map(([epoch, key]) => [epoch, Buffer.from(key)]));
  return { storeId, storeKey: Buffer.from(storeKey), epochs: own, destroyed };
}

async function countedSegments(
  segments: Segments,
  at: Pick<LedgerMoment, "generation" | "segment">,
): Promise<readonly SourceSegment[]> {
  const found: SourceSegment[] = [];
  const numbers = (await segments.numbers()).filter((number) => number <= at.segment);
  /** Number of the batch behind what is looked at. */
  let limit = at.generation + 1;
  for (const segment of numbers.toReversed()) {
    const first = await firstGeneration(segments, segment);
    if (first !== undefined && first >= limit) continue; // void
    const counted = await countedIn(segments, segment, limit);
    if (counted.pages === 0) continue;
    if (first === undefined) throw pageError(segmentName(segment), 0, "checksum");
    if (found[0] !== undefined && !numbers.includes(segment + 1)) throw missing(segment + 1);
    found.unshift(counted);
    limit = first;
  }
  if (limit !== 1) throw missing(1);
  return found;
}

function missing(segment: number): Damaged | WrongVersion {
  return pageError(segmentName(segment), 0, "empty");
}

async function countedIn(
  segments: Segments,
  segment: number,
  limit: number,
): Promise<SourceSegment> {
  await using parity = await ParityFile.open(segments, segment);
  if (parity?.facts.generation === limit - 1) {
    const { revision, pages } = parity.facts;
    return { segment, revision, pages };
  }
  const pages = await pagesInUse(segments, segment, limit);
  return { segment, revision: (await currentRevision(segments, segment)) ?? 0, pages };
}

/** Parity is of the revision that the segment has; a single page may be a stray of another. */
async function currentRevision(segments: Segments, segment: number): Promise<number | undefined> {
  await using parity = await ParityFile.open(segments, segment);
  return parity?.facts.revision ?? (await revisionOf(segments, segment));
}

async function readStrip(
  segments: Segments,
  piece: SourcePiece,
  first: number,
  { strip, onRepair }: { readonly strip: Buffer; readonly onRepair: () => void },
): Promise<void> {
  const { segment, revision } = piece;
  const unreadable = await segments.readAll(segment, first, strip);
  for (let at = 0; at < strip.length; at += pageBytes) {
    const number = first + at / pageBytes;
    const page = strip.subarray(at, at + pageBytes);
    const proof = provePage(page, segments.storeId, segment, number);
    if (typeof proof !== "string" && proof.revision === revision) continue;
    await assertUnmoved(segments, piece);
    const right = await segments.repair?.repairPage(segment, number, revision);
    if (right === undefined) {
      await assertUnmoved(segments, piece);
      const fault = typeof proof === "string" ? proof : "misplaced";
      const what = unreadable.includes(number) ? "unreadable" : fault;
      throw pageError(segmentName(segment), number, what);
    }
    right.page.copy(page);
    onRepair();
  }
}

async function assertUnmoved(
  segments: Segments,
  { segment, revision }: SourcePiece,
): Promise<void> {
  const now = await currentRevision(segments, segment);
  if (now !== undefined && now !== revision)
    throw new Moved(`${segmentName(segment)} was compacted`);
}

/** Damage gets the names of the messages on it. */
function naming(segments: Segments, views: Views) {
  return async <Value>(work: () => Promise<Value>): Promise<Value> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      const { file, page, what } = error.place;
      const segment = Number(/^segment-(\d+)$/.exec(file)?.[1]);
      const isGone = page === 0 && !(await segments.numbers()).includes(segment);
      const to = isGone ? Number.MAX_SAFE_INTEGER : await endOfRegions(segments, segment, page + 1);
      const affected = affectedBy(views, segment, page * payloadBytes, to);
      throw new DamagedMail({ file, page, what, messages: [] }, affected);
    }
  };
}

/** Where, behind a lost page, what began on it ends: the page behind it tells. */
async function endOfRegions(segments: Segments, segment: number, behind: number): Promise<number> {
  for (let number = behind; number < behind + reachPages; number += 1) {
    const found = await findPage(segments, "segment", segment, number);
    if (found === undefined || typeof found.proof === "string") break;
    const { firstRecord } = found.proof;
    if (firstRecord !== noRecord) return number * payloadBytes + firstRecord;
  }
  return behind * payloadBytes;
}
