/** Policy stage: what a Sender ID verdict advises (RFC 4406 §5). By default it only stamps. Pure. */

import type { Disposition, Opinion, SenderRules } from "#model/decision";
import type { SenderIdVerdict } from "#model/verdict";

/** Mail without a record is accepted under any rules: they have no word for it (CAP-60). */
export function weighSenderId(
  { result, status, domain }: SenderIdVerdict,
  rules: SenderRules["senderId"],
): Opinion {
  const advise = (disposition: Disposition): Opinion => ({
    stage: "sender-id",
    disposition,
    because: `sender-id=${result} (${status})${domain === "" ? "" : ` for ${domain}`}`,
    status: "7.1",
  });

  switch (result) {
    case "none":
    case "neutral": // §5.1: no ground for a refusal
    case "pass":
      return advise("accept");
    case "fail":
    case "softfail":
    case "temperror":
    case "permerror":
      return advise(rules[result]);
  }
}
