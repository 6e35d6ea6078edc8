/** Randomness as an argument: the system's for keys and ids, a seeded one for runs that replay. */

import { randomBytes, randomFillSync } from "node:crypto";

export interface Random {
  bytes(length: number): Buffer;
  /** Uniform in [0, 1). */
  fraction(): number;
}

const word = new Uint32Array(1);

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  fraction: () => (randomFillSync(word)[0] ?? 0) / 0x1_0000_0000,
};

/** The same seed gives the same run. Never for keys. */
export function seededRandom(seed: number): Random {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const next = (): number => {
    // Mulberry32: 32 bits of state are plenty for choosing faults.
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    fraction: () => next() / 0x1_0000_0000,
    bytes: (length) => Buffer.from(Uint8Array.from({ length }, () => next() >>> 24)),
  };
}

/** A whole number in [0, below). */
export function pick(random: Random, below: number): number {
  return Math.floor(random.fraction() * below);
}
