/** What the hub asks of the store. Engine-neutral: everything is asynchronous, nothing is SQL. */

import type { Connection, Source } from "#model/connection";
import type { Decision } from "#model/decision";
import type { Description } from "#model/description";
import type { Envelope } from "#model/envelope";
import type {
  AccountId,
  Change,
  ContentId,
  Entry,
  Flag,
  Mailbox,
  MailboxId,
  MailboxRole,
  MessageId,
} from "#model/mailbox";
import type { Account, Alias, Domain } from "#model/people";
import type {
  Attempt,
  Destination,
  QueueItem,
  QueueItemId,
  QueueState,
  RecordedAttempt,
} from "#model/queue";
import type { Reply } from "#model/reply";
import type { Hold, ReadByOther, RetentionRule, Withheld } from "#model/retention";
import type { Trace, TraceStep, TraceSummary } from "#model/trace";
import type { Verdict } from "#model/verdict";

/** Octets on their way into the store. Nothing is durable before a commit names them. */
export interface ContentWriter {
  /** Resolves when more may come: memory per writer stays bounded whatever the size. */
  write(chunk: Uint8Array): void | Promise<void>;
  /** Ends the content; the writer has hashed it. */
  finish(): Promise<StagedContent>;
  abort(): void;
}

export interface StagedContent {
  readonly id: ContentId;
  readonly sizeBytes: number;
}

/** A message that is to be kept: everything about it, committed in one atomic step. */
export interface Acceptance {
  readonly id: MessageId;
  readonly direction: "inbound" | "submission" | "notice";
  readonly connection: Connection;
  readonly envelope: Envelope;
  readonly verdicts: readonly Verdict[];
  readonly decision: Decision;
  /** Trace header fields that stand before the content: Return-Path, Received, Authentication-Results. */
  readonly head: Uint8Array;
  readonly content: StagedContent;
  readonly acceptedAtMs: number;
  /** When the edge answered the connection's end of data, as the edge says; for the measures. */
  readonly steps: readonly TraceStep[];
  /** Where it goes: mailboxes here, */
  readonly deliveries: readonly Delivery[];
  /** and queue items for elsewhere. */
  readonly queue: readonly NewQueueItem[];
}

export interface Delivery {
  readonly account: AccountId;
  readonly mailbox: MailboxId | MailboxRole;
  readonly flags: readonly Flag[];
}

export type NewQueueItem = Omit<
  QueueItem,
  "message" | "sizeBytes" | "state" | "attempts" | "heldBy" | "last" | "delayNotifiedAtMs"
>;

export interface Accepted {
  /** True when this id was committed before: nothing was done again. */
  readonly repeated: boolean;
  readonly entries: readonly Entry[];
}

/** A connection or transaction that was turned away, for the trace. Not awaited by anyone. */
export interface Refusal {
  readonly id: MessageId;
  readonly atMs: number;
  readonly connection: Connection;
  readonly reversePath: string;
  readonly recipients: readonly string[];
  readonly reply: Reply;
  readonly steps: readonly TraceStep[];
  /** What was judged, when the content was; for the reports, not for the trace. */
  readonly judged?: RefusedFor;
}

export interface RefusedFor {
  readonly verdicts: readonly Verdict[];
  readonly source: Source;
  readonly decision: Decision;
}

/** Every method that changes something resolves when the change is durable. */
export interface Store extends AsyncDisposable {
  readonly messages: Messages;
  readonly mailboxes: Mailboxes;
  readonly queue: QueueStore;
  readonly people: PeopleStore;
  readonly traces: TraceStore;
  readonly retention: RetentionStore;
  readonly audit: AuditStore;
  readonly contacts: ContactStore;
  /**
   * @throws Full when there is no room, Unavailable when the disk failed (then the process must end)
   */
  accept(acceptance: Acceptance): Promise<Accepted>;
  /** Whether a transaction was committed; the answer that a broken link asks for. */
  isAccepted(id: MessageId): Promise<boolean>;
  refused(refusal: Refusal): void;
  stage(): ContentWriter;
  /**
   * Called after each durable change. An account that is removed is told of as the removal of each
   * of its mailboxes. Returns the way to stop.
   */
  watch(listener: (change: Change) => void): () => void;
  stats(): Promise<StoreStats>;
}

export interface StoreStats {
  readonly records: number;
  readonly segments: number;
  readonly sizeBytes: number;
  readonly messages: number;
  readonly contents: number;
  readonly accounts: number;
  readonly queued: number;
  /** Commits since the start, and how many records one flush carried on average. */
  readonly flushes: number;
  readonly recordsPerFlush: number;
}

