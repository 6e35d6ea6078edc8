import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { Misconfigured } from "#base/errors";
import { seededRandom } from "#base/random";
import { verifyConsistency } from "#formats/merkle";
import type { OpenStore } from "#store";
import {
  acceptMail,
  mail,
  mailboxNamed,
  messageId,
  newDisk,
  openOn,
  rowsOf,
  stillClock,
  storeWithAlice,
} from "../fixture.ts";
import { readManifest } from "./catalogue.ts";
import { backupReaching } from "./choose.ts";
import { backUp, memoryTarget, pair, restoredTo, tryRestore } from "./fixture.test.ts";
import type { Manifest } from "./manifest.ts";
import type { Target } from "./target.ts";
import { verifyBackup } from "./verify.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-backup-"));
after(() => rmSync(folder, { recursive: true }));

let opened = 0;

/** A restored store, opened; its views are in a file. */
async function openCopy(disk: SimulatedDisk): Promise<{ store: OpenStore; indexPath: string }> {
  opened += 1;
  const indexPath = join(folder, `${opened}.sqlite`);
  return { store: await openOn(disk, { indexPath }), indexPath };
}

/** The mails, numbered from 1, that a store has; in order, so their count says which. */
async function mailsOf(store: OpenStore, upTo: number): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (let number = 1; number <= upTo; number += 1) {
    const id = messageId(number);
    if ((await store.messages.sizeBytes(id)) === undefined) break;
    found.push(await store.messages.read(id));
  }
  return found;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await setImmediate();
}

async function manifestOf(target: Target, name: string): Promise<Manifest> {
  const manifest = await readManifest(target, name);
  assert.ok(manifest.ok);
  return manifest.value;
}

