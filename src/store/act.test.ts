import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Full } from "#base/errors";
import type { UidRanges } from "#contracts/store";
import {
  acceptMail,
  account,
  mail,
  mailboxNamed,
  newDisk,
  openOn,
  stillClock,
  storeWithAlice,
} from "./fixture.ts";
import type { OpenStore } from "./open.ts";
import { pageBytes } from "./pages.ts";

const entries = 12_000;
/** Every second one: no two stand together in the record. */
const scattered: UidRanges = Array.from({ length: entries / 2 }, (_, index) => ({
  from: 2 * index + 1,
  to: 2 * index + 1,
}));
/** Less than its record takes, more than nearly every other. */
const sizes = { segmentBytes: 2 * 1024 * 1024, reserveBytes: 3 * pageBytes };

/** Until nothing fits any more but what may use the reserve. */
async function fill(store: OpenStore): Promise<void> {
  let number = 10;
  for (const bytes of [9000, 100]) {
    await assert.rejects(async () => {
      for (; ; number += 1) await acceptMail(store, number, mail(`m ${number}`, bytes));
    }, Full);
  }
}

describe("an act whose record is larger than most", () => {
  test("is Full on a full disk and changes nothing; the store lives, and mail can be deleted", async () => {
    const disk = newDisk({ roomBytes: 4.5 * 1024 * 1024 });
    const store = await storeWithAlice(disk, { ...sizes, clock: stillClock() });
    let failure: Error | undefined;
    void store.failed.then((error) => {
      failure = error;
    });
    const { mailboxes } = store;
    const inbox = await mailboxNamed(store, "INBOX");
    const trash = await mailboxNamed(store, "Trash");
    const to = { account, mailbox: "inbox", flags: [] } as const;
    await acceptMail(store, 1, mail("m"), {
      deliveries: Array.from({ length: entries }, () => to),
    });
    await fill(store);

    const look = async (): Promise<unknown> => [
      await mailboxes.list(account),
      (await mailboxes.entries(inbox)).map(({ flags, modSeq }) => [flags, modSeq]),
    ];
    const before = await look();
    const add = { mode: "add", flags: ["\\Flagged"] } as const;
    await assert.rejects(mailboxes.setFlags(inbox, scattered, add), Full);
    await assert.rejects(mailboxes.copy(inbox, scattered, trash, "move"), Full);
    await assert.rejects(mailboxes.expunge(inbox, scattered, "any"), Full);
    const deep = `${'"'.repeat(960)}${"/x".repeat(19)}`;
    await assert.rejects(mailboxes.create(account, deep), Full);
    await assert.rejects(mailboxes.rename(trash, deep), Full);
    assert.deepEqual(await look(), before);
    assert.equal(failure, undefined);

    const small = await mailboxes.setFlags(inbox, [{ from: 1, to: 1 }], add);
    assert.equal(small.entries[0]?.modSeq, await mailboxes.modSeq(account));
    const gone = await mailboxes.expunge(inbox, [{ from: 1, to: entries }], "any");
    assert.equal(gone.length, entries);
    await store[Symbol.asyncDispose]();
    await using again = await openOn(disk.kill(), sizes);
    assert.ok((await again.mailboxes.entries(inbox)).every(({ uid }) => uid > entries));
  });

  test("may use the reserve when it makes room", async () => {
    const disk = newDisk({ roomBytes: 4.5 * 1024 * 1024 });
    const more = { ...sizes, reserveBytes: 20 * pageBytes, clock: stillClock() };
    await using store = await storeWithAlice(disk, more);
    const inbox = await mailboxNamed(store, "INBOX");
    const to = { account, mailbox: "inbox", flags: [] } as const;
    await acceptMail(store, 1, mail("m"), {
      deliveries: Array.from({ length: entries }, () => to),
    });
    await fill(store);
    const add = { mode: "add", flags: ["\\Flagged"] } as const;
    await assert.rejects(store.mailboxes.setFlags(inbox, scattered, add), Full);
    const gone = await store.mailboxes.expunge(inbox, scattered, "any");
    assert.equal(gone.length, scattered.length);
  });

  test("is kept whole where there is room", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk, sizes);
    const inbox = await mailboxNamed(store, "INBOX");
    const to = { account, mailbox: "inbox", flags: [] } as const;
    await acceptMail(store, 1, mail("m"), {
      deliveries: Array.from({ length: entries }, () => to),
    });
    const change = { mode: "add", flags: ["\\Flagged"] } as const;
    const { entries: changed } = await store.mailboxes.setFlags(inbox, scattered, change);
    assert.equal(changed.length, scattered.length);
    const gone = await store.mailboxes.expunge(inbox, scattered, "any");
    assert.equal(gone.length, scattered.length);
    await store[Symbol.asyncDispose]();
    await using again = await openOn(disk.kill(), sizes);
    const left = await again.mailboxes.entries(inbox);
    assert.deepEqual([left.length, left[0]?.uid, left[0]?.flags], [entries / 2, 2, []]);
  });
});
