/** Sets of sequence numbers and UIDs (RFC 9051 §9 sequence-set). */

import type { Scanner } from "./scanner.ts";

/** As written: ends in either order; "*" is Infinity. */
export interface SequenceRange {
  readonly from: number;
  readonly to: number;
}

/** "$" is the result of the last SEARCH with SAVE (RFC 9051 §6.4.4.1). */
export type SequenceSet = "$" | readonly SequenceRange[];

export function readSequenceSet(scanner: Scanner): SequenceSet {
  if (scanner.skip("$")) return "$";
  const ranges: SequenceRange[] = [];
  do {
    const from = readNumber(scanner);
    const to = scanner.skip(":") ? readNumber(scanner) : from;
    ranges.push({ from, to });
  } while (scanner.fault === undefined && scanner.skip(","));
  return ranges;
}

function readNumber(scanner: Scanner): number {
  if (scanner.skip("*")) return Number.POSITIVE_INFINITY;
  const value = scanner.number();
  if (value === 0) scanner.fail("Message numbers start at 1");
  return value;
}

/** "1:3,5" from ascending numbers. */
export function formatSet(numbers: Iterable<number>): string {
  let text = "";
  let from = -1;
  let last = -1;
  const close = (): void => {
    if (from < 0) return;
    text += `${text === "" ? "" : ","}${from}${last > from ? `:${last}` : ""}`;
  };
  for (const number of numbers) {
    if (number === last + 1 && from >= 0) last = number;
    else {
      close();
      from = number;
      last = number;
    }
  }
  close();
  return text;
}
