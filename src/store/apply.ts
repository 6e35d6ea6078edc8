/** What each kind of record does to the views. The same code serves the running store and a rebuild. */

import type { AccountId } from "#model/mailbox";
import type { AccountPutRecord, PeopleAct } from "./act-records.ts";
import { applyBackupAct } from "./apply-backups.ts";
import { applyContents, dropHolder } from "./apply-contents.ts";
import {
  applyCopied,
  applyExpunged,
  applyFlags,
  deliver,
  goneOf,
  type Publish,
  removeEntry,
  rowsIn,
  tell,
} from "./apply-entries.ts";
import { applyQueue } from "./apply-queue.ts";
import { applyRetention, dropRules, withholdOnHold } from "./apply-retention.ts";
import type {
  AcceptedRecord,
  AppendedRecord,
  MailboxesMadeRecord,
  MailboxesRenamedRecord,
  MailboxRemovedRecord,
  MailboxSubscribedRecord,
  Place,
  PlacedRecord,
  RefusedRecord,
  RepairedRecord,
  ScrubbedRecord,
} from "./records.ts";
import type { MessageFacts } from "./rows.ts";
import type { Views } from "./views.ts";

export function applyRecord(
  views: Views,
  { record, place, isHollow }: PlacedRecord,
  publish: Publish,
): void {
  switch (record.kind) {
    case "accepted":
      return applyAccepted(views, record, place, publish);
    case "content":
    case "content-part":
    case "content-keys":
    case "kept":
    case "holder-key":
    case "epoch-ended":
      return applyContents(views, record, place, isHollow === true);
    case "appended":
      return applyAppended(views, record, place, publish);
    case "flags":
      return applyFlags(views, record, publish);
    case "copied":
      return applyCopied(views, record, place.lsn, publish);
    case "expunged":
      return applyExpunged(views, record, place.lsn, publish);
    case "mailboxes-made":
    case "mailboxes-renamed":
    case "mailbox-removed":
    case "mailbox-subscribed":
      return applyMailboxes(views, record, place.lsn, publish);
    case "attempted":
    case "delay-notified":
    case "queue-act":
      return applyQueue(views, record, place);
    case "domain-put":
    case "domain-removed":
    case "account-put":
    case "account-removed":
    case "alias-put":
    case "alias-removed":
      return applyPeople(views, record, place.lsn, publish);
    case "retention-put":
    case "retention-removed":
    case "hold-put":
    case "hold-removed":
    case "read-by-other":
    case "maintained":
      return applyRetention(views, record, place);
    case "backed-up":
    case "drilled":
      return applyBackupAct(views, record, place);
    case "refused":
      return applyRefused(views, record, place);
    case "repaired":
    case "scrubbed":
      return applyCare(views, record, place);
    case "made":
    case "closed":
      return;
  }
}

function applyCare(views: Views, record: RepairedRecord | ScrubbedRecord, place: Place): void {
  if (record.kind === "scrubbed") {
    // What is damaged is due again, so that a restart does not forget it.
    views.run("DELETE FROM scrub WHERE segment = ?", record.segment);
    if (record.damaged > 0) return;
    views.run("INSERT INTO scrub VALUES (?, ?)", record.segment, record.atMs);
  } else {
    const json = JSON.stringify(record);
    views.run("INSERT INTO repair VALUES (?, ?, ?)", place.lsn, record.atMs, json);
  }
}

function applyPeople(views: Views, record: PeopleAct, lsn: number, publish: Publish): void {
  switch (record.kind) {
    case "domain-put":
      put(views, "domain", record.domain.name, record.domain);
      return;
    case "domain-removed":
      views.run("DELETE FROM domain WHERE name = ?", views.seal(record.name));
      return;
    case "account-put":
      return applyAccountPut(views, record, publish);
    case "account-removed":
      return applyAccountRemoved(views, record.account, lsn);
    case "alias-put":
      put(views, "alias", record.alias.address, record.alias);
      return;
    case "alias-removed":
      views.run("DELETE FROM alias WHERE address = ?", views.seal(record.address));
      return;
  }
}

function applyAccepted(views: Views, record: AcceptedRecord, place: Place, publish: Publish): void {
  const size = record.headBytes + record.contentBytes;
  const { envelope } = record;
  // A transaction that was refused at first may come again under its id.
  views.run("DELETE FROM message WHERE id = ? AND status = 'refused'", record.id);
  insertMessage(views, place, {
    id: record.id,
    status: "accepted",
    content: record.content,
    headBytes: record.headBytes,
    size,
    atMs: record.acceptedAtMs,
    direction: record.direction,
    facts: {
      sender: envelope.reversePath,
      recipients: envelope.recipients.map(({ path }) => path),
      ...messageIdOf(record),
    },
  });
  const { id, acceptedAtMs } = record;
  const times = { receivedAtMs: acceptedAtMs, enteredAtMs: acceptedAtMs };
  const facts = { id, seq: place.lsn, size, ...times };
  for (const delivery of record.deliveries) deliver(views, delivery, facts, publish);
  for (const item of record.queue) {
    views.run(
      "INSERT OR IGNORE INTO queue VALUES (?, ?, 'waiting', ?, ?, 0, ?, NULL, ?, NULL)",
      item.id,
      place.lsn,
      item.nextAttemptAtMs,
      item.queuedAtMs,
      views.seal(item.recipient.slice(item.recipient.lastIndexOf("@") + 1).toLowerCase()),
      views.seal({ ...item, message: record.id, sizeBytes: size }),
    );
  }
}

