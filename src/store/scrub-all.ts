/** A scrub from beginning to end, told as it goes and added up. */

import type { Clock } from "#base/clock";
import { type AffectedMessage, affectedBy } from "./affected.ts";
import { Damaged } from "./damage.ts";
import type { ExamineParts } from "./examine.ts";
import { surveyLedger } from "./groups.ts";
import type { Finding } from "./keeper.ts";
import type { OpenStore } from "./open.ts";
import { Pace } from "./pace.ts";
import { payloadBytes } from "./pages.ts";
import { openKeys } from "./recover.ts";
import { Repair, type Repaired, restoreLost } from "./repair.ts";
import { keptViews } from "./salvage-views.ts";
import { PageWindow } from "./scan.ts";
import { type ScrubResult, scrubSegment } from "./scrub.ts";
import type { ScrubNowOptions } from "./scrubber.ts";
import { Segments } from "./segments.ts";
import { StoreKeys } from "./store-keys.ts";

export interface ScrubReport {
  readonly segments: number;
  readonly pages: number;
  readonly bytes: number;
  readonly repaired: readonly Repaired[];
  /** Beyond repair, with the mail on it. */
  readonly damaged: readonly Finding[];
}

export interface ScrubTold extends ScrubNowOptions {
  /** Told of each segment when it is done. */
  readonly onSegment?: (result: ScrubResult) => void;
}

/** Everything now, in an open store. @throws the signal's reason */
export async function scrubAll(
  store: Pick<OpenStore, "scrub" | "health">,
  { onSegment, ...options }: ScrubTold,
): Promise<ScrubReport> {
  const sum = new Sum();
  for await (const result of store.scrub(options)) {
    sum.add(result);
    onSegment?.(result);
  }
  return sum.report((await store.health()).damaged);
}

export type StoppedParts = Pick<
  ExamineParts,
  "disk" | "directory" | "master" | "indexPath" | "random"
> & { readonly clock: Clock };

/**
 * The same for files that are damaged so badly that no store opens on them. The caller sees to it
 * that it is stopped; no ledger counts what is repaired here.
 *
 * @throws Misconfigured without the right keys
 */
export async function scrubFiles(
  parts: StoppedParts,
  { onSegment, onProgress, signal, bytesPerSecond }: ScrubTold,
): Promise<ScrubReport> {
  const segments = new Segments(parts.disk, parts.directory);
  const repair = new Repair(segments, () => undefined);
  segments.repair = repair;
  try {
    const file = await openKeys(segments, parts, parts.master);
    const sum = new Sum();
    if (file === undefined) return sum.report([]);
    await restoreLost(segments, repair).catch(unlessDamaged);
    const sizes = await sizesOf(segments);
    const allBytes = await segments.sizeBytes();
    let done = 0;
    const told = (bytes: number): void => {
      done = Math.min(done + bytes, allBytes);
      onProgress?.(done, allBytes);
    };
    const pace = new Pace(parts.clock, bytesPerSecond);
    for (const [segment, pages] of sizes) {
      const options = { pages, copied: pages && (await copiedOf(segments, segment, pages)) };
      const found = { ...options, pace, signal, onProgress: told };
      const result = await scrubSegment(segments, repair, segment, found);
      sum.add(result);
      onSegment?.(result);
    }
    const views = keptViews(parts.indexPath, new StoreKeys(file));
    try {
      const mailOn = (segment: number, page: number): readonly AffectedMessage[] =>
        views === undefined
          ? []
          : affectedBy(views, segment, page * payloadBytes, (page + 1) * payloadBytes);
      const foundAtMs = parts.clock.nowMs();
      return sum.report(
        sum.damaged.map(({ segment, messages: _none, ...place }) => {
          const mail = place.file.startsWith("segment") ? mailOn(segment, place.page) : [];
          return { ...place, foundAtMs, mail };
        }),
      );
    } finally {
      views?.close();
    }
  } finally {
    await segments.close();
  }
}

/** Pages in use of what has no parity; undefined where parity tells. */
async function sizesOf(segments: Segments): Promise<Map<number, number | undefined>> {
  const guarded = await segments.numbers("parity");
  const spans = await surveyLedger(new PageWindow(segments), segments, Number.POSITIVE_INFINITY);
  const sizes = new Map<number, number | undefined>();
  for (const { segment, end } of spans) sizes.set(segment, end);
  for (const segment of guarded) sizes.set(segment, undefined);
  return new Map([...sizes].sort(([one], [other]) => one - other));
}

async function copiedOf(segments: Segments, segment: number, pages: number): Promise<number> {
  return Math.min(pages, await segments.pages(segment, "tail"));
}

function unlessDamaged(error: unknown): void {
  if (!(error instanceof Damaged)) throw error;
}

class Sum {
  #segments = 0;
  #pages = 0;
  #bytes = 0;
  readonly #repaired: Repaired[] = [];
  readonly damaged: (ScrubResult["damaged"][number] & { readonly segment: number })[] = [];

  add({ segment, pages, bytes, repaired, damaged }: ScrubResult): void {
    this.#segments += 1;
    this.#pages += pages;
    this.#bytes += bytes;
    this.#repaired.push(...repaired);
    this.damaged.push(...damaged.map((one) => ({ ...one, segment })));
  }

  report(damaged: readonly Finding[]): ScrubReport {
    const [segments, pages, bytes] = [this.#segments, this.#pages, this.#bytes];
    return { segments, pages, bytes, repaired: this.#repaired, damaged };
  }
}
