/** Rows of the views as the model's values. */

import type { Entry, Flag, Mailbox, MailboxId, MailboxRole } from "#model/mailbox";
import type { Attempt, QueueItem, QueueState } from "#model/queue";
import { isSystemFlag, joinFlags, splitFlags } from "./flags.ts";
import type { Row, Views } from "./views.ts";

/** Ids are numbers that are never given twice, with a letter before them. */
export function mailboxId(number: number): MailboxId {
  return `m${number}`;
}

/** -1, which is no mailbox, for what never was an id. */
export function mailboxNumber(id: MailboxId): number {
  return /^m[1-9]\d{0,14}$/.test(id) ? Number(id.slice(1)) : -1;
}

/** Sealed in a message's row. */
export interface MessageFacts {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly messageIdHeader?: string;
}

/** Flags as a row has them. */
export interface FlagColumns {
  /** Those with a backslash. */
  readonly flags: string;
  /** The others, sealed; null when there are none. */
  readonly keywords: Uint8Array | null;
}

export interface EntryRow extends FlagColumns {
  readonly mailbox: number;
  readonly uid: number;
  readonly mod_seq: number;
  readonly received_ms: number;
  readonly message: number;
  readonly size: number;
  /** Id of the message. */
  readonly id: string;
}

export const entrySelect = `SELECT e.mailbox, e.uid, e.mod_seq, e.flags, e.keywords, e.received_ms,
  e.message, e.size, m.id FROM entry e JOIN message m ON m.seq = e.message`;

export function columnsOf(views: Views, flags: readonly Flag[]): FlagColumns {
  const keywords = flags.filter((flag) => !isSystemFlag(flag));
  return {
    flags: joinFlags(flags.filter(isSystemFlag)),
    keywords: keywords.length === 0 ? null : views.keys.sealText(joinFlags(keywords)),
  };
}

function flagsOf(views: Views, { flags, keywords }: FlagColumns): readonly Flag[] {
  const system = splitFlags(flags);
  return keywords === null ? system : [...system, ...splitFlags(views.openOften(keywords))];
}

export function entryOf(views: Views, row: EntryRow): Entry {
  return {
    mailbox: mailboxId(row.mailbox),
    uid: row.uid,
    modSeq: row.mod_seq,
    flags: flagsOf(views, row),
    receivedAtMs: row.received_ms,
    message: row.id,
    sizeBytes: row.size,
  };
}

export function entriesOf(views: Views, rows: readonly Row[]): Entry[] {
  return (rows as unknown as EntryRow[]).map((row) => entryOf(views, row));
}

export function mailboxOf(views: Views, row: Row): Mailbox {
  const role = row["role"] as MailboxRole | null;
  return {
    id: mailboxId(row["number"] as number),
    account: row["account"] as string,
    name: views.open<string>(row["name"]),
    ...(role !== null && { role }),
    subscribed: row["subscribed"] === 1,
    uidValidity: row["uid_validity"] as number,
    uidNext: row["uid_next"] as number,
    highestModSeq: row["mod_seq"] as number,
    messages: row["messages"] as number,
    unseen: row["unseen"] as number,
    deleted: row["deleted"] as number,
    sizeBytes: row["size"] as number,
  };
}

export function queueItemOf(views: Views, row: Row): QueueItem {
  const delayMs = row["delay_ms"] as number | null;
  return {
    ...views.open<QueueItem>(row["item"]),
    state: row["state"] as QueueState,
    nextAttemptAtMs: row["next_ms"] as number,
    attempts: row["attempts"] as number,
    ...(row["held"] !== null && { heldBy: views.open<string>(row["held"]) }),
    ...(delayMs !== null && { delayNotifiedAtMs: delayMs }),
    ...(row["last"] !== null && { last: views.open<Attempt>(row["last"]) }),
  };
}
