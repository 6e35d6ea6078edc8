/** Stored hashes in tiles of 256 (in the manner of C2SP tlog-tiles): a proof reads a handful. */

import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { foldRight, hashBytes, nodeHash } from "./hash.ts";

/** Hashes in a full tile. */
export const tileWidth = 256;

/**
 * Where the hashes of a tree are kept. Level 0 has the leaf hashes; hash i of level n + 1 is the root
 * of tile i of level n (`tileRoot`), and is there as soon as that tile is full.
 */
export interface TileReader {
  /**
   * The first hashes of a tile, joined.
   *
   * @param count at most 256, and never more than the tree of the asked size has; more may be given
   */
  read(level: number, tile: number, count: number): Buffer | Promise<Buffer>;
}

/** Root of a full tile, which is a hash of the next level. */
export function tileRoot(tile: Buffer): Buffer {
  assert(tile.length === tileWidth * hashBytes);
  return perfectRoot(tile, 0, tileWidth);
}

/** Leaves from the first (inclusive) to the last (exclusive) of a subtree. */
export type Span = readonly [from: number, to: number];

/** Hashes of subtrees of one tree; a tile is read once, however many of them need it. */
export function subtreeHashes(reader: TileReader, size: number): (span: Span) => Promise<Buffer> {
  const tiles = new Map<string, Promise<Buffer>>();
  const read = (level: number, tile: number): Promise<Buffer> => {
    const name = `${level}/${tile}`;
    const complete = Math.floor(size / tileWidth ** level) - tile * tileWidth;
    const found = tiles.get(name) ?? readTile(reader, level, tile, Math.min(tileWidth, complete));
    tiles.set(name, found);
    return found;
  };
  return async ([from, to]) => {
    const roots: Buffer[] = [];
    for (let at = from; at < to; ) {
      const width = completeWidth(at, to);
      const level = levelOf(width);
      const first = at / tileWidth ** level;
      const tile = Math.floor(first / tileWidth);
      const hashes = await read(level, tile);
      roots.push(perfectRoot(hashes, first % tileWidth, width / tileWidth ** level));
      at += width;
    }
    return foldRight(roots);
  };
}

async function readTile(
  reader: TileReader,
  level: number,
  tile: number,
  count: number,
): Promise<Buffer> {
  const hashes = await reader.read(level, tile, count);
  assert(hashes.length >= count * hashBytes, `tile ${level}/${tile} is too short`);
  return hashes;
}

/** Leaves of the largest complete subtree that begins there. */
function completeWidth(at: number, to: number): number {
  let width = 1;
  while (at + 2 * width <= to && at % (2 * width) === 0) width *= 2;
  return width;
}

/** Highest level that has a complete subtree of this many leaves as whole hashes. */
function levelOf(width: number): number {
  let level = 0;
  while (width >= tileWidth ** (level + 1)) level += 1;
  return level;
}

/** @param count a power of two */
function perfectRoot(hashes: Buffer, first: number, count: number): Buffer {
  let row = Array.from({ length: count }, (_, at) =>
    hashes.subarray((first + at) * hashBytes, (first + at + 1) * hashBytes),
  );
  while (row.length > 1) {
    const above: Buffer[] = [];
    for (let at = 0; at < row.length; at += 2) {
      above.push(nodeHash(row[at] as Buffer, row[at + 1] as Buffer));
    }
    row = above;
  }
  return row[0] as Buffer;
}
