/** Mailboxes and their entries in memory: the half of the reference that IMAP and JMAP look at. */

import { Denied, Unavailable } from "#base/errors";
import type {
  FlagChange,
  Mailboxes,
  MailboxFault,
  MailboxOutcome,
  UidRanges,
} from "#contracts/store";
import type { AccountId, Entry, Mailbox, MailboxId, MessageId } from "#model/mailbox";
import {
  type Box,
  byName,
  entriesIn,
  entriesOf,
  giveName,
  inRole,
  live,
  liveBoxes,
  type MailboxState,
  mailboxOf,
  makeBox,
  makeParents,
  modSeqOf,
  put,
  raise,
  take,
  tell,
} from "./boxes.ts";
import { changedFlags, cleanFlags, parseName } from "./words.ts";

type Outcome = MailboxOutcome<Mailbox>;

export function mailboxStore(state: MailboxState): Mailboxes {
  return { ...reads(state), ...mailboxActs(state), ...entryActs(state) };
}

type ReadNames = "list" | "get" | "entries" | "changesSince" | "modSeq" | "entriesOf";
type Reads = Pick<Mailboxes, ReadNames | "accountChangesSince">;

function reads(state: MailboxState): Reads {
  return {
    list: async (account) => liveBoxes(state, account).map(mailboxOf),
    async get(id) {
      const box = live(state, id);
      return box && mailboxOf(box);
    },
    entries: async (id, ranges) => entriesIn(state.boxes.get(id), ranges),
    async changesSince(id, modSeq) {
      const box = state.boxes.get(id);
      const gone = box?.gone.filter((one) => one.modSeq > modSeq) ?? [];
      return {
        changed: entriesIn(box).filter((entry) => entry.modSeq > modSeq),
        expunged: gone.map(({ entry }) => entry.uid).sort((one, two) => one - two),
      };
    },
    accountChangesSince: async (account, modSeq) => accountChanges(state, account, modSeq),
    modSeq: async (account) => modSeqOf(state, account),
    entriesOf: async (account, messages) =>
      messages.flatMap((message) =>
        entriesOf(state, message).filter(
          ({ mailbox }) => live(state, mailbox)?.account === account,
        ),
      ),
  };
}

function accountChanges(
  state: MailboxState,
  account: AccountId,
  since: number,
): Awaited<ReturnType<Mailboxes["accountChangesSince"]>> {
  const modSeq = modSeqOf(state, account);
  if (since > modSeq || since < (state.madeAt.get(account) ?? 0)) return "too-old";
  const touched = [...state.boxes.values()].filter(
    (box) => box.account === account && box.highestModSeq > since,
  );
  const changed = touched.flatMap((box) => entriesIn(box).filter((entry) => entry.modSeq > since));
  const known = new Set(changed.map(({ message }) => message));
  const expunged: MessageId[] = [];
  for (const { entry, modSeq: at } of touched.flatMap(({ gone }) => gone)) {
    const { message } = entry;
    if (at <= since || known.has(message)) continue;
    known.add(message);
    // What is still in another mailbox has changed, and is not gone (RFC 8621 §4.1.1).
    const left = entriesOf(state, message).filter(
      ({ mailbox }) => live(state, mailbox)?.account === account,
    );
    if (left.length > 0) changed.push(...left);
    else expunged.push(message);
  }
  const [there, removed] = [true, false].map((wanted) =>
    touched.filter(({ name }) => (name !== undefined) === wanted).map(({ id }) => id),
  ) as [MailboxId[], MailboxId[]];
  return { modSeq, changed, expunged, mailboxes: there, removedMailboxes: removed };
}

type ActNames = "create" | "rename" | "remove" | "subscribe";

function mailboxActs(state: MailboxState): Pick<Mailboxes, ActNames> {
  return {
    async create(account, text, role) {
      if (!state.accounts.has(account)) throw new Unavailable(`no account ${account}`);
      const name = parseName(text);
      if (name === undefined) return fault("bad-name");
      if (byName(state, account, name) !== undefined) return fault("exists");
      if (role !== undefined && inRole(state, account, role) !== undefined) {
        return fault("has-role");
      }
      const modSeq = raise(state, account);
      makeParents(state, { account, modSeq }, name);
      return done(makeBox(state, { account, modSeq }, name, role));
    },
    async rename(id, text) {
      const box = live(state, id);
      if (box === undefined) return fault("no-such-mailbox");
      return box.name === "INBOX" ? renameInbox(state, box, text) : rename(state, box, text);
    },
    async remove(id) {
      const box = live(state, id);
      if (box === undefined) return fault("no-such-mailbox");
      if (box.name === "INBOX") return fault("is-inbox");
      if (box.role !== undefined) return fault("has-role");
      state.withhold(box.account, entriesIn(box));
      const gone = take(box, entriesIn(box), raise(state, box.account));
      giveName(state, box, undefined);
      tell(state, box, { expunged: gone, mailboxChanged: true });
      return { ok: true, value: true };
    },
    async subscribe(id, subscribed) {
      const box = live(state, id);
      if (box === undefined) return;
      box.subscribed = subscribed;
      box.highestModSeq = raise(state, box.account);
      tell(state, box, { mailboxChanged: true });
    },
  };
}

