/** Mail that leaves: one item is one message for one recipient. */

import type { TlsFacts } from "#model/connection";
import type { DsnWishes, Path } from "#model/envelope";
import type { MessageId } from "#model/mailbox";
import type { Reply } from "#model/reply";

export type QueueItemId = string;

/** waiting → delivered | failed | dropped; held ↔ waiting. The last three are final. */
export type QueueState = "waiting" | "held" | "delivered" | "failed" | "dropped";

export interface QueueItem {
  readonly id: QueueItemId;
  readonly message: MessageId;
  readonly reversePath: Path;
  readonly recipient: Path;
  readonly wishes: DsnWishes;
  readonly dsnReturn?: "full" | "headers";
  readonly envelopeId?: string;
  readonly utf8: boolean;
  /** Verified TLS on every hop or not at all (RFC 8689 §4.2). */
  readonly requireTls?: boolean;
  /** "TLS-Required: No": the sender would rather have it read than lost (RFC 8689 §3). */
  readonly tlsOptional?: boolean;
  /** The reverse path was not proved to be the sender's: nobody there is told (no backscatter). */
  readonly unprovenSender?: boolean;
  readonly sizeBytes: number;
  readonly state: QueueState;
  readonly queuedAtMs: number;
  readonly nextAttemptAtMs: number;
  readonly attempts: number;
  /** Who holds it, and why. */
  readonly heldBy?: string;
  /** Set when a delay notice was sent. */
  readonly delayNotifiedAtMs?: number;
  readonly last?: Attempt;
}

/** One try, as the trace shows it. */
export interface Attempt {
  readonly atMs: number;
  readonly durationMs: number;
  readonly outcome: "delivered" | "deferred" | "failed";
  /** Host and address that answered, or that were tried. */
  readonly remote: string;
  /** Name of the outbound connector. */
  readonly connector?: string;
  /** The remote's own words, or ours when nobody answered. */
  readonly reply: Reply;
  /** The words are ours: no server said them. */
  readonly unanswered?: boolean;
  readonly tls?: TlsFacts;
}

/** An attempt with the number of its record in the ledger: the history's leaf is one less. */
export interface RecordedAttempt extends Attempt {
  readonly record: number;
}

/** A recipient domain with mail that waits. */
export interface Destination {
  readonly domain: string;
  /** When the first item is due. */
  readonly dueAtMs: number;
}
