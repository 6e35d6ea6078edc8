/** How long mail is kept, what keeps it longer, and who else than its owner has read it. */

import type { AccountId, MailboxId, MessageId } from "#model/mailbox";

/**
 * Mail that came into the mailbox longer ago is expunged. What counts is when it came there, not
 * when it was received: an old mail that is moved to Trash today must not go tonight. Of several
 * rules for a mailbox only the closest counts: the account's own before those of all, a name before
 * a role before "*".
 */
export interface RetentionRule {
  /** "*": every account. */
  readonly account: AccountId | "*";
  /** A role ("trash"), else a full name ("Lists/News"), or "*" for every mailbox. */
  readonly mailbox: string;
  readonly days: number;
}

/** While it lasts nothing of the account is destroyed, whoever deletes it. */
export interface Hold {
  readonly account: AccountId;
  readonly reason: string;
  /** Who ordered it. */
  readonly by: string;
  readonly atMs: number;
}

/** What left a mailbox and is kept only because of a hold. */
export interface Withheld {
  readonly message: MessageId;
  /** Where it was; the mailbox itself may be gone. */
  readonly mailbox: MailboxId;
  readonly uid: number;
  readonly receivedAtMs: number;
  readonly sizeBytes: number;
  /** Absent when it was expunged before the hold, and not yet destroyed. */
  readonly expungedAtMs?: number;
}

/** Somebody who is not the owner was given a message to read. */
export interface ReadByOther {
  readonly account: AccountId;
  readonly message: MessageId;
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
}
