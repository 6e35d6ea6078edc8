/** Who has had mail with whom. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Acceptance, Store } from "#contracts/store";
import type { SenderVerdict } from "#model/verdict";
import { acceptMail, account, mail, mailboxNamed } from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { alice, bob, everything, item, openWithAlice } from "./kit.ts";

const from = "carol@example.com";
const author: SenderVerdict = {
  method: "sender",
  result: "verified",
  origin: "outside",
  address: from,
  text: "as she says",
  evidence: [],
};

const heard = `${account} heard`;
const wrote = `${account} wrote`;
const connection = {
  listener: "submission",
  clientAddress: "192.0.2.1",
  clientPort: 1,
  helo: "laptop",
  extended: true,
};

export function contactsContract(open: Opening): void {
  const everybody = [account, "bob", "nobody"];
  const known = async ({ contacts }: Store, address: string): Promise<string[]> =>
    [...(await contacts.known(address, everybody))].map((one) => one.join(" ")).sort();

  describe("ContactStore", () => {
    test("knows whom a message from the address was delivered to", async () => {
      await using store = (await openWithAlice(open)).store;
      await store.people.putAccount(bob, "test");
      assert.deepEqual(await known(store, from), []);
      await acceptMail(store, 1, mail("x"), { verdicts: [author] });
      assert.deepEqual(await known(store, "Carol@EXAMPLE.com"), [heard]);
      assert.deepEqual(await known(store, "dave@example.com"), []);
      assert.deepEqual(await store.contacts.known(from, []), new Map());
      const deliveries = ["bob", "bob"].map(
        (to) => ({ account: to, mailbox: "inbox", flags: [] }) as const,
      );
      await acceptMail(store, 2, mail("y"), { verdicts: [author], deliveries });
      assert.deepEqual(await known(store, from), [heard, "bob heard"]);
    });

    test("does not take a forged message for one of its author, nor one without an author", async () => {
      await using store = (await openWithAlice(open)).store;
      await acceptMail(store, 1, mail("x"), { verdicts: [{ ...author, result: "forged" }] });
      await acceptMail(store, 4, mail("w"), { verdicts: [{ ...author, result: "not-verified" }] });
      await acceptMail(store, 2, mail("y"), { verdicts: [{ ...author, address: "" }] });
      await acceptMail(store, 3, mail("z"));
      assert.deepEqual(await known(store, from), []);
      assert.deepEqual(await known(store, ""), []);
    });

    test("knows whom an account has submitted mail to, wherever that went", async () => {
      await using store = (await openWithAlice(open)).store;
      await store.people.putAccount(bob, "test");
      const submission: Partial<Acceptance> = {
        direction: "submission",
        connection: { ...connection, authenticated: "Alice@example.org" },
        envelope: {
          reversePath: alice.address,
          recipients: [{ path: "Carol@example.com" }, { path: bob.address }],
        },
        deliveries: [{ account: "bob", mailbox: "inbox", flags: [] }],
        queue: [item],
      };
      await acceptMail(store, 1, mail("x"), submission);
      assert.deepEqual(await known(store, from), [wrote]);
      assert.deepEqual(await known(store, bob.address), [wrote]);
      const elsewhere = { ...connection, authenticated: "gone@example.org" };
      await acceptMail(store, 2, mail("y"), { ...submission, connection: elsewhere, queue: [] });
      const stranger = { ...submission, direction: "inbound", queue: [] } as const;
      await acceptMail(store, 3, mail("z"), { ...stranger, envelope: toDave });
      assert.deepEqual(await known(store, "dave@example.com"), []);
      await store.people.putAccount({ ...bob, address: "robert@example.org" }, "test");
      const robert = { ...connection, authenticated: "robert@example.org" };
      await acceptMail(store, 4, mail("z"), {
        ...{ ...submission, connection: robert, queue: [], envelope: toDave },
      });
      assert.deepEqual(await known(store, "dave@example.com"), ["bob wrote"]);
    });

    test("remembers across what is expunged, a restart and a rebuild, but not its account", async () => {
      const opened = await openWithAlice(open);
      let { store } = opened;
      await acceptMail(store, 1, mail("x"), { verdicts: [author] });
      await store.mailboxes.expunge(await mailboxNamed(store, "INBOX"), everything, "any");
      for (const how of ["stopped", "cut", "rebuilt"] as const) {
        store = (await opened.reopen?.(how)) ?? store;
        assert.deepEqual(await known(store, from), [heard], how);
      }
      await store.people.removeAccount(account, "admin");
      assert.deepEqual(await known(store, from), []);
      await store.people.putAccount(alice, "admin");
      assert.deepEqual(await known(store, from), []);
      store = (await opened.reopen?.("rebuilt")) ?? store;
      assert.deepEqual(await known(store, from), []);
      await store[Symbol.asyncDispose]();
    });
  });
}

const toDave = { reversePath: "x@example.org", recipients: [{ path: "dave@example.com" }] };
