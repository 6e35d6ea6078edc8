/** Asks an external spam filter what it thinks of a message, over the filter's own protocol. */

export { askSpamFilter } from "./ask.ts";
export { spamFilterOf, spamFilterParameters } from "./parameters.ts";
export type { SpamAnswer, SpamFilter, SpamMail } from "./types.ts";
