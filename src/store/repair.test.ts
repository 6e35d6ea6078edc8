import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { Damaged } from "./damage.ts";
import {
  flipBit,
  octetsOf,
  type PageStore,
  pageOf,
  pageStore,
  putFile,
  soundPages,
} from "./page-fixture.ts";
import { blockBytes, pageBytes, payloadBytes } from "./pages.ts";
import { groupsOf, membersOf } from "./parity.ts";
import { restoreLost } from "./repair.ts";
import { removeParity, sealSegment } from "./seal.ts";

const pages = 40;
const segment = 3;
const groups = groupsOf(pages);

/** A sealed segment, and what stands in it. */
async function sealed(count: number = pages): Promise<PageStore & { right: Buffer }> {
  const store = pageStore();
  const right = await putFile(store, "segment", segment, soundPages(segment, count));
  await sealSegment(store.segments, segment, count);
  return { ...store, right };
}

/** A segment in use with a second copy. */
async function copied(): Promise<PageStore & { right: Buffer }> {
  const store = pageStore();
  const right = await putFile(store, "segment", segment, soundPages(segment, pages));
  await putFile(store, "tail", segment, right);
  return { ...store, right };
}

/** What a disk may do to a page (D2, D3, D4 of the catalogue of faults). */
const harms: Readonly<Record<string, (all: Buffer, number: number) => void>> = {
  "a bit flipped": (all, number) => flipBit(all, number * pageBytes * 8 + 33_333),
  "a bit of its header flipped": (all, number) => flipBit(all, number * pageBytes * 8 + 230),
  "many bits flipped": (all, number) =>
    void seededRandom(number)
      .bytes(300)
      .copy(all, number * pageBytes + 4000),
  "the write lost": (all, number) => pageOf(all, number).fill(0),
  "another page written over it": (all, number) =>
    void pageOf(all, (number + 7) % pages).copy(pageOf(all, number)),
  "its neighbour's octets": (all, number) =>
    void pageOf(all, number === 0 ? 1 : number - 1).copy(pageOf(all, number)),
  "a torn write": (all, number) => pageOf(all, number).fill(0, 512 * 5),
};

