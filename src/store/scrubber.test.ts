import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Maintenance } from "./maintenance.ts";
import {
  flipBit,
  keptLog,
  octetsOf,
  type PageStore,
  pageOf,
  pageStore,
  putFile,
  settled,
  soundPages,
} from "./page-fixture.ts";
import { blockBytes, pageBytes } from "./pages.ts";
import type { ScrubResult } from "./scrub.ts";
import { Scrubber } from "./scrubber.ts";
import { sealSegment } from "./seal.ts";

const dayMs = 86_400_000;

/** Time that passes as soon as somebody waits for it. */
function swiftClock(startMs = 1_800_000_000_000) {
  let passedMs = 0;
  const slept: number[] = [];
  return {
    slept,
    nowMs: () => startMs + passedMs,
    tickMs: () => passedMs,
    passMs: (ms: number) => void (passedMs += ms),
    after(delayMs: number, run: () => void) {
      let isOn = true;
      slept.push(delayMs);
      // Looking for what is due is left to the test.
      if (delayMs < 60_000) {
        passedMs += delayMs;
        setImmediate(() => isOn && run());
      } else looks.push(run);
      return { cancel: () => void (isOn = false) };
    },
    look(): Promise<void> {
      for (const run of looks.splice(0)) run();
      return settled();
    },
  };
}
const looks: (() => void)[] = [];

/** Segments 1 and 2 sealed, 3 left without parity, 4 in use, 5 ready. */
async function filled(): Promise<PageStore> {
  const store = pageStore();
  for (const segment of [1, 2, 3, 4]) {
    await putFile(
      store,
      "segment",
      segment,
      soundPages(segment, 20, { generation: segment * 10 - 9 }),
    );
    if (segment < 3) await sealSegment(store.segments, segment, 20);
    if (segment > 3) await putFile(store, "tail", segment, octetsOf(store, "segment", segment));
  }
  await putFile(store, "segment", 5, Buffer.alloc(20 * pageBytes));
  return store;
}

function scrubberOn(store: PageStore, lastMs: Record<number, number> = {}) {
  looks.length = 0;
  const clock = swiftClock();
  const log = keptLog();
  const finished: ScrubResult[] = [];
  const sealed: number[] = [];
  const scrubber = new Scrubber({
    segments: store.segments,
    repair: store.repair,
    sealer: { seal: (segment) => void sealed.push(segment), pagesInUse: async () => 20 },
    maintenance: new Maintenance(),
    clock,
    log,
    bytesPerSecond: 5_000_000,
    open: () => ({ segment: 4, pages: 18, copied: 16 }),
    lastScrubbedMs: (segment) => lastMs[segment],
    finished(result) {
      finished.push(result);
      lastMs[result.segment] = clock.nowMs();
    },
  });
  return { scrubber, clock, log, finished, sealed };
}

describe("Scrubber", () => {
  test("reads everything once, at 5 MB a second, and then rests", async () => {
    const store = await filled();
    const { scrubber, clock, finished, sealed } = scrubberOn(store);
    await settled();
    assert.deepEqual(
      finished.map(({ segment, pages }) => [segment, pages]),
      [
        [1, 20],
        [2, 20],
        [3, 20],
        [4, 18],
      ],
    );
    assert.deepEqual(sealed, [3]);
    const bytes = finished.reduce((sum, one) => sum + one.bytes, 0);
    assert.ok(Math.abs(clock.tickMs() - bytes / 5000) < 1, `${clock.tickMs()} ms`);
    clock.passMs(5 * dayMs);
    await clock.look();
    assert.equal(finished.length, 4);
    clock.passMs(dayMs + 60_000);
    await clock.look();
    assert.equal(finished.length, 8);
    await scrubber.close();
  });

  test("begins with what was not read for the longest time, and mistrusts times to come", async () => {
    const now = 1_800_000_000_000;
    const store = await filled();
    const { scrubber, finished } = scrubberOn(store, {
      1: now - 8 * dayMs,
      2: now - 9 * dayMs,
      3: now - dayMs,
      4: now + 99 * dayMs,
    });
    await settled();
    assert.deepEqual(
      finished.map(({ segment }) => segment),
      [4, 2, 1],
    );
    await scrubber.close();
  });

  test("a store that is too large for that pace is read faster", async () => {
    const store = await filled();
    const sizeBytes = store.disk.sizeBytes.bind(store.disk);
    const tenTerabytes = 10_000_000_000_000;
    store.disk.sizeBytes = async (path) =>
      path.includes("parity-00000002") ? tenTerabytes : sizeBytes(path);
    const { scrubber, clock, finished } = scrubberOn(store);
    await settled();
    const bytes = finished.reduce((sum, one) => sum + one.bytes, 0);
    const rate = bytes / (clock.tickMs() / 1000);
    assert.ok(rate > 19_000_000 && rate < 20_000_000, `${rate} octets a second`);
    await scrubber.close();
  });

  test("repairs, tells what is beyond repair, and what cannot be read does not stop the others", async () => {
    const store = await filled();
    flipBit(octetsOf(store, "segment", 1), 4 * pageBytes * 8 + 999);
    for (const page of [0, 2, 4]) pageOf(octetsOf(store, "segment", 2), page).fill(1, 64);
    const read = store.disk.open.bind(store.disk);
    store.disk.open = (path, mode) =>
      path.endsWith("segment-00000003")
        ? Promise.reject(Object.assign(new Error("EACCES"), { code: "EACCES" }))
        : read(path, mode);
    await store.segments.reopen(3);
    const { scrubber, clock, log, finished } = scrubberOn(store);
    await settled();
    await clock.look();
    assert.deepEqual(
      finished.map(({ segment }) => segment),
      [1, 2, 4],
    );
    assert.deepEqual(
      finished.map(({ repaired, damaged }) => [repaired.length, damaged.length]),
      [
        [1, 0],
        [0, 3],
        [0, 0],
      ],
    );
    assert.deepEqual(
      log.lines.map(({ event, fields }) => [event, fields?.["page"]]),
      [
        ["store.damaged", 0],
        ["store.damaged", 2],
        ["store.damaged", 4],
        ["store.scrub-failed", undefined],
      ],
    );
    await scrubber.close();
  });

  test("scrubs everything when told, with progress up to the whole", async () => {
    const store = await filled();
    const { scrubber, clock, finished } = scrubberOn(store);
    await settled();
    const before = clock.tickMs();
    const told: number[] = [];
    let all = 0;
    const results: ScrubResult[] = [];
    for await (const one of scrubber.scrubNow({
      onProgress: (bytes, of) => void (told.push(bytes), (all = of)),
    })) {
      results.push(one);
    }
    assert.equal(clock.tickMs(), before, "without a limit nobody sleeps");
    assert.deepEqual(results, finished.slice(4));
    assert.equal(results.length, 4);
    assert.deepEqual(
      told,
      told.toSorted((one, other) => one - other),
    );
    assert.equal(told.at(-1), all);
    assert.equal(all, (60 + 18 + 16) * pageBytes + 8 * blockBytes);
    await scrubber.close();
    await assert.rejects(scrubber.scrubNow().next(), { name: "AbortError" });
  });
});
