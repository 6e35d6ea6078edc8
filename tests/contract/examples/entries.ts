/** Entries: appended, flagged, copied, moved, expunged, and what is told of it afterwards. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Store } from "#contracts/store";
import type { Entry } from "#model/mailbox";
import {
  acceptMail,
  account,
  mail,
  mailboxNamed,
  messageId,
  stage,
} from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { bob, everything, openWithAlice, range } from "./kit.ts";

export function entriesContract(open: Opening): void {
  const newStore = async (): Promise<Store> => (await openWithAlice(open)).store;
  const withMails = async (count: number): Promise<{ store: Store; inbox: string }> => {
    const store = await newStore();
    for (let number = 1; number <= count; number += 1) await acceptMail(store, number);
    return { store, inbox: await mailboxNamed(store, "INBOX") };
  };
  flagsContract(withMails);

  describe("Mailboxes.entries()", () => {
    test("come by UID, of the ranges that are asked for", async () => {
      const { store, inbox } = await withMails(6);
      await store.mailboxes.expunge(inbox, range(3), "any");
      const uids = async (...ranges: { from: number; to: number }[]): Promise<number[]> =>
        uidsOf(await store.mailboxes.entries(inbox, ranges));
      assert.deepEqual(uidsOf(await store.mailboxes.entries(inbox)), [1, 2, 4, 5, 6]);
      assert.deepEqual(await uids({ from: 2, to: 4 }), [2, 4]);
      assert.deepEqual(await uids({ from: 1, to: 1 }, ...everything.slice(1)), [1]);
      assert.deepEqual(
        await uids({ from: 1, to: 1 }, { from: 5, to: Number.POSITIVE_INFINITY }),
        [1, 5, 6],
      );
      assert.deepEqual(await uids({ from: 3, to: 3 }, { from: 9, to: 12 }), []);
      assert.deepEqual(await uids(), []);
      await store[Symbol.asyncDispose]();
    });
  });

  describe("Mailboxes.append()", () => {
    test("gives a new message; where it cannot go, nothing is given", async () => {
      await using store = await newStore();
      await store.people.putAccount(bob, "test");
      const inbox = await mailboxNamed(store, "INBOX");
      const content = await stage(store, mail("draft"));
      const facts = { flags: ["\\draft"], receivedAtMs: 77 };
      const one = await store.mailboxes.append(account, inbox, content, facts);
      const two = await store.mailboxes.append(account, inbox, content, facts);
      assert.deepEqual([one.uid, two.uid], [1, 2]);
      assert.notEqual(one.message, two.message);
      assert.deepEqual(one.flags, ["\\Draft"]);
      assert.equal(one.receivedAtMs, 77);
      assert.equal(one.sizeBytes, mail("draft").length);
      assert.deepEqual(await store.mailboxes.entries(inbox), [one, two]);
      const append = (who: string, where: string) =>
        store.mailboxes.append(who, where, content, facts);
      await assert.rejects(append("bob", inbox), { name: "Denied" });
      await assert.rejects(append(account, "nowhere"), { name: "Unavailable" });
      assert.equal((await store.mailboxes.get(inbox))?.uidNext, 3);
    });

    test("a UID is never given again, whatever goes and however the store ends", async () => {
      const opened = await openWithAlice(open);
      let { store } = opened;
      const inbox = await mailboxNamed(store, "INBOX");
      let highest = 0;
      let modSeq = 0;
      for (const how of ["stopped", "cut", "rebuilt", "stopped"] as const) {
        const content = await stage(store, mail("draft"));
        const facts = { flags: [], receivedAtMs: 1 };
        const entry = await store.mailboxes.append(account, inbox, content, facts);
        assert.ok(entry.uid > highest && entry.modSeq > modSeq);
        highest = entry.uid;
        await store.mailboxes.expunge(inbox, undefined, "any");
        modSeq = await store.mailboxes.modSeq(account);
        assert.ok(modSeq > entry.modSeq);
        store = (await opened.reopen?.(how)) ?? store;
      }
      await store[Symbol.asyncDispose]();
    });
  });

  describe("Mailboxes.copy()", () => {
    test("copies and moves pair UIDs in order, and keep flags and dates", async () => {
      const { store, inbox } = await withMails(4);
      const trash = await mailboxNamed(store, "Trash");
      await store.mailboxes.setFlags(inbox, range(3), { mode: "add", flags: ["\\Flagged", "x"] });
      await store.mailboxes.expunge(inbox, range(2), "any");
      const [, three] = await store.mailboxes.entries(inbox, [...range(1), ...range(3)]);
      const copies = await store.mailboxes.copy(inbox, range(1, 3), trash, "copy");
      assert.deepEqual(pairsOf(copies), ["1 1", "3 2"]);
      const { modSeq = 0 } = copies[1]?.copy ?? {};
      assert.deepEqual(copies[1]?.copy, { ...three, mailbox: trash, uid: 2, modSeq });
      assert.ok(modSeq > (three?.modSeq ?? 0));
      const moves = await store.mailboxes.copy(inbox, range(3, 4), trash, "move");
      assert.deepEqual(pairsOf(moves), ["3 3", "4 4"]);
      assert.deepEqual(uidsOf(await store.mailboxes.entries(inbox)), [1]);
      await store[Symbol.asyncDispose]();
    });

    test("within one mailbox gives new UIDs", async () => {
      const { store, inbox } = await withMails(2);
      const copies = await store.mailboxes.copy(inbox, everything, inbox, "copy");
      assert.deepEqual(pairsOf(copies), ["1 3", "2 4"]);
      const moves = await store.mailboxes.copy(inbox, range(1, 3), inbox, "move");
      assert.deepEqual(pairsOf(moves), ["1 5", "2 6", "3 7"]);
      assert.deepEqual(uidsOf(await store.mailboxes.entries(inbox)), [4, 5, 6, 7]);
      await store[Symbol.asyncDispose]();
    });

    test("of nothing is nothing; to nowhere and to somebody else it does not go", async () => {
      const { store, inbox } = await withMails(1);
      await store.people.putAccount(bob, "test");
      const [theirs] = await store.mailboxes.list("bob");
      const before = await store.mailboxes.modSeq(account);
      const { copy } = store.mailboxes;
      assert.deepEqual(await copy(inbox, range(7), inbox, "move"), []);
      assert.deepEqual(await copy("nowhere", everything, inbox, "move"), []);
      await assert.rejects(copy(inbox, everything, "nowhere", "copy"), { name: "Unavailable" });
      await assert.rejects(copy(inbox, everything, theirs?.id ?? "", "copy"), { name: "Denied" });
      assert.equal(await store.mailboxes.modSeq(account), before, "nothing has changed");
      await store[Symbol.asyncDispose]();
    });
  });

  describe("Mailboxes.expunge()", () => {
    test("removes what is marked, or what is named, and tells which", async () => {
      const { store, inbox } = await withMails(6);
      const marked = [...range(2), ...range(4, 5)];
      await store.mailboxes.setFlags(inbox, marked, { mode: "add", flags: ["\\deleted"] });
      assert.deepEqual(await store.mailboxes.expunge(inbox, range(1, 4)), [2, 4]);
      assert.deepEqual(await store.mailboxes.expunge(inbox, range(6), "any"), [6]);
      assert.deepEqual(await store.mailboxes.expunge(inbox), [5]);
      const before = await store.mailboxes.modSeq(account);
      assert.deepEqual(await store.mailboxes.expunge(inbox), []);
      assert.deepEqual(await store.mailboxes.expunge("nowhere"), []);
      assert.equal(await store.mailboxes.modSeq(account), before, "nothing has changed");
      assert.deepEqual(uidsOf(await store.mailboxes.entries(inbox)), [1, 3]);
      const { messages, deleted, uidNext } = (await store.mailboxes.get(inbox)) ?? {};
      assert.deepEqual([messages, deleted, uidNext], [2, 0, 7]);
      await store[Symbol.asyncDispose]();
    });
  });

  describe("what has changed", () => {
    test("in a mailbox: entries and the UIDs that went (RFC 7162 §3.2)", async () => {
      const { store, inbox } = await withMails(4);
      const { highestModSeq: before = 0 } = (await store.mailboxes.get(inbox)) ?? {};
      await store.mailboxes.setFlags(inbox, range(3), { mode: "add", flags: ["\\Seen"] });
      const middle = await store.mailboxes.modSeq(account);
      await store.mailboxes.expunge(inbox, range(1), "any");
      await acceptMail(store, 9);
      const since = async (modSeq: number): Promise<[number[], readonly number[]]> => {
        const { changed, expunged } = await store.mailboxes.changesSince(inbox, modSeq);
        return [uidsOf(changed), expunged];
      };
      assert.deepEqual(await since(before), [[3, 5], [1]]);
      assert.deepEqual(await since(middle), [[5], [1]]);
      assert.deepEqual(await since(0), [[2, 3, 4, 5], [1]]);
      assert.deepEqual(await since(await store.mailboxes.modSeq(account)), [[], []]);
      await store[Symbol.asyncDispose]();
    });

    test("in the account: a message that is still somewhere has changed (RFC 8621 §4.1.1)", async () => {
      const { store, inbox } = await withMails(3);
      const { mailboxes } = store;
      const [trash, archive] = await Promise.all(
        ["Trash", "Archive"].map((name) => mailboxNamed(store, name)),
      );
      const before = await mailboxes.modSeq(account);
      await mailboxes.copy(inbox, range(1), archive ?? "", "copy");
      await mailboxes.copy(inbox, range(1, 2), trash ?? "", "move");
      const first = await mailboxes.accountChangesSince(account, before);
      assert.ok(first !== "too-old");
      assert.deepEqual(first.expunged, [], "moved messages are still in the account");
      assert.deepEqual(new Set(first.mailboxes), new Set([inbox, trash, archive]));
      const middle = first.modSeq;
      await mailboxes.expunge(trash ?? "", undefined, "any");
      const made = await mailboxes.create(account, "Gone");
      assert.ok(made.ok);
      await mailboxes.remove(made.value.id);
      const later = await mailboxes.accountChangesSince(account, middle);
      assert.ok(later !== "too-old");
      assert.deepEqual(later.expunged, [messageId(2)]);
      assert.deepEqual(
        later.changed.map(({ message, mailbox }) => [message, mailbox]),
        [[messageId(1), archive]],
      );
      assert.deepEqual(later.removedMailboxes, [made.value.id]);
      const ahead = later.modSeq + 1;
      assert.equal(await mailboxes.accountChangesSince(account, ahead), "too-old");
      const left = await mailboxes.entriesOf(account, [messageId(1), messageId(2), "none"]);
      assert.deepEqual(
        left.map(({ mailbox }) => mailbox),
        [archive],
      );
      assert.deepEqual(await mailboxes.entriesOf("bob", [messageId(1)]), []);
      await store[Symbol.asyncDispose]();
    });
  });
}

type WithMails = (count: number) => Promise<{ store: Store; inbox: string }>;

function flagsContract(withMails: WithMails): void {
  describe("Mailboxes.setFlags()", () => {
    test("adds, removes and replaces, without regard to case", async () => {
      const { store, inbox } = await withMails(1);
      const steps = [
        ["add", ["\\SEEN", "$a"], "$a,\\Seen"],
        ["add", ["$A", "\\Seen"], "$a,\\Seen"],
        ["remove", ["$A", "none"], "\\Seen"],
        ["replace", ["b", "\\seen"], "\\Seen,b"],
        ["replace", ["\\Deleted"], "\\Deleted"],
        ["add", ["no flag", "\\Recent"], "\\Deleted"],
        ["replace", [], ""],
      ] as const;
      for (const [mode, flags, after] of steps) {
        const { entries } = await store.mailboxes.setFlags(inbox, everything, { mode, flags });
        assert.equal(entries[0]?.flags.toSorted().join(), after);
        assert.deepEqual(await store.mailboxes.entries(inbox), entries);
      }
      await store[Symbol.asyncDispose]();
    });

    test("counts what is unseen and deleted", async () => {
      const { store, inbox } = await withMails(3);
      await store.mailboxes.setFlags(inbox, range(1, 2), { mode: "add", flags: ["\\Seen"] });
      await store.mailboxes.setFlags(inbox, range(2, 3), { mode: "add", flags: ["\\Deleted"] });
      const { unseen, deleted } = (await store.mailboxes.get(inbox)) ?? {};
      assert.deepEqual([unseen, deleted], [1, 2]);
      await store[Symbol.asyncDispose]();
    });

    test("leaves alone what has changed since, and names it (RFC 7162 §3.1.3)", async () => {
      const { store, inbox } = await withMails(3);
      const unchangedSince = await store.mailboxes.modSeq(account);
      await store.mailboxes.setFlags(inbox, range(2), { mode: "add", flags: ["$a"] });
      const change = { mode: "replace", flags: ["\\Deleted"], unchangedSince } as const;
      const { entries, modified } = await store.mailboxes.setFlags(inbox, everything, change);
      assert.deepEqual(modified, [2]);
      assert.deepEqual(uidsOf(entries), [1, 3]);
      const all = await store.mailboxes.entries(inbox);
      assert.deepEqual(
        all.map(({ flags }) => flags.join()),
        ["\\Deleted", "$a", "\\Deleted"],
      );
      const never = { mode: "add", flags: ["x"], unchangedSince: 0 } as const;
      const none = await store.mailboxes.setFlags(inbox, everything, never);
      assert.deepEqual(none, { entries: [], modified: [1, 2, 3] });
      await store[Symbol.asyncDispose]();
    });

    test("is one change, and none where nothing changes", async () => {
      const { store, inbox } = await withMails(3);
      const change = { mode: "add", flags: ["\\Seen"] } as const;
      await store.mailboxes.setFlags(inbox, range(2), change);
      const before = await store.mailboxes.modSeq(account);
      const { entries } = await store.mailboxes.setFlags(inbox, everything, change);
      assert.deepEqual(uidsOf(entries), [1, 2, 3], "those that had it are told of too");
      const after = await store.mailboxes.modSeq(account);
      assert.deepEqual(
        entries.map(({ modSeq }) => modSeq),
        [after, before, after],
      );
      await store.mailboxes.setFlags(inbox, everything, change);
      assert.equal(await store.mailboxes.modSeq(account), after);
      const nowhere = await store.mailboxes.setFlags("nowhere", everything, change);
      assert.deepEqual(nowhere, { entries: [], modified: [] });
      await store[Symbol.asyncDispose]();
    });

    test("at the same time does not lose a change", async () => {
      const { store, inbox } = await withMails(1);
      const names = ["a", "b", "c", "d"];
      const { setFlags } = store.mailboxes;
      await Promise.all(
        names.map((flag) => setFlags(inbox, everything, { mode: "add", flags: [flag] })),
      );
      const [entry] = await store.mailboxes.entries(inbox);
      assert.deepEqual(entry?.flags.toSorted(), names);
      await store[Symbol.asyncDispose]();
    });
  });
}

function uidsOf(entries: readonly Entry[]): number[] {
  return entries.map(({ uid }) => uid);
}

function pairsOf(pairs: readonly { uid: number; copy: Entry }[]): string[] {
  return pairs.map(({ uid, copy }) => `${uid} ${copy.uid}`);
}
