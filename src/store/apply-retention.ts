/** What records of rules, holds and reads by others do to the views. */

import type { AccountId } from "#model/mailbox";
import type { Hold, ReadByOther } from "#model/retention";
import type {
  HoldPutRecord,
  HoldRemovedRecord,
  ReadByOtherRecord,
  RetentionAct,
  RetentionPutRecord,
  RetentionRemovedRecord,
} from "./act-records.ts";
import { noteAct } from "./apply-act.ts";
import type { MaintainedRecord, Place } from "./records.ts";
import type { EntryRow } from "./rows.ts";
import type { Views } from "./views.ts";

export function applyRetention(
  views: Views,
  record: RetentionAct | MaintainedRecord,
  place: Place,
): void {
  switch (record.kind) {
    case "retention-put":
      return applyRetentionPut(views, record);
    case "retention-removed":
      return applyRetentionRemoved(views, record);
    case "hold-put":
      return applyHoldPut(views, record);
    case "hold-removed":
      return applyHoldRemoved(views, record);
    case "read-by-other":
      return applyReadByOther(views, record, place);
    case "maintained":
      return applyMaintained(views, record);
  }
}

function applyRetentionPut(views: Views, { rule }: RetentionPutRecord): void {
  const sql = "INSERT OR REPLACE INTO retention VALUES (?, ?, ?)";
  views.run(sql, rule.account, views.seal(rule.mailbox), views.seal(rule));
}

function applyRetentionRemoved(views: Views, { account, mailbox }: RetentionRemovedRecord): void {
  const sql = "DELETE FROM retention WHERE account = ? AND mailbox = ?";
  views.run(sql, account, views.seal(mailbox));
}

/** The account is gone: no rule of its own, and no hold, which would have kept it. */
export function dropRules(views: Views, account: AccountId): void {
  views.run("DELETE FROM retention WHERE account = ?", account);
}

/**
 * A hold begins with what is expunged and may still be there. Whether it is there is not asked: a
 * rebuild could not know what was destroyed when.
 */
function applyHoldPut(views: Views, record: HoldPutRecord): void {
  const { account, reason, by, atMs } = record;
  const isNew = !isOnHold(views, account);
  const hold: Hold = { account, reason, by, atMs };
  views.run("INSERT OR REPLACE INTO hold VALUES (?, ?)", account, views.seal(hold));
  if (isNew) views.run(withholdExpunged, account);
}

const withholdExpunged = `INSERT INTO withheld
  SELECT x.mailbox, x.uid, x.message, ?1, NULL
  FROM mailbox b JOIN expunged x ON x.mailbox = b.number
  WHERE b.account = ?1 AND NOT EXISTS (
    SELECT 1 FROM entry e JOIN mailbox eb ON eb.number = e.mailbox
    WHERE e.message = x.message AND eb.account = ?1)`;

function applyHoldRemoved(views: Views, { account }: HoldRemovedRecord): void {
  views.run("DELETE FROM hold WHERE account = ?", account);
  views.run("DELETE FROM withheld WHERE account = ?", account);
}

export function isOnHold(views: Views, account: AccountId): boolean {
  return views.get("SELECT 1 FROM hold WHERE account = ?", account) !== undefined;
}

/** Entries that leave the account's mailboxes are kept when it is on hold. */
export function withholdOnHold(
  views: Views,
  { account, atMs }: { readonly account: AccountId; readonly atMs: number },
  rows: readonly EntryRow[],
): void {
  if (!isOnHold(views, account)) return;
  for (const { mailbox, uid, message } of rows) {
    const sql = "INSERT INTO withheld VALUES (?, ?, ?, ?, ?)";
    views.run(sql, mailbox, uid, message, account, atMs);
  }
}

function applyReadByOther(views: Views, record: ReadByOtherRecord, place: Place): void {
  const { account, message, by, reason, atMs } = record;
  const read: ReadByOther = { account, message, by, reason, atMs };
  const sql = "INSERT INTO read_by_other VALUES (?, ?, ?, ?)";
  views.run(sql, place.lsn, account, atMs, views.seal(read));
  const seq = views.get("SELECT seq FROM message WHERE id = ?", record.message)?.["seq"];
  if (typeof seq === "number") noteAct(views, seq, place.lsn);
}

function applyMaintained(views: Views, { work, atMs }: MaintainedRecord): void {
  views.run("INSERT OR REPLACE INTO maintained VALUES (?, ?)", work, atMs);
}
