/** Where records stand in a segment that was compacted, as the views have to know it. */

import { Damaged, pageError } from "./damage.ts";
import { checkPage, pageBytes, payloadBytes } from "./pages.ts";
import { type RecordFacts, readFacts } from "./records.ts";
import { type Batch, PageWindow, readBatch } from "./scan.ts";
import { firstGeneration } from "./seal.ts";
import { type Segments, segmentName } from "./segments.ts";
import type { Views, Watermark } from "./views.ts";

/** Pages that are asked for the revision of their segment when the first ones are bad. */
const askedPages = 16;

/** A record whose place is in the views. */
export interface Standing {
  readonly lsn: number;
  readonly table: "message" | "blob";
  /** Of its JSON, or of its blob, in the joined payload of the segment. */
  readonly at: number;
  readonly isHollow: boolean;
}

/** What can be read of a batch without any key. @throws Damaged when it does not hold records */
export function factsIn({
  segment,
  firstPage,
  payload,
}: Pick<Batch, "segment" | "firstPage" | "payload">): RecordFacts[] {
  const stretch = { segment, payload, base: firstPage * payloadBytes };
  const found: RecordFacts[] = [];
  for (let at = 0; at < payload.length; ) {
    const facts = readFacts(stretch, at);
    if (facts === undefined) {
      throw new Damaged({
        file: segmentName(segment),
        page: firstPage,
        what: "record",
        messages: [],
      });
    }
    found.push(facts);
    at = facts.end;
  }
  return found;
}

export function standingsIn(records: readonly RecordFacts[]): Standing[] {
  return records.flatMap(({ kind, isHollow, place }): Standing[] => {
    const { lsn, jsonAt, jsonBytes } = place;
    switch (kind) {
      case "accepted":
      case "appended":
      case "refused":
        return [{ lsn, table: "message", at: jsonAt, isHollow }];
      case "content":
      case "content-part":
        return [{ lsn, table: "blob", at: jsonAt + jsonBytes, isHollow }];
      default:
        return [];
    }
  });
}

/** Within a transaction. */
export function placeAnew(views: Views, standings: readonly Standing[]): void {
  for (const { lsn, table, at, isHollow } of standings) {
    if (table === "message") views.run("UPDATE message SET json_at = ? WHERE seq = ?", at, lsn);
    else if (isHollow) views.run("DELETE FROM blob WHERE seq = ?", lsn);
    else views.run("UPDATE blob SET at = ? WHERE seq = ?", at, lsn);
  }
}

/** Within the transaction that ends the placing: until then a start does all of it again. */
export function setRevision(views: Views, segment: number, revision: number): void {
  views.run("INSERT OR REPLACE INTO segment VALUES (?, ?)", segment, revision);
}

/**
 * Tells the views of compactions that ended without them, or of all when they are new.
 *
 * @param mark undefined for new views
 * @returns the mark where its batch stands now, or undefined when the views know of later
 *   revisions than there are
 */
export async function followRevisions(
  segments: Segments,
  views: Views,
  mark: Watermark | undefined,
): Promise<Watermark | undefined> {
  const known = new Map(
    views.all("SELECT * FROM segment").map((row) => [row["number"], row["revision"] as number]),
  );
  let moved = mark;
  for (const segment of await segments.numbers()) {
    const before = known.get(segment) ?? 0;
    const revision = (await revisionOf(segments, segment)) ?? before;
    if (revision < before) return undefined;
    if (revision === before) continue;
    const isSeen = mark !== undefined && segment <= mark.segment;
    const { standings, marked } = isSeen ? await walk(segments, segment, mark) : nothing;
    if (segment === mark?.segment) {
      if (marked === undefined) return undefined;
      moved = { ...mark, page: marked };
    }
    const now = moved;
    views.transaction(() => {
      placeAnew(views, standings);
      setRevision(views, segment, revision);
      if (now !== undefined) views.setWatermark(now);
    });
  }
  return moved;
}

const nothing = { standings: [], marked: undefined };

/** @returns where everything stands, and on which page the marked batch begins */
async function walk(
  segments: Segments,
  segment: number,
  mark: Watermark,
): Promise<{ standings: readonly Standing[]; marked: number | undefined }> {
  const window = new PageWindow(segments);
  const pages = await segments.pages(segment);
  const standings: Standing[] = [];
  let marked: number | undefined;
  let page = 0;
  for (let generation = await firstGeneration(segments, segment); page < pages; ) {
    const at = { segment, page, generation: generation ?? 0 };
    const batch = await readBatch(window, segments, at);
    if (batch === undefined || generation === undefined) {
      throw pageError(segmentName(segment), page, "empty");
    }
    standings.push(...standingsIn(factsIn(batch)));
    if (generation === mark.generation) marked = page;
    page += batch.pages;
    generation += 1;
  }
  return { standings, marked };
}

/** Every page tells it. @returns undefined when none of the first can */
export async function revisionOf(segments: Segments, segment: number): Promise<number | undefined> {
  const page = Buffer.alloc(pageBytes);
  for (let number = 0; number < askedPages; number += 1) {
    await segments.readAll(segment, number, page);
    const header = checkPage(page, segments.storeId, segment, number);
    if (typeof header !== "string") return header.revision;
  }
  return undefined;
}
