import assert from "node:assert/strict";
import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import type { SimulatedDisk } from "#base/disk-sim";
import { Full } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import { compactSegment } from "./compact.ts";
import { assertHolds, copyOf, folderFor, type Kept, live, workshopOn } from "./compact-fixture.ts";
import { Damaged } from "./damage.ts";
import { directory, fixedMaster, newDisk, openOn, recordsOn, rowsOf } from "./fixture.ts";
import { rebuildIndex, verifyStore } from "./index.ts";
import { keptLog } from "./page-fixture.ts";
import { pageBytes } from "./pages.ts";
import { groupsOf } from "./parity.ts";
import { revisionOf } from "./places.ts";
import { RecordReader } from "./reader.ts";
import { sealSegment } from "./seal.ts";
import { Segments, segmentName } from "./segments.ts";

/** What the history says, record by record. */
async function leavesOn(disk: SimulatedDisk): Promise<string[]> {
  return (await recordsOn(disk)).map(
    ({ record, place, leaf }) => `${place.lsn} ${record.kind} ${leaf.toString("hex")}`,
  );
}

async function assertViewsAreRight(disk: SimulatedDisk, folder: string): Promise<void> {
  const anew = join(folder, "anew.db");
  await rebuildIndex(disk, directory, anew, fixedMaster);
  assert.deepEqual(rowsOf(join(folder, "index.db")), rowsOf(anew));
}

/** Compacts segments of a stopped store, and seals them again. @returns the octets that were freed */
async function compact(
  disk: SimulatedDisk,
  indexPath: string,
  isChosen: (segment: number) => boolean = () => true,
): Promise<number> {
  await using shop = await workshopOn(disk, indexPath);
  const { segments } = shop.parts;
  let freed = 0;
  for (const number of shop.sealed.filter(isChosen)) {
    const done = await compactSegment(shop.parts, number);
    if (done === undefined) continue;
    freed += done.freedBytes;
    await sealSegment(segments, number, await segments.pages(number));
  }
  return freed;
}

describe("compactSegment()", () => {
  test("takes out what nothing lives of, and leaves all else as it was", async (t) => {
    const indexPath = join(folderFor(t), "index.db");
    const disk = newDisk();
    const kept: Kept = new Map();
    await live(disk, indexPath, { random: seededRandom(5), mails: 90, kept });
    const before = await leavesOn(disk);
    const freed = await compact(disk, indexPath);
    assert.ok(freed > 500_000, `${freed} octets freed`);
    assert.equal(await compact(disk, indexPath), 0, "nothing is left to do");
    assert.deepEqual(await leavesOn(disk), before);
    const report = await verifyStore(disk, directory, fixedMaster);
    assert.deepEqual(report.damages, []);
    assert.ok(report.erased > 20);
    await assertHolds(disk.kill(), indexPath, kept);
  });

  test("of any segments, any number of times, gives views that equal new ones", async (t) => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const folder = folderFor(t);
      const indexPath = join(folder, "index.db");
      const random = seededRandom(seed);
      const kept: Kept = new Map();
      let disk = newDisk();
      let freed = 0;
      for (let round = 0; round < 4; round += 1) {
        await live(disk, indexPath, { random, mails: 25, kept });
        disk = disk.kill();
        freed += await compact(disk, indexPath, () => pick(random, 2) === 0);
        await assertViewsAreRight(disk, folder);
      }
      assert.ok(freed > 0);
      await assertHolds(disk.kill(), indexPath, kept);
    }
  });
});

describe("views that are older than a compaction", () => {
  test("are brought up to it, their mark as well, without being made anew", async (t) => {
    for (let mails = 4; mails <= 20; mails += 4) {
      const folder = folderFor(t);
      const indexPath = join(folder, "index.db");
      const early = join(folder, "early.db");
      const random = seededRandom(mails);
      const kept: Kept = new Map();
      const disk = newDisk();
      await live(disk, indexPath, { random, mails, kept });
      copyFileSync(indexPath, early);
      const next = disk.kill();
      await live(next, indexPath, { random, mails: 40, kept });
      const last = next.kill();
      assert.ok((await compact(last, indexPath)) > 0);
      copyFileSync(early, indexPath);
      const log = keptLog();
      await (await openOn(last, { indexPath, log }))[Symbol.asyncDispose]();
      assert.deepEqual(
        log.lines.filter(({ event }) => event.startsWith("store.index")),
        [],
      );
      await assertViewsAreRight(last, folder);
      await assertHolds(last.kill(), indexPath, kept);
    }
  });
});

