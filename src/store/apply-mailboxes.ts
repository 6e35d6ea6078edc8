/** What records do to mailboxes themselves. */

import type { AccountId } from "#model/mailbox";
import { goneOf, type Publish, removeEntry, rowsIn, tell } from "./apply-entries.ts";
import { withholdOnHold } from "./apply-retention.ts";
import type {
  MailboxesMadeRecord,
  MailboxesRenamedRecord,
  MailboxRemovedRecord,
  MailboxSubscribedRecord,
  UidSpans,
} from "./records.ts";
import type { Views } from "./views.ts";

const everything: UidSpans = [[1, Number.MAX_SAFE_INTEGER]];

type MailboxesRecord =
  | MailboxesMadeRecord
  | MailboxesRenamedRecord
  | MailboxRemovedRecord
  | MailboxSubscribedRecord;

export function applyMailboxes(
  views: Views,
  record: MailboxesRecord,
  lsn: number,
  publish: Publish,
): void {
  switch (record.kind) {
    case "mailboxes-made":
      return applyMade(views, record, publish);
    case "mailboxes-renamed":
      return applyRenamed(views, record, publish);
    case "mailbox-removed":
      return applyMailboxRemoved(views, record, lsn, publish);
    case "mailbox-subscribed":
      return applySubscribed(views, record, publish);
  }
}

export function applyMade(
  views: Views,
  { account, modSeq, made }: Omit<MailboxesMadeRecord, "kind">,
  publish: Publish,
): void {
  for (const { mailbox, name, role, uidValidity } of made) {
    views.run(
      "INSERT INTO mailbox VALUES (?, ?, ?, ?, 1, ?, 1, ?, 0, 0, 0, 0)",
      mailbox,
      account,
      views.seal(name),
      role ?? null,
      uidValidity,
      modSeq,
    );
    // Numbers and validities are given once, whatever becomes of the mailbox and its account.
    raise(views, "mailbox", mailbox);
    raise(views, "uid-validity", uidValidity);
    tell(publish, { account, modSeq, mailbox }, { mailboxChanged: true });
  }
}

function raise(views: Views, counter: string, value: number): void {
  views.run(
    "INSERT INTO counter VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
    counter,
    value,
  );
}

function applyRenamed(views: Views, record: MailboxesRenamedRecord, publish: Publish): void {
  const { account, modSeq } = record;
  for (const [mailbox, name, uidValidity] of record.names) {
    noteFreed(views, mailbox);
    views.run(
      `UPDATE mailbox SET name = ?, uid_validity = ifnull(?, uid_validity), mod_seq = ?
        WHERE number = ?`,
      views.seal(name),
      uidValidity ?? null,
      modSeq,
      mailbox,
    );
    if (uidValidity !== undefined) raise(views, "uid-validity", uidValidity);
    tell(publish, { account, modSeq, mailbox }, { mailboxChanged: true });
  }
}

/** The mailbox gives up its name; a later one of that name must have a higher validity. */
function noteFreed(views: Views, mailbox: number): void {
  views.run(
    `INSERT INTO freed_name SELECT account, name, uid_validity FROM mailbox WHERE number = ?
      ON CONFLICT DO UPDATE SET uid_validity = max(uid_validity, excluded.uid_validity)`,
    mailbox,
  );
}

function applySubscribed(views: Views, record: MailboxSubscribedRecord, publish: Publish): void {
  const { modSeq, mailbox } = record;
  const sql = "UPDATE mailbox SET subscribed = ?, mod_seq = ? WHERE number = ?";
  views.run(sql, record.subscribed ? 1 : 0, modSeq, mailbox);
  tell(publish, record, { mailboxChanged: true });
}

/** The row stays, without a name, so that those who were away can be told. */
function applyMailboxRemoved(
  views: Views,
  record: MailboxRemovedRecord,
  lsn: number,
  publish: Publish,
): void {
  const { mailbox, modSeq } = record;
  const rows = rowsIn(views, mailbox, everything);
  for (const row of rows) removeEntry(views, row, modSeq, lsn);
  withholdOnHold(views, record, rows);
  noteFreed(views, mailbox);
  views.run(
    "UPDATE mailbox SET name = NULL, role = NULL, mod_seq = ? WHERE number = ?",
    modSeq,
    mailbox,
  );
  tell(publish, record, { expunged: rows.map(goneOf), mailboxChanged: true });
}

/** The account goes: nothing of its mailboxes stays but the numbers that were given. */
export function dropMailboxes(views: Views, account: AccountId, publish: Publish): void {
  if (publish !== undefined) tellAllGone(views, account, publish);
  const own = "(SELECT number FROM mailbox WHERE account = ?)";
  views.run(`DELETE FROM entry WHERE mailbox IN ${own}`, account);
  views.run(`DELETE FROM expunged WHERE mailbox IN ${own}`, account);
  views.run("DELETE FROM mailbox WHERE account = ?", account);
  views.run("DELETE FROM freed_name WHERE account = ?", account);
}

function tellAllGone(views: Views, account: AccountId, publish: Publish): void {
  const sql = "SELECT number, name, mod_seq FROM mailbox WHERE account = ?";
  const rows = views.all(sql, account);
  const modSeq = Math.max(...rows.map((row) => row["mod_seq"] as number)) + 1;
  for (const { number, name } of rows) {
    if (name === null) continue;
    const mailbox = number as number;
    const expunged = rowsIn(views, mailbox, everything).map(goneOf);
    tell(publish, { account, modSeq, mailbox }, { expunged, mailboxChanged: true });
  }
}