describe("a backup under write load", () => {
  test("equals the source at its position, message by message and row by row", async () => {
    const store = await storeWithAlice();
    const inbox = await mailboxNamed(store, "INBOX");
    const big = (number: number): number => (number % 50 === 0 ? 60_000 : 3000);
    for (let number = 1; number <= 300; number += 1) {
      await acceptMail(store, number, mail(`mail ${number}`, big(number)));
    }
    let sent = 300;
    let isOver = false;
    const load = (async () => {
      while (!isOver) {
        sent += 1;
        await acceptMail(store, sent, mail(`mail ${sent}`, 2000));
        const ranges = [{ from: sent - 5, to: sent }];
        await store.mailboxes.setFlags(inbox, ranges, { mode: "add", flags: ["\\Seen"] });
        await setImmediate(); // a simulated disk needs no time, and others want some
      }
    })();
    const { target } = memoryTarget();
    const created = await backUp(store, target);
    isOver = true;
    await load;
    assert.ok(created.lsn > 600, `${created.lsn}`);

    const checked = await verifyBackup({ target, name: created.name, own: pair.own });
    assert.deepEqual(checked.faults, []);
    assert.equal(checked.inside?.records, created.lsn);

    const disk = await restoredTo(target, created.name);
    const copy = await openCopy(disk);
    const head = copy.store.history.head();
    assert.equal(head.size, created.lsn);
    const now = store.history.head();
    const proof = await store.history.consistency(head.size, now.size);
    assert.ok(verifyConsistency(head, now, proof), "what was restored is how the source began");
    const [was, is] = [await mailsOf(store, sent), await mailsOf(copy.store, sent)];
    assert.ok(is.length >= 300 && is.length <= was.length, `${is.length} of ${was.length}`);
    for (const [index, octets] of is.entries()) assert.ok(was[index]?.equals(octets));
    await copy.store[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  test("rows of the views are those of the source when it rests", async () => {
    const disk = newDisk();
    const indexPath = join(folder, "source.sqlite");
    const store = await storeWithAlice(disk, { indexPath });
    for (let number = 1; number <= 60; number += 1) await acceptMail(store, number);
    const { target } = memoryTarget();
    const { name } = await backUp(store, target);
    await store[Symbol.asyncDispose]();
    const expected = rowsOf(indexPath);
    const copy = await openCopy(await restoredTo(target, name));
    await copy.store[Symbol.asyncDispose]();
    const rows = rowsOf(copy.indexPath);
    // The source has since written down that the backup was made; scrubs are not in the ledger.
    const differ = (rows as [string, unknown][]).filter(
      ([table, its], at) => JSON.stringify([table, its]) !== JSON.stringify(expected[at]),
    );
    assert.deepEqual(
      differ.flatMap(([table]) => (table === "scrub" ? [] : [table])).sort(),
      ["backup_act", "tile", "watermark"],
      "all other tables are equal",
    );
  });
});

describe("a backup of a store that is compacted meanwhile", () => {
  test("copies what was moved again, and lacks only what was erased", async () => {
    const store = await storeWithAlice();
    const inbox = await mailboxNamed(store, "INBOX");
    for (let number = 1; number <= 150; number += 1) {
      await acceptMail(store, number, mail(`m ${number}`, 6000));
    }
    await until(async () => (await store.health()).withoutParity === 0);
    const { target } = memoryTarget();
    let compactions = 0;
    /** Erases and compacts when half of the first segment has been read. */
    const slow: Target = {
      ...{ title: target.title, get: target.get.bind(target), list: target.list.bind(target) },
      ...{ remove: target.remove.bind(target), sweep: target.sweep.bind(target) },
      put: (name, content, sizeBytes) =>
        target.put(
          name,
          (async function* () {
            for await (const chunk of content) {
              yield chunk;
              if (!name.includes("segment-1-") || compactions > 0) continue;
              await store.mailboxes.expunge(inbox, [{ from: 1, to: 70 }], "any");
              await store.erase();
              compactions += (await store.compact({ force: true })).segments;
            }
          })(),
          sizeBytes,
        ),
    };
    const created = await backUp(store, slow);
    assert.ok(compactions > 0, "segments were compacted");
    await store[Symbol.asyncDispose]();
    const { faults } = await verifyBackup({ target, name: created.name, own: pair.own });
    assert.deepEqual(faults, []);
    const copy = await openCopy(await restoredTo(target, created.name));
    for (let number = 71; number <= 150; number += 1) {
      assert.match((await copy.store.messages.read(messageId(number))).toString(), /Subject: m/);
    }
    await assert.rejects(copy.store.messages.read(messageId(1)), /erased|gone/);
    await copy.store[Symbol.asyncDispose]();
  });
});

describe("the next backup", () => {
  test("copies only what is new, and is whole by itself", async () => {
    const store = await storeWithAlice();
    for (let number = 1; number <= 200; number += 1)
      await acceptMail(store, number, mail(`a ${number}`, 4000));
    const { target } = memoryTarget();
    const one = await backUp(store, target);
    const two = await backUp(store, target);
    assert.equal(two.previous, one.name);
    assert.ok(two.newObjects <= 2 && two.newBytes < one.newBytes / 10, JSON.stringify(two));
    for (let number = 201; number <= 220; number += 1) await acceptMail(store, number);
    const three = await backUp(store, target);
    assert.ok(three.newBytes < one.newBytes / 5, JSON.stringify(three));
    await store[Symbol.asyncDispose]();
    for (const [created, mails] of [
      [one, 200],
      [two, 200],
      [three, 220],
    ] as const) {
      const { faults } = await verifyBackup({ target, name: created.name, own: pair.own });
      assert.deepEqual(faults, []);
      const copy = await openCopy(await restoredTo(target, created.name));
      assert.equal((await mailsOf(copy.store, 300)).length, mails);
      await copy.store[Symbol.asyncDispose]();
    }
  });

  test("copies again what is gone from the target", async () => {
    const store = await storeWithAlice();
    for (let number = 1; number <= 120; number += 1)
      await acceptMail(store, number, mail(`a ${number}`, 4000));
    const { target } = memoryTarget();
    const one = await backUp(store, target);
    const [object] = (await manifestOf(target, one.name)).segments;
    await target.remove(object?.name ?? "");
    const two = await backUp(store, target);
    await store[Symbol.asyncDispose]();
    assert.equal((await verifyBackup({ target, name: two.name, own: pair.own })).faults.length, 0);
    const { faults } = await verifyBackup({ target, name: one.name, own: pair.own });
    assert.deepEqual(faults, [{ object: object?.name, what: "missing" }]);
  });

  test("makes one object of a segment that is in many", async () => {
    const store = await storeWithAlice();
    const { target } = memoryTarget();
    let last = "";
    for (let number = 1; number <= 40; number += 1) {
      await acceptMail(store, number);
      last = (await backUp(store, target)).name;
      const { segments } = await manifestOf(target, last);
      assert.ok(
        segments.filter(({ segment }) => segment === segments.at(-1)?.segment).length <= 17,
      );
    }
    await store[Symbol.asyncDispose]();
    assert.deepEqual((await verifyBackup({ target, name: last, own: pair.own })).faults, []);
  });

  test("of a restored store does not go on from what another history left on the target", async () => {
    const store = await storeWithAlice();
    for (let number = 1; number <= 80; number += 1)
      await acceptMail(store, number, mail(`a ${number}`, 4000));
    const { target } = memoryTarget();
    const one = await backUp(store, target);
    for (let number = 81; number <= 160; number += 1)
      await acceptMail(store, number, mail(`b ${number}`, 4000));
    await backUp(store, target);
    await store[Symbol.asyncDispose]();

    const disk = await restoredTo(target, one.name);
    const other = await openCopy(disk);
    for (let number = 81; number <= 160; number += 1) {
      await acceptMail(other.store, number, mail(`other ${number}`, 4000));
    }
    const forked = await backUp(other.store, target);
    assert.equal(forked.previous, undefined);
    const again = await backUp(other.store, target);
    assert.equal(again.previous, forked.name);
    const expected = await mailsOf(other.store, 200);
    await other.store[Symbol.asyncDispose]();
    const copy = await openCopy(await restoredTo(target, again.name));
    assert.deepEqual(await mailsOf(copy.store, 200), expected);
    await copy.store[Symbol.asyncDispose]();
  });

  test("of another store is refused", async () => {
    const { target } = memoryTarget();
    const [one, two] = [
      await storeWithAlice(),
      await storeWithAlice(newDisk(), { random: seededRandom(9) }),
    ];
    await backUp(one, target);
    await assert.rejects(backUp(two, target), (error) => {
      return error instanceof Misconfigured && /another store/.test(error.message);
    });
    for (const store of [one, two]) await store[Symbol.asyncDispose]();
  });

  test("is made when the clock has gone back, and still is the newest", async () => {
    const clock = stillClock();
    const store = await storeWithAlice();
    const { target } = memoryTarget();
    const one = await backUp(store, target, { clock });
    clock.passMs(-86_400_000);
    const two = await backUp(store, target, { clock });
    assert.ok(two.atMs > one.atMs);
    assert.equal(two.previous, one.name);
    await store[Symbol.asyncDispose]();
  });
});

describe("a restore to a point in time", () => {
  test("ends with the batch that the record or the moment falls in", async () => {
    const clock = stillClock();
    const store = await storeWithAlice(newDisk(), { clock });
    const { target } = memoryTarget();
    const at: { lsn: number; atMs: number }[] = [];
    let early = "";
    for (let number = 1; number <= 90; number += 1) {
      clock.passMs(60_000);
      await acceptMail(store, number, mail(`m ${number}`, 3000), { acceptedAtMs: clock.nowMs() });
      at.push({ lsn: store.history.head().size, atMs: clock.nowMs() });
      if (number === 30) early = (await backUp(store, target, { clock })).name;
    }
    clock.passMs(60_000);
    await acceptMail(store, 91, mail("last"), { acceptedAtMs: clock.nowMs() });
    const late = (await backUp(store, target, { clock })).name;
    await store[Symbol.asyncDispose]();
    for (const mails of [1, 29, 30, 31, 60, 90]) {
      const { lsn, atMs } = at[mails - 1] ?? { lsn: 0, atMs: 0 };
      for (const until of [{ lsn }, { lsn: lsn + 1 }, { atMs }, { atMs: atMs + 59_999 }]) {
        const name = (await backupReaching(target, pair.own, until)) ?? "";
        // In a backup that ends with it there is no more, whatever was asked for.
        if (mails > 30) assert.equal(name, late);
        if (mails < 30) assert.equal(name, early);
        const copy = await openCopy(await restoredTo(target, name, { until }));
        assert.equal((await mailsOf(copy.store, 100)).length, mails, JSON.stringify(until));
        await acceptMail(copy.store, 1000);
        await copy.store[Symbol.asyncDispose]();
      }
    }
    assert.equal(await backupReaching(target, pair.own, { lsn: 1_000_000 }), undefined);
    const before = { until: { atMs: (at[0]?.atMs ?? 0) - 86_400_000 } };
    await assert.rejects(restoredTo(target, early, before), Misconfigured);
  });

  test("is possible when what lies behind the point is damaged", async () => {
    const store = await storeWithAlice();
    for (let number = 1; number <= 150; number += 1)
      await acceptMail(store, number, mail(`a ${number}`, 4000));
    const { target } = memoryTarget();
    const { name } = await backUp(store, target);
    await store[Symbol.asyncDispose]();
    const last = (await manifestOf(target, name)).segments.at(-1)?.name ?? "";
    await target.remove(last);
    const whole = await tryRestore(target, name);
    assert.ok(!whole.outcome.ok && whole.outcome.fault.what === "missing");
    assert.deepEqual(await whole.disk.list("/store"), [], "nothing is left of it");
    const part = await tryRestore(target, name, { until: { lsn: 60 } });
    assert.ok(part.outcome.ok && !part.outcome.value.isHistoryProven);
    const copy = await openCopy(part.disk);
    assert.equal(copy.store.history.head().size, part.outcome.value.to.lsn);
    await copy.store[Symbol.asyncDispose]();
  });

  test("never goes where something is", async () => {
    const store = await storeWithAlice();
    await acceptMail(store, 1);
    const { target } = memoryTarget();
    const { name } = await backUp(store, target);
    await store[Symbol.asyncDispose]();
    const disk = await restoredTo(target, name);
    const before = disk.octets("/store/keys");
    await assert.rejects(restoredTo(target, name, { disk }), /never touches/);
    assert.ok(before.equals(disk.octets("/store/keys")));
    const other = simulatedDisk(seededRandom(1));
    await (await other.open("/store/notes.txt", "create")).close();
    await assert.rejects(restoredTo(target, name, { disk: other }), /not empty/);
  });
});

describe("an old backup", () => {
  test("holds what was erased and compacted since; the next one neither has nor opens it", async () => {
    const store = await storeWithAlice();
    const inbox = await mailboxNamed(store, "INBOX");
    for (let number = 1; number <= 100; number += 1)
      await acceptMail(store, number, mail(`m ${number}`, 6000));
    const { target } = memoryTarget();
    const old = await backUp(store, target);
    await until(async () => (await store.health()).withoutParity === 0);
    await store.mailboxes.expunge(inbox, [{ from: 1, to: 60 }], "any");
    const { epochs } = await store.erase();
    assert.ok(epochs > 0);
    await store.compact({ force: true });
    const young = await backUp(store, target);
    const { segments } = await manifestOf(target, young.name);
    assert.ok(
      segments.some(({ revision }) => revision === 1),
      "it was compacted",
    );
    assert.equal(young.previous, old.name);
    await store[Symbol.asyncDispose]();

    const was = await openCopy(await restoredTo(target, old.name));
    assert.equal((await was.store.mailboxes.entries(inbox)).length, 100);
    assert.equal((await mailsOf(was.store, 100)).length, 100);
    await was.store[Symbol.asyncDispose]();
    const is = await openCopy(await restoredTo(target, young.name));
    assert.equal((await is.store.mailboxes.entries(inbox)).length, 40);
    await assert.rejects(is.store.messages.read(messageId(1)), /erased|gone/);
    assert.match((await is.store.messages.read(messageId(100))).toString(), /m 100/);
    assert.deepEqual((await is.store.verify()).damages, []);
    await is.store[Symbol.asyncDispose]();
  });
});
