/** Room to write into: the segment in use, the one prepared behind it, and what is promised of them. */

import type { Clock } from "#base/clock";
import type { DiskFile } from "#base/disk";
import { Full } from "#base/errors";
import { pageBytes } from "./pages.ts";
import type { Segments } from "./segments.ts";
import type { TailCopy } from "./tail-copy.ts";

/** After a refusal for want of room, the disk is asked again at most this often. */
const retryMs = 1000;

export interface SupplyOptions {
  readonly segmentBytes: number;
  /** Kept for small acts, so that mail can be deleted when no new mail fits. */
  readonly reserveBytes: number;
  readonly minFreeBytes: number;
  /** Second copy of the segment in use, and parity of those that are left. */
  readonly guard?: SupplyGuard;
  /** Told when there was no room for another segment. */
  readonly onFull?: () => void;
}

export interface SupplyGuard {
  /** @param pages that the segment holds already */
  copy(segment: number, pages: number): TailCopy;
  /** @param copied resolves when the second copy is complete, or nothing more can be done for it */
  left(segment: number, pages: number, copied: Promise<void>): void;
}

/** Where writing goes on, and what is ready behind. */
interface Start {
  readonly file: DiskFile;
  readonly segment: number;
  readonly page: number;
  readonly pages: number;
  readonly ready: { readonly segment: number; readonly pages: number }[];
  readonly highest: number;
}

export class Supply {
  readonly #segments: Segments;
  readonly #clock: Clock;
  readonly #options: SupplyOptions;
  #file: DiskFile;
  #segment: number;
  #page: number;
  #pages: number;
  /** Prepared and empty, ascending. */
  readonly #ready: { readonly segment: number; readonly pages: number }[];
  #highest: number;
  #copy: TailCopy | undefined;
  #preparing: Promise<void> | undefined;
  #refusedAtMs = Number.NEGATIVE_INFINITY;
  /** Pages that admitted work will need. */
  #promised = 0;
  #waiting: (() => void)[] = [];

  private constructor(segments: Segments, clock: Clock, options: SupplyOptions, start: Start) {
    this.#segments = segments;
    this.#clock = clock;
    this.#options = options;
    this.#file = start.file;
    this.#segment = start.segment;
    this.#page = start.page;
    this.#pages = start.pages;
    this.#ready = start.ready;
    this.#highest = start.highest;
    this.#copy = options.guard?.copy(start.segment, start.page);
  }

  /** @param page undefined to begin the segment at its front */
  static async open(
    segments: Segments,
    clock: Clock,
    options: SupplyOptions,
    at: { segment: number; page: number; ready: readonly number[]; highest: number },
  ): Promise<Supply> {
    const { segment, page, highest } = at;
    const file = await segments.openForWriting(segment);
    const pages = await segments.pages(segment);
    const ready = [];
    for (const one of at.ready) ready.push({ segment: one, pages: await segments.pages(one) });
    const start = { file, segment, page, pages, ready, highest };
    const supply = new Supply(segments, clock, options, start);
    supply.#prepareNext();
    return supply;
  }

  get segment(): number {
    return this.#segment;
  }
  get page(): number {
    return this.#page;
  }
  get file(): DiskFile {
    return this.#file;
  }
  /** Pages of the segment in use that are durable in its second copy as well. */
  get copied(): number {
    return this.#copy?.pages ?? 0;
  }
  get pagesLeft(): number {
    return this.#pages - this.#page;
  }

  /**
   * Promises room; `undo` it or `use` it.
   *
   * @returns a promise when the next segment has to be waited for
   * @throws Full
   */
  admit(pages: number, bulk: boolean): void | Promise<void> {
    if (!this.tryAdmit(pages, bulk)) return this.#admitLater(pages, bulk);
  }

  tryAdmit(pages: number, bulk: boolean): boolean {
    if (!this.#fits(pages, bulk)) return false;
    this.#promised += pages;
    return true;
  }

  async #admitLater(pages: number, bulk: boolean): Promise<void> {
    do {
      this.#prepareNext();
      if (this.#preparing !== undefined) await this.#preparing;
      else if (this.#ready.length > 0 && this.#promised > 0) await this.#settled();
      else throw new Full("the store has no room");
    } while (!this.tryAdmit(pages, bulk));
  }

  /** Resolves when some of the promised room was used or given back. */
  #settled(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  undo(pages: number): void {
    this.#promised -= pages;
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** Takes note of pages that are durable now at the end of the segment in use. */
  written(pages: Buffer): void {
    this.#copy?.written(pages, this.#page);
    this.#page += pages.length / pageBytes;
  }

  /** Goes on to the next segment. @throws Full when there is none */
  async advance(): Promise<void> {
    this.#prepareNext();
    await this.#preparing;
    const next = this.#ready.shift();
    if (next === undefined) throw new Full("the store has no segment to go on with");
    await this.#file.close();
    this.#file = await this.#segments.openForWriting(next.segment);
    const { guard } = this.#options;
    guard?.left(this.#segment, this.#page, this.#copy?.close() ?? Promise.resolve());
    this.#copy = guard?.copy(next.segment, 0);
    this.#segment = next.segment;
    this.#page = 0;
    this.#pages = next.pages;
    this.#prepareNext();
  }

  async close(): Promise<void> {
    await this.#preparing;
    await this.#copy?.close();
    await this.#file.close();
  }

  #fits(pages: number, bulk: boolean): boolean {
    // With a next segment at hand the rest of this one may go to waste: count the larger only.
    const room = Math.max(this.pagesLeft, this.#ready[0]?.pages ?? 0) - this.#promised;
    return room >= pages + (bulk ? Math.ceil(this.#options.reserveBytes / pageBytes) : 0);
  }

  #prepareNext(): void {
    if (this.#ready.length > 0 || this.#preparing !== undefined) return;
    if (this.#clock.tickMs() - this.#refusedAtMs < retryMs) return;
    const number = this.#highest + 1;
    const { segmentBytes, minFreeBytes } = this.#options;
    this.#preparing = this.#segments
      .prepare(number, segmentBytes, minFreeBytes)
      .then(() => {
        this.#highest = number;
        this.#ready.push({ segment: number, pages: Math.floor(segmentBytes / pageBytes) });
      })
      .catch(() => {
        // Whatever the disk said, there is no segment: callers see Full, and it is tried again.
        this.#refusedAtMs = this.#clock.tickMs();
        this.#options.onFull?.();
      })
      .finally(() => {
        this.#preparing = undefined;
      });
  }
}