function applyAppended(views: Views, record: AppendedRecord, place: Place, publish: Publish): void {
  insertMessage(views, place, {
    id: record.id,
    status: "appended",
    content: record.content,
    headBytes: 0,
    size: record.contentBytes,
    atMs: record.receivedAtMs,
    direction: null,
    facts: { sender: "", recipients: [], ...messageIdOf(record) },
  });
  const { id, contentBytes: size, receivedAtMs, atMs: enteredAtMs } = record;
  const facts = { id, seq: place.lsn, size, receivedAtMs, enteredAtMs };
  deliver(views, record.delivery, facts, publish);
}

function applyRefused(views: Views, { refusal }: RefusedRecord, place: Place): void {
  const known = views.get("SELECT 1 FROM message WHERE id = ?", refusal.id);
  if (known !== undefined) return;
  insertMessage(views, place, {
    id: refusal.id,
    status: "refused",
    content: null,
    headBytes: 0,
    size: 0,
    atMs: refusal.atMs,
    direction: refusal.connection.authenticated === undefined ? "inbound" : "submission",
    facts: { sender: refusal.reversePath, recipients: refusal.recipients },
  });
}

function insertMessage(
  views: Views,
  place: Place,
  facts: {
    id: string;
    status: string;
    content: string | null;
    headBytes: number;
    size: number;
    atMs: number;
    direction: string | null;
    facts: MessageFacts;
  },
): void {
  views.run(
    "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    place.lsn,
    facts.id,
    facts.status,
    facts.content === null ? null : Buffer.from(facts.content, "hex"),
    place.segment,
    place.jsonAt,
    place.jsonBytes,
    facts.headBytes,
    facts.size,
    facts.atMs,
    facts.direction,
    views.seal(facts.facts),
  );
}

function messageIdOf(record: { messageIdHeader?: string }): { messageIdHeader?: string } {
  return record.messageIdHeader === undefined ? {} : { messageIdHeader: record.messageIdHeader };
}

type MailboxesRecord =
  | MailboxesMadeRecord
  | MailboxesRenamedRecord
  | MailboxRemovedRecord
  | MailboxSubscribedRecord;

function applyMailboxes(
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

function applyMade(
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
  for (const [mailbox, name] of record.names) {
    const sql = "UPDATE mailbox SET name = ?, mod_seq = ? WHERE number = ?";
    views.run(sql, views.seal(name), modSeq, mailbox);
    tell(publish, { account, modSeq, mailbox }, { mailboxChanged: true });
  }
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
  const rows = rowsIn(views, mailbox, [[1, Number.MAX_SAFE_INTEGER]]);
  for (const row of rows) removeEntry(views, row, modSeq, lsn);
  withholdOnHold(views, record, rows);
  views.run(
    "UPDATE mailbox SET name = NULL, role = NULL, mod_seq = ? WHERE number = ?",
    modSeq,
    mailbox,
  );
  tell(publish, record, { expunged: rows.map(goneOf), mailboxChanged: true });
}

function applyAccountPut(views: Views, record: AccountPutRecord, publish: Publish): void {
  views.run(
    `INSERT INTO account VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET json = excluded.json`,
    record.account.id,
    views.seal(record.account),
    record.made?.modSeq ?? 0,
  );
  if (record.made === undefined) return;
  const { modSeq, mailboxes } = record.made;
  applyMade(views, { account: record.account.id, modSeq, made: mailboxes }, publish);
}

function applyAccountRemoved(views: Views, account: AccountId, lsn: number): void {
  const own = "(SELECT number FROM mailbox WHERE account = ?)";
  views.run(`DELETE FROM entry WHERE mailbox IN ${own}`, account);
  views.run(`DELETE FROM expunged WHERE mailbox IN ${own}`, account);
  views.run("DELETE FROM mailbox WHERE account = ?", account);
  views.run("DELETE FROM account WHERE id = ?", account);
  dropRules(views, account);
  dropHolder(views, account, lsn);
}

function put(views: Views, table: "domain" | "alias", key: string, value: object): void {
  const sql = `INSERT OR REPLACE INTO ${table} VALUES (?, ?)`;
  views.run(sql, tableKey(views, table, key), views.seal(value));
}

type PeopleTable = "domain" | "account" | "alias";

/** Ids of accounts say nothing of a person; names and addresses do. */
export function tableKey(views: Views, table: PeopleTable, key: string): string | Buffer {
  return table === "account" ? key : views.seal(key);
}
