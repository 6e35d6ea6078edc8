/** The parts of JMAP objects that the application reads (RFC 8620, RFC 8621). */

export interface Session {
  readonly username: string;
  readonly accounts: Readonly<Record<string, { readonly name: string }>>;
  readonly primaryAccounts: Readonly<Record<string, string>>;
  readonly capabilities: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export interface Address {
  readonly name: string | null;
  readonly email: string;
}

export interface Mailbox {
  readonly id: string;
  readonly name: string;
  readonly parentId: string | null;
  readonly role: string | null;
  readonly sortOrder: number;
  readonly totalEmails: number;
  readonly unreadEmails: number;
}

export type SenderState =
  | "internal"
  | "verified"
  | "verified-other"
  | "not-verifiable"
  | "not-checked"
  | "not-verified"
  | "forged";

export type EvidenceType =
  | "own-domain"
  | "dmarc-fail"
  | "ambiguous-author"
  | "look-alike-domain"
  | "name-holds-address"
  | "name-of-ours"
  | "deceptive-characters"
  | "first-contact"
  | "reply-elsewhere"
  | "payment-change"
  | "via-other-domain";

export interface Evidence {
  readonly type: EvidenceType;
  /** One sentence. */
  readonly text: string;
}

/** A partner, as far as it proved to be one: the connector's name, and its login or certificate. */
export interface SenderPartner {
  readonly connector: string;
  readonly identity: string;
  readonly by: "login" | "certificate";
}

/** One method of Authentication-Results (RFC 8601). */
export interface SenderCheck {
  readonly method: "spf" | "sender-id" | "dkim" | "arc" | "dmarc" | "auth" | "connector";
  readonly result: string;
  /** The domain, address or login that it is about; may be empty. */
  readonly judged: string;
  readonly why: string;
  /** As it stands in the header. */
  readonly text: string;
}

export interface SpamReason {
  readonly points: number;
  readonly text: string;
}

export interface Part {
  readonly partId: string | null;
  readonly blobId: string | null;
  readonly size: number;
  readonly name: string | null;
  readonly type: string;
  readonly cid: string | null;
  readonly disposition: string | null;
}

/** What a row of the list shows. */
export interface Email {
  readonly id: string;
  readonly threadId: string;
  readonly mailboxIds: Readonly<Record<string, boolean>>;
  readonly keywords: Readonly<Record<string, boolean>>;
  readonly from: readonly Address[] | null;
  readonly to: readonly Address[] | null;
  readonly subject: string | null;
  readonly receivedAt: string;
  readonly preview: string;
  readonly hasAttachment: boolean;
  /** What From names, its domain in A-labels; null when the sender was not looked at. */
  readonly senderShown: string | null;
  readonly senderState: SenderState;
  readonly senderText: string;
  readonly senderEvidence: readonly Evidence[];
  /** 0 to 9; null when it was not judged. */
  readonly spamLevel: number | null;
}

/** What the open message shows besides. */
export interface OpenEmail extends Email {
  readonly cc: readonly Address[] | null;
  readonly bcc: readonly Address[] | null;
  readonly replyTo: readonly Address[] | null;
  readonly sentAt: string | null;
  readonly messageId: readonly string[] | null;
  readonly references: readonly string[] | null;
  readonly attachments: readonly Part[];
  readonly textBody: readonly Part[];
  readonly htmlBody: readonly Part[];
  readonly bodyValues: Readonly<Record<string, { readonly value: string }>>;
  readonly blobId: string;
  readonly senderOrigin: "inside" | "outside" | "partner" | "forwarded" | "unknown";
  /** Who handed it in over a connector of its own, and what showed that it was them. */
  readonly senderPartner: SenderPartner | null;
  readonly senderChecks: readonly SenderCheck[];
  readonly spamReasons: readonly SpamReason[];
  /** In angle brackets; null without the field. */
  readonly returnPath: string | null;
}

/** Somebody else was given one of our messages to read. */
export interface ReadByOther {
  readonly atMs: number;
  readonly by: string;
  readonly reason: string;
  readonly message: string;
  readonly subject: string | null;
}

export interface Identity {
  readonly id: string;
  readonly name: string;
  readonly email: string;
}

export interface Got<Item> {
  readonly list: readonly Item[];
}

export interface Found {
  readonly ids: readonly string[];
  readonly total?: number;
}

export interface SetOutcome {
  readonly created?: Readonly<Record<string, { readonly id: string }>> | null;
  readonly notCreated?: Readonly<Record<string, { readonly description?: string }>> | null;
  readonly notUpdated?: Readonly<Record<string, unknown>> | null;
}

/** What each method answers, as far as the application reads it. */
export interface Answers {
  readonly "Mailbox/get": Got<Mailbox>;
  readonly "Identity/get": Got<Identity>;
  readonly "Email/query": Found;
  readonly "Email/get": Got<Email>;
  readonly "Email/set": SetOutcome;
  readonly "EmailSubmission/set": SetOutcome;
}
