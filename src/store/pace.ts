/** A limit on how fast something is read in the background. */

import { setImmediate } from "node:timers/promises";
import type { Clock, Timer } from "#base/clock";

export class Pace {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number | undefined;
  readonly #sinceMs: number;
  #bytes = 0;

  /** @param bytesPerSecond undefined: as fast as it goes, with others let in between */
  constructor(clock: Clock, bytesPerSecond?: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#sinceMs = clock.tickMs();
  }

  /** Waits as long as these octets should have taken, or until it is called off. */
  async spend(bytes: number, signal?: AbortSignal): Promise<void> {
    this.#bytes += bytes;
    const spentMs = this.#clock.tickMs() - this.#sinceMs;
    const dueMs = (this.#bytes / (this.#bytesPerSecond ?? Number.POSITIVE_INFINITY)) * 1000;
    if (dueMs <= spentMs) return setImmediate();
    await new Promise<void>((resolve) => {
      let timer: Timer | undefined;
      function done(): void {
        timer?.cancel();
        signal?.removeEventListener("abort", done);
        resolve();
      }
      signal?.addEventListener("abort", done);
      timer = this.#clock.after(dueMs - spentMs, done);
      if (signal?.aborted === true) done();
    });
  }
}
