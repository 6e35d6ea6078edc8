/** Making, renaming, removing and subscribing mailboxes. */

import type { Clock } from "#base/clock";
import type { Mailboxes, MailboxFault, MailboxOutcome } from "#contracts/store";
import type { Mailbox, MailboxRole } from "#model/mailbox";
import { actBytes, type Built, commitAct } from "./act.ts";
import { type AccountHead, byName, type Heads, inRole, inTurn, type MailboxHead } from "./heads.ts";
import type { Ledger } from "./ledger.ts";
import { findMailbox, uidsBetween } from "./mailbox-reads.ts";
import { isBelow, parentsOf, parseMailboxName } from "./names.ts";
import {
  draft,
  type LedgerRecord,
  type MadeMailbox,
  type MailboxesRenamedRecord,
} from "./records.ts";
import { mailboxId, mailboxNumber } from "./rows.ts";
import { spansOf } from "./spans.ts";
import type { Views } from "./views.ts";

type Acts = Pick<Mailboxes, "create" | "rename" | "remove" | "subscribe">;

type Outcome<Value> = MailboxOutcome<Value>;
type Written = { drafts: ReturnType<typeof draft>[]; value: Outcome<number> };

export interface ActParts {
  readonly views: Views;
  readonly ledger: Ledger;
  readonly heads: Heads;
  readonly clock: Clock;
}

export function mailboxActs(parts: ActParts): Acts {
  const { views, ledger, heads } = parts;
  const commit = async (
    build: (roomBytes: number) => Built<Outcome<number>>,
  ): Promise<Outcome<Mailbox>> => {
    const outcome = await commitAct(ledger, build);
    if (!outcome.ok) return outcome;
    const mailbox = findMailbox(views, mailboxId(outcome.value));
    return mailbox === undefined ? fault("no-such-mailbox") : { ok: true, value: mailbox };
  };
  return {
    create: async (account, name, role) =>
      commit((roomBytes) => {
        const head = heads.needAccount(account);
        const needsBytes = namesBytes(newNames(name));
        return needsBytes > roomBytes ? { needsBytes } : buildCreate(parts, head, name, role);
      }),

    async rename(id, name) {
      const found = heads.mailbox(mailboxNumber(id));
      if (found === undefined) return fault("no-such-mailbox");
      const { account, mailbox } = found;
      return inTurn(account, () =>
        commit((roomBytes) => {
          if (!account.mailboxes.has(mailbox.number)) return refusal("no-such-mailbox");
          const needsBytes = renameBytes(account, mailbox, name);
          if (needsBytes > roomBytes) return { needsBytes };
          return mailbox.name === "INBOX"
            ? buildInboxRename(parts, account, mailbox, name)
            : buildRename(parts, account, mailbox, name);
        }),
      );
    },

    async remove(id) {
      const found = heads.mailbox(mailboxNumber(id));
      if (found === undefined) return fault("no-such-mailbox");
      const { account, mailbox } = found;
      return inTurn(account, async () => {
        const outcome = await ledger.commit(actBytes, false, () =>
          buildRemove(parts, account, mailbox),
        );
        return outcome.ok ? { ok: true, value: true } : outcome;
      });
    },

    async subscribe(id, subscribed) {
      await ledger.commit(actBytes, false, () => {
        const found = heads.mailbox(mailboxNumber(id));
        if (found === undefined) return { drafts: [], value: undefined };
        const { account, mailbox } = found;
        account.modSeq += 1;
        const facts = { account: account.id, mailbox: mailbox.number, modSeq: account.modSeq };
        const one = draft({ kind: "mailbox-subscribed", ...facts, subscribed });
        return { drafts: [one], value: undefined };
      });
    },
  };
}

/** Adds a mailbox to the account and says so in the form of its record. */
export function makeMailbox(
  { heads, clock }: ActParts,
  account: AccountHead,
  name: string,
  role?: MailboxRole,
): MadeMailbox {
  const { number: mailbox } = heads.addMailbox(account, name, role);
  const uidValidity = heads.nextUidValidity(clock.nowMs());
  return { mailbox, name, ...(role !== undefined && { role }), uidValidity };
}

function buildCreate(
  parts: ActParts,
  account: AccountHead,
  text: string,
  role: MailboxRole | undefined,
): Written {
  const name = parseMailboxName(text);
  if (name === undefined) return refusal("bad-name");
  if (byName(account, name) !== undefined) return refusal("exists");
  if (role !== undefined && inRole(account, role) !== undefined) return refusal("has-role");
  account.modSeq += 1;
  const made = missingParents(parts, account, name);
  made.push(makeMailbox(parts, account, name, role));
  return written([madeRecord(account, made)], made.at(-1)?.mailbox ?? -1);
}

function missingParents(parts: ActParts, account: AccountHead, name: string): MadeMailbox[] {
  const missing = parentsOf(name).filter((parent) => byName(account, parent) === undefined);
  return missing.map((parent) => makeMailbox(parts, account, parent));
}

