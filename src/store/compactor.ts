/** Which segments are compacted, and when: those with the most dead octets first, one at a time. */

import { Full } from "#base/errors";
import type { Log } from "#base/log";
import { blobsOf, type CompactionParts, compactSegment } from "./compact.ts";
import { Damaged, type DamagePlace, WrongVersion } from "./damage.ts";
import type { Maintenance } from "./maintenance.ts";
import { pageBytes } from "./pages.ts";
import { segmentName } from "./segments.ts";

/** From this share of dead octets on a segment is worth the reading and writing. */
const worthwhile = 0.3;

export interface CompactionReport {
  /** That were compacted. */
  readonly segments: number;
  readonly freedBytes: number;
  /** Beyond repair: those segments were left as they are. */
  readonly findings: readonly DamagePlace[];
}

export interface CompactorParts extends CompactionParts {
  readonly log: Log;
  readonly maintenance: Maintenance;
}

export interface CompactionOptions {
  readonly force?: boolean;
  readonly wantedBytes?: number;
}

interface Candidate {
  readonly segment: number;
  readonly deadBytes: number;
  /** Room for the second file, about. */
  readonly neededBytes: number;
}

export class Compactor {
  readonly #parts: CompactorParts;
  readonly #stop = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(parts: CompactorParts) {
    this.#parts = parts;
  }

  /**
   * One run after the other.
   *
   * @param options force: every segment with a dead octet; wantedBytes: end when so many are free
   * @throws a disk's error; what was not compacted stays as it is
   */
  run(options: CompactionOptions = {}): Promise<CompactionReport> {
    const before = this.#running?.catch(() => undefined);
    const run = (before ?? Promise.resolve()).then(() => this.#run(options));
    this.#running = run;
    return run.finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
  }

  /** As `run`, unless one is under way, and with nobody waiting for the report. */
  start(options: CompactionOptions = {}): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return;
    this.run(options).catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      this.#parts.log.write("warn", "store.compaction-failed", { reason: String(error) });
    });
  }

  /** Gives up the segment that is being compacted. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running?.catch(() => undefined);
  }

  async #run({
    force = false,
    wantedBytes = Number.POSITIVE_INFINITY,
  }: CompactionOptions): Promise<CompactionReport> {
    const { log, maintenance } = this.#parts;
    let segments = 0;
    let freedBytes = 0;
    const findings: DamagePlace[] = [];
    /** Nothing as large as this fits on the disk. */
    let tooLarge = Number.POSITIVE_INFINITY;
    for (const one of await this.#candidates(force)) {
      if (freedBytes >= wantedBytes) break;
      if (one.neededBytes >= tooLarge) continue;
      const outcome = await maintenance.run(() => this.#compact(one));
      if (outcome === "no room") tooLarge = one.neededBytes;
      else if (typeof outcome === "number") {
        segments += 1;
        freedBytes += outcome;
        tooLarge = Number.POSITIVE_INFINITY;
      } else if (outcome !== undefined) findings.push(outcome);
    }
    const report = { segments, freedBytes, findings };
    if (segments > 0) log.write("info", "store.compacted", { segments, freedBytes });
    return report;
  }

  /** @returns the octets that were freed, or why none were */
  async #compact({
    segment,
    neededBytes,
  }: Candidate): Promise<number | "no room" | DamagePlace | undefined> {
    const { log } = this.#parts;
    const file = segmentName(segment);
    this.#stop.signal.throwIfAborted();
    try {
      return (await compactSegment(this.#parts, segment, this.#stop.signal))?.freedBytes;
    } catch (error) {
      if (error instanceof Full) {
        log.write("warn", "store.compaction-no-room", { file, neededBytes });
        return "no room";
      }
      if (!(error instanceof Damaged || error instanceof WrongVersion)) throw error;
      log.write("error", "store.compaction-refused", { file, reason: error.message });
      return error instanceof Damaged ? error.place : undefined;
    }
  }

  async #candidates(force: boolean): Promise<readonly Candidate[]> {
    const { segments, views } = this.#parts;
    const least = force ? 0 : worthwhile;
    const found: Candidate[] = [];
    for (const segment of await segments.numbers("parity")) {
      let bytes = 0;
      let deadBytes = 0;
      for await (const rows of blobsOf(views, segment)) {
        this.#stop.signal.throwIfAborted();
        for (const row of rows) {
          bytes += row["bytes"] as number;
          if (row["dead"] === 1) deadBytes += row["bytes"] as number;
        }
      }
      if (deadBytes === 0 || deadBytes < least * bytes) continue;
      const sizeBytes = (await segments.pages(segment)) * pageBytes;
      found.push({ segment, deadBytes, neededBytes: sizeBytes - deadBytes });
    }
    return found.sort((one, other) => other.deadBytes - one.deadBytes);
  }
}
