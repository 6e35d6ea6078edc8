/** SMTP client over any stream: who dials, and through what, is not its business (RFC 5321). */

export { type ClientOutcome, deliver } from "./deliver.ts";
export type { ClientLogin } from "./login.ts";
export { smtpClientParameters, type Timeouts, timeoutsOf } from "./parameters.ts";
export {
  type ClientSession,
  openSession,
  type SessionOptions,
  type SessionOutcome,
} from "./session.ts";
export type { TlsFault } from "./tls-faults.ts";
export type {
  Failure,
  OutgoingMail,
  Phase,
  RecipientOutcome,
  SendOutcome,
} from "./transaction.ts";
export type { Watch } from "./wire.ts";
