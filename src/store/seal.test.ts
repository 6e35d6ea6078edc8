import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Damaged } from "./damage.ts";
import {
  flipBit,
  octetsOf,
  type PageStore,
  pageOf,
  pageStore,
  pageStoreOn,
  putFile,
  soundPages,
} from "./page-fixture.ts";
import { blockBytes, pageBytes, provePage } from "./pages.ts";
import { addMember, groupsOf, membersOf, wordsOf } from "./parity.ts";
import { ParityFile, parityOf } from "./parity-file.ts";
import { pagesInUse, removeParity, sealSegment } from "./seal.ts";

const segment = 2;

async function withTail(count: number): Promise<PageStore & { right: Buffer }> {
  const store = pageStore();
  const right = await putFile(store, "segment", segment, soundPages(segment, count));
  await putFile(store, "tail", segment, right);
  return { ...store, right };
}

describe("sealSegment()", () => {
  for (const count of [1, 2, 16, 17, 33, 700]) {
    test(`writes P and Q of every group of ${count} pages, and removes the second copy`, async () => {
      const store = await withTail(count);
      await sealSegment(store.segments, segment, count);
      const groups = groupsOf(count);
      const octets = octetsOf(store, "parity", segment);
      assert.equal(octets.length, 2 * groups * blockBytes);
      for (let group = 0; group < groups; group += 1) {
        const p = new Int32Array(pageBytes / 4);
        const q = new Int32Array(pageBytes / 4);
        for (const number of membersOf(count, group)) {
          addMember(p, q, wordsOf(pageOf(store.right, number)));
        }
        for (const [number, words] of [
          [group, p],
          [groups + group, q],
        ] as const) {
          const block = octets.subarray(number * blockBytes, (number + 1) * blockBytes);
          assert.deepEqual(parityOf(block), words);
          assert.deepEqual(provePage(block, store.segments.storeId, segment, number), {
            flags: 4,
            page: number,
            segment,
            length: 8128, // as far as a page's header can tell; a block's length is fixed
            firstRecord: 0xffff,
            generation: Math.ceil(count / 2),
            revision: 0,
            durable: count,
          });
        }
      }
      assert.deepEqual(await store.segments.numbers("tail"), []);
      assert.deepEqual(await store.segments.numbers("parity"), [segment]);
    });
  }

  test("repairs what is bad before parity is made of it", async () => {
    const store = await withTail(40);
    const octets = octetsOf(store, "segment", segment);
    flipBit(octets, 3 * pageBytes * 8 + 9999);
    pageOf(octets, 39).fill(0);
    store.disk.spoil("/store/segment-00000002", 20 * pageBytes, 1);
    await sealSegment(store.segments, segment, 40);
    assert.ok(octetsOf(store, "segment", segment).equals(store.right));
    assert.deepEqual(store.repaired.map(({ page, how }) => `${page} ${how}`).sort(), [
      "20 copy",
      "3 bit",
      "39 copy",
    ]);
  });

  test("refuses a page beyond repair, and leaves the second copy", async () => {
    const store = await withTail(40);
    for (const kind of ["segment", "tail"] as const)
      pageOf(octetsOf(store, kind, segment), 9).fill(1);
    await assert.rejects(sealSegment(store.segments, segment, 40), /segment-00000002 page 9/);
    assert.deepEqual(await store.segments.numbers("parity"), []);
    assert.deepEqual(await store.segments.numbers("tail"), [segment]);
  });

  test("makes parity anew for a compacted segment, even from parity of the one before", async () => {
    const store = await withTail(40);
    await sealSegment(store.segments, segment, 40);
    await removeParity(store.segments, segment);
    assert.deepEqual(await store.segments.numbers("parity"), []);
    const right = await putFile(
      store,
      "segment",
      segment,
      soundPages(segment, 30, { revision: 1 }),
    );
    await store.segments.reopen(segment);
    await sealSegment(store.segments, segment, 30);
    await using parity = await ParityFile.open(store.segments, segment);
    assert.deepEqual(parity?.facts, { segment, pages: 30, generation: 15, revision: 1 });
    pageOf(octetsOf(store, "segment", segment), 1).fill(0);
    await store.repair.repairPage(segment, 1);
    assert.ok(octetsOf(store, "segment", segment).equals(right));
  });

  test("a stray page of the revision before does not get into parity", async () => {
    const store = await withTail(40);
    const old = soundPages(segment, 40);
    soundPages(segment, 40, { revision: 1 }).copy(octetsOf(store, "segment", segment));
    pageOf(old, 5).copy(pageOf(octetsOf(store, "segment", segment), 5));
    await assert.rejects(sealSegment(store.segments, segment, 40), /page 5 \(misplaced\)/);
  });

  test("wherever the power fails there is parity or a second copy, and never half a parity file", async () => {
    const clean = await withTail(70);
    const before = clean.disk.operations;
    await sealSegment(clean.segments, segment, 70);
    let withParity = 0;
    for (let at = before + 1; at <= clean.disk.operations; at += 1) {
      const store = await withTail(70);
      store.disk.faults = { cutAtOperation: at };
      void sealSegment(store.segments, segment, 70);
      await store.disk.dead;
      const after = pageStoreOn(store.disk.powerCut());
      const sealed = (await after.segments.numbers("parity")).length > 0;
      const copied = (await after.segments.numbers("tail")).length > 0;
      assert.ok(sealed || copied, `operation ${at}`);
      if (sealed) {
        withParity += 1;
        assert.equal(octetsOf(after, "parity", segment).length, 2 * groupsOf(70) * blockBytes);
      }
      pageOf(octetsOf(after, "segment", segment), 50).fill(0);
      assert.notEqual(await after.repair.repairPage(segment, 50), undefined, `operation ${at}`);
      await sealSegment(after.segments, segment, 70);
      assert.ok(octetsOf(after, "segment", segment).equals(store.right));
      assert.deepEqual(await after.disk.list("/store"), ["parity-00000002", "segment-00000002"]);
    }
    assert.ok(withParity > 0);
  });
});

