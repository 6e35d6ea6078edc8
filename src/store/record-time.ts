/** When a record was written, by the clock of the store's own machine. */

import type { LedgerRecord } from "./records.ts";

/** @returns undefined for kinds that do not say it, or that say it by somebody else's clock */
export function timeOf(record: LedgerRecord): number | undefined {
  switch (record.kind) {
    case "accepted":
      return record.acceptedAtMs;
    case "attempted":
      return record.attempt.atMs;
    case "refused":
      return undefined; // an edge's clock
    default:
      return "atMs" in record ? record.atMs : undefined;
  }
}
