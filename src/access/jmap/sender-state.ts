/**
 * What may be said about a sender, from what was checked and nothing more. Pure.
 *
 * Only SPF and our own login are known so far. Neither DKIM nor DMARC is asked, so nothing becomes
 * "verified" here, and "forged" is said only of our own domains.
 */

import type { SenderState, SpfVerdict, Verdict } from "#model/verdict";

export interface SenderJudgement {
  readonly state: SenderState;
  /** One plain sentence for the reader. */
  readonly text: string;
}

/**
 * @param fromDomain domain of the only From address in lower case, or null when there is not one
 * @param isOurs whether that domain belongs to this installation
 */
export function senderState(
  verdicts: readonly Verdict[],
  fromDomain: string | null,
  isOurs: boolean,
): SenderJudgement {
  const login = verdicts.some((one) => one.method === "auth" && one.result === "pass");
  if (login && isOurs) return { state: "internal", text: "Inside your organisation." };
  if (fromDomain === null) {
    return { state: "not-verified", text: "This message does not name one sender to check." };
  }
  const spf = verdicts.find((one): one is SpfVerdict => one.method === "spf");
  if (spf === undefined) {
    return { state: "not-checked", text: "Not checked: the sender was not looked at on arrival." };
  }
  const aligned = spf.identity === "mailfrom" && isWithin(spf.domain.toLowerCase(), fromDomain);
  if (spf.result === "temperror" && aligned) {
    return { state: "not-checked", text: "Not checked: DNS did not answer." };
  }
  if (spf.result === "pass" && aligned) {
    // One aligned pass is all that DMARC would ask about SPF, but the domain's policy was not read.
    const text = `Sent through a server that ${spf.domain} names. Signatures were not checked.`;
    return { state: "verified-other", text };
  }
  if (isOurs) {
    const text = `This claims to be from ${fromDomain}, but came from outside without a login.`;
    return { state: "forged", text };
  }
  if (spf.result === "none" && aligned) {
    const text = `The domain ${fromDomain} names no servers for its mail; nothing else was checked.`;
    return { state: "not-verifiable", text };
  }
  return { state: "not-verified", text: `We could not confirm this came from ${fromDomain}.` };
}

/** The domain itself or one below it: whoever owns a domain decides about what is below. */
function isWithin(domain: string, of: string): boolean {
  return domain === of || (of.includes(".") && domain.endsWith(`.${of}`));
}