function rename(state: MailboxState, box: Box, text: string): Outcome {
  const { account, name: old = "" } = box;
  const name = parseName(text);
  if (name === undefined || name.startsWith(`${old}/`)) return fault("bad-name");
  const family = liveBoxes(state, account).filter(
    (one) => one === box || one.name?.startsWith(`${old}/`),
  );
  const names = family.map((one) => name + (one.name ?? "").slice(old.length));
  if (names.some((one) => parseName(one) !== one)) return fault("bad-name");
  if (names.some((one) => byName(state, account, one) !== undefined)) return fault("exists");
  const modSeq = raise(state, account);
  makeParents(state, { account, modSeq }, name);
  for (const [index, one] of family.entries()) {
    giveName(state, one, names[index]);
    one.highestModSeq = modSeq;
    tell(state, one, { mailboxChanged: true });
  }
  return done(box);
}

/** The messages go to a new mailbox; INBOX stays, and so do those below it (RFC 9051 §6.3.6). */
function renameInbox(state: MailboxState, inbox: Box, text: string): Outcome {
  const { account } = inbox;
  const name = parseName(text);
  if (name === undefined) return fault("bad-name");
  if (byName(state, account, name) !== undefined) return fault("exists");
  const modSeq = raise(state, account);
  makeParents(state, { account, modSeq }, name);
  const target = makeBox(state, { account, modSeq }, name);
  const entries = entriesIn(inbox);
  if (entries.length === 0) return done(target);
  const added = entries.map((entry) => put(target, { ...entry, modSeq }));
  tell(state, inbox, { expunged: take(inbox, entries, modSeq) });
  tell(state, target, { added });
  return done(target);
}

function entryActs(
  state: MailboxState,
): Pick<Mailboxes, "append" | "setFlags" | "copy" | "expunge"> {
  return {
    async append(account, mailbox, content, { flags, receivedAtMs }) {
      const box = live(state, mailbox);
      if (box === undefined) throw new Unavailable("the mailbox is gone");
      if (box.account !== account) throw new Denied("another account's mailbox");
      const message = state.keep(content);
      const { sizeBytes } = content;
      const facts = { flags: cleanFlags(flags), receivedAtMs, message, sizeBytes };
      const entry = put(box, { ...facts, modSeq: raise(state, account) });
      tell(state, box, { added: [entry] });
      return entry;
    },
    setFlags: async (id, ranges, change) => setFlags(state, live(state, id), ranges, change),
    async copy(from, ranges, to, mode) {
      const source = live(state, from);
      const target = live(state, to);
      if (source === undefined) return [];
      if (target === undefined) throw new Unavailable("the target mailbox is gone");
      if (source.account !== target.account) throw new Denied("another account's mailbox");
      const entries = entriesIn(source, ranges);
      if (entries.length === 0) return [];
      const modSeq = raise(state, source.account);
      const pairs = entries.map((entry) => ({
        uid: entry.uid,
        copy: put(target, { ...entry, modSeq }),
      }));
      if (mode === "move") tell(state, source, { expunged: take(source, entries, modSeq) });
      tell(state, target, { added: pairs.map(({ copy }) => copy) });
      return pairs;
    },
    async expunge(id, ranges, which = "deleted") {
      const box = live(state, id);
      const entries = entriesIn(box, ranges).filter(
        ({ flags }) => which === "any" || flags.includes("\\Deleted"),
      );
      if (box === undefined || entries.length === 0) return [];
      state.withhold(box.account, entries);
      const gone = take(box, entries, raise(state, box.account));
      tell(state, box, { expunged: gone });
      return gone.map(({ uid }) => uid);
    },
  };
}

function setFlags(
  state: MailboxState,
  box: Box | undefined,
  ranges: UidRanges,
  change: FlagChange,
): Awaited<ReturnType<Mailboxes["setFlags"]>> {
  if (box === undefined) return { entries: [], modified: [] };
  const { unchangedSince = Number.POSITIVE_INFINITY } = change;
  const chosen = entriesIn(box, ranges);
  const modified = chosen.filter((entry) => entry.modSeq > unchangedSince);
  const rest = chosen.filter((entry) => entry.modSeq <= unchangedSince);
  const isTouched = (entry: Entry): boolean =>
    changedFlags(entry.flags, change).join() !== entry.flags.join();
  const updated: Entry[] = [];
  if (rest.some(isTouched)) {
    const modSeq = raise(state, box.account);
    for (const entry of rest.filter(isTouched)) {
      updated.push({ ...entry, flags: changedFlags(entry.flags, change), modSeq });
    }
    for (const entry of updated) box.entries.set(entry.uid, entry);
    box.highestModSeq = modSeq;
    tell(state, box, { updated });
  }
  return {
    entries: rest.map(({ uid }) => box.entries.get(uid) as Entry),
    modified: modified.map(({ uid }) => uid),
  };
}

function done(box: Box): Outcome {
  return { ok: true, value: mailboxOf(box) };
}

function fault(reason: MailboxFault): { ok: false; fault: MailboxFault } {
  return { ok: false, fault: reason };
}
