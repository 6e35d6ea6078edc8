/** Shows a message to milters, the filters of Sendmail and Postfix, over their own protocol. */

export { askMilter } from "./ask.ts";
export { milterParameters, miltersOf } from "./parameters.ts";
export type { Milter, MilterAnswer, MilterMail } from "./types.ts";
