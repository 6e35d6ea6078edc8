/** Every kind of record in the ledger: the one list of what can durably happen in a store. */

import type { Refusal } from "#contracts/store";
import type { Connection } from "#model/connection";
import type { Decision } from "#model/decision";
import type { Envelope } from "#model/envelope";
import type { AccountId, ContentId, Flag, MailboxRole, MessageId } from "#model/mailbox";
import type { Account, Alias, Domain } from "#model/people";
import type { Attempt, QueueItem, QueueItemId } from "#model/queue";
import type { TraceStep } from "#model/trace";
import type { Verdict } from "#model/verdict";

/** Octets in the ledger: segment, offset in the joined payload of its pages, length. */
export type Extent = readonly [segment: number, at: number, length: number];

/** From and to inclusive, ascending. Everything that existed between them is meant. */
export type UidSpans = readonly (readonly [from: number, to: number])[];

export type QueuedItem = Omit<
  QueueItem,
  "message" | "sizeBytes" | "state" | "attempts" | "last" | "delayNotifiedAtMs"
>;

export interface PlacedDelivery {
  readonly account: AccountId;
  readonly mailbox: number;
  readonly uid: number;
  readonly modSeq: number;
  readonly flags: readonly Flag[];
}

export interface MadeMailbox {
  readonly mailbox: number;
  readonly name: string;
  readonly role?: MailboxRole;
  readonly uidValidity: number;
}

/** The whole of an acceptance but its content. The blob is the head. */
export interface AcceptedRecord {
  readonly kind: "accepted";
  readonly id: MessageId;
  readonly direction: "inbound" | "submission" | "notice";
  readonly connection: Connection;
  readonly envelope: Envelope;
  readonly verdicts: readonly Verdict[];
  readonly decision: Decision;
  readonly content: ContentId;
  readonly contentBytes: number;
  readonly headBytes: number;
  readonly acceptedAtMs: number;
  readonly steps: readonly TraceStep[];
  readonly messageIdHeader?: string;
  readonly deliveries: readonly PlacedDelivery[];
  readonly queue: readonly QueuedItem[];
}

/** A content seen for the first time. The blob is its octets, unless parts before hold them. */
export interface ContentRecord {
  readonly kind: "content";
  readonly id: ContentId;
  readonly sizeBytes: number;
  readonly extents?: readonly Extent[];
}

/** A piece of a large content, ahead of the record that names it. Nobody may ever name it. */
export interface ContentPartRecord {
  readonly kind: "content-part";
}

export interface AppendedRecord {
  readonly kind: "appended";
  readonly id: MessageId;
  readonly content: ContentId;
  readonly contentBytes: number;
  readonly receivedAtMs: number;
  readonly messageIdHeader?: string;
  readonly delivery: PlacedDelivery;
}

interface InMailbox {
  readonly account: AccountId;
  readonly mailbox: number;
  readonly modSeq: number;
}

/** Entries by the flags they bear afterwards. */
export interface FlagsRecord extends InMailbox {
  readonly kind: "flags";
  readonly sets: readonly { readonly flags: readonly Flag[]; readonly uids: UidSpans }[];
}

/** Copies get the UIDs from `firstUid` on, in order of the source. */
export interface CopiedRecord extends InMailbox {
  readonly kind: "copied";
  readonly mode: "copy" | "move";
  readonly uids: UidSpans;
  readonly to: number;
  readonly firstUid: number;
  readonly count: number;
}

export interface ExpungedRecord extends InMailbox {
  readonly kind: "expunged";
  readonly uids: UidSpans;
}

export interface MailboxesMadeRecord {
  readonly kind: "mailboxes-made";
  readonly account: AccountId;
  readonly modSeq: number;
  readonly made: readonly MadeMailbox[];
}

/** The mailbox and those below it, by their new names. */
export interface MailboxesRenamedRecord {
  readonly kind: "mailboxes-renamed";
  readonly account: AccountId;
  readonly modSeq: number;
  readonly names: readonly (readonly [mailbox: number, name: string])[];
}

export interface MailboxRemovedRecord extends InMailbox {
  readonly kind: "mailbox-removed";
}

export interface MailboxSubscribedRecord extends InMailbox {
  readonly kind: "mailbox-subscribed";
  readonly subscribed: boolean;
}

export interface AttemptedRecord {
  readonly kind: "attempted";
  readonly item: QueueItemId;
  readonly attempt: Attempt;
  readonly nextAttemptAtMs?: number;
}

export interface DelayNotifiedRecord {
  readonly kind: "delay-notified";
  readonly item: QueueItemId;
  readonly atMs: number;
}

export interface QueueActRecord {
  readonly kind: "queue-act";
  readonly item: QueueItemId;
  readonly act: "hold" | "release" | "drop" | "retry";
  readonly by: string;
  readonly atMs: number;
}

/** An administrator's act; `by` names the actor. */
interface Act {
  readonly by: string;
  readonly atMs: number;
}

export interface DomainPutRecord extends Act {
  readonly kind: "domain-put";
  readonly domain: Domain;
}
export interface DomainRemovedRecord extends Act {
  readonly kind: "domain-removed";
  readonly name: string;
}
/** With the mailboxes of a new account. */
export interface AccountPutRecord extends Act {
  readonly kind: "account-put";
  readonly account: Account;
  readonly made?: { readonly modSeq: number; readonly mailboxes: readonly MadeMailbox[] };
}
export interface AccountRemovedRecord extends Act {
  readonly kind: "account-removed";
  readonly account: AccountId;
}
export interface AliasPutRecord extends Act {
  readonly kind: "alias-put";
  readonly alias: Alias;
}
export interface AliasRemovedRecord extends Act {
  readonly kind: "alias-removed";
  readonly address: string;
}

