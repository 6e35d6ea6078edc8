/** Domains, accounts and aliases; rules and holds; and mail that is read by somebody else. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Store } from "#contracts/store";
import {
  acceptMail,
  account,
  head,
  mail,
  mailboxNamed,
  messageId,
} from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { alice, bob, everything, openWithAlice, range } from "./kit.ts";

export function peopleContract(open: Opening): void {
  const newStore = async (): Promise<Store> => (await openWithAlice(open)).store;

  describe("PeopleStore", () => {
    test("domains, accounts and aliases are put, replaced, listed and removed", async () => {
      await using store = await newStore();
      const { people } = store;
      for (const name of ["b.example", "a.example", "b.example"]) {
        await people.putDomain({ name }, "admin");
      }
      assert.deepEqual(await people.domains(), [{ name: "a.example" }, { name: "b.example" }]);
      assert.equal(await people.removeDomain("a.example", "admin"), true);
      assert.equal(await people.removeDomain("a.example", "admin"), false);
      const alias = { address: "all@a.example", targets: ["alice@example.org"] };
      await people.putAlias(alias, "admin");
      await people.putAlias({ ...alias, targets: [] }, "admin");
      assert.deepEqual(await people.aliases(), [{ ...alias, targets: [] }]);
      assert.equal(await people.removeAlias(alias.address, "admin"), true);
      assert.equal(await people.removeAlias(alias.address, "admin"), false);
      await people.putAccount({ ...alice, displayName: "A. Other" }, "admin");
      await people.putAccount(bob, "admin");
      assert.deepEqual(await people.accounts(), [{ ...alice, displayName: "A. Other" }, bob]);
      assert.equal((await store.mailboxes.list(account)).length, 6, "a new name, no new mailboxes");
      assert.equal((await store.stats()).accounts, 2);
    });

    test("an account goes with its mail; one made again knows nothing of it", async () => {
      await using store = await newStore();
      const { people, mailboxes } = store;
      await people.putAccount(bob, "admin");
      const both = [account, "bob"].map((to) => ({
        account: to,
        mailbox: "inbox" as const,
        flags: [],
      }));
      await acceptMail(store, 1, mail("x"), { deliveries: both });
      const before = await mailboxes.list(account);
      const modSeq = await mailboxes.modSeq(account);
      assert.equal(await people.removeAccount(account, "admin"), true);
      assert.equal(await people.removeAccount(account, "admin"), false);
      assert.deepEqual(await mailboxes.list(account), []);
      assert.equal(await mailboxes.get(before[0]?.id ?? ""), undefined);
      assert.deepEqual(await mailboxes.entries(before[0]?.id ?? ""), []);
      await assert.rejects(acceptMail(store, 2), { name: "Unavailable" });
      assert.equal((await mailboxes.entriesOf("bob", [messageId(1)])).length, 1);
      await people.putAccount({ ...alice, createdAtMs: 2 }, "admin");
      const after = await mailboxes.list(account);
      assert.ok((await mailboxes.modSeq(account)) > modSeq, "states do not repeat");
      const numbers = [before, after].map((all) => all.map(({ uidValidity }) => uidValidity));
      assert.ok(Math.min(...(numbers[1] ?? [])) > Math.max(...(numbers[0] ?? [])));
      const ids = new Set([...before, ...after].map(({ id }) => id));
      assert.equal(ids.size, 12, "nor do ids");
      assert.deepEqual(await mailboxes.entriesOf(account, [messageId(1)]), []);
    });
  });
}

export function retentionContract(open: Opening): void {
  const newStore = async (): Promise<Store> => (await openWithAlice(open)).store;

  describe("RetentionStore", () => {
    test("rules are put, replaced and removed; those of an account go with it", async () => {
      await using store = await newStore();
      const { retention } = store;
      const rule = { account: "*", mailbox: "trash", days: 30 };
      const own = { account, mailbox: "*", days: 7 };
      await retention.putRule(rule, "admin");
      await retention.putRule({ ...rule, days: 3 }, "admin");
      await retention.putRule(own, "admin");
      const days = async (): Promise<number[]> =>
        (await retention.rules()).map((one) => one.days).sort((one, two) => one - two);
      assert.deepEqual(await days(), [3, 7]);
      assert.equal(await retention.removeRule("*", "inbox", "admin"), false);
      await store.people.removeAccount(account, "admin");
      assert.deepEqual(await retention.rules(), [{ ...rule, days: 3 }]);
      assert.equal(await retention.removeRule("*", "trash", "admin"), true);
      assert.deepEqual(await days(), []);
    });

    test("a hold keeps the account and what leaves it, also what left before", async () => {
      await using store = await newStore();
      const { retention, mailboxes } = store;
      for (const number of [1, 2, 3]) await acceptMail(store, number);
      const inbox = await mailboxNamed(store, "INBOX");
      await mailboxes.expunge(inbox, range(1), "any");
      await assert.rejects(retention.putHold("nobody", "case 7", "admin"), { name: "Unavailable" });
      await retention.putHold(account, "case 7", "admin");
      await retention.putHold(account, "case 8", "judge");
      const [hold] = await retention.holds();
      assert.deepEqual([hold?.account, hold?.reason, hold?.by], [account, "case 8", "judge"]);
      await assert.rejects(store.people.removeAccount(account, "admin"), { name: "Denied" });
      const archive = await mailboxNamed(store, "Archive");
      await mailboxes.copy(inbox, range(2), archive, "move");
      await mailboxes.expunge(inbox, everything, "any");
      const withheld = await retention.withheld(account, 9);
      assert.deepEqual(
        withheld.map(({ message, mailbox, uid }) => [message, mailbox, uid]),
        [
          [messageId(1), inbox, 1],
          [messageId(3), inbox, 3],
        ],
      );
      assert.deepEqual(
        withheld.map(({ expungedAtMs }) => expungedAtMs !== undefined),
        [false, true],
      );
      assert.deepEqual(await retention.withheld(account, 1), withheld.slice(0, 1));
      assert.deepEqual(await retention.withheld(account, 9, withheld[0]), withheld.slice(1));
      assert.deepEqual(await retention.withheld("bob", 9), []);
      assert.equal(await retention.removeHold(account, "admin"), true);
      assert.equal(await retention.removeHold(account, "admin"), false);
      assert.deepEqual([await retention.withheld(account, 9), await retention.holds()], [[], []]);
      assert.equal(await store.people.removeAccount(account, "admin"), true);
    });
  });

  describe("RetentionStore.withheld()", () => {
    test("lists mail that has left the last of the account's mailboxes, each way it went", async () => {
      await using store = await newStore();
      const { retention, mailboxes } = store;
      await store.people.putAccount(bob, "test");
      const both = [account, "bob"].map(
        (to) => ({ account: to, mailbox: "inbox", flags: [] }) as const,
      );
      await acceptMail(store, 1, mail("x"), { deliveries: both });
      await retention.putHold(account, "case 7", "admin");
      const [inbox, archive] = [
        await mailboxNamed(store, "INBOX"),
        await mailboxNamed(store, "Archive"),
      ];
      await mailboxes.copy(inbox, range(1), archive, "copy");
      const places = async (): Promise<unknown[]> =>
        (await retention.withheld(account, 9)).map(({ mailbox, uid }) => [mailbox, uid]);
      await mailboxes.expunge(inbox, everything, "any");
      assert.deepEqual(await places(), [], "a copy is there");
      await mailboxes.expunge(archive, everything, "any");
      assert.deepEqual(await places(), [
        [inbox, 1],
        [archive, 1],
      ]);
      assert.deepEqual(await retention.withheld("bob", 9), []);
    });
  });

  describe("AuditStore", () => {
    test("gives mail of others to read, and tells its owner who read it", async () => {
      await using store = await newStore();
      const { audit, retention } = store;
      await store.people.putAccount(bob, "test");
      for (const number of [1, 2]) await acceptMail(store, number);
      await retention.putHold(account, "case 7", "admin");
      await store.mailboxes.expunge(await mailboxNamed(store, "INBOX"), range(1), "any");
      const read = async (whose: string, number: number): Promise<Buffer | undefined> =>
        audit.readByOther({ account: whose, message: messageId(number), by: "c", reason: "r" });
      for (const number of [1, 2]) {
        const whole = Buffer.concat([head, mail(`mail ${number}`)]);
        assert.ok((await read(account, number))?.equals(whole));
      }
      assert.equal(await read("bob", 2), undefined, "it is not his");
      assert.equal(await read(account, 3), undefined);
      const reads = await audit.readsOf(account, 0, 9);
      assert.deepEqual(
        reads.map(({ message, by, reason }) => [message, by, reason]),
        [
          [messageId(2), "c", "r"],
          [messageId(1), "c", "r"],
        ],
      );
      assert.deepEqual(await audit.readsOf(account, 0, 1), reads.slice(0, 1));
      assert.deepEqual(await audit.readsOf(account, Number.MAX_SAFE_INTEGER, 9), []);
      assert.deepEqual(await audit.readsOf("bob", 0, 9), []);
    });
  });
}
