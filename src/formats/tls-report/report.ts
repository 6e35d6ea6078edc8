/** What a report on TLS says (RFC 8460 §4). */

export interface TlsReport {
  readonly organization: string;
  /** The period reported on; whole seconds. */
  readonly beginMs: number;
  readonly endMs: number;
  readonly contact: string;
  readonly reportId: string;
  readonly policies: readonly TlsReportPolicy[];
}

/** One policy of a domain, and how sessions under it went. */
export interface TlsReportPolicy {
  /** "other": a word that RFC 8460 does not have. */
  readonly type: TlsPolicyType | "other";
  /** Lines of the MTA-STS policy, or TLSA records in presentation form. */
  readonly strings: readonly string[];
  /** "" where the report has none. */
  readonly domain: string;
  /** Patterns of the MTA-STS policy. */
  readonly mxHosts: readonly string[];
  readonly successes: number;
  readonly failures: number;
  readonly details: readonly TlsFailure[];
}

export interface TlsFailure {
  /** One of `tlsResults`, or what the report has. */
  readonly result: string;
  readonly sessions: number;
  readonly sendingIp?: string;
  readonly receivingHost?: string;
  readonly receivingHelo?: string;
  readonly receivingIp?: string;
  /** Where more is told. */
  readonly additional?: string;
  readonly reason?: string;
}

/** §4.4 */
export const policyTypes = ["sts", "tlsa", "no-policy-found"] as const;
export type TlsPolicyType = (typeof policyTypes)[number];

/** §4.3 */
export const tlsResults = [
  "starttls-not-supported",
  "certificate-host-mismatch",
  "certificate-expired",
  "certificate-not-trusted",
  "validation-failure",
  "tlsa-invalid",
  "dnssec-invalid",
  "dane-required",
  "sts-policy-fetch-error",
  "sts-policy-invalid",
  "sts-webpki-invalid",
] as const;
export type TlsResult = (typeof tlsResults)[number];
