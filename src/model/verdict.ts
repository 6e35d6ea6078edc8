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

/** Authenticated submission: the login that vouches for the message (RFC 8601 §2.7.4). */
export interface AuthVerdict {
  readonly method: "auth";
  readonly result: "pass" | "none";
  readonly login: string;
}

/** More methods join here: sender-id, dkim, dmarc, arc, smime, virus, dlp. */
export type Verdict = SpfVerdict | AuthVerdict;

/** The line under From: what of the sender was verified. More states join with DKIM and DMARC. */
export type SenderState =
  | "internal"
  | "verified"
  | "verified-other"
  | "not-verifiable"
  | "not-checked"
  | "not-verified"
  | "forged";
