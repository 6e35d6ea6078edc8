/** Every kind of record in the ledger: the one list of what can durably happen in a store. */

import { hash } from "node:crypto";
import type { Refusal } from "#contracts/store";
import type { Connection } from "#model/connection";
import type { Decision } from "#model/decision";
import type { Envelope } from "#model/envelope";
import type { AccountId, ContentId, Flag, MailboxRole, MessageId } from "#model/mailbox";
import type { Attempt, QueueItem, QueueItemId } from "#model/queue";
import type { TraceStep } from "#model/trace";
import type { Verdict } from "#model/verdict";
import type { BackupAct, PeopleAct, RetentionAct } from "./act-records.ts";
import { sealBytes } from "./cipher.ts";
import type {
  ContentKeysRecord,
  ContentPartRecord,
  ContentRecord,
  EpochEndedRecord,
  HolderKeyRecord,
  KeptRecord,
} from "./content-records.ts";
import type { StoreKeys } from "./store-keys.ts";

/** Octets in the ledger: segment, offset in the joined payload of its pages, length. */
export type Extent = readonly [segment: number, at: number, length: number];

/** From and to inclusive, ascending. Everything that existed between them is meant. */
export type UidSpans = readonly (readonly [from: number, to: number])[];

export type QueuedItem = Omit<
  QueueItem,
  "message" | "sizeBytes" | "state" | "attempts" | "heldBy" | "last" | "delayNotifiedAtMs"
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
  /** The message's mark in the history. */
  readonly digest: string;
  readonly acceptedAtMs: number;
  readonly steps: readonly TraceStep[];
  readonly messageIdHeader?: string;
  readonly deliveries: readonly PlacedDelivery[];
  readonly queue: readonly QueuedItem[];
}

export interface AppendedRecord {
  readonly kind: "appended";
  readonly id: MessageId;
  readonly content: ContentId;
  readonly contentBytes: number;
  readonly digest: string;
  readonly receivedAtMs: number;
  /** When it came into the mailbox: the other is what the client says. */
  readonly atMs: number;
  readonly messageIdHeader?: string;
  readonly delivery: PlacedDelivery;
}

interface InMailbox {
  readonly account: AccountId;
  readonly mailbox: number;
  readonly modSeq: number;
}

/** What is done to entries; `by` names the actor unless it is the owner. */
interface EntryAct extends InMailbox {
  readonly by?: string;
}

/** Entries by the flags they bear afterwards. */
export interface FlagsRecord extends EntryAct {
  readonly kind: "flags";
  readonly sets: readonly { readonly flags: readonly Flag[]; readonly uids: UidSpans }[];
}

/** Copies get the UIDs from `firstUid` on, in order of the source. */
export interface CopiedRecord extends EntryAct {
  readonly kind: "copied";
  readonly atMs: number;
  readonly mode: "copy" | "move";
  readonly uids: UidSpans;
  readonly to: number;
  readonly firstUid: number;
  readonly count: number;
}

export interface ExpungedRecord extends EntryAct {
  readonly kind: "expunged";
  readonly atMs: number;
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
  /** With a new validity for one that takes a name that had a higher one. */
  readonly names: readonly (readonly [mailbox: number, name: string, uidValidity?: number])[];
}

