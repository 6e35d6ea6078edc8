/** A clock that stands still until the test moves it. */

import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "#base/clock";

export interface FakeClock extends Clock {
  /** Moves time, running each timer at its own moment and letting its promises settle. */
  advance(byMs: number): Promise<void>;
  /** Timers that wait. */
  pending(): number;
}

interface Waiting {
  readonly atMs: number;
  readonly run: () => void;
}

export function fakeClock(startMs: number = Date.UTC(2026, 0, 5, 12)): FakeClock {
  let nowMs = startMs;
  const waiting = new Set<Waiting>();

  const earliest = (untilMs: number): Waiting | undefined => {
    let first: Waiting | undefined;
    for (const one of waiting) {
      if (one.atMs <= untilMs && (first === undefined || one.atMs < first.atMs)) first = one;
    }
    return first;
  };

  return {
    nowMs: () => nowMs,
    tickMs: () => nowMs - startMs,
    after(delayMs, run) {
      const one = { atMs: nowMs + Math.max(0, delayMs), run };
      waiting.add(one);
      return { cancel: () => void waiting.delete(one) };
    },
    async advance(byMs) {
      const untilMs = nowMs + byMs;
      await settle();
      for (let one = earliest(untilMs); one !== undefined; one = earliest(untilMs)) {
        waiting.delete(one);
        nowMs = Math.max(nowMs, one.atMs);
        one.run();
        await settle();
      }
      nowMs = untilMs;
      await settle();
    },
    pending: () => waiting.size,
  };
}

/** A few turns of the event loop: enough for chains of promises and in-process streams. */
export async function settle(turns = 4): Promise<void> {
  for (let count = 0; count < turns; count += 1) await turn();
}
