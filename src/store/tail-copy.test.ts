import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  flipBit,
  handClock,
  keptLog,
  octetsOf,
  type PageStore,
  pageOf,
  pageStore,
  pageStoreOn,
  putFile,
  settled,
  soundPages,
} from "./page-fixture.ts";
import { pageBytes } from "./pages.ts";
import { TailCopy } from "./tail-copy.ts";

const segment = 5;
const right = soundPages(segment, 2600);

interface Open extends PageStore {
  readonly right: Buffer;
  readonly clock: ReturnType<typeof handClock>;
  readonly log: ReturnType<typeof keptLog>;
  readonly copy: TailCopy;
  /** Writes the next pages as the ledger does. */
  write(count: number): Promise<void>;
}

/** A segment in use that holds so many pages already. */
async function opened(pages = 0, store = pageStore()): Promise<Open> {
  const octets = Buffer.alloc(right.length);
  right.copy(octets, 0, 0, pages * pageBytes);
  await putFile(store, "segment", segment, octets);
  const clock = handClock();
  const log = keptLog();
  const copy = new TailCopy(store.segments, { clock, log }, segment, pages);
  let at = pages;
  return {
    ...store,
    right,
    clock,
    log,
    copy,
    async write(count) {
      const memory = Buffer.from(right.subarray(at * pageBytes, (at + count) * pageBytes));
      const file = await store.segments.openForWriting(segment);
      await file.write([memory], at * pageBytes);
      await file.sync();
      copy.written(memory, at);
      memory.fill(0xee); // the ledger builds its next batch there
      at += count;
    },
  };
}

function isCopied(open: Open, pages: number): boolean {
  return octetsOf(open, "tail", segment).equals(open.right.subarray(0, pages * pageBytes));
}

describe("TailCopy", () => {
  test("follows the segment, flushed when its time comes", async () => {
    const open = await opened();
    await open.write(3);
    await open.write(1);
    await settled();
    assert.deepEqual(await open.segments.numbers("tail"), [], "nobody waited for it");
    await open.clock.runTimers();
    assert.ok(isCopied(open, 4));
    assert.equal(open.copy.pages, 4);
    await open.write(2);
    assert.equal(open.copy.pages, 4);
    await open.copy.close();
    assert.equal(open.copy.pages, 6);
    const after = pageStoreOn(open.disk.powerCut());
    assert.ok(octetsOf(after, "tail", segment).equals(open.right.subarray(0, 6 * pageBytes)));
    assert.deepEqual(open.log.lines, []);
  });

  test("does not hold a mebibyte back, and does not flush it before its time", async () => {
    const open = await opened();
    for (let round = 0; round < 10; round += 1) await open.write(100);
    await settled();
    assert.ok(octetsOf(open, "tail", segment).length >= 900 * pageBytes);
    assert.equal(open.copy.pages, 0);
    await open.clock.runTimers();
    assert.equal(open.copy.pages, 1000);
    assert.ok(isCopied(open, 1000));
    await open.copy.close();
  });

  test("flushes before much has gathered, so that no commit waits behind it", async () => {
    const open = await opened();
    for (let round = 0; round < 10; round += 1) {
      await open.write(200);
      await settled();
    }
    assert.ok(open.copy.pages >= 1000);
    await open.copy.close();
    assert.ok(isCopied(open, 2000));
  });

  test("what comes too fast is read from the segment instead of being held", async () => {
    const open = await opened();
    await open.write(500);
    await open.write(1500);
    await open.write(500);
    await open.write(20);
    await open.clock.runTimers();
    await open.clock.runTimers();
    assert.ok(isCopied(open, 2520));
    await open.write(5);
    await open.copy.close();
    assert.ok(isCopied(open, 2525));
  });

  test("is made and completed from a segment that is opened again", async () => {
    const open = await opened(300);
    await open.write(1);
    await open.clock.runTimers();
    assert.ok(isCopied(open, 301));
    await open.copy.close();

    const octets = octetsOf(open, "tail", segment);
    pageOf(octets, 7).fill(1);
    const file = await open.disk.open("/store/tail-00000005", "write");
    await file.resize(200 * pageBytes);
    const again = await opened(301, open);
    await again.clock.runTimers();
    assert.ok(isCopied(again, 301));
    assert.equal(again.copy.pages, 301);
    await again.copy.close();
  });

  test("brings a bad page of neither into the other", async () => {
    const open = await opened(40);
    await putFile(open, "tail", segment, open.right.subarray(0, 40 * pageBytes));
    const octets = octetsOf(open, "segment", segment);
    pageOf(octets, 3).fill(0);
    flipBit(pageOf(octets, 4), 5000);
    pageOf(octets, 9).fill(1);
    pageOf(octetsOf(open, "tail", segment), 9).fill(2);
    await open.clock.runTimers();
    assert.ok(pageOf(octets, 3).equals(pageOf(open.right, 3)));
    assert.ok(pageOf(octets, 4).equals(pageOf(open.right, 4)));
    assert.equal(pageOf(octets, 9)[0], 1, "beyond repair: left as it is");
    assert.equal(pageOf(octetsOf(open, "tail", segment), 9)[0], 2);
    await open.copy.close();
  });

  test("a disk that fails is told once, tried again, and what it claimed is not believed", async () => {
    const open = await opened();
    await open.write(4);
    await open.clock.runTimers();
    open.disk.faults = { roomBytes: 0 };
    await open.write(4);
    await open.clock.runTimers();
    await open.write(4);
    await open.clock.runTimers();
    assert.deepEqual(
      open.log.lines.map(({ event }) => event),
      ["store.copy-failed"],
    );
    assert.equal(open.copy.pages, 0);
    open.disk.faults = {};
    await open.clock.runTimers();
    assert.deepEqual(
      open.log.lines.map(({ event }) => event),
      ["store.copy-failed", "store.copy-restored"],
    );
    assert.equal(open.copy.pages, 12);
    assert.ok(isCopied(open, 12));
    await open.copy.close();
  });

  test("after a failed flush everything is written again", async () => {
    const open = await opened();
    await open.write(4);
    // create, directory, write, then the flush
    open.disk.faults = { failAtOperation: open.disk.operations + 5 };
    await open.clock.runTimers();
    assert.equal(open.log.lines.length, 1);
    await open.clock.runTimers();
    assert.equal(open.copy.pages, 4);
    await open.copy.close();
    const after = pageStoreOn(open.disk.powerCut());
    assert.ok(octetsOf(after, "tail", segment).equals(open.right.subarray(0, 4 * pageBytes)));
  });

  test("no failure of any operation of the copy reaches the writer", async () => {
    for (let at = 1; at <= 12; at += 1) {
      const open = await opened(3);
      await open.write(2);
      open.disk.faults = { failAtOperation: open.disk.operations + at, failsOn: at % 2 === 0 };
      await open.clock.runTimers();
      await open.copy.close();
      open.disk.faults = {};
      assert.ok(
        octetsOf(open, "segment", segment)
          .subarray(0, 5 * pageBytes)
          .equals(open.right.subarray(0, 5 * pageBytes)),
      );
    }
  });
});
