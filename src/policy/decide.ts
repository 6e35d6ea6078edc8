/** From the opinions of all stages to one decision: the strictest wins, every reason is kept. Pure. */

import { type Decision, dispositions, type Opinion } from "#model/decision";

/** No opinion at all is no objection. Among equals the earlier stage decides. */
export function decide(opinions: readonly Opinion[]): Decision {
  const strictness = ({ disposition }: Opinion): number => dispositions.indexOf(disposition);
  const ordered = opinions.toSorted((one, other) => strictness(other) - strictness(one));
  return { disposition: ordered[0]?.disposition ?? "accept", opinions: ordered };
}
