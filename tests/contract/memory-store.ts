/**
 * The store's contract on plain Maps: what an engine's answers are compared with. Nothing is
 * durable and nothing waits: each act is one step, whole before its promise is made.
 */

import { createHash } from "node:crypto";
import { Denied, Unavailable } from "#base/errors";
import type {
  Acceptance,
  Accepted,
  ContentWriter,
  Messages,
  PeopleStore,
  StagedContent,
  Store,
} from "#contracts/store";
import { describeMessage } from "#formats/mime";
import type { MailboxRole, MessageId } from "#model/mailbox";
import type { Account } from "#model/people";
import {
  entriesIn,
  entriesOf,
  forget,
  makeBox,
  put,
  raise,
  targetOf,
  tell,
} from "./memory/boxes.ts";
import { contactStore, noteContacts } from "./memory/contacts.ts";
import { mailboxStore } from "./memory/mailboxes.ts";
import { queueStore, tellQueue } from "./memory/queue.ts";
import { auditStore, retentionStore } from "./memory/retention.ts";
import { by, isOpen, type Kept, type MemoryState, octetsOf } from "./memory/state.ts";
import { traceStore } from "./memory/traces.ts";
import { cleanFlags } from "./memory/words.ts";

/** @param state for tests of the tests, which spoil it */
export function memoryStore(state: MemoryState): Store {
  return {
    messages: messageStore(state),
    mailboxes: mailboxStore(state),
    queue: queueStore(state),
    people: peopleStore(state),
    traces: traceStore(state),
    retention: retentionStore(state),
    contacts: contactStore(state),
    audit: auditStore(state, (id) => state.messages.get(id)?.octets ?? Buffer.alloc(0)),
    accept: async (acceptance) => accept(state, acceptance),
    isAccepted: async (id) => state.messages.get(id)?.accepted !== undefined,
    refused(refused) {
      const { id } = refused;
      if (state.messages.has(id)) return;
      state.messages.set(id, { id, octets: Buffer.alloc(0), refused, places: [], steps: [] });
    },
    stage: () => writer(state.staged),
    watch(listener) {
      state.listeners.add(listener);
      return () => void state.listeners.delete(listener);
    },
    async stats() {
      const kept = [...state.messages.values()].filter(({ refused }) => refused === undefined);
      const items = [...state.queue.values()];
      return {
        ...{ records: 0, segments: 0, sizeBytes: 0, contents: 0, flushes: 0, recordsPerFlush: 0 },
        messages: kept.length,
        accounts: state.accounts.size,
        queued: items.filter(isOpen).length,
      };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function writer(staged: WeakMap<StagedContent, Buffer>): ContentWriter {
  const chunks: Uint8Array[] = [];
  return {
    write: (chunk) => void chunks.push(chunk),
    async finish() {
      const octets = Buffer.concat(chunks);
      const id = createHash("sha256").update(octets).digest("hex");
      const content = { id, sizeBytes: octets.length };
      staged.set(content, octets);
      return content;
    },
    abort: () => undefined,
  };
}

function accept(state: MemoryState, acceptance: Acceptance): Accepted {
  const { id, acceptedAtMs: receivedAtMs } = acceptance;
  const before = state.messages.get(id);
  if (before?.accepted !== undefined) return { repeated: true, entries: entriesOf(state, id) };
  const targets = acceptance.deliveries.map(({ account, mailbox, flags }) => {
    const box = targetOf(state, account, mailbox);
    if (box === undefined) throw new Unavailable(`no account ${account}`);
    return { box, flags: cleanFlags(flags) };
  });
  const octets = Buffer.concat([acceptance.head, octetsOf(state.staged, acceptance.content)]);
  const places = targets.map(({ box }) => ({ account: box.account, mailbox: box.id }));
  state.messages.delete(id);
  state.messages.set(id, { id, octets, accepted: acceptance, places, steps: [] });
  const modSeqs = new Map(places.map(({ account }) => [account, 0]));
  for (const account of modSeqs.keys()) modSeqs.set(account, raise(state, account));
  const sizeBytes = octets.length;
  const entries = targets.map(({ box, flags }) => {
    const modSeq = modSeqs.get(box.account) ?? 0;
    return put(box, { modSeq, flags, receivedAtMs, message: id, sizeBytes });
  });
  noteContacts(state, acceptance);
  for (const item of acceptance.queue) {
    if (state.queue.has(item.id)) continue;
    const facts = { message: id, sizeBytes, state: "waiting", attempts: 0 } as const;
    state.queue.set(item.id, { ...item, ...facts });
    tellQueue(state, item);
  }
  for (const [index, { box }] of targets.entries()) {
    tell(state, box, { added: entries.slice(index, index + 1) });
  }
  return { repeated: false, entries };
}

function messageStore({ messages }: MemoryState): Messages {
  const find = (id: MessageId): Kept | undefined => {
    const kept = messages.get(id);
    return kept?.refused === undefined ? kept : undefined;
  };
  const need = (id: MessageId): Kept => {
    const kept = find(id);
    if (kept === undefined) throw new Unavailable(`no message ${id}`);
    return kept;
  };
  return {
    read: async (id, start, end) => need(id).octets.subarray(start, end),
    async *stream(id, start, end) {
      yield need(id).octets.subarray(start, end);
    },
    sizeBytes: async (id) => find(id)?.octets.length,
    describe: async (id) => describeMessage(need(id).octets),
    verdicts: async (id) => need(id).accepted?.verdicts ?? [],
    envelope: async (id) => find(id)?.accepted?.envelope,
  };
}

const firstMailboxes: readonly (readonly [name: string, role: MailboxRole])[] = [
  ["INBOX", "inbox"],
  ["Drafts", "drafts"],
  ["Sent", "sent"],
  ["Archive", "archive"],
  ["Junk", "junk"],
  ["Trash", "trash"],
];

function peopleStore(state: MemoryState): PeopleStore {
  const { domains, accounts, aliases } = state;
  const sorted = <Value>(all: Map<string, Value>): Value[] =>
    [...all].sort(by(([key]) => [key])).map(([, value]) => value);
  return {
    domains: async () => sorted(domains),
    accounts: async () => sorted(accounts),
    aliases: async () => sorted(aliases),
    putDomain: async (domain) => void domains.set(domain.name, domain),
    putAlias: async (alias) => void aliases.set(alias.address, alias),
    removeDomain: async (name) => domains.delete(name),
    removeAlias: async (address) => aliases.delete(address),
    async putAccount(account: Account) {
      const isNew = !accounts.has(account.id);
      accounts.set(account.id, account);
      if (!isNew) return;
      const modSeq = raise(state, account.id);
      state.madeAt.set(account.id, modSeq);
      const at = { account: account.id, modSeq };
      for (const [name, role] of firstMailboxes) makeBox(state, at, name, role);
    },
    async removeAccount(id) {
      if (!accounts.has(id)) return false;
      if (state.holds.has(id)) throw new Denied("the account is on hold");
      for (const [key, { account }] of state.rules) if (account === id) state.rules.delete(key);
      const modSeq = raise(state, id);
      for (const box of state.boxes.values()) {
        if (box.account !== id) continue;
        box.highestModSeq = modSeq;
        state.boxes.delete(box.id);
        if (box.name === undefined) continue;
        const expunged = entriesIn(box).map(({ uid, message }) => ({ uid, message }));
        tell(state, box, { expunged, mailboxChanged: true });
      }
      forget(state.freed, id);
      forget(state.contacts, id);
      state.madeAt.delete(id);
      return accounts.delete(id);
    },
  };
}
