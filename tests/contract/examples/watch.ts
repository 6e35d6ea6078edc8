/** Being told of changes. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Store } from "#contracts/store";
import type { Change } from "#model/mailbox";
import { acceptMail, account, mailboxNamed } from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { everything, openWithAlice, range } from "./kit.ts";

export function watchContract(open: Opening): void {
  const newStore = async (): Promise<Store> => (await openWithAlice(open)).store;

  describe("Store.watch()", () => {
    test("tells each change when it is there to be read", async () => {
      await using store = await newStore();
      const { mailboxes } = store;
      const inbox = await mailboxNamed(store, "INBOX");
      const trash = await mailboxNamed(store, "Trash");
      const seen: Change[] = [];
      const reads: Promise<unknown>[] = [];
      const stop = store.watch((change) => {
        seen.push(change);
        reads.push(mailboxes.modSeq(change.account).then((now) => assert.ok(now >= change.modSeq)));
      });
      const told = async (act: () => Promise<unknown>): Promise<string[]> => {
        seen.length = 0;
        await act();
        return seen.map(inWords).sort();
      };
      const inWords = ({ mailbox, added, updated, expunged, mailboxChanged }: Change): string =>
        [
          mailbox === inbox ? "INBOX" : "Trash",
          ...added.map(({ uid }) => `+${uid}`),
          ...updated.map(({ uid, flags }) => `${uid}=${flags.join()}`),
          ...expunged.map(({ uid, message }) => `-${uid}:${Number(`0x${message}`)}`),
          ...(mailboxChanged ? ["itself"] : []),
        ].join(" ");
      const flag = () => mailboxes.setFlags(inbox, everything, { mode: "add", flags: ["\\Seen"] });
      assert.deepEqual(await told(() => acceptMail(store, 1)), ["INBOX +1"]);
      assert.deepEqual(await told(flag), ["INBOX 1=\\Seen"]);
      assert.deepEqual(await told(flag), [], "nothing has changed");
      const move = () => mailboxes.copy(inbox, range(1), trash, "move");
      assert.deepEqual(await told(move), ["INBOX -1:1", "Trash +1"]);
      assert.deepEqual(await told(() => mailboxes.subscribe(trash, false)), ["Trash itself"]);
      const empty = () => mailboxes.expunge(trash, undefined, "any");
      assert.deepEqual(await told(empty), ["Trash -1:1"]);
      stop();
      assert.deepEqual(await told(() => acceptMail(store, 2)), []);
      await Promise.all(reads);
    });

    test("an account that is removed is told of as the removal of its mailboxes", async () => {
      await using store = await newStore();
      for (const number of [1, 2]) await acceptMail(store, number);
      const modSeq = await store.mailboxes.modSeq(account);
      const boxes = (await store.mailboxes.list(account)).map(({ id }) => id);
      const inbox = await mailboxNamed(store, "INBOX");
      const seen: Change[] = [];
      const found: Promise<unknown>[] = [];
      store.watch((change) => {
        seen.push(change);
        found.push(store.mailboxes.get(change.mailbox));
      });
      await store.people.removeAccount(account, "admin");
      assert.deepEqual(new Set(await Promise.all(found)), new Set([undefined]), "they are gone");
      assert.deepEqual(seen.map(({ mailbox }) => mailbox).sort(), boxes.sort());
      for (const change of seen) {
        const uids = change.expunged.map(({ uid }) => uid);
        assert.deepEqual(uids, change.mailbox === inbox ? [1, 2] : []);
        assert.deepEqual([change.account, change.modSeq], [account, modSeq + 1]);
        assert.ok(change.mailboxChanged);
      }
    });

    test("a new mailbox, a new name and a removal are told to everybody who watches", async () => {
      await using store = await newStore();
      const seen: string[][] = [[], []];
      for (const list of seen) {
        store.watch(({ mailbox, mailboxChanged }) => list.push(`${mailbox} ${mailboxChanged}`));
      }
      const made = await store.mailboxes.create(account, "A/B");
      assert.ok(made.ok);
      const { id } = made.value;
      const a = await mailboxNamed(store, "A");
      await store.mailboxes.rename(a, "Z");
      await store.mailboxes.remove(id);
      const all = [a, id, a, id, id].map((one) => `${one} true`);
      assert.deepEqual(seen[0]?.toSorted(), all.toSorted());
      assert.deepEqual(seen[1], seen[0]);
    });
  });
}