describe("repairPage() of a sealed segment", () => {
  for (const [harm, act] of Object.entries(harms)) {
    test(`puts any page right after ${harm}, on the disk as well`, async () => {
      const store = await sealed();
      for (let number = 0; number < pages; number += 1) {
        const octets = octetsOf(store, "segment", segment);
        act(octets, number);
        const found = await store.repair.repairPage(segment, number);
        assert.ok(found?.page.equals(pageOf(store.right, number)));
        const how = harm.startsWith("a bit") ? "bit" : "parity";
        const one = { file: "segment-00000003", page: number, how, isWritten: true };
        assert.deepEqual(found?.repaired, [one]);
        assert.ok(octetsOf(store, "segment", segment).equals(store.right));
      }
      assert.equal(store.repaired.length, pages);
    });
  }

  test("any two pages or blocks of a group, at once", async () => {
    const store = await sealed();
    const parity = Buffer.from(octetsOf(store, "parity", segment));
    const members = membersOf(pages, 1);
    const parts = [...members, -1, -groups - 1];
    for (const one of parts) {
      for (const other of parts) {
        for (const part of [one, other]) {
          if (part >= 0) pageOf(octetsOf(store, "segment", segment), part).fill(9, 700);
          else
            octetsOf(store, "parity", segment).fill(
              9,
              -part * blockBytes + 99,
              -part * blockBytes + 999,
            );
        }
        const page = one >= 0 ? one : other;
        if (page >= 0) await store.repair.repairPage(segment, page);
        else await store.repair.repairBlock(segment, -one);
        assert.ok(octetsOf(store, "segment", segment).equals(store.right), `${one} ${other}`);
        assert.ok(octetsOf(store, "parity", segment).equals(parity), `${one} ${other}`);
      }
    }
  });

  test("a third page with one wrong bit costs nothing", async () => {
    const store = await sealed();
    const octets = octetsOf(store, "segment", segment);
    const [first = 0, second = 0, third = 0, fourth = 0] = membersOf(pages, 2);
    pageOf(octets, first).fill(0);
    pageOf(octets, second).fill(1, 100, 5000);
    flipBit(pageOf(octets, third), 44_444);
    flipBit(pageOf(octets, fourth), 7);
    await store.repair.repairPage(segment, first);
    assert.ok(octets.equals(store.right));
    assert.deepEqual(
      store.repaired.map(({ how }) => how),
      ["parity", "parity", "bit", "bit"],
    );
  });

  test("three lost pages of a group stay as they are, and other groups are not touched", async () => {
    const store = await sealed();
    const octets = octetsOf(store, "segment", segment);
    for (const number of membersOf(pages, 0).slice(0, 3)) pageOf(octets, number).fill(5, 64, 600);
    const before = Buffer.from(octets);
    for (const number of membersOf(pages, 0).slice(0, 3)) {
      assert.equal(await store.repair.repairPage(segment, number), undefined);
    }
    assert.ok(octets.equals(before));
    assert.deepEqual(store.repaired, []);
  });

  test("wrong parity makes no wrong page", async () => {
    const store = await sealed();
    // As if a block of other pages stood there: sound, and of another truth.
    const other = pageStore();
    const random = seededRandom(99);
    await putFile(other, "segment", segment, soundPages(segment, pages, { random }));
    await sealSegment(other.segments, segment, pages);
    octetsOf(other, "parity", segment).copy(octetsOf(store, "parity", segment));
    pageOf(octetsOf(store, "segment", segment), 4).fill(1, 0, 999);
    assert.equal(await store.repair.repairPage(segment, 4), undefined);
    assert.deepEqual(store.repaired, []);
  });

  test("parity of another revision is not believed", async () => {
    const store = await sealed();
    const compacted = soundPages(segment, pages, { revision: 1 });
    compacted.copy(octetsOf(store, "segment", segment));
    pageOf(octetsOf(store, "segment", segment), 4).fill(1, 0, 999);
    assert.equal(await store.repair.repairPage(segment, 4), undefined);
    await assert.rejects(sealSegment(store.segments, segment, pages), Damaged);
    assert.deepEqual(store.repaired, []);
  });

  test("a page of the revision before is found out when it is known which it should have", async () => {
    const store = await sealed();
    const before = soundPages(segment, pages, { revision: 0 });
    const right = await putFile(
      store,
      "segment",
      segment,
      soundPages(segment, pages, { revision: 1 }),
    );
    await store.segments.reopen(segment);
    await sealSegment(store.segments, segment, pages);
    const octets = octetsOf(store, "segment", segment);
    pageOf(before, 8).copy(pageOf(octets, 8));
    assert.deepEqual((await store.repair.repairPage(segment, 8))?.repaired, []);
    assert.equal((await store.repair.repairPage(segment, 8, 1))?.repaired.length, 1);
    assert.ok(octets.equals(right));
  });

  test("what the disk cannot read is made anew and written, so that it can be read", async () => {
    const store = await sealed();
    store.disk.spoil("/store/segment-00000003", 12 * pageBytes + 700, 1);
    const octets = await store.segments.read(
      [segment, 0, pages * payloadBytes],
      0,
      30 * payloadBytes,
    );
    assert.ok(
      octets
        .subarray(12 * payloadBytes, 13 * payloadBytes)
        .equals(pageOf(store.right, 12).subarray(64)),
    );
    assert.deepEqual(
      store.repaired.map(({ page, how }) => [page, how]),
      [[12, "parity"]],
    );
    store.segments.repair = undefined;
    await store.segments.read([segment, 0, pages * payloadBytes], 0, 30 * payloadBytes);
  });

  test("a disk that takes no writes still gives the right page, and says so", async () => {
    const store = await sealed();
    pageOf(octetsOf(store, "segment", segment), 4).fill(1, 0, 999);
    store.disk.faults = { roomBytes: 0, failAtOperation: 0 };
    const { disk } = store;
    const open = disk.open.bind(disk);
    disk.open = (path, mode) =>
      mode === "read"
        ? open(path, mode)
        : Promise.reject(Object.assign(new Error("EROFS"), { code: "EROFS" }));
    const found = await store.repair.repairPage(segment, 4);
    assert.ok(found?.page.equals(pageOf(store.right, 4)));
    assert.deepEqual(
      store.repaired.map(({ isWritten }) => isWritten),
      [false],
    );
  });

  test("random harm to random pages: all right again, or left and said so", async () => {
    const acts = Object.values(harms);
    let lost = 0;
    for (let seed = 1; seed <= 60; seed += 1) {
      const random = seededRandom(seed);
      const store = await sealed();
      const octets = octetsOf(store, "segment", segment);
      const harmed = new Set<number>();
      for (let round = 0; round < 6; round += 1) {
        const number = pick(random, pages);
        if (harmed.has(number)) continue;
        harmed.add(number);
        acts[pick(random, acts.length)]?.(octets, number);
      }
      for (const number of harmed) {
        const found = await store.repair.repairPage(segment, number);
        if (found === undefined) lost += 1;
        else assert.ok(found.page.equals(pageOf(store.right, number)), `seed ${seed}`);
      }
      const inGroups = Map.groupBy(harmed, (number) => number % groups);
      const isHopeless = [...inGroups.values()].some((members) => members.length > 2);
      assert.ok(isHopeless || octets.equals(store.right), `seed ${seed}`);
    }
    assert.ok(lost > 0, "some groups lost three");
  });
});

describe("pause()", () => {
  test("keeps repairs from a file that is about to be another", async () => {
    const store = await sealed();
    pageOf(octetsOf(store, "segment", segment), 4).fill(0);
    const compacted = soundPages(segment, pages, { revision: 1 });
    const swapped = store.repair.pause(async () => {
      await removeParity(store.segments, segment);
      await putFile(store, "segment", segment, compacted);
      await store.segments.reopen(segment);
    });
    const found = await store.repair.repairPage(segment, 4);
    await swapped;
    assert.ok(found?.page.equals(pageOf(compacted, 4)));
    assert.ok(octetsOf(store, "segment", segment).equals(compacted));
  });
});

