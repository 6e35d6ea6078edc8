/** What a mailbox of the reference is, and the few steps that all its acts are made of. */

import assert from "node:assert/strict";
import type { Clock } from "#base/clock";
import type { StagedContent, UidRanges } from "#contracts/store";
import type {
  AccountId,
  Change,
  Entry,
  Flag,
  Mailbox,
  MailboxId,
  MailboxRole,
  MessageId,
} from "#model/mailbox";
import type { Account } from "#model/people";

export interface Box {
  readonly id: MailboxId;
  readonly account: AccountId;
  /** Undefined once the mailbox was removed. */
  name: string | undefined;
  role: MailboxRole | undefined;
  subscribed: boolean;
  uidValidity: number;
  uidNext: number;
  highestModSeq: number;
  readonly entries: Map<number, Entry>;
  readonly gone: { readonly entry: Entry; readonly modSeq: number }[];
}

export interface MailboxState {
  readonly clock: Clock;
  readonly accounts: Map<AccountId, Account>;
  /** They outlive the account, so that one made again goes on from there. */
  readonly modSeqs: Map<AccountId, number>;
  /** The account's mod-sequence when it was made. */
  readonly madeAt: Map<AccountId, number>;
  /** In the order in which they were made; removed ones too, for what is told of them. */
  readonly boxes: Map<MailboxId, Box>;
  readonly listeners: Set<(change: Change) => void>;
  /** The highest UIDVALIDITY of those that gave up a name, by account and name. */
  readonly freed: Map<string, number>;
  lastMailbox: number;
  lastUidValidity: number;
  /** Keeps the octets as a message of its own. */
  keep(content: StagedContent): MessageId;
  /** Called with what leaves the account, before it is told to anybody. */
  withhold(account: AccountId, entries: readonly Entry[]): void;
}

const everything: UidRanges = [{ from: 1, to: Number.POSITIVE_INFINITY }];

/** @param at the account, and its mod-sequence after the act */
export function makeBox(
  state: MailboxState,
  { account, modSeq }: { account: AccountId; modSeq: number },
  name: string,
  role?: MailboxRole,
): Box {
  state.lastMailbox += 1;
  const facts = { uidValidity: nextUidValidity(state), uidNext: 1, highestModSeq: modSeq };
  const id = `box-${state.lastMailbox}`;
  const box = { id, account, name, role, subscribed: true, ...facts, entries: new Map(), gone: [] };
  state.boxes.set(id, box);
  tell(state, box, { mailboxChanged: true });
  return box;
}

function nextUidValidity(state: MailboxState): number {
  const seconds = Math.floor(state.clock.nowMs() / 1000);
  state.lastUidValidity = Math.max(seconds, state.lastUidValidity + 1);
  return state.lastUidValidity;
}

/** Takes a new name, or none when it is removed. */
export function giveName(state: MailboxState, box: Box, name: string | undefined): void {
  const keyOf = (one = ""): string => `${box.account} ${one}`;
  const old = keyOf(box.name);
  state.freed.set(old, Math.max(state.freed.get(old) ?? 0, box.uidValidity));
  box.name = name;
  if (name === undefined) return;
  const before = state.freed.get(keyOf(name)) ?? 0;
  if (before > box.uidValidity) box.uidValidity = nextUidValidity(state);
}

export function makeParents(
  state: MailboxState,
  at: { account: AccountId; modSeq: number },
  name: string,
): void {
  for (let slash = name.indexOf("/"); slash > 0; slash = name.indexOf("/", slash + 1)) {
    const parent = name.slice(0, slash);
    if (byName(state, at.account, parent) === undefined) makeBox(state, at, parent);
  }
}

/** The account's next mod-sequence. */
export function raise(state: MailboxState, account: AccountId): number {
  const modSeq = (state.modSeqs.get(account) ?? 0) + 1;
  state.modSeqs.set(account, modSeq);
  return modSeq;
}

/** Gives the entry the mailbox's next UID. */
export function put(box: Box, facts: Omit<Entry, "mailbox" | "uid">): Entry {
  const entry = { ...facts, mailbox: box.id, uid: box.uidNext };
  box.uidNext += 1;
  box.entries.set(entry.uid, entry);
  box.highestModSeq = entry.modSeq;
  return entry;
}

export function take(box: Box, entries: readonly Entry[], modSeq: number): Change["expunged"] {
  for (const entry of entries) {
    assert.ok(box.entries.delete(entry.uid));
    box.gone.push({ entry, modSeq });
  }
  box.highestModSeq = modSeq;
  return entries.map(({ uid, message }) => ({ uid, message }));
}

export function tell(
  state: MailboxState,
  { id, account, highestModSeq: modSeq }: Box,
  parts: Partial<Change>,
): void {
  const none = { added: [], updated: [], expunged: [], mailboxChanged: false };
  const change = { account, modSeq, mailbox: id, ...none, ...parts };
  for (const listener of state.listeners) listener(change);
}

/** What is kept under keys that begin with the account. */
export function forget(kept: Map<string, unknown> | Set<string>, account: AccountId): void {
  for (const key of kept.keys()) if (key.startsWith(`${account} `)) kept.delete(key);
}

export function live(state: MailboxState, id: MailboxId): Box | undefined {
  const box = state.boxes.get(id);
  return box?.name === undefined ? undefined : box;
}

export function liveBoxes(state: MailboxState, account: AccountId): Box[] {
  return [...state.boxes.values()].filter(
    (box) => box.account === account && box.name !== undefined,
  );
}

export function byName(state: MailboxState, account: AccountId, name: string): Box | undefined {
  return liveBoxes(state, account).find((box) => box.name === name);
}

/** The mailbox with that id or role, else INBOX; undefined without the account. */
export function targetOf(state: MailboxState, account: AccountId, wanted: string): Box | undefined {
  const own = liveBoxes(state, account);
  return own.find(({ id }) => id === wanted) ?? inRole(state, account, wanted) ?? own[0];
}

export function inRole(state: MailboxState, account: AccountId, role: string): Box | undefined {
  return liveBoxes(state, account).find((box) => box.role === role);
}

/** Every entry of the message, by mailbox and UID. */
export function entriesOf(state: MailboxState, message: MessageId): Entry[] {
  const all = [...state.boxes.values()].flatMap((box) => entriesIn(box));
  return all.filter((entry) => entry.message === message);
}

export function entriesIn(box: Box | undefined, ranges: UidRanges = everything): Entry[] {
  return [...(box?.entries.values() ?? [])].filter(({ uid }) =>
    ranges.some(({ from, to }) => from <= uid && uid <= to),
  );
}

export function modSeqOf(state: MailboxState, account: AccountId): number {
  return state.accounts.has(account) ? (state.modSeqs.get(account) ?? 0) : 0;
}

export function mailboxOf(box: Box): Mailbox {
  const { id, account, name = "", role, subscribed, uidValidity, uidNext, highestModSeq } = box;
  const entries = entriesIn(box);
  const without = (flag: Flag): number => entries.filter((one) => !one.flags.includes(flag)).length;
  return {
    ...{ id, account, name, ...(role !== undefined && { role }), subscribed },
    ...{ uidValidity, uidNext, highestModSeq },
    messages: entries.length,
    unseen: without("\\Seen"),
    deleted: entries.length - without("\\Deleted"),
    sizeBytes: entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}