export interface Messages {
  /** Octets [start, end) of the message as readers see it: head, then content. */
  read(message: MessageId, start?: number, end?: number): Promise<Buffer>;
  /** The same in pieces, for large ones. */
  stream(message: MessageId, start?: number, end?: number): AsyncIterable<Buffer>;
  sizeBytes(message: MessageId): Promise<number | undefined>;
  /** Made once, then kept. */
  describe(message: MessageId): Promise<Description>;
  /** What was found out about it on arrival. */
  verdicts(message: MessageId): Promise<readonly Verdict[]>;
  envelope(message: MessageId): Promise<Envelope | undefined>;
}

export type MailboxFault = "no-such-mailbox" | "exists" | "bad-name" | "is-inbox" | "has-role";
export type MailboxOutcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly fault: MailboxFault };

/** Which entries: by UID, ascending and not overlapping; `to` may be Infinity. */
export type UidRanges = readonly { readonly from: number; readonly to: number }[];

export interface FlagChange {
  readonly mode: "add" | "remove" | "replace";
  readonly flags: readonly Flag[];
  /** Entries changed since are left alone and named in the answer (RFC 7162 §3.1.3). */
  readonly unchangedSince?: number;
}

export interface Mailboxes {
  list(account: AccountId): Promise<readonly Mailbox[]>;
  get(mailbox: MailboxId): Promise<Mailbox | undefined>;
  /** Makes missing parents too. */
  create(account: AccountId, name: string, role?: MailboxRole): Promise<MailboxOutcome<Mailbox>>;
  /**
   * Moves the children along. Renaming INBOX moves its messages (RFC 9051 §6.3.6). A mailbox keeps its
   * UIDVALIDITY unless another one of its new name had a higher one (RFC 9051 §2.3.1.1).
   */
  rename(mailbox: MailboxId, name: string): Promise<MailboxOutcome<Mailbox>>;
  remove(mailbox: MailboxId): Promise<MailboxOutcome<true>>;
  subscribe(mailbox: MailboxId, subscribed: boolean): Promise<void>;

  /** Ascending by UID. Without ranges: all. */
  entries(mailbox: MailboxId, ranges?: UidRanges): Promise<readonly Entry[]>;
  /** Entries added or changed after the mod-sequence, and the UIDs that went (RFC 7162 §3.2). */
  changesSince(
    mailbox: MailboxId,
    modSeq: number,
  ): Promise<{ readonly changed: readonly Entry[]; readonly expunged: readonly number[] }>;
  /** The same for the whole account, for JMAP; `tooOld` when it is not known any more. */
  accountChangesSince(
    account: AccountId,
    modSeq: number,
  ): Promise<
    | {
        readonly modSeq: number;
        readonly changed: readonly Entry[];
        readonly expunged: readonly MessageId[];
        readonly mailboxes: readonly MailboxId[];
        readonly removedMailboxes: readonly MailboxId[];
      }
    | "too-old"
  >;
  /** The account's mod-sequence now. */
  modSeq(account: AccountId): Promise<number>;
  /** Every entry of a message in the account's mailboxes. */
  entriesOf(account: AccountId, messages: readonly MessageId[]): Promise<readonly Entry[]>;

  append(
    account: AccountId,
    mailbox: MailboxId,
    content: StagedContent,
    facts: { readonly flags: readonly Flag[]; readonly receivedAtMs: number },
  ): Promise<Entry>;
  setFlags(
    mailbox: MailboxId,
    ranges: UidRanges,
    change: FlagChange,
  ): Promise<{ readonly entries: readonly Entry[]; readonly modified: readonly number[] }>;
  /** Copies, or moves in one step; the pairs are in order of the source UIDs. */
  copy(
    from: MailboxId,
    ranges: UidRanges,
    to: MailboxId,
    mode: "copy" | "move",
  ): Promise<readonly { readonly uid: number; readonly copy: Entry }[]>;
  /**
   * Removes the entries that bear \Deleted, of the ranges when given; with "any" also others.
   *
   * @param by who does it, unless it is the owner
   */
  expunge(
    mailbox: MailboxId,
    ranges?: UidRanges,
    which?: "deleted" | "any",
    by?: string,
  ): Promise<readonly number[]>;
}

