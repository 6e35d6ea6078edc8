import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { systemClock } from "#base/clock";
import { Pace } from "./pace.ts";
import {
  flipBit,
  octetsOf,
  type PageStore,
  pageOf,
  pageStore,
  putFile,
  soundPages,
} from "./page-fixture.ts";
import { blockBytes, isHashRight, pageBytes } from "./pages.ts";
import { groupsOf, membersOf } from "./parity.ts";
import { type ScrubOptions, type ScrubResult, scrubSegment } from "./scrub.ts";
import { sealSegment } from "./seal.ts";

const segment = 6;
const count = 70;
const groups = groupsOf(count);

interface Filled extends PageStore {
  readonly right: Buffer;
}

async function sealed(): Promise<Filled> {
  const store = pageStore();
  const right = await putFile(store, "segment", segment, soundPages(segment, count));
  await sealSegment(store.segments, segment, count);
  return { ...store, right };
}

async function inUse(): Promise<Filled> {
  const store = pageStore();
  const right = soundPages(segment, count);
  await putFile(store, "segment", segment, Buffer.concat([right, Buffer.alloc(30 * pageBytes)]));
  await putFile(store, "tail", segment, right);
  return { ...store, right };
}

function scrubbed(store: PageStore, more: Partial<ScrubOptions> = {}): Promise<ScrubResult> {
  return scrubSegment(store.segments, store.repair, segment, {
    pace: new Pace(systemClock),
    ...more,
  });
}

const places = (all: readonly { file: string; page: number }[]): string[] =>
  all.map(({ file, page }) => `${file.slice(0, 3)} ${page}`);

