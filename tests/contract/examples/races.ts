/** What comes in the wrong moment, and questions that nobody sensible asks. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  acceptMail,
  account,
  mail,
  mailboxNamed,
  messageId,
  stage,
} from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { alice, everything, openWithAlice } from "./kit.ts";

export function racesContract(open: Opening): void {
  describe("an account that is being removed", () => {
    test("is given no mail that nobody would ever see", async () => {
      const { store } = await openWithAlice(open);
      const content = await stage(store, mail("x"));
      const removing = store.people.removeAccount(account, "admin");
      const accepting = await meanwhile((nth) =>
        acceptMail(store, 100 + nth, undefined, { content }),
      );
      assert.equal(await removing, true);
      await Promise.allSettled(accepting);
      await assert.rejects(acceptMail(store, 1), { name: "Unavailable" });
      await assert.rejects(store.mailboxes.create(account, "A"), { name: "Unavailable" });
      assert.equal(await store.isAccepted(messageId(1)), false);
      await store[Symbol.asyncDispose]();
    });

    test("does not take the store along when its mail is moved just then", async () => {
      const opened = await openWithAlice(open);
      let { store } = opened;
      await acceptMail(store, 1);
      const inbox = await mailboxNamed(store, "INBOX");
      const trash = await mailboxNamed(store, "Trash");
      const removing = store.people.removeAccount(account, "admin");
      const moving = await meanwhile(() => store.mailboxes.copy(inbox, everything, trash, "move"));
      await Promise.allSettled([removing, ...moving]);
      await store.people.putAccount(alice, "admin");
      await acceptMail(store, 2);
      store = (await opened.reopen?.("stopped")) ?? store;
      await acceptMail(store, 3);
      await store[Symbol.asyncDispose]();
    });

    test("made again, says that it does not know the states of before", async () => {
      const { store } = await openWithAlice(open);
      const before = await store.mailboxes.modSeq(account);
      await store.people.removeAccount(account, "admin");
      await store.people.putAccount(alice, "admin");
      assert.equal(await store.mailboxes.accountChangesSince(account, before), "too-old");
      await store[Symbol.asyncDispose]();
    });
  });

  describe("an item of the queue", () => {
    test("is held once by two who hold it at the same time", async () => {
      const { store } = await openWithAlice(open);
      const facts = { reversePath: "", recipient: "a@b.example", wishes: {}, utf8: false };
      const queue = [{ id: "q1", ...facts, queuedAtMs: 1, nextAttemptAtMs: 1 }];
      await acceptMail(store, 1, mail("x"), { queue });
      const hold = (): Promise<boolean> => store.queue.change("q1", "hold", "admin", 2);
      const [one, two] = await Promise.all([hold(), hold()]);
      assert.notEqual(one, two);
      await store[Symbol.asyncDispose]();
    });
  });

  describe("strange questions", () => {
    test("a search for a very long text finds nothing", async () => {
      const { store } = await openWithAlice(open);
      await acceptMail(store, 1);
      assert.deepEqual(await store.traces.find({ text: "x".repeat(60_000), limit: 5 }), []);
      await store[Symbol.asyncDispose]();
    });

    test("a search finds what is in an address, not what is between two", async () => {
      const { store } = await openWithAlice(open);
      const recipients = [{ path: "a@b.example" }, { path: "c@d.example" }];
      await acceptMail(store, 1, mail("x"), { envelope: { reversePath: "", recipients } });
      assert.deepEqual(await store.traces.find({ text: '","', limit: 5 }), []);
      await store[Symbol.asyncDispose]();
    });

    test("only ASCII letters make INBOX in another case (RFC 9051 §5.1)", async () => {
      const { store } = await openWithAlice(open);
      const made = await store.mailboxes.create(account, "\u0131nbox");
      assert.ok(made.ok && made.value.name === "\u0131nbox");
      await store[Symbol.asyncDispose]();
    });
  });
}

/** Does it again and again, a little later each time, without waiting for what comes of it. */
async function meanwhile(
  act: (nth: number) => Promise<unknown>,
): Promise<readonly Promise<unknown>[]> {
  const all: Promise<unknown>[] = [];
  for (let nth = 0; nth < 20; nth += 1) {
    const one = act(nth);
    one.catch(() => undefined);
    all.push(one);
    await Promise.resolve();
  }
  return all;
}