export interface QueueStore {
  get(id: QueueItemId): Promise<QueueItem | undefined>;
  /** Every recipient domain with waiting items, in lower case. */
  destinations(): Promise<readonly Destination[]>;
  /**
   * Called after each durable change by which an item of that domain waits for that moment: accepted,
   * released, to be tried again. Not for tries that were put off. Returns the way to stop.
   */
  watch(listener: (waiting: Destination) => void): () => void;
  /** Waiting items of one domain that are due, in the order of `QueuePlace`, behind a place in it. */
  due(
    domain: string,
    nowMs: number,
    limit: number,
    after?: QueuePlace,
  ): Promise<readonly QueueItem[]>;
  /** When the next waiting item of the domain is due, or undefined. */
  nextDueAtMs(domain: string): Promise<number | undefined>;
  /** Waiting items that were queued before, the oldest first, behind a place in that order. */
  waitingSince(beforeMs: number, limit: number, after?: AgePlace): Promise<readonly QueueItem[]>;
  /** The last queued first, behind a place in that order. */
  list(filter: QueueFilter): Promise<readonly QueueItem[]>;
  /** Every try, in order. */
  attempts(id: QueueItemId): Promise<readonly RecordedAttempt[]>;
  counts(): Promise<Readonly<Record<QueueState, number>>>;
  /**
   * Records a try. A deferred one needs the moment of the next. An item that is settled stays as it
   * is; when it was dropped, the trace tells of the try.
   */
  attempted(id: QueueItemId, attempt: Attempt, nextAttemptAtMs?: number): Promise<void>;
  delayNotified(id: QueueItemId, atMs: number): Promise<void>;
  /** An administrator's act, or the queue's own; `by` names the actor, and of the queue why. */
  change(
    id: QueueItemId,
    act: "hold" | "release" | "drop" | "retry",
    by: string,
    atMs: number,
  ): Promise<boolean>;
}

/** Order in which the items of a domain come due. */
export type QueuePlace = Pick<QueueItem, "nextAttemptAtMs" | "queuedAtMs" | "id">;
/** Order of age. */
export type AgePlace = Pick<QueueItem, "queuedAtMs" | "id">;

export interface QueueFilter {
  readonly state?: QueueState;
  readonly domain?: string;
  readonly message?: MessageId;
  readonly after?: AgePlace;
  readonly limit: number;
}

export interface PeopleStore {
  domains(): Promise<readonly Domain[]>;
  accounts(): Promise<readonly Account[]>;
  aliases(): Promise<readonly Alias[]>;
  /** Replaces the one with the same name, id or address. */
  putDomain(domain: Domain, by: string): Promise<void>;
  /** New accounts get their mailboxes (INBOX, Drafts, Sent, Archive, Junk, Trash) in the same step. */
  putAccount(account: Account, by: string): Promise<void>;
  putAlias(alias: Alias, by: string): Promise<void>;
  removeDomain(name: string, by: string): Promise<boolean>;
  /** @throws Denied while it is on hold */
  removeAccount(id: AccountId, by: string): Promise<boolean>;
  removeAlias(address: string, by: string): Promise<boolean>;
}

/** Rules and holds; each change is an administrator's act, and `by` names the actor. */
export interface RetentionStore {
  rules(): Promise<readonly RetentionRule[]>;
  /** Replaces the rule for the same account and mailbox. */
  putRule(rule: RetentionRule, by: string): Promise<void>;
  removeRule(account: RetentionRule["account"], mailbox: string, by: string): Promise<boolean>;
  holds(): Promise<readonly Hold[]>;
  /**
   * Withholds also what was expunged before and is not destroyed yet. Replaces the reason of a hold
   * that is there.
   *
   * @throws Unavailable without such an account
   */
  putHold(account: AccountId, reason: string, by: string): Promise<void>;
  /** What only the hold kept may be destroyed from then on. */
  removeHold(account: AccountId, by: string): Promise<boolean>;
  /**
   * What can still be read and is in none of the account's mailboxes any more, by mailbox and UID,
   * after a place in that order.
   */
  withheld(
    account: AccountId,
    limit: number,
    after?: Pick<Withheld, "mailbox" | "uid">,
  ): Promise<readonly Withheld[]>;
}

/** The only way to mail that is not one's own. */
export interface AuditStore {
  /**
   * Writes down who reads and why; the octets are given out when that is durable.
   *
   * @returns undefined when the account neither has the message nor is it withheld there
   */
  readByOther(read: Omit<ReadByOther, "atMs">): Promise<Buffer | undefined>;
  /** Newest first. For the owner and for administrators. */
  readsOf(account: AccountId, sinceMs: number, limit: number): Promise<readonly ReadByOther[]>;
}

/** Who has had mail with whom. */
export interface ContactStore {
  /**
   * Of the accounts, those that were delivered a message from the address before ("heard"), as its
   * sender verdict names it and unless that was "forged" or "not-verified", or that have submitted one
   * to it ("wrote", which says more). Neither expunging nor erasing the messages changes the answer;
   * removing the account does.
   *
   * @param address in any case
   */
  known(
    address: string,
    accounts: readonly AccountId[],
  ): Promise<ReadonlyMap<AccountId, "heard" | "wrote">>;
}

export interface TraceStore {
  find(filter: {
    /** Matches sender, recipients or Message-ID, without case, anywhere in them. */
    readonly text?: string;
    readonly sinceMs?: number;
    readonly limit: number;
  }): Promise<readonly TraceSummary[]>;
  /** With the steps of deliveries and attempts. */
  show(id: MessageId): Promise<Trace | undefined>;
}
