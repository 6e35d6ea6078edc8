/** Taking messages in and giving them out again. */

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
  stage,
} from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { bob, openWithAlice, range } from "./kit.ts";

export function acceptContract(open: Opening): void {
  const newStore = async (): Promise<Store> => (await openWithAlice(open)).store;

  describe("Store.accept()", () => {
    test("keeps head and content byte-exact, small and large, from any range", async () => {
      await using store = await newStore();
      for (const [number, bytes] of [0, 10, 7000, 20_000, 100_000].entries()) {
        const octets = mail(`size ${bytes}`, bytes);
        await acceptMail(store, number, octets);
        const whole = Buffer.concat([head, octets]);
        const id = messageId(number);
        assert.ok((await store.messages.read(id)).equals(whole));
        assert.equal(await store.messages.sizeBytes(id), whole.length);
        assert.ok((await store.messages.read(id, 20, 60)).equals(whole.subarray(20, 60)));
        assert.ok((await store.messages.read(id, 90)).equals(whole.subarray(90)));
        assert.equal((await store.messages.read(id, whole.length, whole.length + 5)).length, 0);
        const pieces = [];
        for await (const piece of store.messages.stream(id, 5)) pieces.push(piece);
        assert.ok(Buffer.concat(pieces).equals(whole.subarray(5)));
      }
    });

    test("keeps a message of no octets at all", async () => {
      await using store = await newStore();
      await acceptMail(store, 1, Buffer.alloc(0), { head: Buffer.alloc(0) });
      assert.equal((await store.messages.read(messageId(1))).length, 0);
      assert.equal(await store.messages.sizeBytes(messageId(1)), 0);
      assert.equal((await store.messages.describe(messageId(1))).sizeBytes, 0);
    });

    test("takes an id once, also at the same time, and says so", async () => {
      await using store = await newStore();
      const [one, two] = await Promise.all([acceptMail(store, 1), acceptMail(store, 1)]);
      const three = await acceptMail(store, 1, mail("something else"));
      assert.notEqual(one.repeated, two.repeated);
      assert.ok(three.repeated);
      assert.deepEqual(one.entries, two.entries);
      assert.deepEqual(one.entries, three.entries);
      assert.equal((await store.stats()).messages, 1);
      assert.equal((await store.mailboxes.list(account))[0]?.messages, 1);
      const read = await store.messages.read(messageId(1), head.length);
      assert.ok(read.equals(mail("mail 1")), "the first one counts");
    });

    test("gives equal contents to each message that has them", async () => {
      await using store = await newStore();
      const octets = mail("the same", 30_000);
      await Promise.all([acceptMail(store, 1, octets), acceptMail(store, 2, octets)]);
      await acceptMail(store, 3, octets);
      await store.mailboxes.expunge(await mailboxNamed(store, "INBOX"), range(1, 2), "any");
      assert.ok((await store.messages.read(messageId(3), head.length)).equals(octets));
    });

    test("takes a staged content for two messages", async () => {
      await using store = await newStore();
      const content = await stage(store, mail("both"));
      await acceptMail(store, 1, undefined, { content });
      await acceptMail(store, 2, undefined, { content });
      for (const number of [1, 2]) {
        const read = await store.messages.read(messageId(number), head.length);
        assert.ok(read.equals(mail("both")));
      }
    });

    test("delivers by id, by role, and to INBOX what was meant for a mailbox that is gone", async () => {
      await using store = await newStore();
      const names = ["INBOX", "Sent", "Junk"];
      const [inbox, sent, junk] = await Promise.all(names.map((name) => mailboxNamed(store, name)));
      const wanted = [sent ?? "", "junk", "m99", "no-role"];
      const { entries } = await acceptMail(store, 1, mail("x"), {
        deliveries: wanted.map((mailbox) => ({ account, mailbox, flags: [] })),
      });
      assert.deepEqual(
        entries.map(({ mailbox, uid }) => [mailbox, uid]),
        [
          [sent, 1],
          [junk, 1],
          [inbox, 1],
          [inbox, 2],
        ],
      );
      assert.equal(new Set(entries.map(({ modSeq }) => modSeq)).size, 1, "it is one change");
    });

    test("another account's mailbox is none of this one's", async () => {
      await using store = await newStore();
      await store.people.putAccount(bob, "test");
      const [inbox] = await store.mailboxes.list("bob");
      const { entries } = await acceptMail(store, 1, mail("x"), {
        deliveries: [{ account, mailbox: inbox?.id ?? "", flags: [] }],
      });
      assert.equal(entries[0]?.mailbox, await mailboxNamed(store, "INBOX"));
    });

    test("keeps what is a flag, as the standard writes it", async () => {
      await using store = await newStore();
      const flags = ["\\SEEN", "$Work", "$WORK", "no flag", "\\Recent", "\\Odd", "x".repeat(101)];
      const { entries } = await acceptMail(store, 1, mail("x"), {
        deliveries: [{ account, mailbox: "inbox", flags }],
      });
      assert.deepEqual(entries[0]?.flags, ["\\Seen", "$Work"]);
      assert.equal((await store.mailboxes.list(account))[0]?.unseen, 0);
    });

    test("for an account that is not there does nothing for anybody, and may come again", async () => {
      await using store = await newStore();
      const deliveries = [account, "bob"].map((to) => ({
        account: to,
        mailbox: "inbox" as const,
        flags: [],
      }));
      await assert.rejects(acceptMail(store, 1, mail("x"), { deliveries }), {
        name: "Unavailable",
      });
      assert.equal(await store.isAccepted(messageId(1)), false);
      assert.equal((await store.mailboxes.list(account))[0]?.uidNext, 1);
      await store.people.putAccount(bob, "test");
      const { entries, repeated } = await acceptMail(store, 1, mail("x"), { deliveries });
      assert.equal(repeated, false);
      assert.deepEqual(
        entries.map(({ uid }) => uid),
        [1, 1],
      );
    });

    test("takes many at once", async () => {
      await using store = await newStore();
      const all = await Promise.all(
        Array.from({ length: 40 }, (_, number) =>
          acceptMail(store, number, mail("m", 500 * number)),
        ),
      );
      const uids = all.flatMap(({ entries }) => entries.map(({ uid }) => uid));
      assert.deepEqual(
        uids.toSorted((one, two) => one - two),
        Array.from({ length: 40 }, (_, index) => index + 1),
      );
      for (let number = 0; number < 40; number += 1) {
        const read = await store.messages.read(messageId(number), head.length);
        assert.ok(read.equals(mail("m", 500 * number)));
      }
    });
  });

  describe("Store.stage()", () => {
    test("an aborted content leaves nothing that readers could see", async () => {
      await using store = await newStore();
      const writer = store.stage();
      await writer.write(Buffer.alloc(60_000, 1));
      writer.abort();
      assert.equal((await store.stats()).messages, 0);
      await acceptMail(store, 1);
    });

    test("takes octets in any pieces and knows how many there are", async () => {
      await using store = await newStore();
      const octets = mail("in pieces", 12_000);
      for (const [number, step] of [1, 511, 4096, 100_000].entries()) {
        const content = await stage(store, octets, step);
        assert.equal(content.sizeBytes, octets.length);
        await acceptMail(store, number, undefined, { content });
        const read = await store.messages.read(messageId(number), head.length);
        assert.ok(read.equals(octets));
      }
    });
  });

  describe("Messages", () => {
    test("tells the envelope, the verdicts and what the message is", async () => {
      await using store = await newStore();
      const envelope = { reversePath: "", recipients: [{ path: "alice@example.org" }], utf8: true };
      const verdict = { method: "auth", result: "pass", login: "alice" } as const;
      await acceptMail(store, 1, mail("told"), { envelope, verdicts: [verdict] });
      assert.deepEqual(await store.messages.envelope(messageId(1)), envelope);
      assert.deepEqual(await store.messages.verdicts(messageId(1)), [verdict]);
      const description = await store.messages.describe(messageId(1));
      assert.equal(description.envelope.subject, "told");
      assert.deepEqual(await store.messages.describe(messageId(1)), description);
    });

    test("what was appended has no head, no envelope and no verdicts", async () => {
      await using store = await newStore();
      const inbox = await mailboxNamed(store, "INBOX");
      const content = await stage(store, mail("draft"));
      const facts = { flags: [], receivedAtMs: 77 };
      const { message } = await store.mailboxes.append(account, inbox, content, facts);
      assert.ok((await store.messages.read(message)).equals(mail("draft")));
      assert.equal(await store.messages.envelope(message), undefined);
      assert.deepEqual(await store.messages.verdicts(message), []);
      assert.equal(await store.traces.show(message), undefined);
    });

    test("what is not there is Unavailable to read, undefined to ask for", async () => {
      await using store = await newStore();
      const { messages } = store;
      const none = messageId(7);
      await assert.rejects(messages.read(none), { name: "Unavailable" });
      await assert.rejects(messages.describe(none), { name: "Unavailable" });
      await assert.rejects(messages.verdicts(none), { name: "Unavailable" });
      await assert.rejects(async () => {
        for await (const _ of messages.stream(none)) assert.fail("nothing comes");
      });
      assert.equal(await messages.sizeBytes(none), undefined);
      assert.equal(await messages.envelope(none), undefined);
      assert.equal(await store.isAccepted(none), false);
    });
  });
}
