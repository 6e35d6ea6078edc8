import assert from "node:assert/strict";
import { test } from "node:test";
import { rootOf, verifyConsistency, verifyInclusion } from "#formats/merkle";
import { acceptMail, newDisk, openOn, recordsOn, storeWithAlice } from "./fixture.ts";

test("every record is a leaf, and the tree is the same after a restart", async () => {
  const disk = newDisk();
  const store = await storeWithAlice(disk);
  for (let number = 1; number <= 150; number += 1) await acceptMail(store, number);
  const early = store.history.head();
  for (let number = 151; number <= 300; number += 1) await acceptMail(store, number);
  const late = store.history.head();
  const proof = await store.history.consistency(early.size, late.size);
  assert.ok(verifyConsistency(early, late, proof));
  for (const lsn of [1, 255, 256, 257, late.size]) {
    const path = await store.history.inclusion(lsn, late.size);
    assert.ok(verifyInclusion(await store.history.leaf(lsn), lsn - 1, late, path), `leaf ${lsn}`);
  }
  await store[Symbol.asyncDispose]();
  const stopped = disk.kill();
  const leaves = (await recordsOn(stopped)).map(({ leaf }) => leaf);
  assert.deepEqual(rootOf(leaves.slice(0, late.size)), late.root);
  await using again = await openOn(stopped);
  assert.deepEqual(again.history.head(), { size: leaves.length, root: rootOf(leaves) });
});
