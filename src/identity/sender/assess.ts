/** All verdicts on the sender added up: one line for the reader, and what speaks against it. */

import type { SenderVerdict } from "#model/verdict";
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
    text: judgement.text,
    evidence: gatherEvidence(facts, judgement),
  };
}
