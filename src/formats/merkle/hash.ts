/** The hash of the tree (RFC 6962 §2.1). Leaves come hashed, by whoever says what a leaf is. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";

export const hashBytes = 32;

/** Root of a tree without leaves: SHA-256 of nothing. */
export const emptyRoot: Buffer = hash("sha256", "", "buffer");

/** 0x01, left, right; filled anew for each node. */
const pair = Buffer.alloc(1 + 2 * hashBytes, 1);

/** Interior node: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  assert(left.length === hashBytes && right.length === hashBytes);
  pair.set(left, 1);
  pair.set(right, 1 + hashBytes);
  return hash("sha256", pair, "buffer");
}

/**
 * Root over neighbouring complete subtrees, the largest first: the ragged right edge of a tree hangs
 * from the last of them upwards.
 */
export function foldRight(nodes: readonly Uint8Array[]): Buffer {
  let root: Uint8Array | undefined;
  for (let at = nodes.length - 1; at >= 0; at -= 1) {
    const node = nodes[at] as Uint8Array;
    root = root === undefined ? node : nodeHash(node, root);
  }
  return root === undefined ? emptyRoot : Buffer.from(root);
}
