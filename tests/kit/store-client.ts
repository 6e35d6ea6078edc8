/** A client that does to a store what doors and queue runners do, and notes every answer. */

import assert from "node:assert/strict";
import { pick, type Random } from "#base/random";
import type { StagedContent } from "#contracts/store";
import type { Entry } from "#model/mailbox";
import type { OpenStore } from "#store";
import type { ModelMessage, PendingAct, StoreModel } from "./store-model.ts";

const head = Buffer.from("Return-Path: <sender@example.net>\r\n");
const flagSets = [[], ["\\Seen"], ["\\Flagged", "$work"], ["\\Deleted", "\\Seen"]];

export class Client {
  readonly #store: OpenStore;
  readonly #model: StoreModel;
  readonly #random: Random;
  readonly #index: number;
  readonly #account: string;

  /** Each client owns one account: nobody else changes what lies there, but all deliver to it. */
  constructor(store: OpenStore, model: StoreModel, random: Random, index: number) {
    this.#store = store;
    this.#model = model;
    this.#random = random;
    this.#index = index;
    this.#account = model.accounts[index] ?? "";
  }

  async work(acts: number): Promise<void> {
    if (!this.#model.known.has(this.#account)) await this.#makeAccount();
    for (let act = 0; act < acts; act += 1) {
      const chance = this.#random.fraction();
      if (chance < 0.4) await this.#accept();
      else if (chance < 0.5) await this.#append();
      else if (chance < 0.7) await this.#setFlags();
      else if (chance < 0.85) await this.#copyOrMove();
      else if (chance < 0.93) await this.#expunge();
      else await this.#attempt();
    }
  }

  async #doing<Value>(act: PendingAct, work: Promise<Value>): Promise<Value> {
    this.#model.pending.set(this.#index, act);
    const value = await work;
    this.#model.pending.delete(this.#index);
    this.#model.acknowledged += 1;
    return value;
  }

