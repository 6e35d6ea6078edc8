/** Mailboxes as IMAP (RFC 9051) and JMAP (RFC 8621) see them. */

/** Id of an account in the directory; never shown to strangers. */
export type AccountId = string;
export type MailboxId = string;
/** Id of an accepted message, which is its transaction id: 32 hexadecimal digits. */
export type MessageId = string;
/** SHA-256 of the octets as received, hexadecimal. */
export type ContentId = string;

export type MailboxRole = "inbox" | "drafts" | "sent" | "trash" | "junk" | "archive";

/** System flags with their backslash, keywords without; compared without case, kept as first given. */
export type Flag = string;

export interface Mailbox {
  readonly id: MailboxId;
  readonly account: AccountId;
  /** Full name with "/" between levels, Unicode; "INBOX" is always written so. */
  readonly name: string;
  readonly role?: MailboxRole;
  readonly subscribed: boolean;
  readonly uidValidity: number;
  readonly uidNext: number;
  /** Highest mod-sequence of any change in the mailbox (RFC 7162). */
  readonly highestModSeq: number;
  readonly messages: number;
  readonly unseen: number;
  readonly deleted: number;
  readonly sizeBytes: number;
}

/** One message in one mailbox. */
export interface Entry {
  readonly mailbox: MailboxId;
  readonly uid: number;
  /** Counts per account: grows with every change anywhere in it. */
  readonly modSeq: number;
  readonly flags: readonly Flag[];
  /** INTERNALDATE, JMAP receivedAt. */
  readonly receivedAtMs: number;
  readonly message: MessageId;
  readonly sizeBytes: number;
}

/** What a commit changed, published after it is durable. */
export interface Change {
  readonly account: AccountId;
  readonly modSeq: number;
  readonly mailbox: MailboxId;
  readonly added: readonly Entry[];
  /** Entries whose flags changed, with their new flags. */
  readonly updated: readonly Entry[];
  readonly expunged: readonly { readonly uid: number; readonly message: MessageId }[];
  /** The mailbox itself was made, renamed, subscribed or deleted. */
  readonly mailboxChanged: boolean;
}
