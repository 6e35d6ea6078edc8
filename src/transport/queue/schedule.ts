/** When to try again (RFC 5321 §4.5.4.1). */

import type { Random } from "#base/random";
import type { QueueItem } from "#model/queue";
import type { QueueParameters } from "./parameters.ts";

type Waits = Pick<QueueParameters, "firstRetryS" | "maxRetryS">;

/** Share of a wait that chance adds or takes, so that what failed together is not tried together. */
const jitter = 0.2;

/** Milliseconds to wait after so many tries before this one. */
export function waitMs(tries: number, random: Random, { firstRetryS, maxRetryS }: Waits): number {
  const doubled = firstRetryS * 2 ** Math.min(tries, 30);
  const spread = 1 + jitter * (2 * random.fraction() - 1);
  return Math.round(Math.min(doubled, maxRetryS) * 1000 * spread);
}

/**
 * @param item as before the attempt that was just deferred
 * @returns undefined when it is time to give up
 */
export function nextAttemptAt(
  item: Pick<QueueItem, "attempts" | "queuedAtMs">,
  nowMs: number,
  random: Random,
  parameters: Waits & Pick<QueueParameters, "giveUpS">,
): number | undefined {
  const giveUpAtMs = item.queuedAtMs + parameters.giveUpS * 1000;
  if (nowMs >= giveUpAtMs) return undefined;
  // The last try is at the end.
  return Math.min(nowMs + waitMs(item.attempts, random, parameters), giveUpAtMs);
}
