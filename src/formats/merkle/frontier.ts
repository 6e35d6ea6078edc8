/** A growing tree without its leaves: the roots of its complete subtrees (a compact range). */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import { foldRight, hashBytes, nodeHash } from "./hash.ts";

export interface Frontier {
  /** Leaves so far. */
  readonly size: number;
  /** Roots of the complete subtrees from left to right, one for each 1 in the binary size. */
  readonly nodes: readonly Buffer[];
}

export const emptyFrontier: Frontier = { size: 0, nodes: [] };

/** @param leaf hash of 32 octets; copied, so the caller may use its memory again */
export function appendLeaf(frontier: Frontier, leaf: Uint8Array): Frontier {
  const nodes = frontier.nodes.slice();
  let node = leaf;
  for (let rest = frontier.size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    node = nodeHash(nodes.pop() as Buffer, node);
  }
  nodes.push(node === leaf ? Buffer.from(leaf) : (node as Buffer));
  return { size: frontier.size + 1, nodes };
}

/** Root of the tree as it is now. */
export function frontierRoot(frontier: Frontier): Buffer {
  return foldRight(frontier.nodes);
}

/** Root over a list of leaf hashes. */
export function rootOf(leaves: Iterable<Uint8Array>): Buffer {
  let frontier = emptyFrontier;
  for (const leaf of leaves) frontier = appendLeaf(frontier, leaf);
  return frontierRoot(frontier);
}

/** Size in 8 octets, little-endian, then the nodes: at most 1,704 octets. */
export function formatFrontier({ size, nodes }: Frontier): Buffer {
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(BigInt(size));
  return Buffer.concat([head, ...nodes]);
}

export type FrontierFault = "too-large" | "wrong-length";

/** @param octets from a file; whether the nodes are right shows only when a root is compared */
export function parseFrontier(octets: Buffer): Result<Frontier, FrontierFault> {
  if (octets.length < 8) return refuse("wrong-length", octets.length);
  const size = Number(octets.readBigUInt64LE());
  if (!Number.isSafeInteger(size)) return refuse("too-large");
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  if (octets.length !== 8 + count * hashBytes) return refuse("wrong-length", octets.length);
  const nodes = Array.from({ length: count }, (_, at) =>
    Buffer.from(octets.subarray(8 + at * hashBytes, 8 + (at + 1) * hashBytes)),
  );
  return accept({ size, nodes });
}
