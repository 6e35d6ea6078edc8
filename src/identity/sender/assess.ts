/** All verdicts on the sender added up: one line for the reader, and what speaks against it. */

import type { Partner, SenderVerdict } from "#model/verdict";
import { gatherEvidence } from "./evidence.ts";
import type { SenderFacts } from "./facts.ts";
import { judge, originOf } from "./state.ts";

/** Pure and linear; never throws. Sender ID is heard only where it speaks against the message. */
export function assessSender(facts: SenderFacts): SenderVerdict {
  const judgement = judge(facts);
  const { author } = facts;
  return {
    method: "sender",
    result: judgement.state,
    origin: originOf(facts),
    address: author.kind === "one" ? author.address.toLowerCase() : "",
    ...(judgement.vouching !== undefined && { vouching: judgement.vouching }),
    text: judgement.text + (facts.partner === undefined ? "" : ` ${handedInBy(facts.partner)}`),
    evidence: gatherEvidence(facts, judgement),
    ...(facts.partner !== undefined && { partner: facts.partner }),
  };
}

/** Said beside what is known of the author, and never instead of it. */
function handedInBy({ connector, identity, by }: Partner): string {
  const how = by === "login" ? `with the login ${identity}` : "with its certificate";
  return `Handed in by the partner ${connector}, ${how}.`;
}
