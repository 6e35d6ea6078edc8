/** Policy: from verdicts to opinions, from opinions to a decision, from a decision to a reply. */

export { decide } from "./decide.ts";
export {
  dmarcParameters,
  senderIdParameters,
  spamParameters,
  spfParameters,
} from "./parameters.ts";
export { replyTo } from "./reply-to.ts";
export { type SpamFacts, spamConfidence } from "./spam-confidence.ts";
export { weighDmarc } from "./weigh-dmarc.ts";
export { defaultSenderRules, weighIdentity } from "./weigh-identity.ts";
export { weighSenderId } from "./weigh-sender-id.ts";
export { type SpamThresholds, weighSpam } from "./weigh-spam.ts";
export { weighSpf } from "./weigh-spf.ts";
