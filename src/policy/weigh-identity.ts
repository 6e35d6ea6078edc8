/** Policy stages on the sender: what the verdicts of SPF, Sender ID and DMARC advise together. Pure. */

import type { Opinion, SenderRules } from "#model/decision";
import type {
  ArcVerdict,
  DmarcVerdict,
  SenderIdVerdict,
  SpfVerdict,
  Verdict,
} from "#model/verdict";
import { weighDmarc } from "./weigh-dmarc.ts";
import { weighSenderId } from "./weigh-sender-id.ts";
import { weighSpf } from "./weigh-spf.ts";

/**
 * Nothing is refused by default on account of one check: forwarders and lists break each of them
 * (CAP-55). A silent DNS defers, but only where nothing else vouches for the message.
 */
export const defaultSenderRules: SenderRules = {
  spf: { fail: "quarantine", softfail: "quarantine", temperror: "defer", permerror: "quarantine" },
  dmarc: { quarantine: "quarantine", reject: "quarantine", temperror: "accept" },
  senderId: { fail: "accept", softfail: "accept", temperror: "accept", permerror: "accept" },
};

export function weighIdentity(
  verdicts: readonly Verdict[],
  rules: SenderRules,
): readonly Opinion[] {
  const spf = verdicts.find((one): one is SpfVerdict => one.method === "spf");
  const senderId = verdicts.find((one): one is SenderIdVerdict => one.method === "sender-id");
  const arc = verdicts.find((one): one is ArcVerdict => one.method === "arc");
  const dmarc = verdicts.find((one): one is DmarcVerdict => one.method === "dmarc");
  const isForwarded = arc?.result === "pass" && arc.trusted;
  const isVouched = dmarc?.result === "pass" || isForwarded || isSigned(dmarc, verdicts);
  const opinions: Opinion[] = [];
  // The domain of From vouches for the whole message; a forwarder is on nobody's list of servers.
  if (spf !== undefined) opinions.push(muted(weighSpf(spf, rules.spf), isVouched));
  if (senderId !== undefined) {
    opinions.push(muted(weighSenderId(senderId, rules.senderId), isVouched));
  }
  if (dmarc !== undefined)
    opinions.push(weighDmarc(dmarc, rules.dmarc, isForwarded ? arc : undefined));
  return opinions;
}

/**
 * By the author's domain or one above it: enough where DMARC has no record to pass. With a key that is
 * on trial a signature counts for nothing (RFC 6376 §3.6.1, t=y).
 */
function isSigned(dmarc: DmarcVerdict | undefined, verdicts: readonly Verdict[]): boolean {
  if (dmarc === undefined || dmarc.result === "fail") return false;
  return verdicts.some(
    (one) =>
      one.method === "dkim" &&
      one.result === "pass" &&
      one.testing !== true &&
      `.${dmarc.fromDomain}`.endsWith(`.${one.domain}`),
  );
}

function muted(opinion: Opinion, isVouched: boolean): Opinion {
  if (!isVouched || opinion.disposition === "accept") return opinion;
  const { stage, because } = opinion;
  return { stage, disposition: "accept", because: `${because}, but another check vouches for it` };
}
