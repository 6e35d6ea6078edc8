import assert from "node:assert/strict";
import { test } from "node:test";
import { OneByOne } from "./one-by-one.ts";

test("OneByOne leaves nothing waiting, whenever it comes and whatever fails", async () => {
  const done: number[] = [];
  const faults: unknown[] = [];
  const line = new OneByOne<number>(
    async (piece) => {
      done.push(piece);
      if (piece % 3 === 0) throw new Error(String(piece));
    },
    (error) => faults.push(error),
  );
  // One more after every number of turns of the event loop's microtasks.
  for (let piece = 0; piece < 40; piece += 1) {
    line.add(piece);
    for (let turn = 0; turn < piece % 8; turn += 1) await Promise.resolve();
  }
  await new Promise(setImmediate);
  assert.deepEqual(
    done,
    Array.from({ length: 40 }, (_, piece) => piece),
  );
  assert.deepEqual([faults.length, line.waiting], [14, 0]);
  await line.stop();
  line.add(99);
  await new Promise(setImmediate);
  assert.equal(done.includes(99), false);
});