export interface MailboxRemovedRecord extends EntryAct {
  readonly kind: "mailbox-removed";
  readonly atMs: number;
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

/** Work that comes again and again; a restart must not put it off or bring it forward. */
export type Upkeep = "retention" | "erasure";

export interface MaintainedRecord {
  readonly kind: "maintained";
  readonly work: Upkeep;
  readonly atMs: number;
}

export interface RefusedRecord {
  readonly kind: "refused";
  readonly refusal: Refusal;
}

/** A page that was put right. */
export interface RepairedRecord {
  readonly kind: "repaired";
  readonly atMs: number;
  readonly file: string;
  readonly page: number;
  readonly how: "bit" | "copy" | "parity";
  readonly isWritten: boolean;
}

/** A segment was read through every check there is. */
export interface ScrubbedRecord {
  readonly kind: "scrubbed";
  readonly atMs: number;
  readonly segment: number;
  readonly pages: number;
  readonly repaired: number;
  readonly damaged: number;
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
  | ContentKeysRecord
  | KeptRecord
  | HolderKeyRecord
  | EpochEndedRecord
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
  | PeopleAct
  | RetentionAct
  | MaintainedRecord
  | BackupAct
  | RefusedRecord
  | RepairedRecord
  | ScrubbedRecord
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
  "content-keys": 24,
  kept: 25,
  "holder-key": 26,
  "epoch-ended": 27,
  "retention-put": 28,
  "retention-removed": 29,
  "hold-put": 30,
  "hold-removed": 31,
  "read-by-other": 32,
  maintained: 33,
  "factors-put": 34,
  drilled: 50,
  "backed-up": 51,
  scrubbed: 40,
  repaired: 41,
};
const kinds = new Map(
  Object.entries(numbers).map(([kind, number]) => [number, kind as RecordKind]),
);

/** Length of the JSON's region, length of the blob, kind, flags, sequence number. */
export const recordHeaderBytes = 24;
/** Compaction took the blob out. */
export const hollow = 1;

const hashBytes = 32;
export const commitmentBytes: number = hashBytes;
/** A region is the commitment, then the sealed JSON. */
const regionBytes: number = commitmentBytes + sealBytes;

/** Opens what `sealRecord` made; without keys only what stands outside the seal can be read. */
export type RecordKeys = Pick<StoreKeys, "sealRecord" | "openRecord" | "peekRecord">;

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
  return recordHeaderBytes + regionBytes + one.json.length + one.blobBytes;
}

/** Header and sealed JSON, as they stand in the ledger, and the leaf they make. */
export function recordFront(
  one: Draft,
  lsn: number,
  keys: RecordKeys,
  commitment: Buffer,
): { header: Buffer; sealed: Buffer; leaf: Buffer } {
  const kind = numbers[one.record.kind];
  const header = Buffer.allocUnsafe(recordHeaderBytes).fill(0);
  header.writeUInt32LE(regionBytes + one.json.length, 0);
  header.writeUInt32LE(one.blobBytes, 4);
  header.writeUInt16LE(kind, 8);
  header.writeUIntLE(lsn, 16, 6);
  const about = aboutRecord(lsn, kind, commitment);
  const sealed = keys.sealRecord(one.json, about);
  return { header, sealed, leaf: leafOf(about, sealed) };
}

/** RFC 6962 §2.1: the hash of what the history says, made without any key. */
function leafOf(about: Buffer, sealed: Buffer): Buffer {
  const text = Buffer.allocUnsafe(1 + about.length + hashBytes);
  text[0] = 0;
  about.copy(text, 1);
  text.write(hash("sha256", sealed, "binary"), 1 + about.length, "latin1");
  return hash("sha256", text, "buffer");
}

export function leafOfFacts({ number, region, place }: RecordFacts): Buffer {
  const commitment = region.subarray(0, commitmentBytes);
  const about = aboutRecord(place.lsn, number, commitment);
  return leafOf(about, region.subarray(commitmentBytes));
}

/** What the seal of a record is bound to. */
function aboutRecord(lsn: number, kind: number, commitment: Buffer): Buffer {
  const about = Buffer.allocUnsafe(10 + commitmentBytes).fill(0);
  about.writeUIntLE(lsn, 0, 6);
  about.writeUInt16LE(kind, 8);
  commitment.copy(about, 10);
  return about;
}

