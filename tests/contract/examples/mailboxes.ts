/** Mailboxes: made, renamed, removed, subscribed. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MailboxOutcome, Store } from "#contracts/store";
import type { Mailbox } from "#model/mailbox";
import { acceptMail, account, mailboxNamed } from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { openWithAlice } from "./kit.ts";

export function mailboxesContract(open: Opening): void {
  const newStore = async (): Promise<Store> => (await openWithAlice(open)).store;

  describe("Mailboxes", () => {
    test("a name never has a lower UIDVALIDITY than before (RFC 9051 §2.3.1.1)", async () => {
      await using store = await newStore();
      const { mailboxes } = store;
      const make = async (name: string): Promise<Mailbox> =>
        must(await mailboxes.create(account, name));
      const rename = async ({ id }: Mailbox, name: string): Promise<Mailbox> =>
        must(await mailboxes.rename(id, name));
      const [old, below] = [await make("Old"), await make("Old/Below")];
      const fresh = await make("Fresh");
      await make("Fresh/Below");
      // Nobody had the name: nothing changes.
      assert.equal((await rename(old, "Renamed")).uidValidity, old.uidValidity);
      assert.equal((await rename(old, "Old")).uidValidity, old.uidValidity, "its own name again");

      await mailboxes.remove(must(await mailboxes.create(account, "Gone")).id);
      const onGone = await rename(old, "Gone");
      assert.ok(onGone.uidValidity > fresh.uidValidity + 2, "a removed one had the name");
      const child = await mailboxes.get(below.id);
      assert.deepEqual([child?.name, child?.uidValidity], ["Gone/Below", below.uidValidity]);

      const away = await rename(fresh, "Elsewhere");
      assert.equal(away.uidValidity, fresh.uidValidity);
      const third = await rename(onGone, "Fresh");
      assert.equal(third.uidValidity, onGone.uidValidity, "it is higher already");
      const childAgain = await mailboxes.get(below.id);
      assert.equal(childAgain?.name, "Fresh/Below");
      assert.ok((childAgain?.uidValidity ?? 0) > third.uidValidity, "another child had the name");
      assert.equal(childAgain?.uidNext, below.uidNext);
      await rename(third, "Away");
      assert.ok((await rename(away, "Fresh")).uidValidity > (childAgain?.uidValidity ?? 0));
    });

    test("a new account has its six with their roles (RFC 6154)", async () => {
      await using store = await newStore();
      const all = await store.mailboxes.list(account);
      assert.deepEqual(
        all.map(({ name, role }) => `${name} ${role}`),
        [
          "INBOX inbox",
          "Drafts drafts",
          "Sent sent",
          "Archive archive",
          "Junk junk",
          "Trash trash",
        ],
      );
      for (const mailbox of all) {
        assert.deepEqual(await store.mailboxes.get(mailbox.id), mailbox);
        const { uidNext, messages, unseen, deleted, sizeBytes, subscribed } = mailbox;
        assert.deepEqual([uidNext, messages, unseen, deleted, sizeBytes], [1, 0, 0, 0, 0]);
        assert.equal(subscribed, true);
        assert.ok(mailbox.uidValidity > 0 && mailbox.highestModSeq > 0);
      }
    });

    test("of nobody are none", async () => {
      await using store = await newStore();
      assert.deepEqual(await store.mailboxes.list("nobody"), []);
      assert.equal(await store.mailboxes.modSeq("nobody"), 0);
      assert.equal(await store.mailboxes.get("nowhere"), undefined);
      assert.deepEqual(await store.mailboxes.entries("nowhere"), []);
      await assert.rejects(store.mailboxes.create("nobody", "A"), { name: "Unavailable" });
    });

    test("create() makes parents and refuses what cannot be", async () => {
      await using store = await newStore();
      const made = await store.mailboxes.create(account, "inbox/Work/2026");
      assert.ok(made.ok);
      assert.equal(made.value.name, "INBOX/Work/2026");
      assert.notEqual(await mailboxNamed(store, "INBOX/Work"), "");
      const bad = ["", "/", "a/", "/a", "a//b", " a", "a ", "a\u0007", "a\u0085", "50%", "*"];
      const tooLong = ["x".repeat(1001), Array(21).fill("a").join("/"), "\ud800"];
      assert.deepEqual(
        await faults([...bad, ...tooLong], (name) => store.mailboxes.create(account, name)),
        Array(bad.length + tooLong.length).fill("bad-name"),
      );
      const taken = ["InBox", "INBOX/Work", "inbox/Work/2026"];
      assert.deepEqual(
        await faults(taken, (name) => store.mailboxes.create(account, name)),
        Array(taken.length).fill("exists"),
      );
      assert.equal((await store.mailboxes.list(account)).length, 8, "nothing else was made");
    });

    test("create() takes one mailbox for each role", async () => {
      await using store = await newStore();
      const taken = await store.mailboxes.create(account, "Spam", "junk");
      assert.deepEqual(taken, { ok: false, fault: "has-role" });
    });

    test("names alike in Unicode are one (RFC 9051 §5.1)", async () => {
      await using store = await newStore();
      const made = await store.mailboxes.create(account, "E\u0301te\u0301");
      assert.ok(made.ok && made.value.name === "\u00c9t\u00e9");
      const again = await store.mailboxes.create(account, "\u00c9t\u00e9");
      assert.deepEqual(again, { ok: false, fault: "exists" });
    });

    test("rename() takes the children along and makes parents", async () => {
      await using store = await newStore();
      await store.mailboxes.create(account, "A/B/C");
      await store.mailboxes.create(account, "AB");
      const a = await mailboxNamed(store, "A");
      const c = await mailboxNamed(store, "A/B/C");
      const renamed = await store.mailboxes.rename(a, "Z/Y");
      assert.ok(renamed.ok && renamed.value.id === a);
      assert.equal((await store.mailboxes.get(c))?.name, "Z/Y/B/C");
      for (const name of ["Z", "AB"]) assert.notEqual(await mailboxNamed(store, name), "");
      for (const name of ["A", "A/B"]) assert.equal(await mailboxNamed(store, name), "");
    });

    test("rename() refuses what cannot be, and changes nothing then", async () => {
      await using store = await newStore();
      await store.mailboxes.create(account, "A/B");
      await store.mailboxes.create(account, `${"p/".repeat(17)}q`);
      const before = await store.mailboxes.list(account);
      const a = await mailboxNamed(store, "A");
      const rename = (name: string) => store.mailboxes.rename(a, name);
      assert.deepEqual(
        await faults(["A/C", "A/B/A", "", "a//b"], rename),
        Array(4).fill("bad-name"),
      );
      assert.deepEqual(await faults(["A", "A ", "Sent", "inbox"], rename), [
        "exists",
        "bad-name",
        "exists",
        "exists",
      ]);
      const deep = await mailboxNamed(store, "p");
      const tooDeep = await store.mailboxes.rename(deep, "1/2/3/4");
      assert.deepEqual(tooDeep, { ok: false, fault: "bad-name" }, "a child would be too deep");
      const none = await store.mailboxes.rename("nowhere", "B");
      assert.deepEqual(none, { ok: false, fault: "no-such-mailbox" });
      assert.deepEqual(await store.mailboxes.list(account), before);
    });

    test("rename() of INBOX gives its messages to a new mailbox (RFC 9051 §6.3.6)", async () => {
      await using store = await newStore();
      await store.mailboxes.create(account, "INBOX/Child");
      for (const number of [1, 2, 3]) await acceptMail(store, number);
      const inbox = await mailboxNamed(store, "INBOX");
      await store.mailboxes.expunge(inbox, [{ from: 2, to: 2 }], "any");
      const moved = await store.mailboxes.rename(inbox, "Old/Mail");
      assert.ok(moved.ok && moved.value.name === "Old/Mail");
      assert.deepEqual([moved.value.messages, moved.value.uidNext], [2, 3]);
      const left = await store.mailboxes.get(inbox);
      assert.deepEqual([left?.name, left?.messages, left?.uidNext], ["INBOX", 0, 4]);
      assert.notEqual(await mailboxNamed(store, "INBOX/Child"), "");
      const { expunged } = await store.mailboxes.changesSince(inbox, 0);
      assert.deepEqual(expunged, [1, 2, 3]);
    });

    test("remove() spares INBOX, roles and children; its entries go", async () => {
      await using store = await newStore();
      await store.mailboxes.create(account, "A/B");
      const a = await mailboxNamed(store, "A");
      const b = await mailboxNamed(store, "A/B");
      const { entries } = await acceptMail(store, 1, undefined, {
        deliveries: [{ account, mailbox: a, flags: [] }],
      });
      assert.deepEqual(await store.mailboxes.remove(a), { ok: true, value: true });
      assert.equal(await store.mailboxes.get(a), undefined);
      assert.deepEqual(await store.mailboxes.entries(a), []);
      const message = entries[0]?.message ?? "";
      assert.deepEqual(await store.mailboxes.entriesOf(account, [message]), []);
      assert.equal((await store.mailboxes.get(b))?.name, "A/B");
      const names = ["INBOX", "Sent"];
      const ids = await Promise.all(names.map((name) => mailboxNamed(store, name)));
      assert.deepEqual(await faults([...ids, a, "nowhere"], (id) => store.mailboxes.remove(id)), [
        "is-inbox",
        "has-role",
        "no-such-mailbox",
        "no-such-mailbox",
      ]);
    });

    test("a name that comes again has a higher UIDVALIDITY (RFC 9051 §2.3.1.1)", async () => {
      const opened = await openWithAlice(open);
      let { store } = opened;
      let last = 0;
      for (let round = 0; round < 3; round += 1) {
        const made = await store.mailboxes.create(account, "Here");
        assert.ok(made.ok && made.value.uidValidity > last);
        last = made.value.uidValidity;
        await store.mailboxes.remove(made.value.id);
        store = (await opened.reopen?.(round === 1 ? "rebuilt" : "stopped")) ?? store;
      }
      await store[Symbol.asyncDispose]();
    });

    test("subscribe() is kept and is a change", async () => {
      await using store = await newStore();
      const sent = await mailboxNamed(store, "Sent");
      const before = await store.mailboxes.modSeq(account);
      await store.mailboxes.subscribe(sent, false);
      const after = await store.mailboxes.get(sent);
      assert.equal(after?.subscribed, false);
      assert.ok((after?.highestModSeq ?? 0) > before);
      await store.mailboxes.subscribe("nowhere", true);
    });
  });
}

async function faults(
  names: readonly string[],
  act: (name: string) => Promise<MailboxOutcome<Mailbox | true>>,
): Promise<string[]> {
  const all = [];
  for (const name of names) {
    const outcome = await act(name);
    all.push(outcome.ok ? "ok" : outcome.fault);
  }
  return all;
}

function must<Value>(outcome: MailboxOutcome<Value>): Value {
  assert.ok(outcome.ok);
  return outcome.value;
}
