/** What a store has promised, kept in memory beside it, to hold it to its word after a cut. */

import assert from "node:assert/strict";
import { Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import type { Entry, MailboxId, MessageId } from "#model/mailbox";
import type { OpenStore } from "#store";

/** An act that was under way when the power failed: it happened whole, or not at all. */
export type PendingAct =
  | { readonly kind: "accept"; readonly message: ModelMessage }
  | { readonly kind: "append"; readonly message: ModelMessage; readonly mailbox: MailboxId }
  | { readonly kind: "flags"; readonly before: readonly Entry[]; readonly flags: readonly string[] }
  | { readonly kind: "move"; readonly before: readonly Entry[]; readonly to: MailboxId }
  | { readonly kind: "copy"; readonly before: readonly Entry[]; readonly to: MailboxId }
  | { readonly kind: "expunge"; readonly before: readonly Entry[] }
  | { readonly kind: "attempt"; readonly item: string; readonly attempts: number }
  | { readonly kind: "account"; readonly account: string };

export interface ModelMessage {
  readonly id: MessageId;
  readonly octets: Buffer;
  readonly deliveries: readonly { readonly account: string; readonly role: string }[];
  readonly queue: readonly string[];
}

export class StoreModel {
  readonly random: Random;
  readonly accounts: readonly string[];
  readonly entries: Map<string, Entry> = new Map();
  readonly messages: Map<MessageId, ModelMessage> = new Map();
  /** Attempts of each queue item. */
  readonly queue: Map<string, number> = new Map();
  readonly known: Set<string> = new Set();
  /** Highest UID ever seen in a mailbox; none at or below it may be given again. */
  readonly highestUid: Map<MailboxId, number> = new Map();
  readonly uidValidity: Map<MailboxId, number> = new Map();
  readonly highestModSeq: Map<string, number> = new Map();
  readonly pending: Map<number, PendingAct> = new Map();
  acknowledged = 0;
  #nextId = 0;

  constructor(random: Random, accounts: number) {
    this.random = random;
    this.accounts = Array.from({ length: accounts }, (_, index) => `account-${index}`);
  }

  newId(): string {
    this.#nextId += 1;
    return this.#nextId.toString(16).padStart(32, "0");
  }

  /** Puts an entry that the store has told of. */
  put(entry: Entry, isNew: boolean): void {
    const key = keyOf(entry);
    if (isNew) {
      assert.ok(!this.entries.has(key), `${key} is given once`);
      const highest = this.highestUid.get(entry.mailbox) ?? 0;
      // Answers of one batch may overtake each other, so only what is gone or known counts.
      assert.ok(entry.uid > highest || !this.#wasGiven(key), `${key} is not given again`);
      this.highestUid.set(entry.mailbox, Math.max(highest, entry.uid));
      this.#given.add(key);
    }
    this.entries.set(key, entry);
  }

  readonly #given = new Set<string>();
  #wasGiven(key: string): boolean {
    return this.#given.has(key);
  }

  remove(entry: Entry): void {
    this.entries.delete(keyOf(entry));
  }

  sawModSeq(account: string, modSeq: number): void {
    this.highestModSeq.set(account, Math.max(this.highestModSeq.get(account) ?? 0, modSeq));
  }

  /** Decides what became of the acts that were cut, then compares everything. */
  async settle(store: OpenStore): Promise<void> {
    const actual = new Map<string, Entry>();
    for (const account of this.accounts) {
      for (const mailbox of await store.mailboxes.list(account)) {
        const entries = await store.mailboxes.entries(mailbox.id);
        for (const entry of entries) actual.set(keyOf(entry), entry);
        assert.equal(mailbox.messages, entries.length, "the mailbox counts its entries");
        const unseen = entries.filter(({ flags }) => !flags.includes("\\Seen")).length;
        assert.equal(mailbox.unseen, unseen, "the mailbox counts what is unseen");
        const highest = this.highestUid.get(mailbox.id) ?? 0;
        assert.ok(mailbox.uidNext > highest, "UIDNEXT lies behind every UID ever given");
        const validity = this.uidValidity.get(mailbox.id) ?? mailbox.uidValidity;
        assert.equal(mailbox.uidValidity, validity, "UIDVALIDITY stays");
        this.uidValidity.set(mailbox.id, validity);
      }
      const modSeq = await store.mailboxes.modSeq(account);
      assert.ok(modSeq >= (this.highestModSeq.get(account) ?? 0), "mod-sequences do not go back");
      this.sawModSeq(account, modSeq);
    }
    for (const [client, act] of this.pending) {
      await this.#resolve(store, act, actual);
      this.pending.delete(client); // one by one: the power may fail during this as well
    }
    assert.deepEqual(sorted(actual), sorted(this.entries), "entries are as acknowledged");
    await this.#compareRest(store);
  }

  async #resolve(store: OpenStore, act: PendingAct, actual: Map<string, Entry>): Promise<void> {
    const after = act.kind === "account" || act.kind === "attempt" ? [] : actual.values();
    const fresh = [...after].filter((entry) => !this.#given.has(keyOf(entry)));
    switch (act.kind) {
      case "account": {
        const accounts = await store.people.accounts();
        if (!accounts.some(({ id }) => id === act.account)) return;
        this.known.add(act.account);
        assert.equal((await store.mailboxes.list(act.account)).length, 6);
        return;
      }
      case "accept": {
        const own = fresh.filter(({ message }) => message === act.message.id);
        if (!(await store.isAccepted(act.message.id))) {
          assert.deepEqual(own, [], "nothing of a message that was not accepted");
          return;
        }
        assert.equal(own.length, act.message.deliveries.length, "all deliveries or none");
        this.#addMessage(act.message, own);
        return;
      }
      case "append":
        return this.#resolveAppend(store, act, fresh);
      case "flags":
        return this.#resolveFlags(act, actual);
      case "expunge":
      case "move":
      case "copy": {
        const left = act.before.filter((entry) => actual.has(keyOf(entry)));
        const copies = act.kind === "expunge" ? [] : this.#copiesOf(act, fresh);
        const all = act.before.length;
        if (act.kind === "copy") assert.ok(copies.length === 0 || copies.length === all);
        else assert.ok(left.length === 0 || left.length === all, "all go or none");
        if (act.kind === "move") assert.equal(copies.length, all - left.length, "moved once");
        if (left.length === 0) for (const entry of act.before) this.remove(entry);
        for (const entry of copies) this.put(entry, true);
        return;
      }
      case "attempt": {
        const item = await store.queue.get(act.item);
        assert.ok(item?.attempts === act.attempts || item?.attempts === act.attempts + 1);
        this.queue.set(act.item, item.attempts);
      }
    }
  }

  async #resolveAppend(
    store: OpenStore,
    act: Extract<PendingAct, { kind: "append" }>,
    fresh: readonly Entry[],
  ): Promise<void> {
    const own = fresh.filter(
      (one) => one.mailbox === act.mailbox && !this.messages.has(one.message),
    );
    const found = own.filter(({ sizeBytes }) => sizeBytes === act.message.octets.length);
    const mine = [];
    for (const entry of found) {
      if ((await store.messages.read(entry.message)).equals(act.message.octets)) mine.push(entry);
    }
    assert.ok(mine.length <= 1, "an append happens once");
    if (mine[0] !== undefined) this.#addMessage({ ...act.message, id: mine[0].message }, mine);
  }

  #resolveFlags(act: Extract<PendingAct, { kind: "flags" }>, actual: Map<string, Entry>): void {
    const now = act.before.map((entry) => actual.get(keyOf(entry)) as Entry);
    const changed = now.filter((entry, index) => entry.modSeq !== act.before[index]?.modSeq);
    const should = act.before.filter(({ flags }) => !sameFlags(flags, act.flags));
    assert.ok(changed.length === 0 || changed.length === should.length, "all flags or none");
    for (const entry of changed) {
      assert.ok(sameFlags(entry.flags, act.flags));
      this.put(entry, false);
    }
  }

  #copiesOf(act: { before: readonly Entry[]; to: MailboxId }, fresh: readonly Entry[]): Entry[] {
    const messages = new Set(act.before.map(({ message }) => message));
    return fresh.filter((one) => one.mailbox === act.to && messages.has(one.message));
  }

  #addMessage(message: ModelMessage, entries: readonly Entry[]): void {
    this.messages.set(message.id, message);
    for (const entry of entries) this.put(entry, true);
    for (const item of message.queue) this.queue.set(item, 0);
  }

  async #compareRest(store: OpenStore): Promise<void> {
    const counts = await store.queue.counts();
    const items = Object.values(counts).reduce((sum, one) => sum + one, 0);
    assert.equal(items, this.queue.size, "queue items are as acknowledged");
    for (const [item, attempts] of this.queue) {
      assert.equal((await store.queue.get(item))?.attempts, attempts, "tries are as acknowledged");
    }
    for (const account of this.known) {
      assert.ok((await store.people.accounts()).some(({ id }) => id === account));
    }
    const messages = [...this.messages.values()];
    for (const message of messages.slice(-5)) await this.#readOne(store, message);
  }

  async readEverything(store: OpenStore): Promise<void> {
    for (const message of this.messages.values()) await this.#readOne(store, message);
  }

  async #readOne(store: OpenStore, message: ModelMessage): Promise<void> {
    const { id, octets } = message;
    const isHeld = await this.#isHeld(store, message);
    const read = await store.messages.read(id).catch((error: unknown) => {
      // What nobody holds may be erased at any time.
      if (isHeld || !(error instanceof Unavailable)) throw error;
    });
    if (read !== undefined) assert.ok(read.equals(octets), `message ${id} is byte-exact`);
  }

  async #isHeld(store: OpenStore, { id, queue }: ModelMessage): Promise<boolean> {
    for (const entry of this.entries.values()) if (entry.message === id) return true;
    for (const item of queue) {
      const state = (await store.queue.get(item))?.state;
      if (state === "waiting" || state === "held") return true;
    }
    return false;
  }
}

export function keyOf({ mailbox, uid }: { mailbox: MailboxId; uid: number }): string {
  return `${mailbox}:${uid}`;
}

function sameFlags(one: readonly string[], two: readonly string[]): boolean {
  return [...one].sort().join() === [...two].sort().join();
}

function sorted(entries: Map<string, Entry>): [string, Entry][] {
  return [...entries].sort(([one], [two]) => (one < two ? -1 : 1));
}
