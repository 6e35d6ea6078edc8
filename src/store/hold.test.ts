import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Denied, Unavailable } from "#base/errors";
import type { Store } from "#contracts/store";
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
  stage,
  stillClock,
  storeWithAlice,
} from "./fixture.ts";
import { rebuildIndex } from "./index.ts";

const bob = { id: "bob", address: "bob@example.org", displayName: "Bob", createdAtMs: 1 };
const dayMs = 86_400_000;

async function expungeInbox(store: Store, from = 1, to = Number.POSITIVE_INFINITY): Promise<void> {
  await store.mailboxes.expunge(await mailboxNamed(store, "INBOX"), [{ from, to }], "any");
}

async function withheldIds(store: Store): Promise<string[]> {
  return (await store.retention.withheld(account, 100)).map(({ message }) => message);
}

const asked = { account, by: "an administrator", reason: "case 7" };

describe("a hold", () => {
  test("keeps what its owner, retention and a removed mailbox let go, until it ends", async () => {
    const clock = stillClock();
    const disk = newDisk();
    let store = await storeWithAlice(disk, { clock });
    await store.retention.putHold(account, "case 7", "an administrator");
    for (const number of [1, 2, 3]) await acceptMail(store, number);
    await store.retention.putRule({ account: "*", mailbox: "inbox", days: 10 }, "test");
    const made = await store.mailboxes.create(account, "Letters");
    const letters = made.ok ? made.value.id : "";
    const inbox = await mailboxNamed(store, "INBOX");
    await store.mailboxes.copy(inbox, [{ from: 1, to: 1 }], letters, "move");
    await store.mailboxes.remove(letters);
    await expungeInbox(store, 2, 2);
    clock.passMs(11 * dayMs);
    assert.equal((await store.retain(clock.nowMs())).expunged, 1);
    assert.equal((await store.stats()).messages, 3);
    assert.deepEqual(await store.erase(), { epochs: 0, contents: 0, kept: 0 });
    await store[Symbol.asyncDispose]();
    store = await openOn(disk.kill(), { clock });

    const withheld = await store.retention.withheld(account, 100);
    assert.deepEqual(
      withheld.map(({ message, mailbox }) => [message, mailbox]),
      [
        [messageId(2), inbox],
        [messageId(3), inbox],
        [messageId(1), letters],
      ],
    );
    assert.equal(withheld[1]?.expungedAtMs, clock.nowMs());
    const second = await store.retention.withheld(account, 1, withheld[0]);
    assert.deepEqual(second, withheld.slice(1, 2));
    for (const number of [1, 2, 3]) {
      const octets = await store.audit.readByOther({ ...asked, message: messageId(number) });
      assert.ok(octets?.subarray(head.length).equals(mail(`mail ${number}`)));
    }

    assert.equal(await store.retention.removeHold(account, "test"), true);
    assert.equal(await store.retention.removeHold(account, "test"), false);
    assert.deepEqual(await store.retention.holds(), []);
    assert.deepEqual(await withheldIds(store), []);
    assert.equal(await store.audit.readByOther({ ...asked, message: messageId(1) }), undefined);
    assert.equal((await store.erase()).contents, 3);
    for (const number of [1, 2, 3]) {
      await assert.rejects(store.messages.read(messageId(number)), /erased/);
    }
    await store[Symbol.asyncDispose]();
  });

  test("takes hold of what is expunged and not destroyed yet", async () => {
    await using store = await storeWithAlice();
    for (const number of [1, 2, 3, 4]) await acceptMail(store, number);
    await expungeInbox(store, 1, 1);
    await store.erase();
    await expungeInbox(store, 2, 2);
    const trash = await mailboxNamed(store, "Trash");
    const inbox = await mailboxNamed(store, "INBOX");
    await store.mailboxes.copy(inbox, [{ from: 3, to: 3 }], trash, "move");
    await store.retention.putHold(account, "case 7", "test");
    assert.deepEqual(await withheldIds(store), [messageId(2)], "not what was moved or destroyed");
    await store.mailboxes.expunge(trash, undefined, "any");
    await store.retention.putHold(account, "case 8", "test");
    assert.equal((await store.retention.holds())[0]?.reason, "case 8");
    assert.deepEqual(await withheldIds(store), [messageId(2), messageId(3)]);
    await store.erase();
    assert.ok(await store.audit.readByOther({ ...asked, message: messageId(2) }));
    assert.equal(await store.audit.readByOther({ ...asked, message: messageId(1) }), undefined);
  });

  test("is of one account: the same mail of another is let go there", async () => {
    await using store = await storeWithAlice();
    await store.people.putAccount(bob, "test");
    await acceptMail(store, 1, mail("to both"), {
      deliveries: [
        { account, mailbox: "inbox", flags: [] },
        { account: "bob", mailbox: "inbox", flags: [] },
      ],
    });
    await store.retention.putHold(account, "case 7", "test");
    await store.people.removeAccount("bob", "test");
    await expungeInbox(store);
    await store.erase();
    assert.deepEqual(await withheldIds(store), [messageId(1)]);
    const forBob = { ...asked, account: "bob", message: messageId(1) };
    assert.equal(await store.audit.readByOther(forBob), undefined);
  });

  test("refuses to remove the account, also while it is on its way to the disk", async () => {
    await using store = await storeWithAlice();
    const [held, removed] = await Promise.allSettled([
      store.retention.putHold(account, "case 7", "test"),
      store.people.removeAccount(account, "test"),
    ]);
    assert.equal(held.status, "fulfilled");
    assert.ok(removed.status === "rejected" && removed.reason instanceof Denied);
    await assert.rejects(store.people.removeAccount(account, "test"), Denied);
    await store.retention.removeHold(account, "test");
    assert.equal(await store.people.removeAccount(account, "test"), true);
    await assert.rejects(store.retention.putHold(account, "too late", "test"), Unavailable);
  });

  test("survives a cut at any moment, and once it is durable nothing is destroyed", async () => {
    for (let cut = 1; cut < 400; cut += 1) {
      const disk = newDisk();
      const store = await storeWithAlice(disk);
      await acceptMail(store, 1);
      await acceptMail(store, 2);
      disk.faults = { cutAtOperation: disk.operations + cut };
      let isHeld = false;
      const work = async (): Promise<boolean> => {
        await store.retention.putHold(account, "case 7", "test");
        isHeld = true;
        await expungeInbox(store);
        await store.erase();
        return true;
      };
      const done = await Promise.race([work(), disk.dead.then(() => false)]);
      await using again = await openOn(disk.powerCut());
      if (isHeld) {
        await expungeInbox(again);
        assert.deepEqual(await withheldIds(again), [messageId(1), messageId(2)], `cut ${cut}`);
        await again.erase();
        const octets = await again.audit.readByOther({ ...asked, message: messageId(1) });
        assert.ok(octets?.subarray(head.length).equals(mail("mail 1")), `cut ${cut}`);
      }
      if (done) break;
      assert.ok(cut < 399, "it never came to its end");
    }
  });
});

