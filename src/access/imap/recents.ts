/** Which messages no session has been told of yet: \Recent of IMAP4rev1 (RFC 3501 §2.3.2). */

import type { Change, MailboxId } from "#model/mailbox";

/** Kept in memory only: after a restart nothing is recent. */
export class Recents {
  /** First UID that arrived and was told to nobody. */
  readonly #first: Map<MailboxId, number> = new Map();

  note(change: Change): void {
    const first = change.added[0];
    if (first === undefined || this.#first.has(change.mailbox)) return;
    this.#first.set(change.mailbox, first.uid);
  }

  /** @returns Infinity when nothing is recent */
  firstOf(mailbox: MailboxId): number {
    return this.#first.get(mailbox) ?? Number.POSITIVE_INFINITY;
  }

  /** The same, and from now on they are recent for nobody else. */
  claim(mailbox: MailboxId): number {
    const first = this.firstOf(mailbox);
    this.#first.delete(mailbox);
    return first;
  }
}