describe("a compaction that is cut short", () => {
  /** A stopped, sealed store, and the segment with most to take out. */
  async function prepared(folder: string): Promise<Prepared> {
    const indexPath = join(folder, "before.db");
    const disk = newDisk();
    const kept: Kept = new Map();
    await live(disk, indexPath, { random: seededRandom(9), mails: 26, kept });
    const stopped = disk.kill();
    const shop = await workshopOn(stopped, indexPath);
    const sql = `SELECT segment FROM blob WHERE content IS NULL AND segment < ?
      GROUP BY segment ORDER BY sum(bytes) DESC`;
    const last = shop.parts.views.watermark()?.segment ?? 0;
    const segment = shop.parts.views.get(sql, last)?.["segment"] as number;
    await shop[Symbol.asyncDispose]();
    const copy = join(folder, "copy.db");
    copyFileSync(indexPath, copy);
    await using trial = await workshopOn(await copyOf(stopped, seededRandom(1)), copy);
    const { disk: other } = trial.parts.segments;
    const start = (other as SimulatedDisk).operations;
    assert.ok((await compactSegment(trial.parts, segment)) !== undefined);
    const operations = (other as SimulatedDisk).operations - start;
    return { disk: stopped, before: indexPath, kept, segment, operations };
  }

  interface Prepared {
    readonly disk: SimulatedDisk;
    readonly before: string;
    readonly kept: Kept;
    readonly segment: number;
    /** Of the disk, for its compaction. */
    readonly operations: number;
  }

  test("at any operation by the power loses nothing, whatever the views saw of it", async (t) => {
    const folder = folderFor(t);
    const { disk: stopped, before, kept, segment, operations } = await prepared(folder);
    const leaves = await leavesOn(stopped);
    const indexPath = join(folder, "index.db");
    const outcomes = new Set<string>();
    let run = 0;
    for (let cut = 1; cut <= operations + 1; cut += 1) {
      // Chance decides what is left of a rename.
      for (let seed = 1; seed <= (cut > operations - 2 ? 9 : 1); seed += 1) {
        const disk = await copyOf(stopped, seededRandom(seed));
        copyFileSync(before, indexPath);
        const shop = await workshopOn(disk, indexPath);
        disk.faults = { cutAtOperation: disk.operations + cut };
        const compacting = compactSegment(shop.parts, segment).then(() => "done");
        const end = await Promise.race([compacting, disk.dead.then(() => "cut")]);
        shop.parts.views.close();
        const next = disk.powerCut();
        // The views as they are, as they were, or none.
        run += 1;
        if (run % 3 === 1) copyFileSync(before, indexPath);
        if (run % 3 === 2) rmSync(indexPath);
        await assertHolds(next, indexPath, kept);
        const found = (await leavesOn(next)).slice(0, leaves.length);
        assert.deepEqual(found, leaves, `cut ${cut}`);
        await assertViewsAreRight(next, folder);
        const names = await next.list(directory);
        assert.ok(!names.some((name) => name.endsWith(".compact")), `cut ${cut}`);
        const revision = await revisionOf(new Segments(next, directory), segment);
        outcomes.add(`${end}, revision ${revision}, views ${run % 3}`);
      }
    }
    const ends = [...outcomes].sort();
    for (const end of ["cut, revision 0", "cut, revision 1", "done, revision 1"]) {
      assert.ok(ends.filter((one) => one.startsWith(end)).length > 1, ends.join("; "));
    }
  });

  test("with half of the places written down is made up for at the next start", async (t) => {
    const folder = folderFor(t);
    const { disk, before, kept, segment } = await prepared(folder);
    const indexPath = join(folder, "index.db");
    copyFileSync(before, indexPath);
    assert.ok((await compact(disk, indexPath, (number) => number === segment)) > 0);
    const db = new DatabaseSync(indexPath);
    db.exec(`ATTACH '${before}' AS old;
      REPLACE INTO main.message SELECT * FROM old.message WHERE seq % 2 = 1;
      REPLACE INTO main.blob SELECT * FROM old.blob WHERE seq % 2 = 1;
      DELETE FROM main.segment;`);
    db.close();
    const next = disk.kill();
    await assertHolds(next, indexPath, kept);
    await assertViewsAreRight(next, folder);
  });

  test("by an error of the disk leaves a store that can be read", async (t) => {
    const folder = folderFor(t);
    const { disk: stopped, before, kept, segment, operations } = await prepared(folder);
    const indexPath = join(folder, "index.db");
    let failed = 0;
    for (let at = 1; at <= operations; at += 1) {
      const disk = await copyOf(stopped, seededRandom(at));
      copyFileSync(before, indexPath);
      {
        await using shop = await workshopOn(disk, indexPath);
        const { views, segments } = shop.parts;
        disk.faults = { failAtOperation: disk.operations + at };
        await compactSegment(shop.parts, segment).catch(() => {
          failed += 1;
        });
        disk.faults = {};
        const reader = new RecordReader(views, segments);
        for (const row of views.all("SELECT * FROM message")) {
          await reader.record(row);
          if (kept.has(Number(`0x${row["id"]}`))) await reader.octets(row, 0, 1_000_000);
        }
      }
      await assertHolds(disk.kill(), indexPath, kept);
    }
    assert.ok(failed > operations / 2);
  });

  test("for want of room leaves nothing behind", async (t) => {
    const folder = folderFor(t);
    const { disk, before, segment } = await prepared(folder);
    const octets = Buffer.from(disk.octets(`${directory}/${segmentName(segment)}`));
    await using shop = await workshopOn(disk, before);
    const names = await disk.list(directory);
    let used = 0;
    for (const name of names) used += disk.octets(`${directory}/${name}`).length;
    disk.faults = { roomBytes: used + 10 * pageBytes };
    await assert.rejects(compactSegment(shop.parts, segment), Full);
    assert.deepEqual(await disk.list(directory), names);
    assert.ok(octets.equals(disk.octets(`${directory}/${segmentName(segment)}`)));
  });

  test("by a bad page goes on when the page can be put right", async (t) => {
    const folder = folderFor(t);
    const { disk, before, kept, segment } = await prepared(folder);
    const octets = disk.octets(`${directory}/${segmentName(segment)}`);
    octets.fill(7, 3 * pageBytes + 100, 4 * pageBytes);
    octets.fill(7, 6 * pageBytes, 6 * pageBytes + 900);
    assert.ok((await compact(disk, before, (number) => number === segment)) > 0);
    await assertHolds(disk.kill(), before, kept);
  });

  test("by a write that went wrong keeps what was there", async (t) => {
    const folder = folderFor(t);
    const { disk, before, segment } = await prepared(folder);
    const octets = Buffer.from(disk.octets(`${directory}/${segmentName(segment)}`));
    await using shop = await workshopOn(disk, before);
    const names = await disk.list(directory);
    disk.faults = { flipOnWrite: 0.5 };
    await assert.rejects(compactSegment(shop.parts, segment), Damaged);
    assert.deepEqual(await disk.list(directory), names);
    assert.ok(octets.equals(disk.octets(`${directory}/${segmentName(segment)}`)));
  });

  test("by damage beyond repair leaves the segment as it is", async (t) => {
    const folder = folderFor(t);
    const { disk, before, segment } = await prepared(folder);
    await using shop = await workshopOn(disk, before);
    const path = `${directory}/${segmentName(segment)}`;
    const octets = disk.octets(path);
    const groups = groupsOf(await shop.parts.segments.pages(segment));
    const spoil = (page: number): void =>
      void octets.fill(7, page * pageBytes, page * pageBytes + 900);
    spoil(2);
    spoil(2 + groups);
    spoil(2 + 2 * groups);
    const spoilt = Buffer.from(octets);
    await assert.rejects(compactSegment(shop.parts, segment), (error) => {
      return error instanceof Damaged && error.place.file === segmentName(segment);
    });
    assert.ok(spoilt.equals(disk.octets(path)));
    assert.ok((await shop.parts.segments.numbers("parity")).includes(segment));
  });
});
