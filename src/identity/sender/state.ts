/**
 * One of seven states: what was verified of the sender, and by whom. It says what is known of a
 * domain, and never that a message is harmless.
 */

import type { DkimVerdict, SenderOrigin, SenderState } from "#model/verdict";
import { displayDomain } from "./display.ts";
import { type Found, findings, isRelated, isWithin, type SenderFacts } from "./facts.ts";

export interface Judgement {
  readonly state: SenderState;
  /** One sentence for the reader. */
  readonly text: string;
  /** The domain that vouches. */
  readonly vouching?: string;
  /** It vouches for a message that names an author elsewhere. */
  readonly isViaOther?: boolean;
  /** The author's domain is ours, and nothing of ours stands behind the message. */
  readonly isOwnForged?: boolean;
}

export function judge(facts: SenderFacts): Judgement {
  const { author } = facts;
  if (author.kind !== "one") {
    return { state: "not-verified", text: `The sender could not be checked. ${author.why}` };
  }
  const found = findings(facts);
  const { domain, dmarc } = found;
  const shown = displayDomain(domain);
  if (found.isLoggedIn && facts.isOurs(domain)) {
    return { state: "internal", text: "Inside your organisation." };
  }
  if (dmarc?.result === "pass") {
    const vouching = dmarc.dkimAligned[0] ?? found.spf?.domain ?? domain;
    return { state: "verified", vouching, text: `Sent by ${shown}.` };
  }
  if (found.wasSeen) {
    const vouching = found.arc?.sealers[0] ?? domain;
    const text = `From ${shown} via ${displayDomain(vouching)}, which checked it on the way.`;
    return { state: "verified-other", vouching, text };
  }
  return blame(facts, found, shown) ?? trace(facts, found, shown);
}

/** Who says that it is not from the author's domain. */
function blame(facts: SenderFacts, found: Found, shown: string): Judgement | undefined {
  const { dmarc } = found;
  const isOwn = facts.isOurs(found.domain) && alignedPass(found) === undefined;
  if (isOwn && !speaksFor(facts, found.domain)) {
    const text = `This claims to be from ${shown}, your own organisation, but came from outside without a login.`;
    return { state: "forged", text, isOwnForged: true };
  }
  if (dmarc === undefined) {
    return { state: "not-checked", text: "Not checked: the sender was not looked at on arrival." };
  }
  if (dmarc.result !== "fail") return undefined;
  if (dmarc.policy === "quarantine" || dmarc.policy === "reject") {
    return { state: "forged", text: `${shown} says this is not from them.` };
  }
  return notConfirmed(shown);
}

/** A login of a partner is for its own domains: no other may it use, and least of all ours. */
function speaksFor({ partner, partnerDomains = [] }: SenderFacts, domain: string): boolean {
  if (partner === undefined) return false;
  return partnerDomains.length === 0 || partnerDomains.includes(domain);
}

/** Nothing is asked of us by the author's domain: what else is there to go by? */
function trace(facts: SenderFacts, found: Found, shown: string): Judgement {
  const { domain, dmarc } = found;
  const aligned = alignedPass(found);
  if (aligned !== undefined) {
    const via = aligned === domain ? "" : ` via ${displayDomain(aligned)}`;
    const text = `From ${shown}${via}, which gives no rule for forged mail.`;
    return { state: "verified-other", vouching: aligned, text };
  }
  if (dmarc?.result === "temperror" || someSilent(found)) {
    return { state: "not-checked", text: "Not checked: DNS did not answer." };
  }
  if (isDenied(found)) return notConfirmed(shown);
  const other = otherPass(found);
  if (other !== undefined) {
    const text = `From ${shown} via ${displayDomain(other)}.`;
    return { state: "verified-other", vouching: other, isViaOther: true, text };
  }
  if (publishesNothing(found)) {
    // Its list of servers was not even asked for.
    if (facts.source === "unknown") return notKnown;
    return { state: "not-verifiable", text: `${shown} does not let us check senders.` };
  }
  return notConfirmed(shown);
}

const notKnown: Judgement = {
  state: "not-checked",
  text: "Not checked: a relay of ours does not say who gave it the message.",
};

function notConfirmed(shown: string): Judgement {
  return { state: "not-verified", text: `We could not confirm this came from ${shown}.` };
}

function vouches({ result, testing, domain }: DkimVerdict): boolean {
  return result === "pass" && testing !== true && domain !== "";
}

/** The author's domain or one above it vouches, where there is no (sound) record of DMARC. */
function alignedPass({ dmarc, dkim, spf, domain }: Found): string | undefined {
  if (dmarc?.result !== "none" && dmarc?.result !== "permerror") return undefined;
  const byKey = dkim.find((one) => vouches(one) && isWithin(domain, one.domain))?.domain;
  const bySpf = spf?.result === "pass" && isWithin(domain, spf.domain) ? spf.domain : undefined;
  return byKey ?? bySpf;
}

/** A signer, or a server of a domain below: whoever has one of those need not have the other. */
function otherPass(found: Found): string | undefined {
  const { dkim, spf, domain } = found;
  const bySpf = spf?.result === "pass" && isWithin(spf.domain, domain) ? spf.domain : undefined;
  return dkim.find(vouches)?.domain ?? bySpf;
}

function someSilent(found: Found): boolean {
  const { spf, dkim } = found;
  const isSilent = spf?.result === "temperror" && isRelated(spf.domain, found);
  return isSilent || dkim.some((one) => one.result === "temperror" && isRelated(one.domain, found));
}

/** The author's domain has a list of servers, and the one that sent this is not on it. */
function isDenied(found: Found): boolean {
  const { spf, senderId, domain } = found;
  const bySpf = (spf?.result === "fail" || spf?.result === "softfail") && spf.domain === domain;
  return bySpf || (senderId?.class === "not-listed" && senderId.domain === domain);
}

/** No record of servers and no signature of its own: and only if somebody asked for the record. */
function publishesNothing(found: Found): boolean {
  const { spf, senderId, dkim, domain, dmarc } = found;
  const answers = [spf, senderId].filter((one) => one?.domain === domain);
  const hasSigned = dkim.some((one) => one.domain !== "" && isRelated(one.domain, found));
  return (
    dmarc?.result === "none" &&
    !hasSigned &&
    answers.length > 0 &&
    answers.every((one) => one?.result === "none")
  );
}

/** Whose hands gave us the message. */
export function originOf(facts: SenderFacts): SenderOrigin {
  const found = findings(facts);
  if (found.isLoggedIn) return "inside";
  if (facts.partner !== undefined) return "partner";
  const isOfList =
    facts.isList && found.dkim.some((one) => vouches(one) && !isRelated(one.domain, found));
  if (found.arc?.result === "pass" || isOfList) return "forwarded";
  return facts.source === "unknown" ? "unknown" : "outside";
}
