import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { SimulatedDisk } from "#base/disk-sim";
import { Unavailable } from "#base/errors";
import { seededRandom } from "#base/random";
import {
  acceptMail,
  account,
  directory,
  fixedMaster,
  head,
  mail,
  mailboxNamed,
  messageId,
  newDisk,
  openOn,
  recordsOn,
  rowsOf,
  storeWithAlice,
} from "./fixture.ts";
import { rebuildIndex } from "./index.ts";
import { KeyFile } from "./key-file.ts";
import { StoreKeys } from "./store-keys.ts";

/** A second person beside Alice. */
const bob = { id: "bob", address: "bob@example.org", displayName: "Bob", createdAtMs: 1 };

async function keysOn(disk: SimulatedDisk): Promise<StoreKeys> {
  const file = await KeyFile.open({ disk, directory, random: seededRandom(1) }, fixedMaster);
  assert.ok(file !== undefined);
  return new StoreKeys(file);
}

describe("erase()", () => {
  test("destroys the key of a deleted mail and keeps everything else readable", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    for (let number = 1; number <= 5; number += 1) {
      await acceptMail(store, number, mail(`m ${number}`, 40_000 * (number % 2) + 500));
    }
    const inbox = await mailboxNamed(store, "INBOX");
    await store.messages.describe(messageId(3));
    await store.mailboxes.expunge(inbox, [{ from: 3, to: 3 }], "any");
    assert.deepEqual(await store.erase(), { epochs: 1, contents: 1, kept: 4 });
    assert.deepEqual(await store.erase(), { epochs: 0, contents: 0, kept: 0 });
    await assert.rejects(store.messages.read(messageId(3)), /erased/);
    await assert.rejects(store.messages.describe(messageId(3)), /erased/);
    await store[Symbol.asyncDispose]();

    await using again = await openOn(disk.kill());
    for (const number of [1, 2, 4, 5]) {
      const octets = mail(`m ${number}`, 40_000 * (number % 2) + 500);
      assert.ok((await again.messages.read(messageId(number), head.length)).equals(octets));
    }
    await assert.rejects(again.messages.read(messageId(3)), Unavailable);
    assert.deepEqual((await again.verify()).damages, []);
    assert.equal((await again.verify()).erased, 1);
  });

  test("leaves nothing in the files from which the key could be had", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    await acceptMail(store, 1);
    await acceptMail(store, 2);
    await store[Symbol.asyncDispose]();
    const stopped = disk.kill();
    const before = await keysOn(stopped);
    const records = await recordsOn(stopped);
    const again = await openOn(stopped);
    const inbox = await mailboxNamed(again, "INBOX");
    await again.mailboxes.expunge(inbox, [{ from: 1, to: 1 }], "any");
    await again.erase();
    await again[Symbol.asyncDispose]();
    const ended = stopped.kill();
    const after = await keysOn(ended);
    const content = records.find(({ record }) => record.kind === "content")?.record;
    assert.ok(content?.kind === "content");
    assert.ok(before.file.epochKey(content.epoch) !== undefined);
    assert.equal(after.file.epochKey(content.epoch), undefined);
    assert.ok(after.file.isDestroyed(content.epoch));
    const old = before.file.epochKey(content.epoch) as Buffer;
    for (const name of ["keys", "keys.copy"]) {
      const text = ended.octets(`${directory}/${name}`);
      assert.equal(text.includes(old), false);
      assert.equal(text.includes(old.toString("base64")), false);
    }
  });

  test("a mail that another still holds lives on, and one that comes again lives again", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    await store.people.putAccount(bob, "test");
    const same = mail("the same octets", 3000);
    const both = [
      { account, mailbox: "inbox", flags: [] },
      { account: "bob", mailbox: "inbox", flags: [] },
    ] as const;
    await acceptMail(store, 1, same, { deliveries: both });
    await acceptMail(store, 2, mail("other"));
    const inbox = await mailboxNamed(store, "INBOX");
    await store.mailboxes.expunge(inbox, [{ from: 1, to: 1 }], "any");
    assert.equal((await store.erase()).contents, 0);
    assert.ok((await store.messages.read(messageId(1), head.length)).equals(same));
    await acceptMail(store, 3, same);
    assert.equal((await store.stats()).contents, 2, "it is kept once");
    await store.people.removeAccount("bob", "test");
    await store.mailboxes.expunge(inbox, undefined, "any");
    assert.equal((await store.erase()).contents, 2);
    await acceptMail(store, 4, same);
    assert.ok((await store.messages.read(messageId(4), head.length)).equals(same));
    await store[Symbol.asyncDispose]();
    await using again = await openOn(disk.kill());
    assert.ok((await again.messages.read(messageId(4), head.length)).equals(same));
  });

  test("mail that comes while it runs is not touched by it", async () => {
    await using store = await storeWithAlice();
    const inbox = await mailboxNamed(store, "INBOX");
    const same = mail("again and again", 2000);
    for (let round = 1; round <= 20; round += 1) {
      await acceptMail(store, round, same);
      await store.mailboxes.expunge(inbox, undefined, "any");
      const [accepted] = await Promise.all([acceptMail(store, 100 + round, same), store.erase()]);
      assert.equal(accepted.entries.length, 1);
      const read = await store.messages.read(messageId(100 + round), head.length);
      assert.ok(read.equals(same), `round ${round}`);
    }
  });

  test("views made anew afterwards equal those that lived through it", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-erasure-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const indexPath = join(folder, "index.db");
    const disk = newDisk();
    const store = await storeWithAlice(disk, { indexPath });
    await store.people.putAccount(bob, "test");
    for (let number = 1; number <= 30; number += 1) {
      const to = number % 3 === 0 ? ["alice", "bob"] : ["alice"];
      const deliveries = to.map((one) => ({ account: one, mailbox: "inbox", flags: [] }) as const);
      await acceptMail(store, number, mail(`m ${number % 10}`, 30_000), { deliveries });
      if (number % 7 === 0) {
        const inbox = await mailboxNamed(store, "INBOX");
        await store.mailboxes.expunge(inbox, [{ from: number - 5, to: number - 2 }], "any");
        await store.erase();
      }
    }
    await store.people.removeAccount("bob", "test");
    await store.erase();
    await store[Symbol.asyncDispose]();
    const old = rowsOf(indexPath);
    await rebuildIndex(disk.kill(), directory, indexPath, fixedMaster);
    assert.deepEqual(rowsOf(indexPath), old);
  });

  test("a cut at any moment loses no mail that is held", async () => {
    for (let cut = 1; cut < 400; cut += 1) {
      const disk = newDisk();
      const store = await storeWithAlice(disk);
      await acceptMail(store, 1);
      await acceptMail(store, 2);
      await store.mailboxes.expunge(
        await mailboxNamed(store, "INBOX"),
        [{ from: 1, to: 1 }],
        "any",
      );
      const base = disk.operations;
      disk.faults = { cutAtOperation: base + cut };
      const done = await Promise.race([
        store.erase().then(() => true),
        disk.dead.then(() => false),
      ]);
      await using again = await openOn(disk.powerCut());
      assert.ok((await again.messages.read(messageId(2), head.length)).equals(mail("mail 2")));
      await again.erase();
      await assert.rejects(again.messages.read(messageId(1)), Unavailable, `cut ${cut}`);
      if (done) break;
    }
  });
});
