import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Maintenance } from "./maintenance.ts";
import {
  handClock,
  keptLog,
  octetsOf,
  type PageStore,
  pageOf,
  pageStore,
  putFile,
  settled,
  soundPages,
} from "./page-fixture.ts";
import { pageBytes } from "./pages.ts";
import { Sealer } from "./sealer.ts";

/** Segments 1 to 4 with 10 batches each; the last is in use. */
async function filled(): Promise<PageStore> {
  const store = pageStore();
  for (let segment = 1; segment <= 4; segment += 1) {
    const pages = soundPages(segment, 20, { generation: (segment - 1) * 10 + 1 });
    await putFile(store, "segment", segment, Buffer.concat([pages, Buffer.alloc(3 * pageBytes)]));
    await putFile(store, "tail", segment, pages);
  }
  return store;
}

function sealerOn({ segments }: PageStore, opened = { segment: 4, generation: 41 }) {
  const clock = handClock();
  const log = keptLog();
  const maintenance = new Maintenance();
  return {
    clock,
    log,
    maintenance,
    sealer: new Sealer({ segments, clock, log, maintenance }, opened),
  };
}

describe("Sealer", () => {
  test("begins with what an earlier process left, but for the segment in use", async () => {
    const store = await filled();
    const { log, sealer } = sealerOn(store);
    await settled();
    assert.deepEqual(await store.segments.numbers("parity"), [1, 2, 3]);
    assert.deepEqual(await store.segments.numbers("tail"), [4]);
    assert.deepEqual(
      log.lines.map(({ fields }) => fields?.["pages"]),
      [20, 20, 20],
    );
    await sealer.close();
  });

  test("an open segment that is empty leaves the one before as the last", async () => {
    const store = await filled();
    await putFile(store, "segment", 5, Buffer.alloc(8 * pageBytes));
    const { sealer } = sealerOn(store, { segment: 5, generation: 41 });
    await settled();
    assert.deepEqual(await store.segments.numbers("parity"), [1, 2, 3, 4]);
    await sealer.close();
  });

  test("seals what is left meanwhile when its copy is complete", async () => {
    const store = await filled();
    const { sealer } = sealerOn(store);
    await settled();
    const copied = Promise.withResolvers<void>();
    sealer.seal(4, 20, copied.promise);
    await settled();
    assert.deepEqual(await store.segments.numbers("parity"), [1, 2, 3]);
    assert.equal(await sealer.pagesInUse(4), 20);
    copied.resolve();
    await settled();
    assert.deepEqual(await store.segments.numbers("parity"), [1, 2, 3, 4]);
    await sealer.close();
  });

  test("tries again later when the disk says no, and the store does not hear of it", async () => {
    const store = await filled();
    store.disk.faults = { roomBytes: 0 };
    const { clock, log, sealer } = sealerOn(store);
    await settled();
    assert.deepEqual(
      log.lines.map(({ event }) => event),
      ["store.seal-failed"],
    );
    assert.deepEqual(await store.segments.numbers("tail"), [1, 2, 3, 4]);
    store.disk.faults = { failAtOperation: store.disk.operations + 5 };
    await clock.runTimers();
    assert.equal(log.lines.length, 2);
    await clock.runTimers();
    assert.deepEqual(await store.segments.numbers("parity"), [1, 2, 3]);
    await sealer.close();
  });

  test("goes on with the others when one is beyond repair", async () => {
    const store = await filled();
    for (const kind of ["segment", "tail"] as const) pageOf(octetsOf(store, kind, 2), 3).fill(8);
    const { log, sealer } = sealerOn(store);
    await settled();
    assert.deepEqual(await store.segments.numbers("parity"), [1, 3]);
    assert.deepEqual(await store.segments.numbers("tail"), [2, 4]);
    assert.deepEqual(
      log.lines.map(({ event }) => event),
      ["store.sealed", "store.seal-refused", "store.sealed"],
    );
    await sealer.close();
  });

  test("waits for other upkeep, and ends when told", async () => {
    const store = await filled();
    const held = Promise.withResolvers<void>();
    const { maintenance, sealer } = sealerOn(store);
    const other = maintenance.run(() => held.promise);
    await settled();
    const closing = sealer.close();
    held.resolve();
    await Promise.all([other, closing]);
    assert.ok((await store.segments.numbers("parity")).length <= 3);
  });
});
