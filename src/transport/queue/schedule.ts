/** When to try again (RFC 5321 §4.5.4.1). */

import type { Random } from "#base/random";
import type { QueueItem } from "#model/queue";
import type { QueueParameters } from "./parameters.ts";

/** Share of a wait that chance adds or takes, so that what failed together is not tried together. */
const jitter = 0.2;

/**
 * @param item as before the attempt that was just deferred
 * @returns undefined when it is time to give up
 */
export function nextAttemptAt(
  item: Pick<QueueItem, "attempts" | "queuedAtMs">,
  nowMs: number,
  random: Random,
  parameters: Pick<QueueParameters, "firstRetryS" | "maxRetryS" | "giveUpS">,
): number | undefined {
  const giveUpAtMs = item.queuedAtMs + parameters.giveUpS * 1000;
  if (nowMs >= giveUpAtMs) return undefined;
  const doubled = parameters.firstRetryS * 2 ** Math.min(item.attempts, 30);
  const waitMs = Math.min(doubled, parameters.maxRetryS) * 1000;
  const spread = 1 + jitter * (2 * random.fraction() - 1);
  return Math.min(Math.round(nowMs + waitMs * spread), giveUpAtMs); // the last try is at the end
}
