/** Changing what lies in mailboxes: append, flags, copy, move, expunge. */

import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import { Denied, Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import type { FlagChange, Mailboxes, UidRanges } from "#contracts/store";
import type { AccountId, Entry, MailboxId } from "#model/mailbox";
import { actBytes, type Built, bytesOf, commitAct } from "./act.ts";
import { type Contents, messageIdOf } from "./contents.ts";
import { changedFlags, cleanFlags, isDeleted, joinFlags } from "./flags.ts";
import { type AccountHead, type Heads, inTurn, type MailboxHead } from "./heads.ts";
import type { Ledger } from "./ledger.ts";
import { entriesIn, uidsBetween } from "./mailbox-reads.ts";
import { draft, type UidSpans } from "./records.ts";
import { mailboxId, mailboxNumber } from "./rows.ts";
import { spansOf } from "./spans.ts";
import { digestOf } from "./statement.ts";
import type { Views } from "./views.ts";

type Acts = Pick<Mailboxes, "append" | "setFlags" | "copy" | "expunge">;

const noHead = Buffer.alloc(0);

interface Parts {
  readonly views: Views;
  readonly ledger: Ledger;
  readonly heads: Heads;
  readonly contents: Contents;
  readonly random: Random;
  readonly clock: Clock;
}

export function entryActs(parts: Parts): Acts {
  return {
    append: (account, mailbox, content, facts) =>
      append(parts, { account, mailbox }, content, facts),

    async setFlags(mailbox, ranges, change) {
      const found = parts.heads.mailbox(mailboxNumber(mailbox));
      if (found === undefined) return { entries: [], modified: [] };
      return inTurn(found.account, () => setFlags(parts, found, ranges, change));
    },

    async copy(from, ranges, to, mode) {
      const source = parts.heads.mailbox(mailboxNumber(from));
      const target = parts.heads.mailbox(mailboxNumber(to));
      if (source === undefined) return [];
      if (target === undefined) throw new Unavailable("the target mailbox is gone");
      if (source.account !== target.account) throw new Denied("another account's mailbox");
      return inTurn(source.account, () =>
        copy(parts, source, ranges, { to: target.mailbox, mode }),
      );
    },

    async expunge(mailbox, ranges, which = "deleted", by?: string) {
      const found = parts.heads.mailbox(mailboxNumber(mailbox));
      if (found === undefined) return [];
      const wish = { ranges, which, by };
      return inTurn(found.account, () => expunge(parts, found, wish));
    },
  };
}

interface Found {
  readonly account: AccountHead;
  readonly mailbox: MailboxHead;
}

async function append(
  { ledger, heads, contents, random, clock }: Parts,
  target: { account: AccountId; mailbox: MailboxId },
  content: Parameters<Mailboxes["append"]>[2],
  facts: Parameters<Mailboxes["append"]>[3],
): Promise<Entry> {
  const entry = await ledger.commit(contents.draftBytes(content) + actBytes, true, () => {
    const found = heads.mailbox(mailboxNumber(target.mailbox));
    if (found === undefined) throw new Unavailable("the mailbox is gone");
    const { account, mailbox } = found;
    if (account.id !== target.account) throw new Denied("another account's mailbox");
    const id = hex(random.bytes(16));
    const flags = cleanFlags(facts.flags);
    const taken = contents.take(content, new Set([account.id]));
    account.modSeq += 1;
    const place = { mailbox: mailbox.number, uid: mailbox.uidNext, modSeq: account.modSeq };
    mailbox.uidNext += 1;
    const { sizeBytes } = content;
    const { receivedAtMs } = facts;
    const one = draft({
      kind: "appended",
      id,
      content: taken.id,
      contentBytes: sizeBytes,
      digest: digestOf(taken.secret.key, noHead, taken.secret.sum),
      receivedAtMs,
      atMs: clock.nowMs(),
      ...messageIdOf(content),
      delivery: { account: account.id, ...place, flags },
    });
    const value = {
      ...place,
      mailbox: target.mailbox,
      flags,
      receivedAtMs,
      message: id,
      sizeBytes,
    };
    return { drafts: [...taken.drafts, one], value };
  });
  contents.arrived(content.id);
  return entry;
}

async function setFlags(
  { views, ledger }: Parts,
  { account, mailbox }: Found,
  ranges: UidRanges,
  change: FlagChange,
): Promise<{ entries: readonly Entry[]; modified: readonly number[] }> {
  return commitAct(ledger, (roomBytes) => {
    const none = { drafts: [], value: { entries: [], modified: [] } };
    if (!account.mailboxes.has(mailbox.number)) return none;
    const modSeq = account.modSeq + 1;
    const modified: number[] = [];
    const entries: Entry[] = [];
    const fresh = new Map<string, Entry[]>();
    for (const entry of entriesIn(views, mailbox.number, ranges)) {
      if (entry.modSeq > (change.unchangedSince ?? Number.POSITIVE_INFINITY)) {
        modified.push(entry.uid);
        continue;
      }
      const flags = changedFlags(entry.flags, change);
      if (flags === entry.flags) entries.push(entry);
      else {
        const changed = { ...entry, flags, modSeq };
        entries.push(changed);
        const key = joinFlags(flags);
        const alike = fresh.get(key);
        if (alike === undefined) fresh.set(key, [changed]);
        else alike.push(changed);
      }
    }
    if (fresh.size === 0) return { drafts: [], value: { entries, modified } };
    const sets = [...fresh.values()].map((alike) => ({
      flags: alike[0]?.flags ?? [],
      uids: spansIn(views, mailbox.number, alike.map(uidOf)),
    }));
    const facts = { account: account.id, mailbox: mailbox.number, modSeq };
    const drafts = [draft({ kind: "flags", ...facts, sets })];
    if (bytesOf(drafts) > roomBytes) return { needsBytes: bytesOf(drafts) };
    account.modSeq = modSeq;
    return { drafts, value: { entries, modified } };
  });
}

async function copy(
  { views, ledger, clock }: Parts,
  { account, mailbox: from }: Found,
  ranges: UidRanges,
  { to, mode }: { to: MailboxHead; mode: "copy" | "move" },
): Promise<readonly { uid: number; copy: Entry }[]> {
  return commitAct(ledger, (roomBytes) => {
    if (!account.mailboxes.has(from.number)) return { drafts: [], value: [] };
    if (!account.mailboxes.has(to.number)) throw new Unavailable("the target mailbox is gone");
    const entries = entriesIn(views, from.number, ranges);
    if (entries.length === 0) return { drafts: [], value: [] };
    const modSeq = account.modSeq + 1;
    const firstUid = to.uidNext;
    const uids = spansIn(views, from.number, entries.map(uidOf));
    const facts = { account: account.id, mailbox: from.number, modSeq, mode, uids };
    const target = { to: to.number, firstUid, count: entries.length, atMs: clock.nowMs() };
    const drafts = [draft({ kind: "copied", ...facts, ...target })];
    if (bytesOf(drafts) > roomBytes) return { needsBytes: bytesOf(drafts) };
    account.modSeq = modSeq;
    to.uidNext += entries.length;
    const mailbox = mailboxId(to.number);
    const value = entries.map((entry, index) => ({
      uid: entry.uid,
      copy: { ...entry, mailbox, uid: firstUid + index, modSeq },
    }));
    return { drafts, value };
  });
}

interface ExpungeWish {
  readonly ranges: UidRanges | undefined;
  readonly which: "deleted" | "any";
  readonly by: string | undefined;
}

async function expunge(
  { views, ledger, clock }: Parts,
  { account, mailbox }: Found,
  { ranges, which, by }: ExpungeWish,
): Promise<readonly number[]> {
  const build = (roomBytes: number): Built<readonly number[]> => {
    const uids = entriesIn(views, mailbox.number, ranges)
      .filter((entry) => which === "any" || isDeleted(entry.flags))
      .map(uidOf);
    if (uids.length === 0 || !account.mailboxes.has(mailbox.number)) {
      return { drafts: [], value: [] };
    }
    const modSeq = account.modSeq + 1;
    const place = { account: account.id, mailbox: mailbox.number, modSeq };
    const facts = { ...place, atMs: clock.nowMs(), ...(by !== undefined && { by }) };
    const spans = spansIn(views, mailbox.number, uids);
    const drafts = [draft({ kind: "expunged", ...facts, uids: spans })];
    if (bytesOf(drafts) > roomBytes) return { needsBytes: bytesOf(drafts) };
    account.modSeq = modSeq;
    return { drafts, value: uids };
  };
  return commitAct(ledger, build, "of the reserve"); // so that room can be made in a full store
}

const uidOf = (entry: Entry): number => entry.uid;

function spansIn(views: Views, number: number, uids: readonly number[]): UidSpans {
  const existing = uidsBetween(views, number, uids[0] ?? 1, uids.at(-1) ?? 0);
  return spansOf(uids, existing);
}
