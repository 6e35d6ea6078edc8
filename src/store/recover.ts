/** From files to a running store: finds the end of the ledger, and brings the views up to it. */

import { hex } from "#base/bytes";
import type { Disk } from "#base/disk";
import { Full, Misconfigured } from "#base/errors";
import type { Log } from "#base/log";
import type { Random } from "#base/random";
import type { Master } from "#contracts/keyring";
import { applyRecord } from "./apply.ts";
import type { Cipher } from "./cipher.ts";
import { removeUnfinished } from "./compact.ts";
import { Damaged } from "./damage.ts";
import { History } from "./history.ts";
import { KeyFile, type KeyPlace } from "./key-file.ts";
import { newStoreId, pageBytes, payloadBytes } from "./pages.ts";
import { followRevisions } from "./places.ts";
import { type PlacedRecord, type RecordKeys, readRecords } from "./records.ts";
import {
  type Batch,
  findStoreId,
  PageWindow,
  type Position,
  readBatch,
  scan,
  type Tail,
} from "./scan.ts";
import { type Segments, segmentName } from "./segments.ts";
import { StoreKeys } from "./store-keys.ts";
import { moveViews, removeViews, Views, type Watermark } from "./views.ts";

interface CaughtUp {
  readonly views: Views;
  readonly history: History;
  readonly tail: Tail;
  readonly lsn: number;
}

export interface ViewParts {
  readonly keys: StoreKeys;
  readonly log: Log;
}

/** Records in one transaction while catching up. */
const recordsAtOnce = 1000;
/** With little room a shorter segment will do, down to this. */
const leastSegmentBytes = 64 * pageBytes;

interface RecoverOptions {
  readonly cipher?: Cipher;
  readonly disk: Disk;
  readonly directory: string;
  readonly master: Master;
  readonly indexPath: string;
  readonly segmentBytes: number;
  readonly random: Random;
  readonly log: Log;
}

export interface Recovered {
  readonly views: Views;
  readonly history: History;
  readonly keys: StoreKeys;
  readonly storeId: Buffer;
  /** Nothing was ever written. */
  readonly isNew: boolean;
  /** Of the next batch and the next record. */
  readonly generation: number;
  readonly lsn: number;
  /** Where to go on. */
  readonly segment: number;
  readonly page: number;
  readonly ready: readonly number[];
  readonly highest: number;
}

export async function recover(segments: Segments, options: RecoverOptions): Promise<Recovered> {
  const { indexPath, segmentBytes, log } = options;
  await segments.makeDirectory();
  await removeUnfinished(options.disk, options.directory);
  const keys = new StoreKeys(await openOrMakeKeys(segments, options), options.cipher);
  const { storeId } = keys.file;
  const { views, history, tail, lsn } = await catchUp(segments, indexPath, { keys, log });
  try {
    const isClean = tail.last === undefined || isClosing(tail.last, keys);
    if (tail.last !== undefined) await writeAgain(segments, tail.last);
    const place = await placeToGoOn(segments, tail, segmentBytes, isClean && !tail.dirty);
    const { generation } = tail.next;
    return { views, history, keys, storeId, isNew: generation === 1, generation, lsn, ...place };
  } catch (error) {
    views.close();
    throw error;
  }
}

async function openOrMakeKeys(
  segments: Segments,
  { disk, directory, random, master }: RecoverOptions,
): Promise<KeyFile> {
  const place = { disk, directory, random };
  const file = await openKeys(segments, place, master);
  if (file !== undefined) return file;
  const storeId = newStoreId((length) => random.bytes(length));
  segments.storeId = storeId;
  return KeyFile.make(place, master, storeId);
}

/**
 * The keys of the store whose segments these are.
 *
 * @returns undefined when there is neither a segment with something in it nor a file of keys
 * @throws Misconfigured when one is there without the other
 */
export async function openKeys(
  segments: Segments,
  place: KeyPlace,
  master: Master,
): Promise<KeyFile | undefined> {
  const storeId = await findStoreId(segments);
  const file = await KeyFile.open(place, master);
  if (file === undefined) {
    if (storeId === undefined) return undefined;
    throw new Misconfigured(`${place.directory} has no file of keys: restore it from a backup`);
  }
  if (storeId !== undefined && !storeId.equals(file.storeId)) {
    throw new Misconfigured(`${place.directory}: the file of keys belongs to another store`);
  }
  segments.storeId = file.storeId;
  return file;
}

/** Opens the views and applies what they lack; views that cannot be trusted are made anew. */
export async function catchUp(
  segments: Segments,
  indexPath: string,
  { keys, log }: ViewParts,
): Promise<CaughtUp> {
  const kept = await openKept(segments, indexPath, { keys, log });
  if (kept !== undefined) {
    try {
      return await follow(segments, kept.views, kept.mark);
    } catch (error) {
      kept.views.close();
      if (!isSqliteError(error)) throw error;
      log.write("warn", "store.index-failed", { reason: String(error) });
    }
  }
  return makeAnew(segments, indexPath, keys);
}

/**
 * Makes the views from the ledger alone. What stands under the path stays until they are whole.
 *
 * @throws Damaged, and whatever else ends the reading
 */
export async function makeAnew(
  segments: Segments,
  indexPath: string,
  keys: StoreKeys,
): Promise<CaughtUp> {
  const inMemory = indexPath === ":memory:";
  const beside = inMemory ? indexPath : besideOf(indexPath);
  removeViews(beside);
  const views = new Views(beside, keys);
  let made: CaughtUp;
  try {
    views.makeTables();
    await followRevisions(segments, views, undefined);
    made = await follow(segments, views, undefined);
    if (inMemory) return made;
    views.writeOut();
  } catch (error) {
    views.close();
    removeViews(beside);
    throw error;
  }
  views.close();
  moveViews(beside, indexPath);
  const moved = new Views(indexPath, keys);
  return { ...made, views: moved, history: new History(moved, moved.watermark()?.tree) };
}