describe("repairPage() of the segment in use", () => {
  for (const [harm, act] of Object.entries(harms)) {
    test(`takes a page from the second copy after ${harm}`, async () => {
      const store = await copied();
      for (let number = 0; number < pages; number += 1) {
        act(octetsOf(store, "segment", segment), number);
        assert.equal((await store.repair.repairPage(segment, number))?.repaired.length, 1);
      }
      assert.ok(octetsOf(store, "segment", segment).equals(store.right));
    });
  }

  test("a copy that is bad itself is no help, but for the pages in it that are right", async () => {
    const store = await copied();
    pageOf(octetsOf(store, "tail", segment), 5).fill(7, 0, 4000);
    for (const number of [5, 6])
      pageOf(octetsOf(store, "segment", segment), number).fill(7, 0, 4000);
    assert.equal(await store.repair.repairPage(segment, 5), undefined);
    assert.notEqual(await store.repair.repairPage(segment, 6), undefined);
  });

  test("a swapped file is not written over page by page", async () => {
    const store = await copied();
    const other = await putFile(store, "segment", 8, soundPages(8, pages));
    other.copy(octetsOf(store, "segment", segment));
    assert.equal(await store.repair.repairPage(segment, 2), undefined);
    assert.ok(octetsOf(store, "segment", segment).equals(other));
  });

  test("a file that is gone is made again", async () => {
    const store = await copied();
    await store.disk.remove("/store/segment-00000003");
    await store.segments.reopen(segment);
    await assert.rejects(restoreLost(store.segments, undefined), /segment-00000003 page 0/);
    await restoreLost(store.segments, store.repair);
    assert.ok(octetsOf(store, "segment", segment).equals(store.right));
    assert.equal(await store.repair.restoreSegment(segment), false, "it is there");
    assert.equal(await store.repair.restoreSegment(4), false, "it never was");
  });

  test("the copy itself is repaired from the segment", async () => {
    const store = await copied();
    pageOf(octetsOf(store, "tail", segment), 5).fill(7, 0, 4000);
    flipBit(pageOf(octetsOf(store, "segment", segment), 5), 6000);
    const repaired = await store.repair.repairCopy(segment, 5);
    assert.deepEqual(
      repaired.map(({ file, how }) => [file, how]),
      [
        ["segment-00000003", "bit"],
        ["tail-00000003", "copy"],
      ],
    );
    assert.ok(octetsOf(store, "tail", segment).equals(store.right));
  });
});

describe("Segments.read()", () => {
  const everything = [segment, 0, pages * payloadBytes] as const;

  test("repairs once for all who read at the same time", async () => {
    const store = await sealed();
    pageOf(octetsOf(store, "segment", segment), 11).fill(3, 100, 300);
    const read = () => store.segments.read([...everything], 10 * payloadBytes, 12 * payloadBytes);
    const all = await Promise.all([read(), read(), read()]);
    for (const octets of all) {
      assert.ok(octets.subarray(payloadBytes).equals(pageOf(store.right, 11).subarray(64)));
    }
    assert.equal(store.repaired.length, 1);
  });

  test("says which page is beyond repair, and with repairs off which is bad", async () => {
    const store = await sealed();
    const octets = octetsOf(store, "segment", segment);
    for (const number of membersOf(pages, 0).slice(0, 3)) pageOf(octets, number).fill(0);
    flipBit(octets, 100_000 * 8);
    const read = (): Promise<Buffer> => store.segments.read([...everything], 0, 20 * payloadBytes);
    const named = (page: number, what: string) => (error: unknown) =>
      error instanceof Damaged && error.place.page === page && error.place.what === what;
    await assert.rejects(read(), named(0, "missing"));
    store.segments.repair = undefined;
    await assert.rejects(
      store.segments.read([...everything], payloadBytes, 20 * payloadBytes),
      named(3, "missing"),
    );
    const before = Buffer.from(octets);
    await assert.rejects(
      store.segments.read([...everything], 12 * payloadBytes, 13 * payloadBytes),
      named(12, "checksum"),
    );
    assert.ok(octets.equals(before), "nothing is written");
  });

  test("a file that was cut at its end is made whole as far as parity goes", async () => {
    const store = await sealed();
    const file = await store.disk.open("/store/segment-00000003", "write");
    await file.resize((pages - 2 * groups) * pageBytes);
    await store.segments.read([...everything], 0, pages * payloadBytes);
    assert.ok(octetsOf(store, "segment", segment).equals(store.right));
    await file.resize((pages - 2 * groups - 1) * pageBytes);
    await assert.rejects(store.segments.read([...everything], 0, pages * payloadBytes), Damaged);
  });

  test("a sealed file that is gone is named: two parity pages do not make sixteen", async () => {
    const store = await sealed();
    await store.disk.remove("/store/segment-00000003");
    await store.segments.reopen(segment);
    await assert.rejects(
      store.segments.read([...everything], 0, 10),
      /segment-00000003 page 0 \(missing\)/,
    );
    await assert.rejects(restoreLost(store.segments, store.repair), /segment-00000003 page 0/);
  });
});