describe("ParityFile", () => {
  test("is as good as one sound block in its file", async () => {
    const store = await withTail(40);
    await sealSegment(store.segments, segment, 40);
    const octets = octetsOf(store, "parity", segment);
    octets.fill(0, 0, 5 * blockBytes);
    await using parity = await ParityFile.open(store.segments, segment);
    assert.equal(parity?.facts.pages, 40);
    assert.equal(parity?.blocks, 6);
    octets.fill(0);
    assert.equal(await ParityFile.open(store.segments, segment), undefined);
  });

  test("of another segment, or cut short, is not believed", async () => {
    const store = await withTail(40);
    await sealSegment(store.segments, segment, 40);
    const octets = Buffer.from(octetsOf(store, "parity", segment));
    await store.segments.replace("parity", 7, (file) => file.write([octets], 0));
    assert.equal(await ParityFile.open(store.segments, 7), undefined);
    const cut = octets.subarray(0, 2 * blockBytes + 100);
    await store.segments.replace("parity", segment, (file) => file.write([cut], 0));
    await using parity = await ParityFile.open(store.segments, segment);
    assert.deepEqual(
      [await parity?.sound(1), await parity?.sound(2), await parity?.sound(5)].map(
        (one) => one === undefined,
      ),
      [false, true, true],
    );
  });
});

describe("pagesInUse()", () => {
  test("counts whole batches below the one that begins behind", async () => {
    const store = pageStore();
    const void1 = soundPages(segment, 4, { generation: 11, firstPage: 20 });
    await putFile(
      store,
      "segment",
      segment,
      Buffer.concat([
        soundPages(segment, 20),
        void1,
        Buffer.alloc(5 * pageBytes, 3),
        Buffer.alloc(99 * pageBytes),
      ]),
    );
    assert.equal(await pagesInUse(store.segments, segment, 11), 20);
    assert.equal(await pagesInUse(store.segments, segment, 12), 22);
    assert.equal(await pagesInUse(store.segments, segment, 13), 24);
    await assert.rejects(pagesInUse(store.segments, segment, 14), Damaged);
    assert.equal(await pagesInUse(store.segments, segment, 1), 0);
  });

  test("finds the last pages in the second copy", async () => {
    const store = await withTail(20);
    octetsOf(store, "segment", segment).fill(0, 17 * pageBytes);
    assert.equal(await pagesInUse(store.segments, segment, 11), 20);
    await sealSegment(store.segments, segment, 20);
    assert.ok(octetsOf(store, "segment", segment).equals(store.right));
  });
});
