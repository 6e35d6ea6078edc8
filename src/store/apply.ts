/** What each kind of record does to the views. The same code serves the running store and a rebuild. */

import type { AccountId } from "#model/mailbox";
import type { AccountPutRecord, FactorsPutRecord, PeopleAct } from "./act-records.ts";
import { applyBackupAct } from "./apply-backups.ts";
import { noteContacts } from "./apply-contacts.ts";
import { applyContents, dropHolder } from "./apply-contents.ts";
import { applyCopied, applyExpunged, applyFlags, deliver, type Publish } from "./apply-entries.ts";
import { applyMade, applyMailboxes, dropMailboxes } from "./apply-mailboxes.ts";
import { applyQueue, applyQueued } from "./apply-queue.ts";
import { applyRetention, dropRules } from "./apply-retention.ts";
import type {
  AcceptedRecord,
  AppendedRecord,
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
    case "factors-put":
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
      return applyAccountRemoved(views, record.account, lsn, publish);
    case "factors-put":
      return applyFactors(views, record);
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
  noteContacts(views, record);
  for (const item of record.queue) {
    applyQueued(views, { ...item, message: record.id, sizeBytes: size }, place.lsn);
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

function applyAccountPut(views: Views, record: AccountPutRecord, publish: Publish): void {
  views.run(
    `INSERT INTO account VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET json = excluded.json, address = excluded.address`,
    record.account.id,
    views.seal(record.account),
    record.made?.modSeq ?? 0,
    views.seal(record.account.address.toLowerCase()),
  );
  if (record.made === undefined) return;
  const { modSeq, mailboxes } = record.made;
  applyMade(views, { account: record.account.id, modSeq, made: mailboxes }, publish);
}

function applyFactors(views: Views, { account, factors }: FactorsPutRecord): void {
  if (factors.length === 0) views.run("DELETE FROM factor WHERE account = ?", account);
  else views.run("INSERT OR REPLACE INTO factor VALUES (?, ?)", account, views.seal(factors));
}

function applyAccountRemoved(
  views: Views,
  account: AccountId,
  lsn: number,
  publish: Publish,
): void {
  dropMailboxes(views, account, publish);
  views.run("DELETE FROM contact WHERE account = ?", account);
  views.run("DELETE FROM account WHERE id = ?", account);
  views.run("DELETE FROM factor WHERE account = ?", account);
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
