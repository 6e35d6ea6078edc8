/** What a check found out, in the words of its standard (RFC 8601 §2.7). Evidence, not an order. */

export type SpfResult =
  | "none"
  | "neutral"
  | "pass"
  | "fail"
  | "softfail"
  | "temperror"
  | "permerror";

export interface SpfVerdict {
  readonly method: "spf";
  readonly result: SpfResult;
  /** The domain that was judged. */
  readonly domain: string;
  /** Which identity: MAIL FROM, or HELO when the reverse path is null (RFC 7208 §2.4). */
  readonly identity: "mailfrom" | "helo";
  /** The term that decided, or what went wrong, in words. */
  readonly why: string;
  /** Domain owner's explanation (RFC 7208 §6.2), on fail only, already checked for safe characters. */
  readonly explanation?: string;
}

/** Header fields that may hold the purported responsible address (RFC 4407 §2). */
export type PraHeader = "Resent-Sender" | "Resent-From" | "Sender" | "From";

/** The ten results that Sender ID is counted by. */
export const senderIdStatuses = [
  "pass",
  "neutral",
  "softfail",
  "none",
  "not-permitted",
  "malformed-domain",
  "non-existent-domain",
  "temperror",
  "permerror",
  "no-pra",
] as const;
export type SenderIdStatus = (typeof senderIdStatuses)[number];

/** Is the server on the list of the domain, not on it, or is there no list that tells? */
export type SenderIdClass = "listed" | "not-listed" | "no-list";

/** Sender ID (RFC 4406; Historic): may this client send for the purported responsible address? */
export interface SenderIdVerdict {
  readonly method: "sender-id";
  /** RFC 4406 §4; the three reasons of a fail are told apart by the status. */
  readonly result: SpfResult;
  readonly status: SenderIdStatus;
  readonly class: SenderIdClass;
  /** The address itself; absent when there is none. */
  readonly pra?: string;
  /** Where it stands; "MAIL FROM" only in the compatibility mode. */
  readonly praHeader?: PraHeader | "MAIL FROM";
  /** "" when there is none. */
  readonly domain: string;
  readonly why: string;
}

/** RFC 8601 §2.7.1. "policy": sound, but not by our rules; "neutral": cannot be judged. */
export type DkimResult =
  | "none"
  | "pass"
  | "fail"
  | "policy"
  | "neutral"
  | "temperror"
  | "permerror";

/** One signature; a message without any has one verdict, "none", with empty texts. */
export interface DkimVerdict {
  readonly method: "dkim";
  readonly result: DkimResult;
  /** d=, in lower case; "" where it cannot be read. */
  readonly domain: string;
  readonly selector: string;
  /** i= as it is signed, or "@" and the domain (RFC 6376 §3.5). */
  readonly identity: string;
  /** a= */
  readonly algorithm: string;
  /** First characters of b=: tells several signatures of one domain apart (RFC 6008 §4). */
  readonly mark: string;
  readonly why: string;
  /** The domain is testing: it wants no harm from failures (RFC 6376 §3.6.1 t=y). */
  readonly testing?: boolean;
}

/** ARC (RFC 8617): what servers on the way say they saw, as one chain. */
export interface ArcVerdict {
  readonly method: "arc";
  readonly result: "none" | "pass" | "fail" | "temperror";
  /** d= of the seals, newest first. */
  readonly sealers: readonly string[];
  /** The chain passes, and every sealer from the newest to the one that is believed is listed. */
  readonly trusted: boolean;
  /** What the oldest trusted sealer saw of the author's domain; only of a trusted chain. */
  readonly saw?: { readonly dmarc: string; readonly fromDomain: string };
  readonly why: string;
}

export type DmarcPolicy = "none" | "quarantine" | "reject";

