/**
 * What changed lately in each account that somebody looks at, for /changes (RFC 8620 §5.2) and push.
 *
 * The store tells which entries are new or changed since a mod-sequence, but not which messages are
 * new to the account; replaying the events backwards tells it. Kept in memory: a state from before a
 * restart is answered with cannotCalculateChanges unless nothing has changed since.
 */

import type { Store } from "#contracts/store";
import type { AccountId, Change, MailboxId, MessageId } from "#model/mailbox";

export interface JournalEvent {
  readonly modSeq: number;
  readonly kind: "added" | "updated" | "expunged" | "made" | "reshaped" | "counted";
  readonly mailbox: MailboxId;
  /** Present on the first three kinds. */
  readonly message?: MessageId;
}

export interface Journal {
  /** Events after the state, oldest first; undefined when it reaches too far back or ahead. */
  since(state: string): readonly JournalEvent[] | undefined;
}

export interface Journals {
  /** Begins to keep events of the account when it did not yet. */
  of(account: AccountId): Promise<Journal>;
  /** @returns the way to stop */
  onChange(account: AccountId, listener: (modSeq: number) => void): () => void;
  close(): void;
}

const mostAccounts = 2000;
const mostEvents = 2000;

interface Kept {
  events: JournalEvent[];
  /** Everything after it is in the events. */
  startModSeq: number;
  lastModSeq: number;
  mailboxes: Set<MailboxId>;
  ready: Promise<void>;
}

export function keepJournals(store: Store): Journals {
  const kept = new Map<AccountId, Kept>();
  const listeners = new Map<AccountId, Set<(modSeq: number) => void>>();

  const begin = (account: AccountId): Kept => {
    const one: Kept = {
      events: [],
      startModSeq: 0,
      lastModSeq: 0,
      mailboxes: new Set(),
      ready: Promise.resolve(),
    };
    one.ready = (async () => {
      // In this order: a mailbox made in between is already known and its event already old.
      for (const mailbox of await store.mailboxes.list(account)) one.mailboxes.add(mailbox.id);
      one.startModSeq = await store.mailboxes.modSeq(account);
    })();
    one.ready.catch(() => kept.delete(account)); // whoever waits for it hears of the error
    return one;
  };
  const stop = store.watch((change) => {
    const one = kept.get(change.account);
    if (one !== undefined) note(one, change);
    for (const listener of listeners.get(change.account) ?? []) listener(change.modSeq);
  });
  return {
    async of(account) {
      const one = kept.get(account) ?? begin(account);
      kept.delete(account); // to the end of the order of use
      kept.set(account, one);
      for (const oldest of kept.keys()) {
        if (kept.size <= mostAccounts) break;
        kept.delete(oldest);
      }
      await one.ready;
      return { since: (state) => eventsSince(one, state) };
    },
    onChange(account, listener) {
      const own = listeners.get(account) ?? new Set();
      listeners.set(account, own.add(listener));
      return () => {
        own.delete(listener);
        if (own.size === 0 && listeners.get(account) === own) listeners.delete(account);
      };
    },
    close: stop,
  };
}

function note(one: Kept, change: Change): void {
  const { modSeq, mailbox } = change;
  const add = (kind: JournalEvent["kind"], message?: MessageId): void => {
    one.events.push({ modSeq, kind, mailbox, ...(message !== undefined && { message }) });
  };
  for (const entry of change.added) add("added", entry.message);
  for (const entry of change.updated) add("updated", entry.message);
  for (const gone of change.expunged) add("expunged", gone.message);
  if (change.mailboxChanged) add(one.mailboxes.has(mailbox) ? "reshaped" : "made");
  else add("counted");
  one.mailboxes.add(mailbox);
  one.lastModSeq = Math.max(one.lastModSeq, modSeq);
  if (one.events.length <= mostEvents) return;
  const dropped = one.events.splice(0, one.events.length - mostEvents / 2);
  one.startModSeq = Math.max(one.startModSeq, dropped.at(-1)?.modSeq ?? 0);
}

function eventsSince(one: Kept, state: string): readonly JournalEvent[] | undefined {
  if (!/^\d{1,15}$/.test(state)) return undefined;
  const since = Number(state);
  if (since < one.startModSeq) return undefined;
  return one.events.filter((event) => event.modSeq > since);
}

export interface Changes {
  readonly newState: string;
  readonly hasMoreChanges: boolean;
  readonly created: readonly string[];
  readonly updated: readonly string[];
  readonly destroyed: readonly string[];
}

export interface SumUp {
  readonly oldState: string;
  /** As many ids as the client takes at once. */
  readonly most: number;
  /** Undefined for events that do not concern the type. */
  readonly idOf: (event: JournalEvent) => string | undefined;
  /** What became of an id, judged from all events since the state. */
  readonly fate: (id: string) => "created" | "updated" | "destroyed" | "nothing";
}

/** Sums events up per id, never splitting what one commit changed. */
export function sumUp(events: readonly JournalEvent[], how: SumUp): Changes {
  const { oldState, most, idOf, fate } = how;
  const ids = new Set<string>();
  let newState = oldState;
  let hasMoreChanges = false;
  for (let at = 0; at < events.length; ) {
    const modSeq = events[at]?.modSeq;
    let end = at;
    const group: string[] = [];
    for (; end < events.length && events[end]?.modSeq === modSeq; end += 1) {
      const id = idOf(events[end] as JournalEvent);
      if (id !== undefined && !ids.has(id)) group.push(id);
    }
    if (ids.size > 0 && ids.size + new Set(group).size > most) {
      hasMoreChanges = true;
      break;
    }
    for (const id of group) ids.add(id);
    newState = String(modSeq);
    at = end;
  }
  const sorted = { created: [] as string[], updated: [] as string[], destroyed: [] as string[] };
  for (const id of ids) {
    const what = fate(id);
    if (what !== "nothing") sorted[what].push(id);
  }
  return { newState, hasMoreChanges, ...sorted };
}
