/** Compaction: a sealed segment written again without the octets of which nothing lives. */

import { dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { type Disk, type DiskFile, errorCode } from "#base/disk";
import { Full } from "#base/errors";
import type { Contents } from "./contents.ts";
import { headerOf, pageBytes } from "./pages.ts";
import { type ParityFacts, ParityFile } from "./parity-file.ts";
import { placeAnew, type Standing, setRevision } from "./places.ts";
import { rewriteSegment, unfinished } from "./rewrite.ts";
import { removeParity } from "./seal.ts";
import type { Segments } from "./segments.ts";
import type { Row, Views } from "./views.ts";

/** The header has two octets for it. */
const maxRevision = 0xffff;
/** Rows looked at before others get their turn. */
const sliceRows = 500;

export interface CompactionParts {
  readonly segments: Segments;
  readonly views: Views;
  readonly contents: Pick<Contents, "isAwaited" | "ending">;
  /** Left free on the disk. */
  readonly spareBytes: number;
  /** Runs while no page is repaired: what was read of the old file must not go into the new one. */
  readonly alone: <Value>(work: () => Promise<Value>) => Promise<Value>;
  /** Has a segment sealed, soon. */
  readonly seal: (segment: number, pages: number) => void;
}

export interface Compacted {
  readonly freedBytes: number;
}

/**
 * Takes the dead octets out of a segment while it is read, under the lock of the upkeep. Batches,
 * records, and what the history says of them stay as they are.
 *
 * @returns undefined when there is nothing to take out, or it cannot be done now
 * @throws Damaged when a page is beyond repair; the segment stays as it is
 * @throws Full when there is no room for the second file; nothing is left behind then
 */
export async function compactSegment(
  parts: CompactionParts,
  segment: number,
  signal?: AbortSignal,
): Promise<Compacted | undefined> {
  const { segments, views } = parts;
  const facts = await sealedFacts(segments, segment);
  if (facts === undefined || facts.revision === maxRevision) return undefined;
  if (views.moving.has(segment)) return undefined; // the index failed; a start makes up for it
  const dead = await deadBlobs(parts, segment);
  if (dead === undefined || dead.lsns.size === 0) return undefined;
  const path = segments.path(segment);
  const before = (await segments.disk.sizeBytes(path)) ?? 0;
  await assertRoom(parts, path, facts.pages * pageBytes - dead.bytes);
  const made = await replacing(segments.disk, path + unfinished, (file) =>
    rewriteSegment(segments, facts, { file, dead: dead.lsns }, signal),
  );
  const places = new Map(made.moved.map(({ lsn, at }) => [lsn, at]));
  const follow = (): void => void views.moving.set(segment, places);
  await parts.alone(() => swap(parts, facts, made.pages, follow));
  await writeDown(views, segment, facts.revision + 1, made.moved);
  return { freedBytes: before - made.pages * pageBytes };
}

/** What a cut left of compactions under way. */
export async function removeUnfinished(disk: Disk, directory: string): Promise<void> {
  for (const name of await disk.list(directory)) {
    if (/^segment-\d{8}\.compact$/.test(name)) await disk.remove(join(directory, name));
  }
}

/** Octets of contents in a segment, in slices; `dead` is 1 where nothing lives of them. */
export async function* blobsOf(views: Views, segment: number): AsyncGenerator<readonly Row[]> {
  const sql = `SELECT seq, bytes, content IS NULL AS dead FROM blob
    WHERE segment = ? AND seq > ? ORDER BY seq LIMIT ?`;
  for (let after = 0; ; ) {
    const rows = views.all(sql, segment, after, sliceRows);
    yield rows;
    if (rows.length < sliceRows) return;
    after = rows.at(-1)?.["seq"] as number;
    await setImmediate();
  }
}

/** Only what has parity is written no more, and as sound as it can be. */
async function sealedFacts(segments: Segments, segment: number): Promise<ParityFacts | undefined> {
  await using parity = await ParityFile.open(segments, segment);
  return parity?.facts;
}

/**
 * What no record can name any more. Without a row of its content nobody finds it, and what was
 * found while there was one is on its way: that is why nothing is decided while an erasure runs,
 * whose records wait longest.
 */
async function deadBlobs(
  { views, contents }: CompactionParts,
  segment: number,
): Promise<{ readonly lsns: ReadonlySet<number>; readonly bytes: number } | undefined> {
  const lsns = new Set<number>();
  let bytes = 0;
  for await (const rows of blobsOf(views, segment)) {
    if (contents.ending.size > 0) return undefined;
    for (const row of rows) {
      const seq = row["seq"] as number;
      if (row["dead"] === 0 || contents.isAwaited(seq)) continue;
      lsns.add(seq);
      bytes += row["bytes"] as number;
    }
  }
  return { lsns, bytes };
}

async function assertRoom(
  { segments, spareBytes }: CompactionParts,
  path: string,
  bytes: number,
): Promise<void> {
  const free = (await segments.disk.freeBytes?.(dirname(path))) ?? Number.POSITIVE_INFINITY;
  if (free < bytes + spareBytes) throw new Full("no room to compact a segment of the store");
}

/** A file that is there, closed, when `fill` was through, or not at all. */
async function replacing<Value>(
  disk: Disk,
  path: string,
  fill: (file: DiskFile) => Promise<Value>,
): Promise<Value> {
  await disk.remove(path);
  try {
    const file = await disk.open(path, "create");
    try {
      return await fill(file);
    } finally {
      await file.close();
    }
  } catch (error) {
    await disk.remove(path).catch(() => undefined);
    if (errorCode(error) !== "ENOSPC" && errorCode(error) !== "EDQUOT") throw error;
    throw new Full("no room to compact a segment of the store", { cause: error });
  }
}

/**
 * Puts the new file under the segment's name. Until `follow` readers have the old places and the
 * old file, from then on the new ones, for they take both in one turn.
 */
async function swap(
  { segments, seal }: CompactionParts,
  facts: ParityFacts,
  pages: number,
  follow: () => void,
): Promise<void> {
  const { segment } = facts;
  const path = segments.path(segment);
  // Readers must not have to open it in between.
  await segments.hold(segment);
  let isNew = false;
  try {
    await removeParity(segments, segment);
    try {
      await segments.disk.rename(path + unfinished, path);
      isNew = true;
      await segments.syncDirectory();
    } finally {
      // The disk may have done what it said it could not do.
      isNew ||= await isRevision(segments, path, facts.revision + 1);
      if (isNew) {
        follow();
        await segments.reopen(segment);
      }
    }
  } finally {
    if (!isNew) {
      await segments.reopen(segment);
      await segments.disk.remove(path + unfinished).catch(() => undefined);
    }
    seal(segment, isNew ? pages : facts.pages);
  }
}

/** In slices, for so many rows would hold up who wants to commit. */
async function writeDown(
  views: Views,
  segment: number,
  revision: number,
  moved: readonly Standing[],
): Promise<void> {
  for (let from = 0; from < moved.length; from += sliceRows) {
    views.transaction(() => placeAnew(views, moved.slice(from, from + sliceRows)));
    await setImmediate();
  }
  views.transaction(() => setRevision(views, segment, revision));
  views.moving.delete(segment);
}

async function isRevision(segments: Segments, path: string, revision: number): Promise<boolean> {
  const file = await segments.disk.open(path, "read");
  try {
    const page = Buffer.alloc(pageBytes);
    await file.read(page, 0);
    return headerOf(page).revision === revision;
  } finally {
    await file.close();
  }
}