function besideOf(indexPath: string): string {
  return `${indexPath}.new`;
}

async function openKept(
  segments: Segments,
  indexPath: string,
  { keys, log }: ViewParts,
): Promise<{ views: Views; mark: Watermark } | undefined> {
  if (indexPath === ":memory:") return undefined;
  removeViews(besideOf(indexPath));
  let views: Views | undefined;
  try {
    views = new Views(indexPath, keys);
    const kept = views.watermark();
    if (kept !== undefined) {
      const mark = await followRevisions(segments, views, kept);
      if (mark !== undefined && (await isInLedger(segments, mark))) return { views, mark };
      log.write("error", "store.index-ahead", { generation: kept.generation });
    }
  } catch (error) {
    if (!isSqliteError(error)) throw error;
    log.write("warn", "store.index-failed", { reason: String(error) });
  }
  views?.close();
  return undefined;
}

/** The batch that the views saw last must stand where they saw it. */
async function isInLedger(segments: Segments, mark: Watermark): Promise<boolean> {
  if (mark.store !== hex(segments.storeId as Buffer)) return false;
  if (!(await segments.numbers()).includes(mark.segment)) return false;
  return (await readBatch(new PageWindow(segments), segments, mark)) !== undefined;
}

/**
 * Applies what comes behind the mark. At damage the views have everything before it.
 *
 * @throws Damaged
 */
export async function follow(
  segments: Segments,
  views: Views,
  mark: Watermark | undefined,
): Promise<CaughtUp> {
  const first = (await segments.numbers())[0] ?? 1;
  const from: Position = mark ?? { segment: first, page: 0, generation: 1 };
  let lsn = mark?.lsn ?? 1;
  const history = new History(views, mark?.tree);
  let waiting: PlacedRecord[] = [];
  let last: Position | undefined;
  const flush = (): void => {
    const at = last;
    if (at === undefined) return;
    views.transaction(() => {
      for (const one of waiting) applyRecord(views, one, undefined);
      const tree = history.grow(waiting.map(({ leaf }) => leaf));
      views.setWatermark({ store: hex(segments.storeId as Buffer), ...at, lsn, tree });
    });
    waiting = [];
  };
  const take = (batch: Batch): void => {
    if (batch.generation === mark?.generation) return;
    const records = recordsOf(batch, views.keys);
    lsn = (records.at(-1)?.place.lsn ?? lsn - 1) + 1;
    waiting.push(...records);
    last = { segment: batch.segment, page: batch.firstPage, generation: batch.generation };
    if (waiting.length >= recordsAtOnce) flush();
  };
  const tail = await scan(segments, from, take).finally(flush);
  return { views, history, tail, lsn };
}

/** @throws Damaged when a sound batch does not hold records */
export function recordsOf(batch: Batch, keys: RecordKeys): PlacedRecord[] {
  const { segment, firstPage, payload } = batch;
  const records = readRecords({ segment, payload, base: firstPage * payloadBytes }, keys);
  if (records !== undefined) return records;
  const place = { file: segmentName(segment), page: firstPage, what: "record" } as const;
  throw new Damaged({ ...place, messages: [] });
}

function isClosing(batch: Batch, keys: RecordKeys): boolean {
  return recordsOf(batch, keys).at(-1)?.record.kind === "closed";
}

/**
 * The last batch may stand in the page cache only: its flush was never answered, or failed, after
 * which Linux calls the pages clean. Writing the same octets to the same place and flushing them
 * settles it, and a cut on the way changes nothing.
 */
async function writeAgain(segments: Segments, batch: Batch): Promise<void> {
  const raw = Buffer.allocUnsafe(batch.pages * pageBytes);
  await segments.readPages(batch.segment, batch.firstPage, raw);
  const file = await segments.openForWriting(batch.segment);
  try {
    await file.write([raw], batch.firstPage * pageBytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** After anything but an orderly stop the segment is left: its disk may be what failed. */
async function placeToGoOn(
  segments: Segments,
  tail: Tail,
  segmentBytes: number,
  isClean: boolean,
): Promise<Pick<Recovered, "segment" | "page" | "ready" | "highest">> {
  const numbers = await segments.numbers();
  const highest = numbers.at(-1) ?? 0;
  const lastTorn = tail.torn.at(-1) ?? 0;
  const ready = tail.unused.filter((number) => number > lastTorn);
  if (highest > 0 && isClean && lastTorn === 0 && (await segments.pages(tail.next.segment)) > 0) {
    return { segment: tail.next.segment, page: tail.next.page, ready, highest };
  }
  if (highest > 0) await segments.release(tail.next.segment, tail.next.page);
  for (const torn of tail.torn) await segments.release(torn, 0);
  const next = ready.shift();
  if (next !== undefined) return { segment: next, page: 0, ready, highest };
  await prepareSome(segments, highest + 1, segmentBytes);
  return { segment: highest + 1, page: 0, ready, highest: highest + 1 };
}

async function prepareSome(
  segments: Segments,
  number: number,
  segmentBytes: number,
): Promise<void> {
  for (let size = segmentBytes; ; size = Math.floor(size / 2 / pageBytes) * pageBytes) {
    try {
      return await segments.prepare(number, size, 0);
    } catch (error) {
      if (!(error instanceof Full) || size / 2 < leastSegmentBytes) throw error;
    }
  }
}

function isSqliteError(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ERR_SQLITE_ERROR";
}
