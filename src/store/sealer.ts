/** Sealing in the background: one segment after the other, and again later when the disk says no. */

import type { Clock, Timer } from "#base/clock";
import type { Log } from "#base/log";
import { Damaged, WrongVersion } from "./damage.ts";
import type { Maintenance } from "./maintenance.ts";
import { firstGeneration, pagesInUse, sealSegment } from "./seal.ts";
import { type Segments, segmentName } from "./segments.ts";

const retryMs = 60_000;

interface SealerParts {
  readonly segments: Segments;
  readonly clock: Clock;
  readonly log: Log;
  readonly maintenance: Maintenance;
}

/** The segment in use, and the number of the next batch. */
interface OpenSegment {
  readonly segment: number;
  readonly generation: number;
}

export class Sealer {
  readonly #parts: SealerParts;
  readonly #waiting = new Set<number>();
  /** Pages in use of segments that were left by this process. */
  readonly #pages = new Map<number, number>();
  readonly #stop = new AbortController();
  readonly #opened: OpenSegment;
  #hasLooked = false;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;

  /** Begins with what an earlier process did not come to. */
  constructor(parts: SealerParts, opened: OpenSegment) {
    this.#parts = parts;
    this.#opened = opened;
    this.#begin();
  }

  /**
   * @param pages in use in a segment that is written no more
   * @param ready when its second copy is complete
   */
  seal(segment: number, pages: number, ready: Promise<void> = Promise.resolve()): void {
    this.#pages.set(segment, pages);
    void ready.then(() => {
      this.#waiting.add(segment);
      this.#begin();
    });
  }

  /** Pages in use of a segment that is written no more, without the help of parity. @throws Damaged */
  async pagesInUse(segment: number): Promise<number> {
    const known = this.#pages.get(segment);
    if (known !== undefined) return known;
    const { segments } = this.#parts;
    const { segment: open, generation } = this.#opened;
    let limit: number | undefined;
    for (const later of await segments.numbers()) {
      if (later > segment && later <= open) limit ??= await firstGeneration(segments, later);
    }
    return pagesInUse(segments, segment, limit ?? generation);
  }

  /** Gives up what is not sealed: the next start goes on with it. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#timer?.cancel();
    await this.#running;
  }

  #begin(): void {
    if (this.#stop.signal.aborted || this.#timer !== undefined) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#waiting.size > 0) this.#begin();
    });
  }

  async #run(): Promise<void> {
    const { clock, log, maintenance } = this.#parts;
    try {
      if (!this.#hasLooked) await this.#look();
      for (const segment of this.#waiting) {
        if (this.#stop.signal.aborted) return;
        await maintenance.run(() => this.#seal(segment));
        this.#waiting.delete(segment);
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      log.write("warn", "store.seal-failed", { reason: String(error) });
      this.#timer = clock.after(retryMs, () => {
        this.#timer = undefined;
        this.#begin();
      });
    }
  }

  async #look(): Promise<void> {
    const { segments } = this.#parts;
    const sealed = new Set(await segments.numbers("parity"));
    for (const segment of await segments.numbers()) {
      if (segment < this.#opened.segment && !sealed.has(segment)) this.#waiting.add(segment);
    }
    // A cut came between the two.
    for (const copy of await segments.numbers("tail")) {
      if (sealed.has(copy)) await segments.remove("tail", copy);
    }
    this.#hasLooked = true;
  }

  async #seal(segment: number): Promise<void> {
    const { segments, log } = this.#parts;
    const file = segmentName(segment);
    try {
      const pages = await this.pagesInUse(segment);
      if (pages > 0) await sealSegment(segments, segment, pages, this.#stop.signal);
      else await segments.remove("tail", segment);
      log.write("info", "store.sealed", { file, pages });
    } catch (error) {
      if (!(error instanceof Damaged || error instanceof WrongVersion)) throw error;
      // Its second copy stays. The next start tries again, and so does the scrub.
      log.write("error", "store.seal-refused", { file, reason: error.message });
    }
  }
}
