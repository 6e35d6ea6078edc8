/** One of the stores that are compared: does what an operation says, and tells what came of it. */

import type { Store } from "#contracts/store";
import type { Change, MailboxId } from "#model/mailbox";
import { withoutRecord } from "../examples/kit.ts";
import { Labels } from "./labels.ts";
import { type Act, accounts } from "./operations.ts";
import { announce, modSeqAgo, perform } from "./perform.ts";

export class Side {
  readonly labels: Labels = new Labels();
  #changes: Change[] = [];
  #store: Store;

  constructor(store: Store) {
    this.#store = store;
    this.goOn(store);
  }

  /** With the store as it was opened again. */
  goOn(store: Store): void {
    this.#store = store;
    store.watch((change) => void this.#changes.push(change));
  }

  /**
   * @param inOrder how to do them, one behind the other; without it they are done at once
   * @returns the answers, what watchers were told, and what shows in which order it was done
   */
  async act(acts: readonly Act[], inOrder?: readonly number[]): Promise<unknown> {
    this.#changes = [];
    announce(acts, this.labels);
    const start = (act: Act): Promise<unknown> => perform(act, this.#store, this.labels);
    const answers = inOrder === undefined ? await Promise.all(acts.map(start)) : [];
    for (const index of inOrder ?? []) answers[index] = await start(acts[index] as Act);
    const lists = [];
    for (const account of accounts) lists.push(await this.#store.mailboxes.list(account));
    const changes = { unordered: byMailbox(this.#changes) };
    const latest = await this.#store.traces.find({ limit: acts.length });
    const labelled = this.labels.label({ lists, answers, changes, latest });
    // What was seen of an account before it was made means nothing to it.
    const order = this.labels.order();
    for (const act of acts) {
      if ("what" in act && act.what === "account") this.labels.forgetModSeqs(act.name);
    }
    return { labelled, order };
  }

  /** Everything that can be seen. */
  async look(since: number): Promise<unknown> {
    const { people, stats } = { people: this.#store.people, stats: await this.#store.stats() };
    const everybody = {
      domains: await people.domains(),
      accounts: await people.accounts(),
      aliases: await people.aliases(),
    };
    const seen = {
      everybody,
      inMailboxes: await this.#lookIntoMailboxes(since),
      inAccounts: await this.#lookIntoAccounts(since),
      inMessages: await this.#lookIntoMessages(),
      inQueue: await this.#lookIntoQueue(),
      inRetention: await this.#lookIntoRetention(),
      inTraces: await this.#lookIntoTraces(),
      inContacts: await this.#lookIntoContacts(),
      stats: [stats.accounts, stats.queued],
    };
    const labelled = this.labels.label(seen);
    return { labelled, order: this.labels.order() };
  }

  async #lookIntoMailboxes(since: number): Promise<unknown[]> {
    const { mailboxes } = this.#store;
    const seen = [];
    for (const mailbox of this.labels.all("mailbox") as MailboxId[]) {
      const account = this.labels.accountOf(mailbox) ?? "";
      const there = await mailboxes.get(mailbox);
      const changes = await mailboxes.changesSince(
        mailbox,
        modSeqAgo(this.labels, account, since) ?? 0,
      );
      seen.push({ there, entries: await mailboxes.entries(mailbox), changes });
    }
    return seen;
  }

  async #lookIntoAccounts(since: number): Promise<unknown[]> {
    const { mailboxes } = this.#store;
    const seen = [];
    for (const account of accounts) {
      const modSeq = await mailboxes.modSeq(account);
      const ago = modSeqAgo(this.labels, account, since) ?? modSeq;
      const unordered = await mailboxes.accountChangesSince(account, ago);
      const ahead = await mailboxes.accountChangesSince(account, modSeq + 1);
      seen.push({ account, modSeq, changes: { unordered }, ahead });
    }
    return seen;
  }

  async #lookIntoMessages(): Promise<unknown[]> {
    const { mailboxes, messages, traces } = this.#store;
    const seen = [];
    const open = new Set<string>();
    for (const state of ["waiting", "held"] as const) {
      const items = await this.#store.queue.list({ state, limit: 10_000 });
      for (const { message } of items) open.add(message);
    }
    for (const message of this.labels.all("message") as string[]) {
      const entries = [];
      for (const account of accounts) {
        entries.push({ unordered: await mailboxes.entriesOf(account, [message, "none"]) });
      }
      // What nobody holds any more may be gone for good.
      const isHeld = open.has(message) || entries.some(({ unordered }) => unordered.length > 0);
      seen.push({ entries, isHeld, ...(isHeld && { held: await this.#read(message) }) });
    }
    for (const given of this.labels.all("given") as string[]) {
      const isAccepted = await this.#store.isAccepted(given);
      seen.push({ isAccepted, trace: await traces.show(given) });
    }
    seen.push(await messages.sizeBytes("none"), await messages.envelope("none"));
    return seen;
  }

  async #read(message: string): Promise<unknown> {
    const { messages } = this.#store;
    const pieces = [];
    for await (const piece of messages.stream(message, 7, 9000)) pieces.push(piece);
    return {
      octets: await messages.read(message),
      middle: await messages.read(message, 30, 60),
      pieces: Buffer.concat(pieces),
      sizeBytes: await messages.sizeBytes(message),
      subject: (await messages.describe(message)).envelope.subject,
      verdicts: await messages.verdicts(message),
      envelope: await messages.envelope(message),
    };
  }

  async #lookIntoQueue(): Promise<unknown> {
    const { queue } = this.#store;
    const items = [];
    for (const id of this.labels.all("item") as string[]) {
      const tries = await queue.attempts(id);
      // That the numbers rise is no engine's own business.
      const rise = tries.every(
        ({ record }, at) => at === 0 || record > (tries[at - 1]?.record ?? 0),
      );
      items.push([await queue.get(id), withoutRecord(tries), rise]);
    }
    const domains = await queue.destinations();
    const due = [];
    for (const { domain } of domains) {
      const first = await queue.due(domain, 1000, 2);
      due.push([
        domain,
        await queue.due(domain, 20, 1000),
        first,
        await queue.due(domain, 1000, 1000, first[1]),
        await queue.nextDueAtMs(domain),
      ]);
    }
    const old = await queue.waitingSince(4, 2);
    return {
      items,
      domains: { unordered: domains },
      due: { unordered: due },
      old,
      older: await queue.waitingSince(4, 1000, old[1]),
      held: { unordered: await queue.list({ state: "held", limit: 1000 }) },
      there: { unordered: await queue.list({ domain: "to1.EXAMPLE", limit: 1000 }) },
      counts: await queue.counts(),
    };
  }

  async #lookIntoRetention(): Promise<unknown> {
    const { retention, audit } = this.#store;
    const own = [];
    for (const account of accounts) {
      const all = await retention.withheld(account, 1000);
      const rest = await retention.withheld(account, 2, all[1]);
      own.push({ all, rest, reads: await audit.readsOf(account, 0, 1000) });
    }
    const rules = (await retention.rules()).map((rule) => Object.values(rule).join());
    return { rules: { unordered: rules }, holds: await retention.holds(), own };
  }

  async #lookIntoContacts(): Promise<string[][]> {
    const addresses = ["s0@example.net", "S1@example.net", "s3@example.net", "r1@to1.example"];
    const known = [];
    for (const address of addresses) {
      const found = await this.#store.contacts.known(address, accounts);
      known.push([...found].map((one) => one.join(" ")).sort());
    }
    return known;
  }

  async #lookIntoTraces(): Promise<unknown> {
    const { traces } = this.#store;
    return {
      all: await traces.find({ limit: 1000 }),
      some: await traces.find({ text: "SPAMMER@", sinceMs: 20, limit: 3 }),
      bySender: await traces.find({ text: "s1", limit: 5 }),
    };
  }
}

/** A watcher needs to know what changed in a mailbox, not in how many pieces and in what order. */
function byMailbox(changes: readonly Change[]): Change[] {
  const all = new Map<MailboxId, Change>();
  for (const change of changes) {
    const before = all.get(change.mailbox) ?? change;
    if (before === change) all.set(change.mailbox, change);
    else {
      all.set(change.mailbox, {
        ...change,
        added: [...before.added, ...change.added],
        updated: [...before.updated, ...change.updated],
        expunged: [...before.expunged, ...change.expunged],
        mailboxChanged: before.mailboxChanged || change.mailboxChanged,
      });
    }
  }
  const byUid = (one: { uid: number }, two: { uid: number }): number => one.uid - two.uid;
  return [...all.values()].map((change) => ({
    ...change,
    added: change.added.toSorted(byUid),
    updated: change.updated.toSorted(byUid),
    expunged: change.expunged.toSorted(byUid),
  }));
}