describe("readByOther()", () => {
  test("is in the history before the octets are given out, and stays there", async () => {
    const clock = stillClock();
    const disk = newDisk();
    const store = await storeWithAlice(disk, { clock });
    await acceptMail(store, 1);
    const octets = await store.audit.readByOther({ ...asked, message: messageId(1) });
    assert.ok(octets?.subarray(head.length).equals(mail("mail 1")));
    const cut = disk.powerCut();
    const again = await openOn(cut, { clock });
    const read = { ...asked, message: messageId(1), atMs: clock.nowMs() };
    assert.deepEqual(await again.audit.readsOf(account, 0, 10), [read]);
    await again[Symbol.asyncDispose]();
    const kinds = (await recordsOn(cut)).map(({ record }) => record.kind);
    assert.equal(kinds.filter((kind) => kind === "read-by-other").length, 1);
  });

  test("gives nothing out when it cannot be written down", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    await acceptMail(store, 1);
    disk.faults = { failAtOperation: disk.operations + 1, failsOn: true };
    const reading = store.audit.readByOther({ ...asked, message: messageId(1) });
    await assert.rejects(reading, Unavailable);
  });

  test("knows only mail of that account, and tells newest first", async () => {
    const clock = stillClock();
    await using store = await storeWithAlice(newDisk(), { clock });
    await store.people.putAccount(bob, "test");
    for (const number of [1, 2, 3]) await acceptMail(store, number);
    await expungeInbox(store, 3, 3);
    for (const message of [messageId(3), messageId(9), "no id"]) {
      assert.equal(await store.audit.readByOther({ ...asked, message }), undefined);
    }
    const forBob = { ...asked, account: "bob", message: messageId(1) };
    assert.equal(await store.audit.readByOther(forBob), undefined);
    await store.audit.readByOther({ ...asked, message: messageId(1) });
    clock.passMs(1000);
    await store.audit.readByOther({ ...asked, message: messageId(2) });
    const ids = async (sinceMs: number, limit: number): Promise<string[]> =>
      (await store.audit.readsOf(account, sinceMs, limit)).map(({ message }) => message);
    assert.deepEqual(await ids(0, 10), [messageId(2), messageId(1)]);
    assert.deepEqual(await ids(0, 1), [messageId(2)]);
    assert.deepEqual(await ids(clock.nowMs(), 10), [messageId(2)]);
    assert.deepEqual(await store.audit.readsOf("bob", 0, 10), []);
  });
});

