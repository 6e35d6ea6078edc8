/** Whether two kinds of work can be told apart by how long they take. */

import { pick, systemRandom } from "#base/random";

/**
 * Area under the ROC curve: the chance that a sample of `one` took longer than one of `other`. One
 * half: nothing can be told.
 */
export function areaUnderCurve(one: readonly number[], other: readonly number[]): number {
  const all = [
    ...one.map((value) => ({ value, isOne: true })),
    ...other.map((value) => ({ value, isOne: false })),
  ].sort((left, right) => left.value - right.value);
  let ranks = 0;
  for (let at = 0; at < all.length; ) {
    let end = at;
    while (end < all.length && all[end]?.value === all[at]?.value) end += 1;
    const rank = (at + 1 + end) / 2; // those that took equally long share their ranks
    for (; at < end; at += 1) if (all[at]?.isOne) ranks += rank;
  }
  const least = (one.length * (one.length + 1)) / 2;
  return (ranks - least) / (one.length * other.length);
}

/**
 * Takes turns in random order, so that neither drift nor a rhythm of the machine (four threads that
 * hash in turn, a collector) meets one of the two alone. @returns milliseconds
 */
export async function timeInTurns(
  samples: number,
  one: (round: number) => Promise<unknown>,
  other: (round: number) => Promise<unknown>,
): Promise<readonly [number[], number[]]> {
  const times: readonly [number[], number[]] = [[], []];
  const works = [one, other] as const;
  for (let round = 0; round < samples; round += 1) {
    for (const which of pick(systemRandom, 2) === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const begin = performance.now();
      await works[which](round);
      times[which].push(performance.now() - begin);
    }
  }
  return times;
}
