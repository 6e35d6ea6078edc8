/** MAIL and RCPT as the server's extensions allow them (RFC 5321 §4.1.1, RFC 1870, 6152, 6531, 3461). */

import { parseMailbox } from "#formats/address";
import { decodeXtext, type Extensions, encodeXtext } from "#formats/smtp";
import type { Envelope, Recipient } from "#model/envelope";

export function formatMail(
  envelope: Omit<Envelope, "recipients">,
  sizeBytes: number,
  offered: Extensions,
): string {
  let line = `MAIL FROM:<${envelope.reversePath}>`;
  if (offered.has("SIZE")) line += ` SIZE=${sizeBytes}`;
  // docs/decisions/0029: 8-bit content goes to a server without 8BITMIME as it is; and what is
  // declared 8-bit may turn out to be 7-bit, which harms nobody.
  if (offered.has("8BITMIME")) line += ` BODY=${envelope.body === "7bit" ? "7BIT" : "8BITMIME"}`;
  if (envelope.utf8 && offered.has("SMTPUTF8")) line += " SMTPUTF8";
  if (envelope.requireTls) line += " REQUIRETLS";
  if (offered.has("DSN")) {
    if (envelope.dsnReturn) line += ` RET=${envelope.dsnReturn === "full" ? "FULL" : "HDRS"}`;
    const id = encodeXtext(envelope.envelopeId ?? "");
    if (id !== "" && id.length <= maxEnvelopeId) line += ` ENVID=${id}`;
  }
  return `${line}\r\n`;
}

export function formatRecipient(recipient: Recipient, offered: Extensions): string {
  let line = `RCPT TO:<${recipient.path}>`;
  if (offered.has("DSN")) {
    if (recipient.notify?.length) line += ` NOTIFY=${recipient.notify.join(",").toUpperCase()}`;
    const original = recipient.originalRecipient ?? "";
    if (isOriginalRecipient(original)) line += ` ORCPT=${original}`;
  }
  return `${line}\r\n`;
}

/** Whatever door it came through, an address that could break a command line is not sent. */
export function isSafePath(path: string): boolean {
  return parseMailbox(path, true).ok;
}

/** RFC 3461 §4.4, of the encoded form. */
const maxEnvelopeId = 100;

/** RFC 3461 §4.2: type, semicolon, xtext; 500 characters. Others would be a syntax error there. */
function isOriginalRecipient(text: string): boolean {
  const found = /^[A-Za-z0-9-]{1,64};([!-~]+)$/.exec(text);
  return text.length <= 500 && found !== null && decodeXtext(found[1] ?? "") !== null;
}
