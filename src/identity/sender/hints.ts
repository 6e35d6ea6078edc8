/** What the reader may want to know before trusting a message; none of it speaks of a spoof alone. */

import { parseMailbox, splitPath } from "#formats/address";
import type { Evidence } from "#model/verdict";
import { displayAddress, displayDomain } from "./display.ts";
import { type Found, isRelated, type SenderFacts } from "./facts.ts";
import { paymentWording } from "./payment.ts";
import type { Judgement } from "./state.ts";

/** Ours: further addresses are not looked at. */
const maxReplyTo = 20;

export function hints(facts: SenderFacts, found: Found, judgement: Judgement): readonly Evidence[] {
  const { author } = facts;
  if (judgement.state === "internal") return [];
  const evidence: Evidence[] = [];
  if (author.kind === "one") {
    const { vouching, text } = judgement;
    if (facts.isFirstContact) {
      const claimed = author.address;
      const says = `No mail from ${displayAddress(claimed)} has come here before.`;
      evidence.push({ type: "first-contact", claimed, text: says });
    }
    const elsewhere = facts.isList ? undefined : replyElsewhere(facts.replyTo, found);
    if (elsewhere !== undefined) {
      const says = `Answers would go to ${displayAddress(elsewhere)}, not to ${displayDomain(author.domain)}.`;
      evidence.push({ type: "reply-elsewhere", claimed: elsewhere, text: says });
    }
    if (judgement.isViaOther === true && vouching !== undefined) {
      evidence.push({ type: "via-other-domain", claimed: vouching, text });
    }
  }
  const wording = paymentWording(facts.subject, facts.textSample);
  if (wording !== undefined) {
    const says = "It speaks of a changed account or an urgent payment: ask the sender another way.";
    evidence.push({ type: "payment-change", claimed: wording, text: says });
  }
  return evidence;
}

function replyElsewhere(replyTo: readonly string[], found: Found): string | undefined {
  return replyTo.slice(0, maxReplyTo).find((address) => {
    const parsed = parseMailbox(address, true);
    return parsed.ok && !isRelated(splitPath(parsed.value).domain, found);
  });
}
