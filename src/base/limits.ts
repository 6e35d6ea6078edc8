/** Bounds that keep one peer from taking what belongs to all. */

import type { Clock } from "#base/clock";

/** Allows `ratePerSecond` on average and `burst` at once. */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #ratePerSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor(clock: Clock, ratePerSecond: number, burst: number) {
    this.#clock = clock;
    this.#ratePerSecond = ratePerSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = clock.tickMs();
  }

  take(count = 1): boolean {
    if (this.waitMs(count) > 0) return false;
    this.#tokens -= count;
    return true;
  }

  /** Until take() would allow it; 0: now. */
  waitMs(count = 1): number {
    const nowMs = this.#clock.tickMs();
    const grown = ((nowMs - this.#atMs) / 1000) * this.#ratePerSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + grown);
    this.#atMs = nowMs;
    const missing = count - this.#tokens;
    return missing <= 0 ? 0 : (missing * 1000) / this.#ratePerSecond;
  }
}

/** Lets `width` callers run at once and keeps at most `depth` waiting; the next is turned away. */
export class Gate {
  readonly #width: number;
  readonly #depth: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(width: number, depth: number) {
    this.#width = width;
    this.#depth = depth;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves to undefined when too many wait already. */
  async run<Value>(work: () => Promise<Value>): Promise<Value | undefined> {
    if (this.#running >= this.#width) {
      if (this.#waiting.length >= this.#depth) return undefined;
      await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

/** Counts what is open in all and by owner; enter() and leave() come in pairs. */
export class OpenCounts {
  readonly #most: number;
  readonly #mostPerOwner: number;
  readonly #open = new Map<string, number>();
  #total = 0;

  constructor(most: number, mostPerOwner: number) {
    this.#most = most;
    this.#mostPerOwner = mostPerOwner;
  }

  /** What stands in the way; undefined when it was counted. */
  enter(owner: string): "all" | "owner" | undefined {
    if (this.#total >= this.#most) return "all";
    const count = this.#open.get(owner) ?? 0;
    if (count >= this.#mostPerOwner) return "owner";
    this.#open.set(owner, count + 1);
    this.#total += 1;
    return undefined;
  }

  leave(owner: string): void {
    this.#total -= 1;
    const left = (this.#open.get(owner) ?? 1) - 1;
    if (left > 0) this.#open.set(owner, left);
    else this.#open.delete(owner);
  }
}
