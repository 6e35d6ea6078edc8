/** Who sent this, as far as it was verified; and how names and domains may be shown. */

export { assessSender } from "./assess.ts";
export { displayAddress, displayDomain } from "./display.ts";
export { foldName } from "./evidence.ts";
export type { SenderFacts } from "./facts.ts";
export { type LookAlikes, lookAlikes } from "./look-alike.ts";
export { type MessageFacts, messageFacts } from "./message-facts.ts";
