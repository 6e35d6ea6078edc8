import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  appendLeaf,
  consistencyProof,
  emptyFrontier,
  emptyRoot,
  type Frontier,
  formatFrontier,
  frontierRoot,
  hashBytes,
  inclusionProof,
  nodeHash,
  parseFrontier,
  rootOf,
  type TileReader,
  tileRoot,
  tileWidth,
  verifyConsistency,
  verifyInclusion,
} from "#formats/merkle";

const sha = (...parts: Uint8Array[]): Buffer => hash("sha256", Buffer.concat(parts), "buffer");
const leafOf = (number: number): Buffer => sha(Buffer.of(0), Buffer.from(String(number)));
const leaves = Array.from({ length: 5000 }, (_, index) => leafOf(index));

// RFC 6962 §2.1 as it is written there: slow, and plainly right.

const split = (count: number): number => {
  let left = 1;
  while (left * 2 < count) left *= 2;
  return left;
};

function naiveRoot(of: readonly Buffer[]): Buffer {
  if (of.length === 0) return sha();
  if (of.length === 1) return of[0] as Buffer;
  const left = split(of.length);
  return sha(Buffer.of(1), naiveRoot(of.slice(0, left)), naiveRoot(of.slice(left)));
}

function naivePath(index: number, of: readonly Buffer[]): Buffer[] {
  if (of.length === 1) return [];
  const left = split(of.length);
  return index < left
    ? [...naivePath(index, of.slice(0, left)), naiveRoot(of.slice(left))]
    : [...naivePath(index - left, of.slice(left)), naiveRoot(of.slice(0, left))];
}

function naiveSubproof(oldSize: number, of: readonly Buffer[], whole: boolean): Buffer[] {
  if (oldSize === of.length) return whole ? [] : [naiveRoot(of)];
  const left = split(of.length);
  return oldSize <= left
    ? [...naiveSubproof(oldSize, of.slice(0, left), whole), naiveRoot(of.slice(left))]
    : [...naiveSubproof(oldSize - left, of.slice(left), false), naiveRoot(of.slice(0, left))];
}

/** All levels of tiles in memory. */
function tilesOf(of: readonly Buffer[]): TileReader & { readonly reads: string[] } {
  const levels: Buffer[] = [];
  for (let row = Buffer.concat(of); row.length > 0; ) {
    levels.push(row);
    const above: Buffer[] = [];
    const tileBytes = tileWidth * hashBytes;
    for (let at = 0; at + tileBytes <= row.length; at += tileBytes) {
      above.push(tileRoot(row.subarray(at, at + tileBytes)));
    }
    row = Buffer.concat(above);
  }
  const reads: string[] = [];
  return {
    reads,
    read(level, tile, count) {
      reads.push(`${level}/${tile}`);
      const at = tile * tileWidth * hashBytes;
      const hashes = (levels[level] as Buffer).subarray(at, at + count * hashBytes);
      assert.equal(hashes.length, count * hashBytes, "more was asked for than the tree has");
      return tile % 2 === 0 ? hashes : Promise.resolve(hashes);
    },
  };
}

const roots: Buffer[] = [];
{
  let frontier = emptyFrontier;
  for (const leaf of leaves) {
    roots.push(frontierRoot(frontier));
    frontier = appendLeaf(frontier, leaf);
  }
  roots.push(frontierRoot(frontier));
}
const rootAt = (size: number): Buffer => roots[size] as Buffer;

