/** Policy: from verdicts to opinions, from opinions to a decision, from a decision to a reply. */

export { decide } from "./decide.ts";
export { replyTo } from "./reply-to.ts";
export { defaultSpfRules, type SpfRules, weighSpf } from "./weigh-spf.ts";