export interface RefusedRecord {
  readonly kind: "refused";
  readonly refusal: Refusal;
}

/** First record of a store. */
export interface MadeRecord {
  readonly kind: "made";
  readonly atMs: number;
}
/** Written on an orderly stop; the next start may go on in the same segment. */
export interface ClosedRecord {
  readonly kind: "closed";
  readonly atMs: number;
}

export type LedgerRecord =
  | AcceptedRecord
  | ContentRecord
  | ContentPartRecord
  | AppendedRecord
  | FlagsRecord
  | CopiedRecord
  | ExpungedRecord
  | MailboxesMadeRecord
  | MailboxesRenamedRecord
  | MailboxRemovedRecord
  | MailboxSubscribedRecord
  | AttemptedRecord
  | DelayNotifiedRecord
  | QueueActRecord
  | DomainPutRecord
  | DomainRemovedRecord
  | AccountPutRecord
  | AccountRemovedRecord
  | AliasPutRecord
  | AliasRemovedRecord
  | RefusedRecord
  | MadeRecord
  | ClosedRecord;

export type RecordKind = LedgerRecord["kind"];

/** On disk a kind is its number; a number is never given to another kind. */
const numbers: Readonly<Record<RecordKind, number>> = {
  made: 1,
  closed: 2,
  accepted: 3,
  content: 4,
  "content-part": 5,
  appended: 6,
  flags: 7,
  copied: 8,
  expunged: 9,
  "mailboxes-made": 10,
  "mailboxes-renamed": 11,
  "mailbox-removed": 12,
  "mailbox-subscribed": 13,
  attempted: 14,
  "delay-notified": 15,
  "queue-act": 16,
  "domain-put": 17,
  "domain-removed": 18,
  "account-put": 19,
  "account-removed": 20,
  "alias-put": 21,
  "alias-removed": 22,
  refused: 23,
};
const kinds = new Map(Object.entries(numbers).map(([kind, number]) => [number, kind]));

/** Length of the JSON, length of the blob, kind, spare, sequence number. */
export const recordHeaderBytes = 24;

/** A record on its way into the ledger, as octets. */
export interface Draft {
  readonly record: LedgerRecord;
  readonly json: Buffer;
  readonly blob: readonly Uint8Array[];
  readonly blobBytes: number;
}

export function draft(record: LedgerRecord, blob: readonly Uint8Array[] = []): Draft {
  let blobBytes = 0;
  for (const part of blob) blobBytes += part.length;
  return { record, json: Buffer.from(JSON.stringify(record)), blob, blobBytes };
}

export function draftBytes(one: Draft): number {
  return recordHeaderBytes + one.json.length + one.blobBytes;
}

export function recordHeader(one: Draft, lsn: number): Buffer {
  const header = Buffer.alloc(recordHeaderBytes);
  header.writeUInt32LE(one.json.length, 0);
  header.writeUInt32LE(one.blobBytes, 4);
  header.writeUInt16LE(numbers[one.record.kind], 8);
  header.writeUIntLE(lsn, 16, 6);
  return header;
}

/** Where a record stands, in the joined payload of a segment's pages. */
export interface Place {
  readonly lsn: number;
  readonly segment: number;
  readonly jsonAt: number;
  readonly jsonBytes: number;
  readonly blobBytes: number;
}

export function blobExtent(place: Place): Extent {
  return [place.segment, place.jsonAt + place.jsonBytes, place.blobBytes];
}

export interface PlacedRecord {
  readonly record: LedgerRecord;
  readonly place: Place;
}

/** One batch, without the headers of its pages. */
interface Stretch {
  readonly segment: number;
  /** Joined payload of its pages. */
  readonly payload: Buffer;
  /** Offset of that payload in the segment's. */
  readonly base: number;
}

/**
 * Reads the records of one batch.
 *
 * @returns undefined when it is not a list of records to its end
 */
export function readRecords(stretch: Stretch): PlacedRecord[] | undefined {
  const records: PlacedRecord[] = [];
  let at = 0;
  while (at < stretch.payload.length) {
    const one = readRecord(stretch, at);
    if (one === undefined) return undefined;
    records.push(one);
    at += recordHeaderBytes + one.place.jsonBytes + one.place.blobBytes;
  }
  return records;
}

/**
 * @param isDamaged on a page that is not sound: where the JSON cannot be read, its id may do
 */
export function readRecord(
  { segment, payload, base }: Stretch,
  at: number,
  isDamaged = false,
): PlacedRecord | undefined {
  if (at + recordHeaderBytes > payload.length) return undefined;
  const jsonBytes = payload.readUInt32LE(at);
  const blobBytes = payload.readUInt32LE(at + 4);
  const kind = kinds.get(payload.readUInt16LE(at + 8));
  const jsonAt = at + recordHeaderBytes;
  if (kind === undefined || jsonAt + jsonBytes + blobBytes > payload.length) return undefined;
  const place = {
    lsn: payload.readUIntLE(at + 16, 6),
    segment,
    jsonAt: base + jsonAt,
    jsonBytes,
    blobBytes,
  };
  const json = payload.toString("utf8", jsonAt, jsonAt + jsonBytes);
  try {
    const record = JSON.parse(json);
    return record?.kind === kind ? { record, place } : undefined;
  } catch {
    return isDamaged ? { record: guess(kind, json), place } : undefined;
  }
}

/** What is left of a record: its kind and the ids in it. For naming what is lost, nothing else. */
function guess(kind: string, json: string): LedgerRecord {
  const id = /"id":"([0-9a-f]{32,64})"/.exec(json)?.[1] ?? "";
  const content = /"content":"([0-9a-f]{64})"/.exec(json)?.[1] ?? "";
  return { kind, id, content } as unknown as LedgerRecord;
}
