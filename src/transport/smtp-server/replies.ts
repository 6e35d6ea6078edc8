/** Everything the server says on its own account (RFC 5321 §4.2.3, RFC 3463). */

import { Denied, Full, Misconfigured, Unavailable } from "#base/errors";
import { maxHeaderBytes } from "#formats/message";
import type { CommandFault } from "#formats/smtp";
import type { Reply } from "#model/reply";
import { maxHeaderFields } from "./header-bound.ts";

function reply(code: number, status: string, text: string): Reply {
  return { code, status, text };
}

export const ok: Reply = reply(250, "2.0.0", "ok");
export const senderOk: Reply = reply(250, "2.1.0", "sender ok");
export const recipientOk: Reply = reply(250, "2.1.5", "recipient ok");
export const goAhead: Reply = { code: 354, text: "end with a dot on a line of its own" };
export const bye: Reply = reply(221, "2.0.0", "goodbye");
export const readyForTls: Reply = reply(220, "2.0.0", "ready for TLS");
export const cannotVerify: Reply = reply(252, "2.0.0", "send some mail, I will try my best"); // RFC 5321 §7.3
export const help: Reply = reply(214, "2.0.0", "see RFC 5321");
export const loggedIn: Reply = reply(235, "2.7.0", "welcome");

export const earlyTalker: Reply = reply(554, "5.5.1", "you spoke before the greeting");
export const tooManyHere: Reply = reply(421, "4.7.0", "too many connections, try again later");
export const tooManyErrors: Reply = reply(421, "4.7.0", "too many errors");
export const tooManyMessages: Reply = reply(
  421,
  "4.7.0",
  "enough for one connection, connect again",
);
export const tooSlow: Reply = reply(421, "4.4.2", "time is up");
export const shuttingDown: Reply = reply(421, "4.3.2", "shutting down, try again later");
export const badLineEnd: Reply = reply(500, "5.5.2", "lines end with CR LF and hold no NUL");
export const lineTooLong: Reply = reply(500, "5.5.2", "line too long");
export const notUtf8: Reply = reply(500, "5.5.2", "not UTF-8");

export const sayHello: Reply = reply(503, "5.5.1", "say EHLO first");
export const mailFirst: Reply = reply(503, "5.5.1", "MAIL first");
export const recipientFirst: Reply = reply(503, "5.5.1", "no valid recipient");
export const nestedMail: Reply = reply(503, "5.5.1", "a transaction is open already");
export const chunksBegun: Reply = reply(503, "5.5.1", "the message comes by BDAT");
export const outOfStep: Reply = reply(
  503,
  "5.5.0",
  "wait for my answer before you send the message",
);
export const outOfTurn: Reply = reply(503, "5.5.0", "wait for my answers, PIPELINING needs EHLO");
export const notHttp: Reply = reply(554, "5.5.1", "this is SMTP");
export const tooManyRecipients: Reply = reply(452, "4.5.3", "too many recipients");
export const noRoom: Reply = reply(452, "4.3.1", "no room now, try again later");
export const tooLarge: Reply = reply(552, "5.3.4", "message too large");
export const headerTooLarge: Reply = reply(
  552,
  "5.3.4", // RFC 3463 §3.4: as for a message that is too large
  `a header may have ${maxHeaderFields} fields and ${maxHeaderBytes} octets`,
);
export const badContent: Reply = reply(550, "5.6.0", "lines end with CR LF and hold no NUL");
export const longTextLine: Reply = reply(550, "5.6.0", "the message has a line that is too long");
export const noBinary: Reply = reply(555, "5.6.1", "BODY=BINARYMIME is not offered");
export const needsUtf8: Reply = reply(553, "5.6.7", "an address beyond ASCII needs SMTPUTF8"); // RFC 6531 §3.5
export const badChunk: Reply = reply(501, "5.5.4", "BDAT wants a size");

export const noTls: Reply = reply(502, "5.5.1", "TLS is not offered now");
export const tlsFirst: Reply = reply(530, "5.7.0", "Must issue a STARTTLS command first"); // RFC 3207 §4
export const weakTls: Reply = reply(550, "5.7.0", "this connector wants stronger TLS than that");
export const needsCertificate: Reply = reply(
  550,
  "5.7.1",
  "from your network mail comes with a client certificate that we know",
);
export const notYourDomain: Reply = reply(
  550,
  "5.7.1",
  "your connector is not for mail from that domain",
);
export const partnersDomain: Reply = reply(
  550,
  "5.7.1",
  "mail from that domain comes by a connector of its own",
);
export const noAuth: Reply = reply(503, "5.5.1", "AUTH is not offered now");
export const authNeedsTls: Reply = reply(538, "5.7.11", "AUTH needs TLS first"); // RFC 4954 §6
export const authRequired: Reply = reply(530, "5.7.0", "log in first");
export const authUnknown: Reply = reply(504, "5.5.4", "mechanism not offered");
export const authCancelled: Reply = reply(501, "5.7.0", "login cancelled");
export const authTooLong: Reply = reply(500, "5.5.6", "line of the login too long"); // RFC 4954 §4
export const authBad: Reply = reply(501, "5.5.2", "cannot decode that");
export const authRefused: Reply = reply(535, "5.7.8", "name or password wrong");
export const authLater: Reply = reply(454, "4.7.0", "cannot log you in now, try again later");

const faults: Readonly<Record<CommandFault, Reply>> = {
  unknown: reply(500, "5.5.1", "no such command"),
  "not-offered": reply(502, "5.5.1", "command not offered"),
  syntax: reply(501, "5.5.4", "syntax error"),
  "bad-sender": reply(501, "5.1.7", "that is no sender address"),
  "bad-recipient": reply(501, "5.1.3", "that is no mailbox address"),
  "needs-utf8": needsUtf8,
  "unknown-parameter": reply(555, "5.5.4", "parameter not offered"),
  "bad-parameter": reply(501, "5.5.4", "bad parameter"),
};

export function replyToFault(fault: CommandFault): Reply {
  return faults[fault];
}

/** What a client hears when a handler threw; never the error's own words. */
export function replyToError(error: unknown): Reply {
  if (error instanceof Full) return noRoom;
  if (error instanceof Unavailable) return reply(451, "4.3.0", "not now, try again later");
  if (error instanceof Denied) return reply(550, "5.7.1", "not permitted");
  if (error instanceof Misconfigured) return reply(451, "4.3.5", "out of order, try again later");
  return reply(451, "4.3.0", "something went wrong, try again later");
}
