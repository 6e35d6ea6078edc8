/**
 * Sender ID (RFC 4405, 4406, 4407; Historic): may this host send for the address that is purportedly
 * responsible for the message? Evidence for the reader; it never raises trust alone.
 */

export { checkSenderId, type SenderIdQuestion } from "./check.ts";
export { findPra, type Pra, type PraMode, praModes } from "./pra.ts";
export { parseSubmitter } from "./submitter.ts";
