import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { Damaged, WrongVersion } from "./damage.ts";
import {
  flipBit,
  octetsOf,
  type PageStore,
  pageOf,
  pageStore,
  putFile,
  soundPages,
  storeId,
} from "./page-fixture.ts";
import { pageBytes } from "./pages.ts";
import { type Batch, findStoreId, scan, type Tail } from "./scan.ts";
import { sealSegment } from "./seal.ts";

const begin = { segment: 1, page: 0, generation: 1 };
const empty = Buffer.alloc(10 * pageBytes);

/** Segments 1 and 2 sealed with 10 batches each, 3 in use with 5, 4 ready. */
async function ledger(): Promise<PageStore> {
  const store = pageStore();
  for (const segment of [1, 2]) {
    await putFile(
      store,
      "segment",
      segment,
      soundPages(segment, 20, { generation: segment * 10 - 9 }),
    );
    await sealSegment(store.segments, segment, 20);
  }
  const open = soundPages(3, 10, { generation: 21 });
  await putFile(store, "segment", 3, Buffer.concat([open, empty]));
  await putFile(store, "tail", 3, open);
  await putFile(store, "segment", 4, empty);
  return store;
}

async function scanned({ segments }: PageStore): Promise<{ batches: Batch[]; tail: Tail }> {
  const batches: Batch[] = [];
  const tail = await scan(segments, begin, (batch) => void batches.push(batch));
  return { batches, tail };
}

const end = { segment: 3, page: 10, generation: 26 };

const names = (error: unknown, page: number, file: string, what: string): boolean =>
  error instanceof Damaged &&
  error.place.file === file &&
  error.place.page === page &&
  error.place.what === what;

const clean = await ledger().then(scanned);

