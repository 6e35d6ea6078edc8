/** Policy stage: what a DMARC verdict advises (RFC 9989 §5.4, §7.4). Pure. */

import type { Disposition, Opinion, SenderRules } from "#model/decision";
import type { ArcVerdict, DmarcVerdict } from "#model/verdict";

/**
 * Of "reject" RFC 9989 §7.4 says that it is not enough for a refusal on its own, and is to be taken
 * for "quarantine" by whoever knows nothing more.
 *
 * @param trusted chain of trusted sealers, where there is one
 */
export function weighDmarc(
  { result, fromDomain, policy }: DmarcVerdict,
  rules: SenderRules["dmarc"],
  trusted?: ArcVerdict,
): Opinion {
  const because = `dmarc=${result}${fromDomain === "" ? "" : ` for ${fromDomain}`}`;
  const advise = (disposition: Disposition, status?: string, more = ""): Opinion => ({
    stage: "dmarc",
    disposition,
    because: `${because}${more}`,
    ...(status !== undefined && { status }),
  });

  switch (result) {
    case "none":
    case "pass":
    case "permerror": // §5.3.2: without a record that can be read DMARC does not apply
      return advise("accept");
    case "temperror": // §5.3.6: left to us
      return advise(rules.temperror, "4.3");
    case "fail": {
      if (policy === undefined || policy === "none") return advise("accept");
      const { saw } = trusted ?? {};
      if (saw?.dmarc === "pass" && saw.fromDomain === fromDomain) {
        return advise("accept", undefined, ", but a trusted forwarder saw it pass");
      }
      return advise(rules[policy], "7.26", ` and ${policy} is asked for`);
    }
  }
}
