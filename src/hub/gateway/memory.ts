/** Answers that hold for a while, in bounded room: who guesses names pushes out guesses only. */

import type { Clock } from "#base/clock";

/** Ours. */
const mostKnown = 100_000;
const mostUnknown = 20_000;

export class Memory {
  readonly #clock: Clock;
  readonly #known: Kept;
  readonly #unknown: Kept;

  constructor(clock: Clock, knownMs: number, unknownMs: number) {
    this.#clock = clock;
    this.#known = new Kept(mostKnown, knownMs);
    this.#unknown = new Kept(mostUnknown, unknownMs);
  }

  get(address: string): boolean | undefined {
    const nowMs = this.#clock.tickMs();
    if (this.#known.has(address, nowMs)) return true;
    return this.#unknown.has(address, nowMs) ? false : undefined;
  }

  put(address: string, isKnown: boolean): void {
    const nowMs = this.#clock.tickMs();
    (isKnown ? this.#unknown : this.#known).delete(address);
    (isKnown ? this.#known : this.#unknown).put(address, nowMs);
  }
}

class Kept {
  readonly #most: number;
  readonly #forMs: number;
  /** In the order in which they end. */
  readonly #untilMs = new Map<string, number>();

  constructor(most: number, forMs: number) {
    this.#most = most;
    this.#forMs = forMs;
  }

  has(address: string, nowMs: number): boolean {
    const untilMs = this.#untilMs.get(address);
    if (untilMs === undefined) return false;
    if (nowMs < untilMs) return true;
    this.#untilMs.delete(address);
    return false;
  }

  put(address: string, nowMs: number): void {
    if (this.#forMs === 0) return;
    this.#untilMs.delete(address);
    this.#untilMs.set(address, nowMs + this.#forMs);
    const [oldest] = this.#untilMs.keys();
    if (this.#untilMs.size > this.#most && oldest !== undefined) this.#untilMs.delete(oldest);
  }

  delete(address: string): void {
    this.#untilMs.delete(address);
  }
}