describe("scan() with repairs on", () => {
  test("of a ledger without harm takes every batch", () => {
    assert.deepEqual(clean.tail.next, end);
    assert.equal(clean.batches.length, 25);
    assert.deepEqual(clean.tail.unused, [4]);
  });

  test("goes on over any page that a bit, parity or the second copy explains", async () => {
    const store = await ledger();
    flipBit(pageOf(octetsOf(store, "segment", 1), 4), 12_345);
    pageOf(octetsOf(store, "segment", 1), 7).fill(0);
    pageOf(octetsOf(store, "segment", 2), 0).fill(1, 512, 1024);
    pageOf(octetsOf(store, "segment", 3), 0).fill(0);
    pageOf(octetsOf(store, "segment", 3), 5).copy(pageOf(octetsOf(store, "segment", 3), 2));
    const { batches, tail } = await scanned(store);
    assert.deepEqual(tail.next, end);
    assert.deepEqual(batches, clean.batches);
    assert.deepEqual(
      store.repaired.map(({ file, page, how }) => [file.at(-1), page, how]),
      [
        ["1", 4, "bit"],
        ["1", 7, "parity"],
        ["2", 0, "parity"],
        ["3", 0, "copy"],
        ["3", 2, "copy"],
      ],
    );
    store.segments.repair = undefined;
    assert.equal((await scanned(store)).batches.length, 25, "it is right on the disk");
  });

  test("a last batch that was durable is no torn tail while its second copy has it", async () => {
    for (let sector = 0; sector < 32; sector += 1) {
      const store = await ledger();
      octetsOf(store, "segment", 3).fill(0, 8 * pageBytes + sector * 512, 10 * pageBytes);
      const { tail } = await scanned(store);
      assert.deepEqual(tail.next, end);
      octetsOf(store, "segment", 3).fill(0, 8 * pageBytes + sector * 512, 10 * pageBytes);
      store.segments.repair = undefined;
      const without = await scanned(store);
      assert.deepEqual(without.tail.next, { segment: 3, page: 8, generation: 25 });
    }
  });

  test("a batch that was never durable stays void, wherever it was cut", async () => {
    const store = await ledger();
    const torn = soundPages(3, 2, { generation: 26, firstPage: 10 });
    for (let at = 0; at < torn.length; at += 512) {
      const octets = octetsOf(store, "segment", 3);
      torn.copy(octets, 10 * pageBytes, 0, at);
      const { tail } = await scanned(store);
      assert.deepEqual([tail.next, tail.dirty], [end, at > 0]);
    }
    assert.deepEqual(store.repaired, []);
  });

  test("names what is beyond repair", async () => {
    const store = await ledger();
    for (const page of [2, 4, 6]) pageOf(octetsOf(store, "segment", 2), page).fill(3, 64);
    await assert.rejects(scanned(store), (error) =>
      names(error, 2, "segment-00000002", "checksum"),
    );
  });

  test("a page that the disk cannot read is no end of the ledger", async () => {
    const store = await ledger();
    store.disk.spoil("/store/segment-00000003", 8 * pageBytes + 600, 1);
    assert.deepEqual((await scanned(store)).tail.next, end);
    store.disk.spoil("/store/segment-00000003", 8 * pageBytes + 600, 1);
    await store.segments.remove("tail", 3);
    await assert.rejects(scanned(store), (error) =>
      names(error, 8, "segment-00000003", "unreadable"),
    );
  });

  test("a sealed segment that was cut short is whole again, a longer one is read as it was", async () => {
    const store = await ledger();
    const file = await store.segments.openForWriting(1);
    await file.resize(17 * pageBytes + 99);
    const longer = await store.segments.openForWriting(2);
    await longer.write([soundPages(1, 3, { firstPage: 20 })], 20 * pageBytes);
    const { batches, tail } = await scanned(store);
    assert.deepEqual(tail.next, end);
    assert.deepEqual(batches, clean.batches);
  });

  test("each file gone, swapped, foreign, cut to nothing or of another time is named; none is changed", async () => {
    const foreign = Buffer.from(soundPages(1, 20));
    const harms: Record<string, (store: PageStore, segment: number) => Promise<unknown>> = {
      swapped: (store, segment) =>
        putFile(store, "segment", segment, octetsOf(store, "segment", segment === 1 ? 2 : 1)),
      foreign: (store, segment) => {
        for (let page = 0; page < 20; page += 1)
          Buffer.alloc(8, 7).copy(foreign, page * pageBytes + 32);
        for (let page = 0; page < 20; page += 1) {
          const octets = pageOf(foreign, page);
          octets.writeUInt32LE(segment, 40);
          octets.writeUInt32LE(0, 4);
          octets.writeUInt32LE(crc32(octets), 4);
        }
        return putFile(store, "segment", segment, foreign);
      },
      empty: (store, segment) => putFile(store, "segment", segment, Buffer.alloc(0)),
      zeroed: (store, segment) => putFile(store, "segment", segment, Buffer.alloc(20 * pageBytes)),
      gone: (store, segment) => store.disk.remove(store.segments.path(segment)),
    };
    for (const [harm, act] of Object.entries(harms)) {
      for (const segment of [1, 2]) {
        const store = await ledger();
        await act(store, segment);
        await store.segments.close();
        const before = store.segments.path(segment);
        const size = await store.disk.sizeBytes(before);
        assert.ok((await findStoreId(store.segments))?.equals(storeId), harm);
        await assert.rejects(
          scanned(store),
          (error) => error instanceof Damaged && error.place.file.endsWith(`${segment}`),
          `${harm} ${segment}`,
        );
        assert.deepEqual(store.repaired, []);
        assert.equal(await store.disk.sizeBytes(before), size);
      }
    }
  });

  test("a stranger's file in the place of the last segment is not a torn tail", async () => {
    const store = await ledger();
    await putFile(store, "segment", 3, soundPages(9, 20));
    await assert.rejects(scanned(store), (error) =>
      names(error, 0, "segment-00000003", "misplaced"),
    );
  });

  test("a write that went astray into a segment that waits keeps only that from being used", async () => {
    const store = await ledger();
    pageOf(octetsOf(store, "segment", 3), 2).copy(pageOf(octetsOf(store, "segment", 4), 6));
    pageOf(octetsOf(store, "segment", 3), 2).fill(0);
    const { tail } = await scanned(store);
    assert.deepEqual([tail.next, tail.unused, tail.torn], [end, [], []]);
  });

  test("other versions of the format are no damage, and no empty store", async () => {
    for (const [version, word] of [
      [1, /version earlier/],
      [3, /version later/],
    ] as const) {
      const store = await ledger();
      const first = pageOf(octetsOf(store, "segment", 1), 0);
      if (version === 1) first.write("NTSP", 0, "latin1");
      first.writeUInt16LE(version, 24);
      first.writeUInt32LE(0, 4);
      first.writeUInt32LE(crc32(first), 4);
      const refused = (error: unknown): boolean =>
        error instanceof WrongVersion && word.test(error.message);
      await assert.rejects(scanned(store), refused);
      await assert.rejects(findStoreId(store.segments), refused);
    }
  });
});
