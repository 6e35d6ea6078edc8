/** Answers kept for their time, the oldest leaving when there are too many. */

import type { Clock } from "#base/clock";
import type { DnsAnswer } from "./record.ts";

/** Seconds. A day is enough for anyone; below one, a burst of mails would ask for each. */
const longest = 86_400;
const shortest = 1;

/** On average; bounds the memory when answers are large. */
const octetsPerEntry = 1024;

interface Entry {
  readonly answer: DnsAnswer;
  /** Made once, so that a hit allocates nothing. */
  readonly promise: Promise<DnsAnswer>;
  readonly untilMs: number;
  readonly sizeBytes: number;
}

export class AnswerCache {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #entries = new Map<string, Entry>();
  #sizeBytes = 0;

  constructor(clock: Clock, capacity: number) {
    this.#clock = clock;
    this.#capacity = capacity;
  }

  get(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.untilMs > this.#clock.tickMs()) return entry;
    this.#remove(key, entry);
    return undefined;
  }

  /** @param sizeBytes about what the answer takes in memory */
  put(key: string, answer: DnsAnswer, ttl: number, sizeBytes: number): void {
    if (this.#capacity === 0) return;
    const seconds = Math.min(Math.max(ttl, shortest), longest);
    const untilMs = this.#clock.tickMs() + seconds * 1000;
    const before = this.#entries.get(key);
    if (before !== undefined) this.#remove(key, before);
    this.#entries.set(key, { answer, promise: Promise.resolve(answer), untilMs, sizeBytes });
    this.#sizeBytes += sizeBytes;
    for (const [oldest, entry] of this.#entries) {
      const fits =
        this.#entries.size <= this.#capacity && this.#sizeBytes <= this.#capacity * octetsPerEntry;
      if (fits) break;
      this.#remove(oldest, entry);
    }
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#sizeBytes -= entry.sizeBytes;
  }
}
