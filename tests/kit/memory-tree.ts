/** A ledger's tree in memory, with the tiles that proofs read. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import type { HeadSource } from "#contracts/witness";
import {
  appendLeaf,
  consistencyProof,
  emptyFrontier,
  type Frontier,
  frontierRoot,
  hashBytes,
  inclusionProof,
  rootOf,
  tileRoot,
  tileWidth,
} from "#formats/merkle";

export class MemoryTree implements HeadSource {
  readonly leaves: Buffer[] = [];
  #frontier: Frontier = emptyFrontier;

  add(leaf: Buffer): void {
    this.leaves.push(leaf);
    this.#frontier = appendLeaf(this.#frontier, leaf);
  }

  /** Leaves that differ by their seed. */
  grow(count: number, seed = ""): this {
    for (let added = 0; added < count; added += 1) {
      this.add(hash("sha256", `${seed}${this.leaves.length}`, "buffer"));
    }
    return this;
  }

  head(): { readonly size: number; readonly root: Buffer } {
    return { size: this.leaves.length, root: frontierRoot(this.#frontier) };
  }

  rootAt(size: number): Buffer {
    return rootOf(this.leaves.slice(0, size));
  }

  consistency(oldSize: number, size: number): Promise<readonly Buffer[]> {
    return consistencyProof({ read: (...tile) => this.#tile(...tile) }, oldSize, size);
  }

  inclusion(index: number, size: number): Promise<readonly Buffer[]> {
    return inclusionProof({ read: (...tile) => this.#tile(...tile) }, index, size);
  }

  #tile(level: number, tile: number, count: number): Buffer {
    const first = tile * tileWidth;
    const hashes =
      level === 0
        ? this.leaves.slice(first, first + count)
        : Array.from({ length: count }, (_, at) =>
            tileRoot(this.#tile(level - 1, first + at, tileWidth)),
          );
    const joined = Buffer.concat(hashes);
    assert.equal(joined.length, count * hashBytes, "more was asked for than the tree has");
    return joined;
  }
}
