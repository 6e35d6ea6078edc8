import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SimulatedDisk } from "#base/disk-sim";
import { Unavailable } from "#base/errors";
import { Damaged } from "./damage.ts";
import {
  acceptMail,
  directory,
  mail,
  newDisk,
  openOn,
  recordsOn,
  storeWithAlice,
} from "./fixture.ts";
import { locateRecord } from "./locate.ts";
import { pageBytes } from "./pages.ts";
import { leafOfFacts, type PlacedRecord } from "./records.ts";
import { findStoreId } from "./scan.ts";
import { Segments } from "./segments.ts";

/** Several segments, some of them left after a power cut in the middle of a batch. */
async function brokenOff(): Promise<SimulatedDisk> {
  let disk = newDisk();
  let store = await storeWithAlice(disk);
  for (let number = 1; number <= 120; number += 1) {
    const accepting = acceptMail(
      store,
      number,
      mail(`m ${number}`, [400, 9000, 40_000][number % 3]),
    );
    if (number % 30 !== 0) await accepting;
    else {
      accepting.catch(() => undefined);
      for (let turns = 0; turns < number / 10; turns += 1) await Promise.resolve();
      disk = disk.powerCut();
      store = await openOn(disk);
    }
  }
  return disk.kill();
}

async function segmentsOn(disk: SimulatedDisk): Promise<Segments> {
  const segments = new Segments(disk, directory);
  segments.storeId = await findStoreId(segments);
  return segments;
}

async function locate(segments: Segments, { place, leaf }: PlacedRecord): Promise<void> {
  const found = await locateRecord(segments, place.lsn, leaf);
  assert.equal(found.place.lsn, place.lsn);
  assert.ok(leafOfFacts(found).equals(leaf));
}

describe("locateRecord()", () => {
  test("finds every record, whatever a power cut left between them", async () => {
    const disk = await brokenOff();
    const segments = await segmentsOn(disk);
    const records = await recordsOn(disk);
    assert.ok((await segments.numbers()).length > 5 && records.length > 300);
    for (const record of records) await locate(segments, record);
    const beyond = locateRecord(segments, records.length + 1, Buffer.alloc(32));
    await assert.rejects(beyond, Unavailable);
    await assert.rejects(locateRecord(segments, 5, Buffer.alloc(32)), Unavailable);
  });

  test("reads few pages of many", async () => {
    const disk = await brokenOff();
    const segments = await segmentsOn(disk);
    const records = await recordsOn(disk);
    let pages = 0;
    const { readAll } = segments;
    segments.readAll = (segment, first, into) => {
      pages += into.length / pageBytes;
      return readAll.call(segments, segment, first, into);
    };
    for (const record of records) await locate(segments, record);
    assert.ok(pages / records.length < 40, `${pages / records.length} pages for each record`);
  });

  test("finds what a damaged page does not hide", async () => {
    const disk = await brokenOff();
    const records = await recordsOn(disk);
    const segments = await segmentsOn(disk);
    const [first] = await segments.numbers();
    disk.spoil(segments.path(first ?? 1), 9 * pageBytes + 500, 40);
    let hidden = 0;
    for (const record of records) {
      try {
        await locate(segments, record);
      } catch (error) {
        assert.ok(error instanceof Damaged || error instanceof Unavailable, String(error));
        assert.equal(record.place.segment, first);
        hidden += 1;
      }
    }
    assert.ok(hidden > 0 && hidden < records.length / 4, `${hidden} of ${records.length}`);
  });
});
