/** What an aggregate report says (RFC 9990 §3.1.1). */

import type { DkimResult, DmarcPolicy, SpfResult } from "#model/verdict";

export interface AggregateReport {
  /** Which rules it follows: those of its namespace. */
  readonly schema: "rfc9990" | "rfc7489";
  readonly orgName: string;
  readonly email: string;
  readonly extraContactInfo?: string;
  /** Unique among the reports to one domain (§3.5.1). */
  readonly reportId: string;
  /** The period reported on; whole seconds. */
  readonly beginMs: number;
  readonly endMs: number;
  /** What was wrong with the policy record. */
  readonly errors: readonly string[];
  /** Name and version of the program that wrote the report. */
  readonly generator?: string;
  readonly policy: {
    /** DMARC Policy Domain. */
    readonly domain: string;
    readonly p: DmarcPolicy;
    readonly sp?: DmarcPolicy;
    readonly np?: DmarcPolicy;
    readonly adkim?: "r" | "s";
    readonly aspf?: "r" | "s";
    readonly fo?: string;
    readonly testing?: boolean;
    readonly discoveryMethod?: "psl" | "treewalk";
  };
  readonly records: readonly ReportRecord[];
}

/** Messages that have all of this in common (§3.1.1.7). */
export interface ReportRecord {
  /** Canonical. */
  readonly sourceIp: string;
  readonly count: number;
  /** "pass": DMARC passed under an enforcing policy, so nothing was done. */
  readonly disposition: DmarcPolicy | "pass";
  /** Aligned? */
  readonly dkim: "pass" | "fail";
  readonly spf: "pass" | "fail";
  readonly reasons: readonly { readonly type: OverrideReason; readonly comment?: string }[];
  readonly headerFrom: string;
  /** "" for the null reverse path. */
  readonly envelopeFrom?: string;
  readonly envelopeTo?: string;
  readonly dkimResults: readonly DkimEntry[];
  /** RFC 9990 has at most one. */
  readonly spfResults: readonly SpfEntry[];
}

export interface DkimEntry {
  readonly domain: string;
  /** "" where the report has none. */
  readonly selector: string;
  readonly result: DkimResult;
  readonly humanResult?: string;
}

export interface SpfEntry {
  readonly domain: string;
  readonly scope?: "mfrom" | "helo";
  readonly result: SpfResult;
  readonly humanResult?: string;
}

/** RFC 9990 §3.1.6; the last two only in older reports. */
export const overrideReasons = [
  "local_policy",
  "mailing_list",
  "other",
  "policy_test_mode",
  "trusted_forwarder",
  "forwarded",
  "sampled_out",
] as const;
export type OverrideReason = (typeof overrideReasons)[number];

export const namespace = "urn:ietf:params:xml:ns:dmarc-2.0";
