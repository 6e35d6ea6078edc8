/** What records do to the entries of mailboxes, and to the sums that mailboxes keep of them. */

import assert from "node:assert/strict";
import type { AccountId, Change, Entry } from "#model/mailbox";
import { noteAct } from "./apply-act.ts";
import { withholdOnHold } from "./apply-retention.ts";
import { isDeleted, isSeen, splitFlags } from "./flags.ts";
import type {
  CopiedRecord,
  ExpungedRecord,
  FlagsRecord,
  PlacedDelivery,
  UidSpans,
} from "./records.ts";
import { columnsOf, type EntryRow, entryOf, entrySelect, mailboxId } from "./rows.ts";
import type { Views } from "./views.ts";

/** Told what changed; undefined while nobody listens. */
export type Publish = ((change: Change) => void) | undefined;

interface Where {
  readonly account: AccountId;
  readonly modSeq: number;
  readonly mailbox: number;
}

type ChangeParts = Partial<Omit<Change, "account" | "modSeq" | "mailbox">>;

interface DeliveredMessage {
  readonly id: string;
  readonly seq: number;
  readonly size: number;
  readonly receivedAtMs: number;
  /** When it comes into the mailbox: what retention counts from. */
  readonly enteredAtMs: number;
}

export function deliver(
  views: Views,
  to: PlacedDelivery,
  message: DeliveredMessage,
  publish: Publish,
): void {
  insertEntry(views, {
    mailbox: to.mailbox,
    uid: to.uid,
    mod_seq: to.modSeq,
    ...columnsOf(views, to.flags),
    received_ms: message.receivedAtMs,
    message: message.seq,
    size: message.size,
    entered_ms: message.enteredAtMs,
  });
  if (publish === undefined) return;
  const entry: Entry = {
    mailbox: mailboxId(to.mailbox),
    uid: to.uid,
    modSeq: to.modSeq,
    flags: to.flags,
    receivedAtMs: message.receivedAtMs,
    message: message.id,
    sizeBytes: message.size,
  };
  tell(publish, to, { added: [entry] });
}

type NewEntryRow = Omit<EntryRow, "id"> & { readonly entered_ms: number };

function insertEntry(views: Views, row: NewEntryRow): void {
  const { mailbox, uid, mod_seq, flags, keywords, received_ms, message, size } = row;
  views.run(
    "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    mailbox,
    uid,
    mod_seq,
    flags,
    keywords,
    received_ms,
    message,
    size,
    row.entered_ms,
  );
  const marks = splitFlags(flags);
  count(views, mailbox, mod_seq, {
    uidNext: uid + 1,
    messages: 1,
    unseen: isSeen(marks) ? 0 : 1,
    deleted: isDeleted(marks) ? 1 : 0,
    size,
  });
}

export function removeEntry(views: Views, row: EntryRow, modSeq: number, lsn: number): void {
  const { mailbox, uid, message, size } = row;
  noteAct(views, message, lsn);
  views.run("DELETE FROM entry WHERE mailbox = ? AND uid = ?", mailbox, uid);
  views.run("INSERT INTO expunged VALUES (?, ?, ?, ?)", mailbox, modSeq, uid, message);
  const marks = splitFlags(row.flags);
  count(views, mailbox, modSeq, {
    messages: -1,
    unseen: isSeen(marks) ? 0 : -1,
    deleted: isDeleted(marks) ? -1 : 0,
    size: -size,
  });
}

/** Adds to the mailbox's sums. */
function count(
  views: Views,
  mailbox: number,
  modSeq: number,
  by: { uidNext?: number; messages: number; unseen: number; deleted: number; size: number },
): void {
  views.run(
    `UPDATE mailbox SET mod_seq = max(mod_seq, ?), uid_next = max(uid_next, ?),
      messages = messages + ?, unseen = unseen + ?, deleted = deleted + ?, size = size + ?
      WHERE number = ?`,
    modSeq,
    by.uidNext ?? 0,
    by.messages,
    by.unseen,
    by.deleted,
    by.size,
    mailbox,
  );
}

export function rowsIn(views: Views, mailbox: number, spans: UidSpans): EntryRow[] {
  const select = `${entrySelect} WHERE e.mailbox = ? AND e.uid BETWEEN ? AND ? ORDER BY e.uid`;
  return spans.flatMap(([from, to]) =>
    views.all(select, mailbox, from, to),
  ) as unknown as EntryRow[];
}

export function applyFlags(views: Views, record: FlagsRecord, publish: Publish): void {
  const { mailbox, modSeq } = record;
  const updated: Entry[] = [];
  for (const { flags, uids } of record.sets) {
    const columns = columnsOf(views, flags);
    for (const row of rowsIn(views, mailbox, uids)) {
      views.run(
        "UPDATE entry SET flags = ?, keywords = ?, mod_seq = ? WHERE mailbox = ? AND uid = ?",
        columns.flags,
        columns.keywords,
        modSeq,
        mailbox,
        row.uid,
      );
      const before = splitFlags(row.flags);
      count(views, mailbox, modSeq, {
        messages: 0,
        unseen: Number(isSeen(before)) - Number(isSeen(flags)),
        deleted: Number(isDeleted(flags)) - Number(isDeleted(before)),
        size: 0,
      });
      if (publish !== undefined) updated.push({ ...entryOf(views, row), flags, modSeq });
    }
  }
  tell(publish, record, { updated });
}

export function applyCopied(
  views: Views,
  record: CopiedRecord,
  lsn: number,
  publish: Publish,
): void {
  const { account, modSeq, mailbox, to } = record;
  const rows = rowsIn(views, mailbox, record.uids);
  assert.equal(rows.length, record.count, "a copy finds the entries it was made of");
  const added: Entry[] = [];
  for (const [index, row] of rows.entries()) {
    const copy = { ...row, mailbox: to, uid: record.firstUid + index, mod_seq: modSeq };
    if (record.mode === "move") removeEntry(views, row, modSeq, lsn);
    else noteAct(views, row.message, lsn);
    insertEntry(views, { ...copy, entered_ms: record.atMs });
    if (publish !== undefined) added.push(entryOf(views, copy));
  }
  if (record.mode === "move") {
    tell(publish, record, { expunged: rows.map(goneOf) });
  }
  tell(publish, { account, modSeq, mailbox: to }, { added });
}

export function applyExpunged(
  views: Views,
  record: ExpungedRecord,
  lsn: number,
  publish: Publish,
): void {
  const rows = rowsIn(views, record.mailbox, record.uids);
  for (const row of rows) removeEntry(views, row, record.modSeq, lsn);
  withholdOnHold(views, record, rows);
  tell(publish, record, { expunged: rows.map(goneOf) });
}

export function goneOf(row: EntryRow): { uid: number; message: string } {
  return { uid: row.uid, message: row.id };
}

export function tell(publish: Publish, where: Where, parts: ChangeParts): void {
  if (publish === undefined) return;
  const { account, modSeq, mailbox } = where;
  const none = { added: [], updated: [], expunged: [], mailboxChanged: false };
  publish({ account, modSeq, mailbox: mailboxId(mailbox), ...none, ...parts });
}
