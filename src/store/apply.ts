/** What each kind of record does to the views. The same code serves the running store and a rebuild. */

import type { AccountId } from "#model/mailbox";
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
import type {
  AcceptedRecord,
  AccountPutRecord,
  AppendedRecord,
  ContentRecord,
  MailboxesMadeRecord,
  MailboxesRenamedRecord,
  MailboxRemovedRecord,
  MailboxSubscribedRecord,
  Place,
  PlacedRecord,
  RefusedRecord,
} from "./records.ts";
import type { Views } from "./views.ts";

export function applyRecord(views: Views, { record, place }: PlacedRecord, publish: Publish): void {
  switch (record.kind) {
    case "accepted":
      return applyAccepted(views, record, place, publish);
    case "content":
      return applyContent(views, record, place);
    case "appended":
      return applyAppended(views, record, place, publish);
    case "flags":
      return applyFlags(views, record, publish);
    case "copied":
      return applyCopied(views, record, publish);
    case "expunged":
      return applyExpunged(views, record, publish);
    case "mailboxes-made":
      return applyMade(views, record, publish);
    case "mailboxes-renamed":
      return applyRenamed(views, record, publish);
    case "mailbox-removed":
      return applyMailboxRemoved(views, record, publish);
    case "mailbox-subscribed":
      return applySubscribed(views, record, publish);
    case "attempted":
    case "delay-notified":
    case "queue-act":
      return applyQueue(views, record, place);
    case "domain-put":
      put(views, "domain", record.domain.name, record.domain);
      return;
    case "domain-removed":
      views.run("DELETE FROM domain WHERE name = ?", record.name);
      return;
    case "account-put":
      return applyAccountPut(views, record, publish);
    case "account-removed":
      return applyAccountRemoved(views, record.account);
    case "alias-put":
      put(views, "alias", record.alias.address, record.alias);
      return;
    case "alias-removed":
      views.run("DELETE FROM alias WHERE address = ?", record.address);
      return;
    case "refused":
      return applyRefused(views, record, place);
    case "content-part":
    case "made":
    case "closed":
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
    sender: envelope.reversePath,
    recipients: envelope.recipients.map(({ path }) => path),
    messageIdHeader: record.messageIdHeader,
  });
  const facts = { id: record.id, seq: place.lsn, size, receivedAtMs: record.acceptedAtMs };
  for (const delivery of record.deliveries) deliver(views, delivery, facts, publish);
  for (const item of record.queue) {
    views.run(
      "INSERT OR IGNORE INTO queue VALUES (?, ?, 'waiting', ?, ?, 0, ?, NULL, ?, NULL)",
      item.id,
      place.lsn,
      item.nextAttemptAtMs,
      item.queuedAtMs,
      item.recipient.slice(item.recipient.lastIndexOf("@") + 1).toLowerCase(),
      JSON.stringify({ ...item, message: record.id, sizeBytes: size }),
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
    sender: null,
    recipients: null,
    messageIdHeader: record.messageIdHeader,
  });
  const { id, contentBytes: size, receivedAtMs } = record;
  deliver(views, record.delivery, { id, seq: place.lsn, size, receivedAtMs }, publish);
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
    sender: refusal.reversePath,
    recipients: refusal.recipients,
    messageIdHeader: undefined,
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
    sender: string | null;
    recipients: readonly string[] | null;
    messageIdHeader: string | undefined;
  },
): void {
  views.run(
    "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    facts.sender,
    facts.recipients === null ? null : JSON.stringify(facts.recipients),
    facts.messageIdHeader ?? null,
  );
}

function applyContent(views: Views, record: ContentRecord, place: Place): void {
  views.run(
    "INSERT OR IGNORE INTO content VALUES (?, ?, ?, ?, ?)",
    Buffer.from(record.id, "hex"),
    record.sizeBytes,
    place.segment,
    place.jsonAt + place.jsonBytes,
    record.extents === undefined ? null : JSON.stringify(record.extents),
  );
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
      name,
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
    views.run(sql, name, modSeq, mailbox);
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
function applyMailboxRemoved(views: Views, record: MailboxRemovedRecord, publish: Publish): void {
  const { mailbox, modSeq } = record;
  const rows = rowsIn(views, mailbox, [[1, Number.MAX_SAFE_INTEGER]]);
  for (const row of rows) removeEntry(views, row, modSeq);
  views.run(
    "UPDATE mailbox SET name = NULL, role = NULL, mod_seq = ? WHERE number = ?",
    modSeq,
    mailbox,
  );
  tell(publish, record, { expunged: rows.map(goneOf), mailboxChanged: true });
}

function applyAccountPut(views: Views, record: AccountPutRecord, publish: Publish): void {
  put(views, "account", record.account.id, record.account);
  if (record.made === undefined) return;
  const { modSeq, mailboxes } = record.made;
  applyMade(views, { account: record.account.id, modSeq, made: mailboxes }, publish);
}

function applyAccountRemoved(views: Views, account: AccountId): void {
  const own = "(SELECT number FROM mailbox WHERE account = ?)";
  views.run(`DELETE FROM entry WHERE mailbox IN ${own}`, account);
  views.run(`DELETE FROM expunged WHERE mailbox IN ${own}`, account);
  views.run("DELETE FROM mailbox WHERE account = ?", account);
  views.run("DELETE FROM account WHERE id = ?", account);
}

function put(
  views: Views,
  table: "domain" | "account" | "alias",
  key: string,
  value: object,
): void {
  views.run(`INSERT OR REPLACE INTO ${table} VALUES (?, ?)`, key, JSON.stringify(value));
}
