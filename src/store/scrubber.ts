/** The whole store is scrubbed over and over: what was not read for the longest time comes first. */

import type { Clock, Timer } from "#base/clock";
import type { Log } from "#base/log";
import type { Maintenance } from "./maintenance.ts";
import { Pace } from "./pace.ts";
import { pageBytes } from "./pages.ts";
import type { Repair } from "./repair.ts";
import { type ScrubOptions, type ScrubResult, scrubSegment } from "./scrub.ts";
import type { Sealer } from "./sealer.ts";
import type { Segments } from "./segments.ts";

const dayMs = 86_400_000;
/** With a day in hand, every page is read once in seven. */
const periodMs = 6 * dayMs;
/** How often it is looked what is due. */
const lookMs = 600_000;

export interface ScrubberParts {
  readonly segments: Segments;
  readonly repair: Repair;
  readonly sealer: Pick<Sealer, "seal" | "pagesInUse">;
  readonly maintenance: Maintenance;
  readonly clock: Clock;
  readonly log: Log;
  /** The segment in use: its durable pages, and those of them that its second copy holds. */
  open(): { readonly segment: number; readonly pages: number; readonly copied: number };
  /** At most, unless the store is so large that it would take longer than the period. */
  readonly bytesPerSecond: number;
  lastScrubbedMs(segment: number): number | undefined;
  finished(result: ScrubResult): void;
}

export interface ScrubNowOptions {
  /** Octets a second; undefined: no limit. */
  readonly bytesPerSecond?: number;
  readonly signal?: AbortSignal;
  /** @param bytes done of so many in all */
  readonly onProgress?: (bytes: number, allBytes: number) => void;
}

export class Scrubber {
  readonly #parts: ScrubberParts;
  readonly #stop = new AbortController();
  /** When a segment was begun last, so that one that fails does not keep the others waiting. */
  readonly #begunMs = new Map<number, number>();
  #timer: Timer | undefined;
  #running: Promise<void>;

  /** Begins at once. */
  constructor(parts: ScrubberParts) {
    this.#parts = parts;
    this.#running = this.#round();
  }

  /** Everything, now; the results come one by one. @throws the signal's reason */
  async *scrubNow(options: ScrubNowOptions = {}): AsyncGenerator<ScrubResult> {
    const pace = new Pace(this.#parts.clock, options.bytesPerSecond);
    const signal = AbortSignal.any([this.#stop.signal, options.signal ?? this.#stop.signal]);
    const sizes = new Map<number, number>();
    for (const segment of await this.#numbers()) sizes.set(segment, await this.#sizeBytes(segment));
    const allBytes = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    let before = 0;
    for (const [segment, sizeBytes] of sizes) {
      let done = 0;
      const onProgress = (bytes: number): void => {
        done = Math.min(done + bytes, sizeBytes);
        options.onProgress?.(before + done, allBytes);
      };
      yield await this.#scrub(segment, { pace, signal, onProgress });
      before += sizeBytes; // room at the end of a segment is not read
      options.onProgress?.(before, allBytes);
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#timer?.cancel();
    await this.#running;
  }

  /** Scrubs what is due, then waits until something is again. */
  async #round(): Promise<void> {
    const { clock, log, segments } = this.#parts;
    try {
      for (let next = await this.#next(); next !== undefined; next = await this.#next()) {
        this.#begunMs.set(next, clock.nowMs());
        const needed = (await segments.sizeBytes()) / (periodMs / 1000);
        const rate = Math.max(this.#parts.bytesPerSecond, needed);
        const { signal } = this.#stop;
        await this.#scrub(next, { pace: new Pace(clock, rate), signal });
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        log.write("warn", "store.scrub-failed", { reason: String(error) });
      }
    }
    if (this.#stop.signal.aborted) return;
    this.#timer = clock.after(lookMs, () => {
      this.#running = this.#round();
    });
  }

  /** The segment that is due for the longest time. */
  async #next(): Promise<number | undefined> {
    const nowMs = this.#parts.clock.nowMs();
    let next: number | undefined;
    let oldestMs = nowMs - periodMs;
    for (const segment of await this.#numbers()) {
      const lastMs = this.#lastMs(segment, nowMs);
      if (lastMs >= oldestMs) continue;
      oldestMs = lastMs;
      next = segment;
    }
    return this.#stop.signal.aborted ? undefined : next;
  }

  /** A clock that jumped back must not put a scrub off. */
  #lastMs(segment: number, nowMs: number): number {
    let lastMs = Number.NEGATIVE_INFINITY;
    const begunMs = this.#begunMs.get(segment);
    // One that was begun and not finished is due again a day later.
    const againMs = begunMs === undefined ? undefined : begunMs - periodMs + dayMs;
    for (const time of [this.#parts.lastScrubbedMs(segment), againMs]) {
      if (time !== undefined && time <= nowMs) lastMs = Math.max(lastMs, time);
    }
    return lastMs;
  }

  /** Of all segments up to the one in use, also of those of which only parity is left. */
  async #numbers(): Promise<number[]> {
    const { segments } = this.#parts;
    const last = this.#parts.open().segment;
    const numbers = new Set([...(await segments.numbers()), ...(await segments.numbers("parity"))]);
    return [...numbers].filter((number) => number <= last).sort((one, other) => one - other);
  }

  async #sizeBytes(segment: number): Promise<number> {
    const { segments, open } = this.#parts;
    const inUse = open();
    if (segment === inUse.segment) return (inUse.pages + inUse.copied) * pageBytes;
    const size = await segments.disk.sizeBytes(segments.path(segment));
    return (size ?? 0) + ((await segments.disk.sizeBytes(segments.path(segment, "parity"))) ?? 0);
  }

  #scrub(segment: number, options: Omit<ScrubOptions, "pages" | "copied">): Promise<ScrubResult> {
    const { segments, repair, maintenance, sealer, log } = this.#parts;
    return maintenance.run(async () => {
      const inUse = this.#parts.open();
      const isOpen = segment === inUse.segment;
      const { pages, copied } = isOpen ? inUse : await this.#left(segment);
      const result = await scrubSegment(segments, repair, segment, { ...options, pages, copied });
      if (!result.hasParity && !isOpen && result.pages > 0) sealer.seal(segment, result.pages);
      for (const { file, page, what } of result.damaged) {
        log.write("error", "store.damaged", { file, page, what });
      }
      this.#parts.finished(result);
      return result;
    });
  }

  /** What parity does not tell of a segment that has none. */
  async #left(segment: number): Promise<Pick<ScrubOptions, "pages" | "copied">> {
    const { segments, sealer } = this.#parts;
    const hasParity = (await segments.numbers("parity")).includes(segment);
    return hasParity ? {} : { pages: await sealer.pagesInUse(segment) };
  }
}
