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