describe("views made anew", () => {
  test("equal those that lived through holds, retention, reads and erasure", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-hold-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const indexPath = join(folder, "index.db");
    const disk = newDisk();
    const clock = stillClock();
    const store = await storeWithAlice(disk, { indexPath, clock });
    await store.people.putAccount(bob, "test");
    await store.retention.putRule({ account: "*", mailbox: "inbox", days: 5 }, "test");
    await store.retention.putRule({ account, mailbox: "Größe", days: 1 }, "test");
    const inbox = await mailboxNamed(store, "INBOX");
    const trash = await mailboxNamed(store, "Trash");
    for (let number = 1; number <= 40; number += 1) {
      const deliveries = [account, ...(number % 3 === 0 ? ["bob"] : [])].map(
        (one) => ({ account: one, mailbox: "inbox", flags: [] }) as const,
      );
      const acceptedAtMs = clock.nowMs();
      await acceptMail(store, number, mail(`m ${number % 17}`), { deliveries, acceptedAtMs });
      if (number % 5 === 0) {
        await store.mailboxes.append(account, trash, await stage(store, mail("m 1")), {
          flags: [],
          receivedAtMs: 1,
        });
      }
      if (number % 10 === 0) await store.mailboxes.expunge(trash, undefined, "any");
      if (number % 8 === 0) {
        const range = [{ from: number - 3, to: number }];
        await store.mailboxes.copy(inbox, range, trash, "move");
      }
      if (number === 12) await store.retention.putHold(account, "one", "test");
      if (number === 25) await store.retention.removeHold(account, "test");
      if (number === 31) await store.retention.putHold(account, "two", "test");
      if (number % 11 === 0) await store.erase();
      clock.passMs(dayMs / 3);
      await store.retain(clock.nowMs());
      await store.audit.readByOther({ ...asked, message: messageId(number) });
    }
    await store.retention.removeRule("*", "inbox", "test");
    await store[Symbol.asyncDispose]();
    const old = rowsOf(indexPath) as [string, unknown[]][];
    for (const table of ["withheld", "hold", "retention", "read_by_other", "maintained"]) {
      assert.ok((old.find(([name]) => name === table)?.[1].length ?? 0) > 0, table);
    }
    await rebuildIndex(disk.kill(), directory, indexPath, fixedMaster);
    assert.deepEqual(rowsOf(indexPath), old);
  });
});
