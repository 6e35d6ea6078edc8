/** Sets of UIDs, short: runs of what exists. */

import type { UidRanges } from "#contracts/store";
import type { UidSpans } from "./records.ts";

/**
 * @param chosen ascending, a subset of `existing`
 * @param existing every UID of the mailbox between the first and last chosen, ascending
 */
export function spansOf(chosen: readonly number[], existing: readonly number[]): UidSpans {
  const spans: [number, number][] = [];
  let at = existing.indexOf(chosen[0] ?? 0);
  for (const uid of chosen) {
    const last = spans.at(-1);
    if (last !== undefined && existing[at] === uid) last[1] = uid;
    else {
      spans.push([uid, uid]);
      while (existing[at] !== uid) at += 1;
    }
    at += 1;
  }
  return spans;
}

/** As a caller means them: "everything" without ranges; never beyond what SQLite counts. */
export function rangesOf(ranges: UidRanges | undefined): readonly (readonly [number, number])[] {
  if (ranges === undefined) return [[1, Number.MAX_SAFE_INTEGER]];
  return ranges.map(({ from, to }) => [from, Math.min(to, Number.MAX_SAFE_INTEGER)]);
}
