import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Full } from "#base/errors";
import { octetsOf, pageStore, putFile, soundPages } from "./page-fixture.ts";
import { pageBytes } from "./pages.ts";

describe("Segments", () => {
  test("tells the files of each kind by their names, and counts the room of all", async () => {
    const store = pageStore();
    await putFile(store, "segment", 2, soundPages(2, 4));
    await putFile(store, "segment", 10, soundPages(10, 1));
    await putFile(store, "tail", 10, soundPages(10, 1));
    await store.segments.replace("parity", 2, (file) => file.write([Buffer.alloc(100)], 0));
    const left = await store.disk.open("/store/parity-00000010.new", "create");
    await left.write([Buffer.alloc(77)], 0);
    assert.deepEqual(await store.segments.numbers(), [2, 10]);
    assert.deepEqual(await store.segments.numbers("parity"), [2]);
    assert.deepEqual(await store.segments.numbers("tail"), [10]);
    assert.equal(await store.segments.sizeBytes(), 6 * pageBytes + 100);
  });

  test("flushes a new segment piece by piece, so that no commit waits behind a large one", async () => {
    const store = pageStore();
    const operations = async (mebibytes: number): Promise<number> => {
      const before = store.disk.operations;
      await store.segments.prepare(mebibytes, mebibytes * 1024 * 1024, 0);
      return store.disk.operations - before;
    };
    const [less, more] = [await operations(16), await operations(17)];
    assert.equal(more - less, 2, "a write, and a flush at 16 MiB");
    assert.ok(octetsOf(store, "segment", 17).equals(Buffer.alloc(17 * 1024 * 1024)));
  });

  test("leaves nothing behind of a segment that has no room", async () => {
    const store = pageStore({ roomBytes: 3_000_000 });
    await assert.rejects(store.segments.prepare(1, 8_000_000, 0), Full);
    assert.deepEqual(await store.disk.list("/store"), []);
  });

  test("a segment that is left is cut together with its second copy", async () => {
    const store = pageStore();
    const right = await putFile(store, "segment", 1, soundPages(1, 6));
    await putFile(store, "tail", 1, right);
    await store.segments.release(1, 4);
    for (const kind of ["segment", "tail"] as const) {
      assert.ok(octetsOf(store, kind, 1).equals(right.subarray(0, 4 * pageBytes)));
    }
    await store.segments.release(7, 0);
  });
});
