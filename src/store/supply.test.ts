import assert from "node:assert/strict";
import { test } from "node:test";
import {
  handClock,
  keptLog,
  octetsOf,
  pageStore,
  pageStoreOn,
  settled,
  soundPages,
} from "./page-fixture.ts";
import { pageBytes } from "./pages.ts";
import { Supply } from "./supply.ts";
import { TailCopy } from "./tail-copy.ts";

const sizes = { segmentBytes: 16 * pageBytes, reserveBytes: 0, minFreeBytes: 0 };

test("Supply copies what is written, and hands over a segment that it leaves when its copy is complete", async () => {
  const store = pageStore();
  const { segments } = store;
  const clock = handClock();
  const log = keptLog();
  const left: (readonly [number, number, boolean])[] = [];
  const guard = {
    copy: (segment: number, pages: number) =>
      new TailCopy(segments, { clock, log }, segment, pages),
    left(segment: number, pages: number, copied: Promise<void>) {
      const before = octetsIn("tail", segment).length;
      void copied.then(() => {
        const after = octetsIn("tail", segment);
        const isWhole = after.equals(octetsIn("segment", segment).subarray(0, pages * pageBytes));
        left.push([segment, pages, isWhole && before < after.length]);
      });
    },
  };
  const octetsIn = (kind: "segment" | "tail", segment: number): Buffer => {
    try {
      return octetsOf(store, kind, segment);
    } catch {
      return Buffer.alloc(0);
    }
  };
  await segments.prepare(1, sizes.segmentBytes, 0);
  const at = { segment: 1, page: 0, ready: [], highest: 1 };
  const supply = await Supply.open(segments, clock, { ...sizes, guard }, at);
  for (let generation = 1; generation <= 9; generation += 1) {
    if (supply.pagesLeft < 5) await supply.advance();
    const { segment, page } = supply;
    const pages = soundPages(segment, 5, { generation, firstPage: page });
    await supply.file.write([pages], page * pageBytes);
    await supply.file.sync();
    supply.written(pages);
    assert.equal(supply.page, page + 5);
  }
  await settled();
  assert.deepEqual(left, [
    [1, 15, true],
    [2, 15, true],
  ]);
  assert.equal(supply.copied, 0);
  await supply.close();
  const after = pageStoreOn(store.disk.powerCut());
  const copy = octetsOf(after, "tail", supply.segment);
  assert.ok(
    copy.length > 0 &&
      copy.equals(octetsOf(after, "segment", supply.segment).subarray(0, copy.length)),
  );
});