  async #makeAccount(): Promise<void> {
    const account = this.#account;
    const facts = { id: account, address: `${account}@example.org`, displayName: account };
    const made = this.#store.people.putAccount({ ...facts, createdAtMs: 1 }, "test");
    await this.#doing({ kind: "account", account }, made);
    this.#model.known.add(account);
  }

  #octets(): Buffer {
    const random = this.#random;
    // Some contents come again, so that one is kept for many.
    const name = random.fraction() < 0.2 ? pick(random, 3) : pick(random, 1_000_000);
    const size = random.fraction() < 0.15 ? 30_000 : 200 + pick(random, 4000);
    const text = `Subject: ${name}\r\nMessage-ID: <${name}@example.net>\r\n\r\n`;
    return Buffer.concat([Buffer.from(text), Buffer.alloc(name < 3 ? 1000 : size, `${name} `)]);
  }

  async #stage(octets: Buffer): Promise<StagedContent> {
    const writer = this.#store.stage();
    const step = 1 + pick(this.#random, 9000);
    for (let at = 0; at < octets.length; at += step) {
      await writer.write(octets.subarray(at, at + step));
    }
    return writer.finish();
  }

  async #accept(): Promise<void> {
    const { known } = this.#model;
    const others = [...known].filter(() => this.#random.fraction() < 0.2);
    const accounts = [...new Set([this.#account, ...others])];
    const octets = this.#octets();
    const content = await this.#stage(octets);
    const id = this.#model.newId();
    const message: ModelMessage = {
      id,
      octets: Buffer.concat([head, octets]),
      deliveries: accounts.map((account) => ({ account, role: "inbox" })),
      queue: this.#random.fraction() < 0.3 ? [`${id}-1`] : [],
    };
    const accepting = () =>
      this.#store.accept({
        id,
        direction: "inbound",
        connection: {
          listener: "smtp",
          clientAddress: "192.0.2.1",
          clientPort: 25,
          helo: "client.example.net",
          extended: true,
        },
        envelope: { reversePath: "sender@example.net", recipients: [] },
        verdicts: [],
        decision: { disposition: "accept", opinions: [] },
        head,
        content,
        acceptedAtMs: 1,
        steps: [],
        deliveries: accounts.map((account) => ({ account, mailbox: "inbox", flags: [] })),
        queue: message.queue.map((item) => queueItem(item)),
      });
    const { entries, repeated } = await this.#doing({ kind: "accept", message }, accepting());
    assert.equal(repeated, false);
    this.#model.messages.set(id, message);
    for (const item of message.queue) this.#model.queue.set(item, 0);
    this.#added(entries, accounts);
    if (this.#random.fraction() < 0.1) {
      const again = await accepting();
      assert.equal(again.repeated, true, "an id is taken once");
    }
  }

  #added(entries: readonly Entry[], accounts: readonly string[]): void {
    for (const [index, entry] of entries.entries()) {
      this.#model.put(entry, true);
      this.#model.sawModSeq(accounts[index] ?? this.#account, entry.modSeq);
    }
  }

  async #append(): Promise<void> {
    const octets = this.#octets();
    const content = await this.#stage(octets);
    const mailbox = (await this.#mailboxes())[0]?.id ?? "";
    const message: ModelMessage = { id: "", octets, deliveries: [], queue: [] };
    const facts = { flags: ["\\Seen"], receivedAtMs: 2 };
    const appending = this.#store.mailboxes.append(this.#account, mailbox, content, facts);
    const entry = await this.#doing({ kind: "append", message, mailbox }, appending);
    this.#model.messages.set(entry.message, { ...message, id: entry.message });
    this.#added([entry], [this.#account]);
  }

  async #mailboxes() {
    const all = await this.#store.mailboxes.list(this.#account);
    const start = pick(this.#random, all.length);
    return [...all.slice(start), ...all.slice(0, start)];
  }

  /** Some entries of the account that the store has told of. */
  async #some(): Promise<Entry[]> {
    for (const { id } of await this.#mailboxes()) {
      const own = [...this.#model.entries.values()].filter((entry) => entry.mailbox === id);
      const chosen = own.filter(() => this.#random.fraction() < 0.4);
      if (chosen.length > 0) return chosen.sort((one, two) => one.uid - two.uid);
    }
    return [];
  }

  async #setFlags(): Promise<void> {
    const before = await this.#some();
    const [first] = before;
    if (first === undefined) return;
    const flags = flagSets[pick(this.#random, flagSets.length)] ?? [];
    const change = { mode: "replace", flags } as const;
    const setting = this.#store.mailboxes.setFlags(first.mailbox, rangesOf(before), change);
    const { entries } = await this.#doing({ kind: "flags", before, flags }, setting);
    assert.equal(entries.length, before.length);
    for (const entry of entries) this.#model.put(entry, false);
  }

  async #copyOrMove(): Promise<void> {
    const before = await this.#some();
    const [first] = before;
    if (first === undefined) return;
    const to = (await this.#mailboxes()).find(({ id }) => id !== first.mailbox)?.id ?? "";
    const kind = this.#random.fraction() < 0.5 ? "move" : "copy";
    const ranges = rangesOf(before);
    const copying = this.#store.mailboxes.copy(first.mailbox, ranges, to, kind);
    const pairs = await this.#doing({ kind, before, to }, copying);
    assert.deepEqual(
      pairs.map(({ uid }) => uid),
      before.map(({ uid }) => uid),
    );
    if (kind === "move") for (const entry of before) this.#model.remove(entry);
    for (const { copy } of pairs) this.#model.put(copy, true);
  }

  async #expunge(): Promise<void> {
    const before = await this.#some();
    const [first] = before;
    if (first === undefined) return;
    const expunging = this.#store.mailboxes.expunge(first.mailbox, rangesOf(before), "any");
    const gone = await this.#doing({ kind: "expunge", before }, expunging);
    assert.equal(gone.length, before.length);
    for (const entry of before) this.#model.remove(entry);
  }

  async #attempt(): Promise<void> {
    const own = [...this.#model.queue].filter(
      ([item]) => Number(`0x${item.slice(28, 32)}`) % 4 === this.#index,
    );
    const [item, attempts] = own[pick(this.#random, own.length)] ?? [];
    if (item === undefined || attempts === undefined) return;
    const reply = { code: 451, text: "later" };
    const attempt = { atMs: 3, durationMs: 1, outcome: "deferred", remote: "mx", reply } as const;
    await this.#doing(
      { kind: "attempt", item, attempts },
      this.#store.queue.attempted(item, attempt, 4),
    );
    this.#model.queue.set(item, attempts + 1);
  }
}

function rangesOf(entries: readonly Entry[]): { from: number; to: number }[] {
  return entries.map(({ uid }) => ({ from: uid, to: uid }));
}

function queueItem(id: string) {
  return {
    id,
    reversePath: "sender@example.org",
    recipient: "someone@example.com",
    wishes: {},
    utf8: false,
    queuedAtMs: 1,
    nextAttemptAtMs: 1,
  };
}
