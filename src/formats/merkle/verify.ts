/** Checks of proofs that others made (RFC 9162 §2.1.3.2, §2.1.4.2; the proofs are RFC 6962's). */

import { buffer } from "#base/bytes";
import { hashBytes, nodeHash } from "./hash.ts";

export interface TreeHead {
  /** Number of leaves. */
  readonly size: number;
  readonly root: Uint8Array;
}

/**
 * Whether the leaf stands at that place of that tree.
 *
 * @param proof untrusted, as are the index and the leaf; only the head is believed
 */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  head: TreeHead,
  proof: readonly Uint8Array[],
): boolean {
  if (!isCount(index) || !isCount(head.size) || index >= head.size) return false;
  if (![leaf, head.root, ...proof].every(isHash)) return false;
  let at = index;
  let last = head.size - 1;
  let root = leaf;
  for (const node of proof) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      root = nodeHash(node, root);
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else root = nodeHash(root, node);
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && same(root, head.root);
}

/**
 * Whether the newer tree begins with all leaves of the older one. An empty tree begins every other.
 *
 * @param proof untrusted
 */
export function verifyConsistency(
  older: TreeHead,
  newer: TreeHead,
  proof: readonly Uint8Array[],
): boolean {
  if (!isCount(older.size) || !isCount(newer.size) || older.size > newer.size) return false;
  if (![older.root, newer.root, ...proof].every(isHash)) return false;
  if (older.size === newer.size) return proof.length === 0 && same(older.root, newer.root);
  if (older.size === 0) return proof.length === 0;
  let at = older.size - 1;
  let last = newer.size - 1;
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  // The old root is a node of the new tree when its size is a power of two: then it is not in the proof.
  const [first, ...rest] = at === 0 ? [older.root, ...proof] : proof;
  if (first === undefined) return false;
  let oldRoot = first;
  let newRoot = first;
  for (const node of rest) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      oldRoot = nodeHash(node, oldRoot);
      newRoot = nodeHash(node, newRoot);
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else newRoot = nodeHash(newRoot, node);
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && same(oldRoot, older.root) && same(newRoot, newer.root);
}

function half(count: number): number {
  return Math.floor(count / 2);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isHash(octets: Uint8Array): boolean {
  return octets.length === hashBytes;
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return buffer(one).equals(other);
}
