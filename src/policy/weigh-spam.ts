/** Policy stage: what the spam confidence level advises. Pure. */

import type { Opinion } from "#model/decision";
import type { SpamVerdict } from "#model/verdict";

/** From which level on; 10 is never reached. */
export interface SpamThresholds {
  /** To the reader's Junk folder, which is what "quarantine" means today. */
  readonly junk: number;
  readonly reject: number;
}

export function weighSpam(
  { level, reasons }: SpamVerdict,
  { junk, reject }: SpamThresholds,
): Opinion {
  const disposition = level >= reject ? "reject" : level >= junk ? "quarantine" : "accept";
  const names = reasons.map(({ points, name }) => `${name} ${points > 0 ? "+" : ""}${points}`);
  const because = [`spam confidence ${level}`, ...names].join(", ");
  return { stage: "spam", disposition, because, status: "7.1" };
}
