/** Advice of each policy stage, and the outcome of all of them. */

/** From mild to strict. */
export const dispositions = ["accept", "quarantine", "defer", "reject"] as const;
export type Disposition = (typeof dispositions)[number];

export interface Opinion {
  /** The stage that speaks: "spf". */
  readonly stage: string;
  readonly disposition: Disposition;
  /** For the trace and the administrator. */
  readonly because: string;
  /** Enhanced status without its class: "7.23" (RFC 7372). */
  readonly status?: string;
}

export interface Decision {
  readonly disposition: Disposition;
  /** Every opinion, the one that decided first. */
  readonly opinions: readonly Opinion[];
}

/** The administrator's choices for each result on which the RFCs leave room. */
export interface SenderRules {
  /** RFC 7208 §8. */
  readonly spf: Readonly<Record<"fail" | "softfail" | "temperror" | "permerror", Disposition>>;
  /** What a failed check leads to when the domain's owner asks for it, or the DNS is silent. */
  readonly dmarc: Readonly<Record<"quarantine" | "reject" | "temperror", Disposition>>;
  /** Sender ID has no word for "none": mail without a list is never refused for it (CAP-60). */
  readonly senderId: Readonly<Record<"fail" | "softfail" | "temperror" | "permerror", Disposition>>;
}
