/** Everything that the reference keeps. */

import assert from "node:assert/strict";
import type { Clock } from "#base/clock";
import type { Acceptance, Refusal, StagedContent } from "#contracts/store";
import type { AccountId, MailboxId, MessageId } from "#model/mailbox";
import type { Alias, Domain } from "#model/people";
import type { Destination, QueueItem, QueueItemId, RecordedAttempt } from "#model/queue";
import type { Hold } from "#model/retention";
import type { TraceStep } from "#model/trace";
import type { RetentionState, Withholding } from "./retention.ts";

/** A message; accepted, refused, or neither when it was appended. */
export interface Kept {
  readonly id: MessageId;
  readonly octets: Buffer;
  readonly accepted?: Acceptance;
  readonly refused?: Refusal;
  readonly places: readonly { readonly account: AccountId; readonly mailbox: MailboxId }[];
  /** What happened since. */
  readonly steps: TraceStep[];
}

export interface MemoryState extends RetentionState {
  readonly domains: Map<string, Domain>;
  readonly aliases: Map<string, Alias>;
  /** In the order in which they came. */
  readonly messages: Map<MessageId, Kept>;
  readonly queue: Map<QueueItemId, QueueItem>;
  readonly attempts: Map<QueueItemId, RecordedAttempt[]>;
  readonly queueListeners: Set<(waiting: Destination) => void>;
  readonly staged: WeakMap<StagedContent, Buffer>;
  /** Accounts with the addresses that they have had mail with. */
  readonly contacts: Map<string, "heard" | "wrote">;
}

export function newState(clock: Clock): MemoryState {
  const messages = new Map<MessageId, Kept>();
  const staged = new WeakMap<StagedContent, Buffer>();
  const holds = new Map<AccountId, Hold>();
  const withheld: Withholding[] = [];
  return {
    clock,
    domains: new Map(),
    accounts: new Map(),
    aliases: new Map(),
    modSeqs: new Map(),
    madeAt: new Map(),
    boxes: new Map(),
    freed: new Map(),
    contacts: new Map(),
    messages,
    queue: new Map(),
    attempts: new Map(),
    queueListeners: new Set(),
    staged,
    rules: new Map(),
    holds,
    withheld,
    reads: [],
    listeners: new Set(),
    lastMailbox: 0,
    lastUidValidity: 0,
    keep(content) {
      const id = `appended-${messages.size}`;
      messages.set(id, { id, octets: octetsOf(staged, content), places: [], steps: [] });
      return id;
    },
    withhold(account, entries) {
      const expungedAtMs = clock.nowMs();
      if (!holds.has(account)) return;
      for (const entry of entries) withheld.push({ account, entry, expungedAtMs });
    },
  };
}

export function octetsOf(staged: WeakMap<StagedContent, Buffer>, content: StagedContent): Buffer {
  const octets = staged.get(content);
  assert.ok(octets, "the content was staged in this store");
  return octets;
}

/** Ascending by the first part that differs. */
export function by<Value>(parts: (value: Value) => readonly (string | number)[]) {
  return (one: Value, two: Value): number => {
    const theirs = parts(two);
    for (const [index, part] of parts(one).entries()) {
      const other = theirs[index] ?? part;
      if (part !== other) return part < other ? -1 : 1;
    }
    return 0;
  };
}

/** Not yet at its end. */
export function isOpen({ state }: QueueItem): boolean {
  return state === "waiting" || state === "held";
}