describe("scrubSegment()", () => {
  test("reads every page and block of a sealed segment, and changes nothing that is right", async () => {
    const store = await sealed();
    const bytes = count * pageBytes + 2 * groups * blockBytes;
    assert.deepEqual(await scrubbed(store), {
      segment,
      pages: count,
      bytes,
      repaired: [],
      damaged: [],
      hasParity: true,
    });
  });

  test("repairs pages and blocks, those that only the hash finds as well", async () => {
    const store = await sealed();
    const parity = Buffer.from(octetsOf(store, "parity", segment));
    const octets = octetsOf(store, "segment", segment);
    flipBit(octets, 3 * pageBytes * 8 + 77);
    pageOf(octets, 12).fill(0);
    const sly = pageOf(octets, 21);
    sly[4000] = (sly[4000] ?? 0) ^ 0xff;
    sly.writeUInt32LE(0, 4);
    sly.writeUInt32LE(crc32(sly), 4);
    assert.equal(isHashRight(sly), false);
    store.disk.spoil("/store/segment-00000006", 33 * pageBytes, 1);
    flipBit(octetsOf(store, "parity", segment), 2 * blockBytes * 8 + 5000);
    octetsOf(store, "parity", segment).fill(7, 8 * blockBytes, 9 * blockBytes);
    const { repaired, damaged } = await scrubbed(store);
    assert.deepEqual(places(repaired).sort(), [
      "par 2",
      "par 8",
      "seg 12",
      "seg 21",
      "seg 3",
      "seg 33",
    ]);
    assert.deepEqual(damaged, []);
    assert.ok(octetsOf(store, "segment", segment).equals(store.right));
    assert.ok(octetsOf(store, "parity", segment).equals(parity));
    assert.deepEqual((await scrubbed(store)).repaired, []);
  });

  test("names what is beyond repair and goes on", async () => {
    const store = await sealed();
    const octets = octetsOf(store, "segment", segment);
    const [one = 0, two = 0, three = 0] = membersOf(count, 1);
    for (const page of [one, two, three]) pageOf(octets, page).fill(2, 64);
    pageOf(octets, 69).fill(0);
    store.disk.spoil("/store/segment-00000006", three * pageBytes, 1);
    const { repaired, damaged } = await scrubbed(store);
    assert.deepEqual(places(repaired), ["seg 69"]);
    assert.deepEqual(
      damaged.map(({ page, what }) => [page, what]),
      [
        [one, "checksum"],
        [two, "checksum"],
        [three, "unreadable"],
      ],
    );
  });

  test("with repairs off only tells", async () => {
    const store = await sealed();
    store.segments.repair = undefined;
    flipBit(octetsOf(store, "segment", segment), 9999);
    flipBit(octetsOf(store, "parity", segment), 9999);
    const before = Buffer.from(octetsOf(store, "segment", segment));
    const options = { pace: new Pace(systemClock) };
    const { repaired, damaged } = await scrubSegment(store.segments, undefined, segment, options);
    assert.deepEqual([repaired, places(damaged)], [[], ["seg 0", "par 0"]]);
    assert.ok(octetsOf(store, "segment", segment).equals(before));
  });

  test("finds a page that a compaction should have replaced, and parity that it should have", async () => {
    const store = await sealed();
    const compacted = await putFile(
      store,
      "segment",
      segment,
      soundPages(segment, count, { revision: 1 }),
    );
    await store.segments.reopen(segment);
    assert.equal((await scrubbed(store, { pages: count })).hasParity, false);
    await sealSegment(store.segments, segment, count);
    pageOf(store.right, 40).copy(pageOf(octetsOf(store, "segment", segment), 40));
    const { repaired, hasParity } = await scrubbed(store);
    assert.deepEqual([places(repaired), hasParity], [["seg 40"], true]);
    assert.ok(octetsOf(store, "segment", segment).equals(compacted));
  });

  test("of the segment in use reads what is durable, and its second copy", async () => {
    const store = await inUse();
    const tail = octetsOf(store, "tail", segment);
    pageOf(tail, 8).fill(1);
    pageOf(tail, 66).fill(1);
    pageOf(octetsOf(store, "segment", segment), 9).fill(1);
    pageOf(octetsOf(store, "segment", segment), 68).fill(1);
    const { repaired, damaged, bytes } = await scrubbed(store, { pages: 68, copied: 60 });
    assert.deepEqual([places(repaired), damaged], [["seg 9", "tai 8"], []]);
    assert.equal(bytes, 128 * pageBytes);
  });

  const parityHarms: Readonly<Record<string, (octets: Buffer) => Buffer>> = {
    "cut short": (octets) => octets.subarray(0, 7 * blockBytes + 100),
    longer: (octets) => Buffer.concat([octets, octets]),
    "half overwritten": (octets) => Buffer.from(octets).fill(9, 0, octets.length / 2),
  };
  for (const [harm, act] of Object.entries(parityHarms)) {
    test(`parity that is ${harm} is made whole again from the segment`, async () => {
      const store = await sealed();
      const parity = Buffer.from(octetsOf(store, "parity", segment));
      await store.segments.replace("parity", segment, (file) => file.write([act(parity)], 0));
      const { damaged, hasParity } = await scrubbed(store);
      assert.deepEqual([damaged, hasParity], [[], true]);
      const now = octetsOf(store, "parity", segment).subarray(0, parity.length);
      assert.ok(now.equals(parity));
    });
  }

  test("parity that is garbage, foreign or another segment's is as good as none", async () => {
    const store = await sealed();
    const other = Buffer.from(octetsOf(store, "parity", segment));
    other.fill(0, 44); // sound nowhere
    for (const octets of [other, Buffer.alloc(0), Buffer.alloc(99_999, 3)]) {
      await store.segments.replace("parity", segment, (file) => file.write([octets], 0));
      const { damaged, repaired, hasParity } = await scrubbed(store, { pages: count });
      assert.deepEqual([damaged, repaired, hasParity], [[], [], false]);
    }
  });

  test("a second copy of another segment is written anew", async () => {
    const store = await inUse();
    await putFile(store, "tail", segment, soundPages(segment + 1, count));
    const { damaged } = await scrubbed(store, { pages: count, copied: count });
    assert.deepEqual(damaged, []);
    assert.ok(octetsOf(store, "tail", segment).equals(store.right));
  });

  test("a file that is gone is damage", async () => {
    const store = await sealed();
    await store.disk.remove("/store/segment-00000006");
    const { damaged } = await scrubbed(store);
    assert.deepEqual(
      damaged.map(({ page, what }) => [page, what]),
      [[0, "missing"]],
    );
    const other = await inUse();
    await other.disk.remove("/store/tail-00000006");
    assert.deepEqual(places((await scrubbed(other, { pages: 68, copied: 60 })).damaged), ["tai 0"]);
  });

  test("keeps its pace, tells its progress, and ends when told", async () => {
    const store = await sealed();
    let now = 0;
    const slept: number[] = [];
    const clock = {
      nowMs: () => now,
      tickMs: () => now,
      after(delayMs: number, run: () => void) {
        slept.push(delayMs);
        now += delayMs;
        run();
        return { cancel: () => undefined };
      },
    };
    let told = 0;
    const onProgress = (bytes: number): void => void (told += bytes);
    const { bytes } = await scrubbed(store, { pace: new Pace(clock, 1_000_000), onProgress });
    assert.equal(told, bytes);
    assert.ok(Math.abs(now - bytes / 1000) < 1);
    assert.ok(slept.length > 3);

    const stop = new AbortController();
    const stopped = scrubbed(store, { signal: stop.signal, onProgress: () => stop.abort() });
    await assert.rejects(stopped, { name: "AbortError" });
  });
});
