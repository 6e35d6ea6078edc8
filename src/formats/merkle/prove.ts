/** Proofs that a leaf is in a tree, and that one tree begins another (RFC 6962 §2.1.1, §2.1.2). */

import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { type Span, subtreeHashes, type TileReader } from "./tiles.ts";

/**
 * The audit path of a leaf, from the leaf's neighbour to the root (§2.1.1).
 *
 * @param index from 0, below the size
 * @param size of the tree to prove it for; the reader may hold more
 */
export function inclusionProof(reader: TileReader, index: number, size: number): Promise<Buffer[]> {
  assert(index >= 0 && index < size);
  const spans: Span[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + leftLeaves(to - from);
    if (index < middle) {
      spans.push([middle, to]);
      to = middle;
    } else {
      spans.push([from, middle]);
      from = middle;
    }
  }
  return hashesOf(reader, size, spans);
}

/**
 * What shows that the tree of `size` leaves begins with the tree of `oldSize` leaves (§2.1.2); empty
 * when the old one is empty or both are the same.
 */
export function consistencyProof(
  reader: TileReader,
  oldSize: number,
  size: number,
): Promise<Buffer[]> {
  assert(oldSize >= 0 && oldSize <= size);
  if (oldSize === 0) return Promise.resolve([]);
  const spans: Span[] = [];
  let [from, to] = [0, size];
  while (oldSize !== to) {
    const middle = from + leftLeaves(to - from);
    if (oldSize <= middle) {
      spans.push([middle, to]);
      to = middle;
    } else {
      spans.push([from, middle]);
      from = middle;
    }
  }
  // The verifier knows the old root, so it need not be told when it is a node of the new tree.
  if (from > 0) spans.push([from, to]);
  return hashesOf(reader, size, spans);
}

/** Largest power of two below the number of leaves (§2.1). */
function leftLeaves(count: number): number {
  let left = 1;
  while (left * 2 < count) left *= 2;
  return left;
}

/** @param spans from the root downwards; a proof goes the other way */
async function hashesOf(
  reader: TileReader,
  size: number,
  spans: readonly Span[],
): Promise<Buffer[]> {
  const hashOf = subtreeHashes(reader, size);
  const proof: Buffer[] = [];
  for (const span of spans.toReversed()) proof.push(await hashOf(span));
  return proof;
}