/** @returns undefined when it is not the region of that record */
export function openRegion(
  region: Buffer,
  kind: RecordKind,
  lsn: number,
  keys: Pick<RecordKeys, "openRecord">,
): LedgerRecord | undefined {
  const commitment = region.subarray(0, commitmentBytes);
  const about = aboutRecord(lsn, numbers[kind], commitment);
  const json = keys.openRecord(region.subarray(commitmentBytes), about);
  if (json === undefined) return undefined;
  const record = JSON.parse(json.toString()) as LedgerRecord;
  return record.kind === kind ? record : undefined;
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
  readonly leaf: Buffer;
  readonly isHollow?: boolean;
}

/** One batch, without the headers of its pages. */
export interface Stretch {
  readonly segment: number;
  /** Joined payload of its pages. */
  readonly payload: Buffer;
  /** Offset of that payload in the segment's. */
  readonly base: number;
}

/** What can be read of a record without any key. */
export interface RecordFacts {
  readonly kind: RecordKind;
  readonly number: number;
  readonly isHollow: boolean;
  readonly region: Buffer;
  readonly place: Place;
  /** Behind it, in the payload. */
  readonly end: number;
}

/** Header of a record whose blob is taken out; its leaf stays the same. */
export function hollowed(header: Buffer): Buffer {
  const changed = Buffer.from(header);
  changed.writeUInt32LE(0, 4);
  changed.writeUInt16LE(header.readUInt16LE(10) | hollow, 10);
  return changed;
}

/** @returns undefined when no record begins there */
export function readFacts(
  { segment, payload, base }: Stretch,
  at: number,
): RecordFacts | undefined {
  if (at + recordHeaderBytes > payload.length) return undefined;
  const jsonBytes = payload.readUInt32LE(at);
  const blobBytes = payload.readUInt32LE(at + 4);
  const number = payload.readUInt16LE(at + 8);
  const kind = kinds.get(number);
  const jsonAt = at + recordHeaderBytes;
  const end = jsonAt + jsonBytes + blobBytes;
  if (kind === undefined || jsonBytes < regionBytes || end > payload.length) return undefined;
  const lsn = payload.readUIntLE(at + 16, 6);
  return {
    kind,
    number,
    isHollow: (payload.readUInt16LE(at + 10) & hollow) !== 0,
    region: payload.subarray(jsonAt, jsonAt + jsonBytes),
    place: { lsn, segment, jsonAt: base + jsonAt, jsonBytes, blobBytes },
    end,
  };
}

/**
 * Reads the records of one batch.
 *
 * @returns undefined when it is not a list of records to its end
 */
export function readRecords(stretch: Stretch, keys: RecordKeys): PlacedRecord[] | undefined {
  const records: PlacedRecord[] = [];
  for (let at = 0; at < stretch.payload.length; ) {
    const facts = readFacts(stretch, at);
    const one = facts === undefined ? undefined : openFacts(facts, keys);
    if (facts === undefined || one === undefined) return undefined;
    records.push(one);
    at = facts.end;
  }
  return records;
}

/** @returns undefined when the seal does not fit */
export function openFacts(
  facts: RecordFacts,
  keys: Pick<RecordKeys, "openRecord">,
): PlacedRecord | undefined {
  const { kind, region, place, isHollow } = facts;
  const record = openRegion(region, kind, place.lsn, keys);
  if (record === undefined) return undefined;
  return { record, place, leaf: leafOfFacts(facts), isHollow };
}

/** What is left of a damaged record: its kind and the ids in it. For naming what is lost only. */
export function guessRecord(facts: RecordFacts, keys: RecordKeys): PlacedRecord {
  const { kind, region, place } = facts;
  const json = keys.peekRecord(region.subarray(commitmentBytes));
  const id = /"id":"([0-9a-f]{32,64})"/.exec(json)?.[1] ?? "";
  const content = /"content":"([0-9a-f]{64})"/.exec(json)?.[1] ?? "";
  const record = { kind, id, content } as unknown as LedgerRecord;
  return { record, place, leaf: leafOfFacts(facts) };
}
