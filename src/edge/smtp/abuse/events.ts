/** What abuse control counts and logs: every refusal by its reason. */

import type { Clock } from "#base/clock";
import { TokenBucket } from "#base/limits";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { ListOutcome } from "./block-lists.ts";

export type AbuseReason =
  | "only-from"
  | "connections"
  | "messages"
  | "recipients"
  | "unknown-recipients"
  | "block-list"
  | "greylist"
  | "busy";

export interface AbuseEvents {
  refused(reason: AbuseReason, from: string): void;
  listAsked(zone: string, outcome: ListOutcome): void;
  greylistFailed(error: unknown): void;
}

/** A flood of strangers must not become a flood of lines; the counters miss none. */
const linesPerSecond = 10;
const linesAtOnce = 200;

export function abuseEvents(log: Log, registry: Registry, clock: Clock): AbuseEvents {
  const refusals = registry.counter("edge_abuse", "Refusals by abuse control, by reason");
  const lists = registry.counter("edge_block_lists", "Block lists asked, by zone and outcome");
  const lines = new TokenBucket(clock, linesPerSecond, linesAtOnce);
  return {
    refused(reason, from) {
      refusals.add({ reason });
      if (lines.take()) log.write("info", "edge.abuse", { reason, from });
    },
    listAsked(zone, outcome) {
      lists.add({ zone, outcome });
      const isFault = outcome === "failed" || outcome === "misused";
      if (isFault && lines.take()) log.write("warn", "edge.block-list", { zone, outcome });
    },
    greylistFailed: (error) =>
      log.write("error", "edge.greylist-failed", { because: String(error) }),
  };
}
