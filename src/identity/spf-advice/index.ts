/** SPF for people: what a record means, and which one to publish (RFC 7208). Pure; DNS is an argument. */

export { characterStrings, composeSpf, type SpfAnswers, suggestAnswers } from "./compose.ts";
export { expandSpf } from "./expand.ts";
export { type SpfFacts, spfFacts } from "./facts.ts";
export { parseNetwork } from "./networks.ts";
export { planSpf, type SpfPlan, type SpfSample } from "./plan.ts";
export { replaySpf, type SentMail, type SpfReplay } from "./replay.ts";
export { expansionLines, planLines, replayLines, wrapText } from "./text.ts";
export type { SpfExpansion, SpfFinding, SpfNode, SpfTerm } from "./tree.ts";
export { describeRecord, printable } from "./words.ts";