describe("the running head", () => {
  test("gives the roots that Certificate Transparency's test trees have", () => {
    const inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"];
    inputs.push("606162636465666768696a6b6c6d6e6f");
    const hashed = inputs.map((input) => sha(Buffer.of(0), Buffer.from(input, "hex")));
    const wanted = [
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    for (const [size, root] of wanted.entries()) {
      assert.equal(rootOf(hashed.slice(0, size)).toString("hex"), root);
    }
    assert.equal(emptyRoot.toString("hex"), wanted[0]);
  });

  test("agrees with the recursive definition for every size up to 600", () => {
    for (let size = 0; size <= 600; size += 1) {
      assert.deepEqual(rootAt(size), naiveRoot(leaves.slice(0, size)), `size ${size}`);
    }
  });

  test("goes on from its octets, and keeps no memory of the caller's", () => {
    const scratch = Buffer.alloc(hashBytes);
    let frontier = emptyFrontier;
    for (let size = 0; size < 300; size += 1) {
      const read = parseFrontier(formatFrontier(frontier));
      assert.ok(read.ok);
      assert.deepEqual(read.value, frontier);
      scratch.set(leaves[size] as Buffer);
      frontier = appendLeaf(read.value, scratch);
      scratch.fill(0);
      assert.deepEqual(frontierRoot(frontier), rootAt(size + 1));
    }
    assert.equal(frontier.size, 300);
  });

  test("refuses octets that are no frontier, whatever they are", () => {
    const random = seededRandom(7);
    const good = formatFrontier(frontierOf(77));
    for (let round = 0; round < 3000; round += 1) {
      const bytes = random.fraction() < 0.5 ? Buffer.from(good) : random.bytes(pick(random, 200));
      if (bytes.length > 0) bytes[pick(random, bytes.length)] = pick(random, 256);
      const cut = bytes.subarray(0, bytes.length - pick(random, 3));
      const read = parseFrontier(cut);
      if (read.ok) assert.deepEqual(formatFrontier(read.value), cut);
    }
    assert.deepEqual(parseFrontier(Buffer.alloc(8, 0xff)), {
      ok: false,
      fault: "too-large",
      at: 0,
    });
  });
});

function frontierOf(size: number): Frontier {
  let frontier = emptyFrontier;
  for (const leaf of leaves.slice(0, size)) frontier = appendLeaf(frontier, leaf);
  return frontier;
}

describe("inclusion proofs", () => {
  test("are the RFC's for every leaf of every tree up to 130, and hold", async () => {
    const reader = tilesOf(leaves.slice(0, 130));
    for (let size = 1; size <= 130; size += 1) {
      const head = { size, root: rootAt(size) };
      for (let index = 0; index < size; index += 1) {
        const proof = await inclusionProof(reader, index, size);
        assert.deepEqual(proof, naivePath(index, leaves.slice(0, size)), `${index} of ${size}`);
        assert.ok(verifyInclusion(leaves[index] as Buffer, index, head, proof));
      }
    }
  });

  test("hold for leaves and sizes taken at random up to 5,000", async () => {
    const reader = tilesOf(leaves);
    const random = seededRandom(1);
    for (let round = 0; round < 400; round += 1) {
      const size = 1 + pick(random, leaves.length);
      const index = pick(random, size);
      const proof = await inclusionProof(reader, index, size);
      const head = { size, root: rootAt(size) };
      assert.ok(verifyInclusion(leaves[index] as Buffer, index, head, proof));
      if (round % 40 === 0) assert.deepEqual(proof, naivePath(index, leaves.slice(0, size)));
    }
  });

  test("are refused with a node more, less, altered or moved, or for another place", async () => {
    const reader = tilesOf(leaves);
    const random = seededRandom(2);
    for (let round = 0; round < 300; round += 1) {
      const size = 2 + pick(random, 700);
      const index = pick(random, size);
      const leaf = leaves[index] as Buffer;
      const head = { size, root: rootAt(size) };
      const proof = await inclusionProof(reader, index, size);
      const refused = (why: string, ...args: Parameters<typeof verifyInclusion>): void =>
        assert.ok(!verifyInclusion(...args), `${why}: ${index} of ${size}`);
      refused("short", leaf, index, head, proof.slice(1));
      refused("cut", leaf, index, head, proof.slice(0, -1));
      refused("longer", leaf, index, head, [...proof, emptyRoot]);
      refused("longer before", leaf, index, head, [emptyRoot, ...proof]);
      for (let at = 0; at < proof.length; at += 1) {
        const altered = proof.map((node) => Buffer.from(node));
        (altered[at] as Buffer)[pick(random, 32)]! ^= 1 << pick(random, 8);
        refused("altered", leaf, index, head, altered);
      }
      if (proof.length > 1) refused("turned", leaf, index, head, proof.toReversed());
      refused("another place", leaf, (index + 1) % size, head, proof);
      refused("behind the end", leaf, size, head, proof);
      refused("before the start", leaf, -1, head, proof);
      refused("a half place", leaf, index + 0.5, head, proof);
      refused("another leaf", leafOf(-1), index, head, proof);
      refused("an interior node as leaf", nodeHash(leaf, leaf), index, head, proof);
      refused("a short leaf", leaf.subarray(1), index, head, proof);
      refused("a short node", leaf, index, head, proof.with(0, Buffer.alloc(31)));
      refused("an unsafe size", leaf, index, { ...head, size: 2 ** 60 }, proof);
    }
    assert.ok(!verifyInclusion(emptyRoot, 0, { size: 0, root: emptyRoot }, []));
  });

  test("of a tree of ten million read a handful of tiles", async () => {
    const tile = Buffer.alloc(tileWidth * hashBytes, 5);
    const random = seededRandom(3);
    let most = 0;
    for (let round = 0; round < 300; round += 1) {
      const reads: string[] = [];
      const reader: TileReader = {
        read(level, number, count) {
          assert.ok(count >= 1 && count <= tileWidth);
          reads.push(`${level}/${number}`);
          return tile;
        },
      };
      const size = 9_000_000 + pick(random, 1_000_000);
      const proof = await inclusionProof(reader, pick(random, size), size);
      assert.ok(proof.length <= 24);
      await consistencyProof(reader, 1 + pick(random, size), size);
      most = Math.max(most, reads.length);
    }
    assert.ok(most <= 12, `${most} tiles for two proofs`);
  });
});

describe("consistency proofs", () => {
  test("are the RFC's between all trees up to 130, and hold", async () => {
    const reader = tilesOf(leaves.slice(0, 130));
    for (let size = 0; size <= 130; size += 1) {
      const head = { size, root: rootAt(size) };
      for (let oldSize = 0; oldSize <= size; oldSize += 1) {
        const proof = await consistencyProof(reader, oldSize, size);
        const wanted = oldSize === 0 ? [] : naiveSubproof(oldSize, leaves.slice(0, size), true);
        assert.deepEqual(proof, wanted, `${oldSize} in ${size}`);
        assert.ok(verifyConsistency({ size: oldSize, root: rootAt(oldSize) }, head, proof));
      }
    }
  });

  test("hold for sizes taken at random up to 5,000", async () => {
    const reader = tilesOf(leaves);
    const random = seededRandom(4);
    for (let round = 0; round < 400; round += 1) {
      const size = 1 + pick(random, leaves.length);
      const oldSize = 1 + pick(random, size);
      const proof = await consistencyProof(reader, oldSize, size);
      const older = { size: oldSize, root: rootAt(oldSize) };
      assert.ok(verifyConsistency(older, { size, root: rootAt(size) }, proof));
    }
  });

  test("are refused when altered, and show no history that was changed", async () => {
    const random = seededRandom(5);
    for (let round = 0; round < 300; round += 1) {
      const size = 3 + pick(random, 300);
      const oldSize = 1 + pick(random, size - 1);
      const reader = tilesOf(leaves.slice(0, size));
      const proof = await consistencyProof(reader, oldSize, size);
      const older = { size: oldSize, root: rootAt(oldSize) };
      const newer = { size, root: rootAt(size) };
      const refused = (why: string, ...args: Parameters<typeof verifyConsistency>): void =>
        assert.ok(!verifyConsistency(...args), `${why}: ${oldSize} in ${size}`);
      refused("short", older, newer, proof.slice(1));
      refused("cut", older, newer, proof.slice(0, -1));
      refused("longer", older, newer, [...proof, emptyRoot]);
      refused("longer before", older, newer, [emptyRoot, ...proof]);
      refused("backwards", newer, older, proof);
      refused("same size, other root", { size, root: older.root }, newer, []);
      refused("no proof", older, newer, []);
      refused("not from nothing", { size: 0, root: emptyRoot }, newer, [emptyRoot]);
      for (let at = 0; at < proof.length; at += 1) {
        const altered = proof.map((node) => Buffer.from(node));
        (altered[at] as Buffer)[pick(random, 32)]! ^= 1 << pick(random, 8);
        refused("altered", older, newer, altered);
      }
      // One leaf of the old tree is another now: whatever proof is made, it does not hold.
      const changed = leaves.slice(0, size).with(pick(random, oldSize), leafOf(-1));
      const forked = { size, root: rootOf(changed) };
      refused("changed", older, forked, await consistencyProof(tilesOf(changed), oldSize, size));
      refused("changed, old proof", older, forked, proof);
    }
  });
});
