/** Looking at mailboxes and their entries: the durable state only. */

import type { Mailboxes, UidRanges } from "#contracts/store";
import type { AccountId, Entry, Mailbox, MailboxId, MessageId } from "#model/mailbox";
import { entriesOf, entrySelect, mailboxId, mailboxNumber, mailboxOf } from "./rows.ts";
import { rangesOf } from "./spans.ts";
import type { Views } from "./views.ts";

type Reads = Pick<
  Mailboxes,
  "list" | "get" | "entries" | "changesSince" | "accountChangesSince" | "modSeq" | "entriesOf"
>;

export function mailboxReads(views: Views): Reads {
  return {
    async list(account) {
      const sql = "SELECT * FROM mailbox WHERE account = ? AND name IS NOT NULL ORDER BY number";
      return views.all(sql, account).map((row) => mailboxOf(views, row));
    },
    async get(mailbox) {
      return findMailbox(views, mailbox);
    },
    async entries(mailbox, ranges) {
      return entriesIn(views, mailboxNumber(mailbox), ranges);
    },
    async changesSince(mailbox, modSeq) {
      const number = mailboxNumber(mailbox);
      const gone = "SELECT uid FROM expunged WHERE mailbox = ? AND mod_seq > ? ORDER BY uid";
      return {
        changed: changedIn(views, number, modSeq),
        expunged: views.all(gone, number, modSeq).map((row) => row["uid"] as number),
      };
    },
    async accountChangesSince(account, modSeq) {
      return accountChanges(views, account, modSeq);
    },
    async modSeq(account) {
      return modSeqOf(views, account);
    },
    async entriesOf(account, messages) {
      return messages.flatMap((message) => entriesOfMessage(views, account, message));
    },
  };
}

export function findMailbox(views: Views, id: MailboxId): Mailbox | undefined {
  const sql = "SELECT * FROM mailbox WHERE number = ? AND name IS NOT NULL";
  const row = views.get(sql, mailboxNumber(id));
  return row === undefined ? undefined : mailboxOf(views, row);
}

export function entriesIn(views: Views, number: number, ranges?: UidRanges): Entry[] {
  const sql = `${entrySelect} WHERE e.mailbox = ? AND e.uid BETWEEN ? AND ? ORDER BY e.uid`;
  return rangesOf(ranges).flatMap(([from, to]) =>
    entriesOf(views, views.all(sql, number, from, to)),
  );
}

/** UIDs that exist between two, both included. */
export function uidsBetween(views: Views, number: number, from: number, to: number): number[] {
  const sql = "SELECT uid FROM entry WHERE mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid";
  return views.all(sql, number, from, to).map((row) => row["uid"] as number);
}

/** Every entry of the message, of one account or of all. */
export function entriesOfMessage(
  views: Views,
  account: AccountId | null,
  message: MessageId,
): Entry[] {
  const sql = `${entrySelect} JOIN mailbox b ON b.number = e.mailbox
    WHERE m.id = ? AND (?2 IS NULL OR b.account = ?2) ORDER BY e.mailbox, e.uid`;
  return entriesOf(views, views.all(sql, message, account));
}

function changedIn(views: Views, number: number, modSeq: number): Entry[] {
  const sql = `${entrySelect} WHERE e.mailbox = ? AND e.mod_seq > ? ORDER BY e.uid`;
  return entriesOf(views, views.all(sql, number, modSeq));
}

function modSeqOf(views: Views, account: AccountId): number {
  const sql = "SELECT max(mod_seq) AS highest FROM mailbox WHERE account = ?";
  return (views.get(sql, account)?.["highest"] as number | null) ?? 0;
}

/**
 * A message that left one mailbox but is still in another counts as changed: JMAP's Email is the
 * message, and its mailboxIds are a property (RFC 8621 §4.1.1).
 */
function accountChanges(
  views: Views,
  account: AccountId,
  since: number,
): Awaited<ReturnType<Mailboxes["accountChangesSince"]>> {
  const modSeq = modSeqOf(views, account);
  const first = views.get("SELECT first_mod_seq FROM account WHERE id = ?", account);
  // What an account of that id had before it was removed is not known any more.
  if (since > modSeq || since < ((first?.["first_mod_seq"] as number | undefined) ?? 0)) {
    return "too-old";
  }
  const sql = "SELECT number, name FROM mailbox WHERE account = ? AND mod_seq > ?";
  const touched = views.all(sql, account, since).map((row) => ({
    number: row["number"] as number,
    removed: row["name"] === null,
  }));
  const changed = touched.flatMap(({ number }) => changedIn(views, number, since));
  const known = new Set(changed.map(({ message }) => message));
  const expunged: MessageId[] = [];
  for (const { number } of touched) {
    for (const message of goneFrom(views, number, since)) {
      if (known.has(message)) continue;
      known.add(message);
      const left = entriesOfMessage(views, account, message);
      if (left.length > 0) changed.push(...left);
      else expunged.push(message);
    }
  }
  const ids = (removed: boolean): MailboxId[] =>
    touched.filter((one) => one.removed === removed).map(({ number }) => mailboxId(number));
  return { modSeq, changed, expunged, mailboxes: ids(false), removedMailboxes: ids(true) };
}

function goneFrom(views: Views, number: number, since: number): MessageId[] {
  const sql = `SELECT DISTINCT m.id FROM expunged x JOIN message m ON m.seq = x.message
    WHERE x.mailbox = ? AND x.mod_seq > ?`;
  return views.all(sql, number, since).map((row) => row["id"] as string);
}
