/** The history as a tree (RFC 6962 §2.1): every record a leaf, in order of their sequence numbers. */

import {
  appendLeaf,
  consistencyProof,
  emptyFrontier,
  type Frontier,
  formatFrontier,
  frontierRoot,
  hashBytes,
  inclusionProof,
  parseFrontier,
  type TileReader,
  tileRoot,
  tileWidth,
} from "#formats/merkle";
import type { Views } from "./views.ts";

export class History {
  readonly #views: Views;
  #frontier: Frontier;

  /** @param tree what `grow` gave last, kept with the watermark; undefined for none */
  constructor(views: Views, tree: Uint8Array | undefined) {
    this.#views = views;
    const kept = tree === undefined ? undefined : parseFrontier(Buffer.from(tree));
    this.#frontier = kept?.ok === true ? kept.value : emptyFrontier;
  }

  /** The tree of everything in the views. */
  head(): { readonly size: number; readonly root: Buffer } {
    return { size: this.#frontier.size, root: frontierRoot(this.#frontier) };
  }

  consistency(oldSize: number, size: number): Promise<readonly Buffer[]> {
    return consistencyProof(this.#reader, oldSize, size);
  }

  /** The path from a record's leaf to the root of the tree of that size. */
  inclusion(lsn: number, size: number): Promise<readonly Buffer[]> {
    return inclusionProof(this.#reader, lsn - 1, size);
  }

  async leaf(lsn: number): Promise<Buffer> {
    const at = (lsn - 1) % tileWidth;
    const tile = this.#tile(0, Math.floor((lsn - 1) / tileWidth));
    return tile.subarray(at * hashBytes, (at + 1) * hashBytes);
  }

  /** Within the transaction that applies their records. @returns the tree, for the watermark */
  grow(leaves: readonly Buffer[]): Buffer {
    if (leaves.length > 0) this.#extend(0, this.#frontier.size, leaves);
    for (const leaf of leaves) this.#frontier = appendLeaf(this.#frontier, leaf);
    return formatFrontier(this.#frontier);
  }

  /** @param at how many hashes the level has */
  #extend(level: number, at: number, hashes: readonly Buffer[]): void {
    const roots: Buffer[] = [];
    for (let done = 0; done < hashes.length; ) {
      const number = Math.floor((at + done) / tileWidth);
      const there = (at + done) % tileWidth;
      const fresh = hashes.slice(done, done + tileWidth - there);
      const before = there === 0 ? [] : [this.#tile(level, number)];
      const tile = Buffer.concat([...before, ...fresh]);
      this.#views.run("INSERT OR REPLACE INTO tile VALUES (?, ?, ?)", level, number, tile);
      if (tile.length === tileWidth * hashBytes) roots.push(tileRoot(tile));
      done += fresh.length;
    }
    if (roots.length > 0) this.#extend(level + 1, Math.floor(at / tileWidth), roots);
  }

  #tile(level: number, number: number): Buffer {
    const sql = "SELECT hashes FROM tile WHERE level = ? AND number = ?";
    const row = this.#views.get(sql, level, number);
    return Buffer.from((row?.["hashes"] as Uint8Array | undefined) ?? []);
  }

  readonly #reader: TileReader = { read: (level, tile) => this.#tile(level, tile) };
}
