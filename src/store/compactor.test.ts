import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { SimulatedDisk } from "#base/disk-sim";
import { pick, seededRandom } from "#base/random";
import {
  copyOf,
  folderFor,
  type Kept,
  live,
  mailOf,
  sealed,
  type Workshop,
  workshopOn,
} from "./compact-fixture.ts";
import { Compactor } from "./compactor.ts";
import {
  acceptMail,
  directory,
  fixedMaster,
  head,
  mail,
  mailboxNamed,
  messageId,
  newDisk,
  rowsOf,
  storeWithAlice,
} from "./fixture.ts";
import { rebuildIndex, verifyStore } from "./index.ts";
import { Maintenance } from "./maintenance.ts";
import { keptLog } from "./page-fixture.ts";
import { pageBytes } from "./pages.ts";
import { groupsOf } from "./parity.ts";
import type { Row } from "./views.ts";

/** Lets everything else have a turn. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe("a running store", () => {
  test("is read and written while it is compacted", async (t) => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const folder = folderFor(t);
      const indexPath = join(folder, "index.db");
      const random = seededRandom(seed);
      const disk = newDisk();
      const log = keptLog();
      const store = await storeWithAlice(disk, { indexPath, log });
      const inbox = await mailboxNamed(store, "INBOX");
      const kept: Kept = new Map();
      let isOver = false;
      const read = async (): Promise<number> => {
        let count = 0;
        while (!isOver) {
          await turn();
          const number = [...kept.keys()][pick(random, kept.size)];
          if (number === undefined) continue;
          const octets = await store.messages.read(messageId(number), head.length);
          assert.ok(octets.equals(mailOf(number)), `mail ${number}`);
          count += 1;
        }
        return count;
      };
      const readers = [read(), read(), read()];
      const accept = async (number: number): Promise<void> => {
        const { entries } = await acceptMail(store, number, mailOf(number));
        kept.set(number, entries[0]?.uid ?? 0);
      };
      for (let number = 1; number <= 120; number += 1) {
        await accept(number);
        if (number % 20 > 0) continue;
        for (let gone = number - 15; gone < number - 7; gone += 1) {
          const uid = kept.get(gone) ?? 0;
          kept.delete(gone);
          await store.mailboxes.expunge(inbox, [{ from: uid, to: uid }], "any");
        }
        await Promise.all([store.erase(), sealed(store)]);
        const compacting = store.compact({ force: true });
        await accept(1000 + number);
        await compacting;
      }
      isOver = true;
      assert.ok((await Promise.all(readers)).every((count) => count > 20));
      const freed = log.lines
        .filter(({ event }) => event === "store.compacted")
        .reduce((sum, { fields }) => sum + Number(fields?.["freedBytes"]), 0);
      assert.ok(freed > 200_000, `${freed} octets freed`);
      assert.deepEqual((await store.verify()).damages, []);
      await store[Symbol.asyncDispose]();
      const anew = join(folder, "anew.db");
      await rebuildIndex(disk.kill(), directory, anew, fixedMaster);
      assert.deepEqual(rowsOf(indexPath), rowsOf(anew));
    }
  });

  test("keeps the parts of an upload that is under way, not of one that was given up", async (t) => {
    const indexPath = join(folderFor(t), "index.db");
    const disk = newDisk();
    const store = await storeWithAlice(disk, { indexPath });
    const octets = [1, 2, 3].map((fill) => Buffer.alloc(40_000, fill));
    const [going, staged, aborted] = octets.map((one) => {
      const writer = store.stage();
      void writer.write(one.subarray(0, 35_000));
      return writer;
    });
    await staged?.write((octets[1] as Buffer).subarray(35_000));
    const content = await staged?.finish();
    for (let number = 1; number <= 30; number += 1) await acceptMail(store, number, mailOf(number));
    aborted?.abort();
    await sealed(store);
    const { segments, freedBytes } = await store.compact({ force: true });
    assert.equal(segments, 1);
    assert.ok(freedBytes >= 32_000 && freedBytes < 60_000, `${freedBytes} octets freed`);
    await going?.write((octets[0] as Buffer).subarray(35_000));
    const contents = [await going?.finish(), content];
    for (const [index, one] of contents.entries()) {
      assert.ok(one !== undefined);
      await acceptMail(store, 100 + index, mail("unused"), { content: one });
      const read = await store.messages.read(messageId(100 + index), head.length);
      assert.ok(read.equals(octets[index] as Buffer));
    }
    await sealed(store);
    assert.equal((await store.compact({ force: true })).segments, 0);
    await store[Symbol.asyncDispose]();
  });

  test("gives back the room of an account that was removed, and is sound without it", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    const bob = { id: "bob", address: "bob@example.org", displayName: "Bob", createdAtMs: 1 };
    await store.people.putAccount(bob, "test");
    const deliveries = [{ account: "bob", mailbox: "inbox", flags: [] }] as const;
    for (let number = 1; number <= 30; number += 1) {
      await acceptMail(store, number, mailOf(number), number % 2 === 0 ? { deliveries } : {});
    }
    await store.people.removeAccount("bob", "test");
    await sealed(store);
    assert.equal((await store.compact()).segments, 0, "its keys are not destroyed yet");
    const before = (await store.stats()).sizeBytes;
    await store.erase(); // has it compacted, too
    await store.compact();
    const freed = before - (await store.stats()).sizeBytes;
    assert.ok(freed > 100_000, `${freed} octets freed`);
    assert.deepEqual((await store.verify()).damages, []);
    const read = await store.messages.read(messageId(11), head.length);
    assert.ok(read.equals(mailOf(11)));
    await store[Symbol.asyncDispose]();
  });
});

describe("Compactor", () => {
  const everyKind = { random: seededRandom(4), mails: 60 };

  async function compactorOn(
    disk: SimulatedDisk,
    indexPath: string,
  ): Promise<{ shop: Workshop; log: ReturnType<typeof keptLog>; compactor: Compactor }> {
    const shop = await workshopOn(disk, indexPath);
    const log = keptLog();
    const parts = { ...shop.parts, log, maintenance: new Maintenance() };
    return { shop, log, compactor: new Compactor(parts) };
  }

  test("takes what is worth it, the most dead octets first, and everything when told", async (t) => {
    const indexPath = join(folderFor(t), "index.db");
    const disk = newDisk();
    await live(disk, indexPath, { ...everyKind, kept: new Map() });
    const { shop, compactor } = await compactorOn(disk.kill(), indexPath);
    const { views } = shop.parts;
    const shares = (): Row[] =>
      views.all(`SELECT segment, total(iif(content IS NULL, bytes, 0)) AS dead, sum(bytes) AS bytes
        FROM blob WHERE segment < (SELECT segment FROM watermark) GROUP BY segment`);
    const isWorthIt = (row: Row): boolean =>
      (row["dead"] as number) >= 0.3 * (row["bytes"] as number) && row["dead"] !== 0;
    const before = shares();
    const worth = before.filter(isWorthIt).length;
    const all = before.filter((row) => row["dead"] !== 0).length;
    assert.ok(worth > 1 && worth < all);
    const most = Math.max(...before.map((row) => row["dead"] as number));
    const first = await compactor.run({ wantedBytes: 1 });
    assert.equal(first.segments, 1);
    assert.ok(first.freedBytes > most - 8 * pageBytes);
    assert.equal((await compactor.run()).segments, worth - 1);
    assert.equal(shares().filter(isWorthIt).length, 0);
    await shop[Symbol.asyncDispose]();
  });

  test("with little room takes what fits, and says what does not", async (t) => {
    const indexPath = join(folderFor(t), "index.db");
    const random = seededRandom(8);
    let first = newDisk();
    for (const segmentBytes of [160, 640]) {
      const life = { random, mails: 60, kept: new Map() };
      await live(first, indexPath, { ...life, segmentBytes: segmentBytes * 1024 });
      first = first.kill();
    }
    const copy = `${indexPath}.copy`;
    copyFileSync(indexPath, copy);
    const ends: string[] = [];
    for (const pages of [3, 12, 80]) {
      copyFileSync(copy, indexPath);
      const disk = await copyOf(first, seededRandom(pages));
      const { shop, compactor, log } = await compactorOn(disk, indexPath);
      let used = 0;
      for (const name of await disk.list(directory))
        used += disk.octets(join(directory, name)).length;
      disk.faults = { roomBytes: used + pages * pageBytes };
      const { segments } = await compactor.run({ force: true });
      const refused = log.lines.filter(({ event }) => event === "store.compaction-no-room").length;
      ends.push(`${segments > 0 ? "some" : "none"} done, ${refused > 0 ? "some" : "none"} refused`);
      disk.faults = {};
      await shop[Symbol.asyncDispose]();
      assert.deepEqual((await verifyStore(disk, directory, fixedMaster)).damages, []);
    }
    assert.deepEqual(ends, [
      "none done, some refused",
      "some done, some refused",
      "some done, none refused",
    ]);
  });

  test("reports what is damaged beyond repair, and goes on with the others", async (t) => {
    const indexPath = join(folderFor(t), "index.db");
    const disk = newDisk();
    await live(disk, indexPath, { ...everyKind, kept: new Map() });
    const { shop, compactor, log } = await compactorOn(disk.kill(), indexPath);
    const { segments } = shop.parts;
    const groups = groupsOf(await segments.pages(2));
    for (const page of [1, 1 + groups, 1 + 2 * groups]) {
      disk.octets(segments.path(2)).fill(9, page * pageBytes, (page + 1) * pageBytes);
    }
    const report = await compactor.run({ force: true });
    assert.ok(report.segments > 1);
    assert.deepEqual(
      report.findings.map(({ file, what }) => [file, what]),
      [["segment-00000002", "checksum"]],
    );
    assert.ok(log.lines.some(({ event }) => event === "store.compaction-refused"));
    await shop[Symbol.asyncDispose]();
  });

  test("leaves everything alone while an erasure runs", async (t) => {
    const indexPath = join(folderFor(t), "index.db");
    const disk = newDisk();
    await live(disk, indexPath, { ...everyKind, kept: new Map() });
    const { shop, compactor } = await compactorOn(disk.kill(), indexPath);
    shop.parts.contents.ending.add(1);
    assert.equal((await compactor.run({ force: true })).segments, 0);
    shop.parts.contents.ending.clear();
    assert.ok((await compactor.run({ force: true })).segments > 0);
    await shop[Symbol.asyncDispose]();
  });
});
