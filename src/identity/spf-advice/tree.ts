/** A domain's SPF as a tree of records, and what is wrong with it. */

/** RFC 7208 §4.6.4. */
export const limits = { lookups: 10, voids: 2 } as const;

export interface SpfTerm {
  /** As published. */
  readonly text: string;
  readonly words: string;
  /** Names and addresses that the DNS gave for it. */
  readonly found: readonly string[];
  /** Look-ups that it costs, with everything below it (RFC 7208 §4.6.4). */
  readonly lookups: number;
  /** Stands behind an all, so nobody reads it. */
  readonly unreached?: true;
  /** The record that an include or redirect names. */
  readonly record?: SpfNode;
}

export interface SpfProblem {
  readonly kind: "none" | "several" | "faulty" | "unanswered" | "loop" | "not-followed";
  readonly why: string;
  /** Where in the record, in characters. */
  readonly at?: number;
}

export interface SpfNode {
  readonly domain: string;
  /** As published, with "?" for what is not printable ASCII. */
  readonly text?: string;
  readonly problem?: SpfProblem;
  readonly terms: readonly SpfTerm[];
}

/** A network that passes, and through which term of the domain's own record. */
export interface Passing {
  readonly network: string;
  readonly via: string;
}

export interface SpfExpansion {
  readonly domain: string;
  readonly record: SpfNode;
  /** Of a mail that no term matches: the most that a receiver may need. */
  readonly lookups: number;
  /** Look-ups that find nothing, for clients of either family. */
  readonly voids: { readonly ipv4: number; readonly ipv6: number };
  readonly passing: readonly Passing[];
  /** How many addresses pass at most, in words: "4,096", "2^64". */
  readonly addresses: { readonly ipv4: string; readonly ipv6: string };
  /** Terms that no list of addresses can stand for: macros, exists, ptr. */
  readonly openEnded: readonly string[];
  /** spf2.0 records at the domain (RFC 4406 §3.1). */
  readonly senderId: readonly string[];
  readonly findings: readonly SpfFinding[];
  /** The tree is larger than our bounds: the numbers are too low. */
  readonly cut: boolean;
}

export interface SpfFinding {
  /** "bad": receivers do not do what the owner wants. "note": true, and often meant so. */
  readonly level: "bad" | "warn" | "note" | "unknown";
  readonly text: string;
  readonly advice?: string;
}
