/**
 * Pages with several wrong bits, by seed: none may be taken for a page with one.
 *
 * `node src/store/page-errors.ts --count 1000000 [--seed N]`
 */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { pick, type Random, seededRandom } from "#base/random";
import { bitOf, correctBit } from "./bit-repair.ts";
import { flipBit, soundPage, storeId } from "./page-fixture.ts";
import { checksumOf, headerBytes, pageBytes, payloadBytes } from "./pages.ts";

export interface ErrorReport {
  readonly pages: number;
  /** Where the checksum named a bit: only the hash stood against it then. */
  readonly proposed: number;
  readonly misrepaired: number;
}

const header = { flags: 3, page: 5, segment: 2, firstRecord: 0, generation: 77, durable: 76 };
const mostBits = 4096;

/** Ways in which bits go wrong together: the bits from which, and how many of them at most. */
const ways: readonly ((random: Random) => readonly [first: number, span: number])[] = [
  () => [0, pageBytes * 8],
  () => [0, headerBytes * 8],
  () => [0, 24 * 8],
  (random) => burst(random, 64),
  (random) => burst(random, 4096),
  (random) => burst(random, 65_536),
  (random) => [pick(random, 16) * 4096, 4096],
];

function burst(random: Random, longest: number): readonly [number, number] {
  const span = 2 + pick(random, longest - 1);
  return [pick(random, pageBytes * 8 - span + 1), span];
}

/** @param count of pages to spoil, each with 2 to 4096 wrong bits */
export function spoilPages(count: number, seed: number): ErrorReport {
  const random = seededRandom(seed);
  const page = Buffer.alloc(pageBytes);
  let proposed = 0;
  let misrepaired = 0;
  for (let round = 0; round < count; round += 1) {
    if (round % 1000 === 0) {
      const length = [payloadBytes, 300, 0][(round / 1000) % 3] ?? 0;
      soundPage(page, random, { ...header, length });
    }
    const bits = wrongBits(random);
    for (const bit of bits) flipBit(page, bit);
    const syndrome = (page.readUInt32LE(4) ^ checksumOf(page)) >>> 0;
    if (bitOf(syndrome, pageBytes * 8) !== undefined) proposed += 1;
    if (correctBit(page, storeId, header.segment, header.page) !== undefined) misrepaired += 1;
    for (const bit of bits) flipBit(page, bit);
  }
  return { pages: count, proposed, misrepaired };
}

function wrongBits(random: Random): Set<number> {
  const way = ways[pick(random, ways.length)];
  assert(way !== undefined);
  const [first, span] = way(random);
  // Few are as likely as many: two or three are what a checksum could mistake.
  const wanted = Math.min(span, Math.floor(2 * (mostBits / 2) ** random.fraction()));
  const bits = new Set<number>();
  while (bits.size < Math.max(2, wanted)) bits.add(first + pick(random, span));
  return bits;
}

if (import.meta.main) {
  const options = { count: { type: "string" }, seed: { type: "string" } } as const;
  const { values } = parseArgs({ options });
  const startedAt = performance.now();
  const report = spoilPages(Number(values.count ?? 1_000_000), Number(values.seed ?? 1));
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(JSON.stringify({ ...report, seconds }));
  process.exitCode = report.misrepaired === 0 ? 0 : 1;
}
