/** Policy stage: what an SPF verdict advises (RFC 7208 §8; status codes of RFC 7372 §3.2). Pure. */

import type { Disposition, Opinion, SenderRules } from "#model/decision";
import type { SpfVerdict } from "#model/verdict";

/** The status comes without its class, so that a deferral can never carry a permanent code. */
export function weighSpf({ result, domain }: SpfVerdict, rules: SenderRules["spf"]): Opinion {
  const advise = (disposition: Disposition, status?: string): Opinion => ({
    stage: "spf",
    disposition,
    because: `spf=${result} for ${domain}`,
    ...(status !== undefined && { status }),
  });

  switch (result) {
    case "none": // §8.1
    case "neutral": // §8.2: to be treated exactly as "none"
    case "pass": // §8.3: vouches for the domain, not for its good will
      return advise("accept");
    case "fail": // §8.4
      return advise(rules.fail, "7.23");
    case "softfail": // §8.5: not to be rejected on this alone
      return advise(rules.softfail);
    case "temperror": // §8.6
    case "permerror": // §8.7
      return advise(rules[result], "7.24");
  }
}