/** DMARC (RFC 9989): does the domain of From stand behind the message, and if not, what then? */
export interface DmarcVerdict {
  readonly method: "dmarc";
  readonly result: "none" | "pass" | "fail" | "temperror" | "permerror";
  /** Author Domain (RFC 9989): that of the only From address, ASCII, lower case; "" when there is not one. */
  readonly fromDomain: string;
  /** Where the record was found; absent without one. */
  readonly policyDomain?: string;
  /** Organizational Domain of the author domain. */
  readonly organizationalDomain?: string;
  /** What the owner asks for, after p, sp, np and t are applied; absent without a record. */
  readonly policy?: DmarcPolicy;
  /** What was published before t=y took a step from it. */
  readonly published?: DmarcPolicy;
  /** Which tag applied. */
  readonly policyTag?: "p" | "sp" | "np";
  /** Did an SPF pass align, and which DKIM domains that passed do? */
  readonly spfAligned: boolean;
  readonly dkimAligned: readonly string[];
  readonly why: string;
}

/** Authenticated submission: the login that vouches for the message (RFC 8601 §2.7.4). */
export interface AuthVerdict {
  readonly method: "auth";
  readonly result: "pass" | "none";
  readonly login: string;
  /** Inbound connector that the login is for: a partner's; absent: that of one of our own people. */
  readonly connector?: string;
}

/** A client certificate that an inbound connector pins (ours). */
export interface ConnectorVerdict {
  readonly method: "connector";
  readonly result: "pass";
  readonly connector: string;
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly certificate: string;
}

/** The line under From: what of the sender was verified. */
export const senderStates = [
  "verified",
  "verified-other",
  "internal",
  "not-verifiable",
  "not-checked",
  "not-verified",
  "forged",
] as const;
export type SenderState = (typeof senderStates)[number];

/** Whose hands gave us the message. */
export const senderOrigins = ["inside", "outside", "partner", "forwarded", "unknown"] as const;
export type SenderOrigin = (typeof senderOrigins)[number];

/** What speaks for deception; the first ones are suspected spoofs, the rest only hints for the reader. */
export const spoofTypes = [
  "own-domain",
  "dmarc-fail",
  "ambiguous-author",
  "look-alike-domain",
  "name-holds-address",
  "name-of-ours",
  "deceptive-characters",
] as const;
export const hintTypes = [
  "first-contact",
  "reply-elsewhere",
  "payment-change",
  "via-other-domain",
] as const;
export type EvidenceType = (typeof spoofTypes)[number] | (typeof hintTypes)[number];

export interface Evidence {
  readonly type: EvidenceType;
  /** The domain, address or name that the message claims. */
  readonly claimed: string;
  /** One sentence for the reader. */
  readonly text: string;
}

/** All of the above added up for the reader (ours). */
export interface SenderVerdict {
  readonly method: "sender";
  readonly result: SenderState;
  readonly origin: SenderOrigin;
  /** Only address of From, in lower case; "" when there is not exactly one. */
  readonly address: string;
  /** The domain that vouches, where one does. */
  readonly vouching?: string;
  /** The sentence of why. */
  readonly text: string;
  readonly evidence: readonly Evidence[];
  readonly partner?: Partner;
}

/** Who handed a message in and proved it, by login or certificate: for the hop, not for the author. */
export interface Partner {
  /** Name of the inbound connector. */
  readonly connector: string;
  /** User name of the login; else the SHA-256 of the certificate. */
  readonly identity: string;
  readonly by: "login" | "certificate";
}

/** Spam confidence level (ours): 0 surely wanted, 4 neutral, 9 surely not; with its reasons. */
export interface SpamVerdict {
  readonly method: "spam";
  readonly result: "low" | "neutral" | "high";
  /** 0 to 9. */
  readonly level: number;
  readonly reasons: readonly SpamReason[];
}

export interface SpamReason {
  /** Added to the neutral level. */
  readonly points: number;
  /** Stable word: "sender-forged", "allow-listed", "rspamd". */
  readonly name: string;
  readonly text: string;
}

/** More methods join here: smime, virus, dlp. */
export type Verdict =
  | SpfVerdict
  | SenderIdVerdict
  | DkimVerdict
  | ArcVerdict
  | DmarcVerdict
  | AuthVerdict
  | ConnectorVerdict
  | SenderVerdict
  | SpamVerdict;