function buildRename(
  parts: ActParts,
  account: AccountHead,
  mailbox: MailboxHead,
  text: string,
): Written {
  const name = parseMailboxName(text);
  if (name === undefined || isBelow(name, mailbox.name)) return refusal("bad-name");
  const named = familyOf(account, mailbox).map((one) => ({
    head: one,
    name: name + one.name.slice(mailbox.name.length),
  }));
  // A child may become too long or too deep by its parent's new name.
  if (named.some((one) => parseMailboxName(one.name) !== one.name)) return refusal("bad-name");
  const isTaken = (one: { name: string }): boolean => byName(account, one.name) !== undefined;
  if (named.some(isTaken)) return refusal("exists");
  account.modSeq += 1;
  const made = missingParents(parts, account, name);
  for (const one of named) one.head.name = one.name;
  const names = named.map((one) => renamed(parts, one.head.number, one.name));
  const { id, modSeq } = account;
  const records: LedgerRecord[] = made.length > 0 ? [madeRecord(account, made)] : [];
  records.push({ kind: "mailboxes-renamed", account: id, modSeq, names });
  return written(records, mailbox.number);
}

/** RFC 9051 §2.3.1.1: who has seen another mailbox of that name must not take this one for it. */
function renamed(
  { views, heads, clock }: ActParts,
  mailbox: number,
  name: string,
): MailboxesRenamedRecord["names"][number] {
  const sql = `SELECT 1 FROM freed_name f JOIN mailbox m ON m.account = f.account
    WHERE m.number = ? AND f.name = ? AND f.uid_validity > m.uid_validity`;
  // One that is not in the views yet has the highest validity of all.
  const isHigher = views.get(sql, mailbox, views.seal(name)) !== undefined;
  return isHigher ? [mailbox, name, heads.nextUidValidity(clock.nowMs())] : [mailbox, name];
}

function familyOf(account: AccountHead, mailbox: MailboxHead): MailboxHead[] {
  return [...account.mailboxes.values()].filter(
    (one) => one === mailbox || isBelow(one.name, mailbox.name),
  );
}

/** Of a mailbox that may be made, with all above it. */
function newNames(text: string): string[] {
  const name = parseMailboxName(text);
  return name === undefined ? [] : [...parentsOf(name), name];
}

function renameBytes(account: AccountHead, mailbox: MailboxHead, text: string): number {
  const names = newNames(text);
  if (names.length === 0) return 0;
  return namesBytes([...names, ...familyOf(account, mailbox).map(({ name }) => text + name)]);
}

/** At most, for records that make or rename mailboxes to these. */
function namesBytes(names: readonly string[]): number {
  let bytes = 1000;
  for (const name of names) bytes += Buffer.byteLength(JSON.stringify(name)) + 100;
  return bytes;
}

/** RFC 9051 §6.3.6: the messages move to the new mailbox, INBOX stays and so do those below it. */
function buildInboxRename(
  parts: ActParts,
  account: AccountHead,
  inbox: MailboxHead,
  text: string,
): Written {
  const target = buildCreate(parts, account, text, undefined);
  if (!target.value.ok) return target;
  const to = account.mailboxes.get(target.value.value) as MailboxHead;
  const uids = uidsBetween(parts.views, inbox.number, 1, Number.MAX_SAFE_INTEGER);
  if (uids.length === 0) return target;
  to.uidNext = uids.length + 1;
  const one = draft({
    kind: "copied",
    account: account.id,
    mailbox: inbox.number,
    modSeq: account.modSeq,
    mode: "move",
    uids: spansOf(uids, uids),
    to: to.number,
    firstUid: 1,
    count: uids.length,
    atMs: parts.clock.nowMs(),
  });
  return { drafts: [...target.drafts, one], value: target.value };
}

function buildRemove(
  { heads, clock }: ActParts,
  account: AccountHead,
  mailbox: MailboxHead,
): Written {
  if (!account.mailboxes.has(mailbox.number)) return refusal("no-such-mailbox");
  if (mailbox.name === "INBOX") return refusal("is-inbox");
  if (mailbox.role !== undefined) return refusal("has-role");
  account.modSeq += 1;
  heads.removeMailbox(account, mailbox.number);
  const { id, modSeq } = account;
  const facts = { account: id, mailbox: mailbox.number, modSeq, atMs: clock.nowMs() };
  return written([{ kind: "mailbox-removed", ...facts }], mailbox.number);
}

function madeRecord(account: AccountHead, made: readonly MadeMailbox[]): LedgerRecord {
  return { kind: "mailboxes-made", account: account.id, modSeq: account.modSeq, made };
}

function written(records: readonly LedgerRecord[], number: number): Written {
  return { drafts: records.map((record) => draft(record)), value: { ok: true, value: number } };
}

function refusal(reason: MailboxFault): Written {
  return { drafts: [], value: fault(reason) };
}

function fault(reason: MailboxFault): { ok: false; fault: MailboxFault } {
  return { ok: false, fault: reason };
}
