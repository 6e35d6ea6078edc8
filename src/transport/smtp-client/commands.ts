/** MAIL and RCPT as the server's extensions allow them (RFC 5321 §4.1.1, RFC 1870, 6152, 6531, 3461). */

import { parseMailbox } from "#formats/address";
import { type Extensions, encodeXtext } from "#formats/smtp";
import type { Envelope, Recipient } from "#model/envelope";

export function formatMail(
  envelope: Omit<Envelope, "recipients">,
  sizeBytes: number,
  offered: Extensions,
): string {
  let line = `MAIL FROM:<${envelope.reversePath}>`;
  if (offered.has("SIZE")) line += ` SIZE=${sizeBytes}`;
  // Differs from RFC 6152 §3: content is not converted for a server without 8BITMIME, since that
  // breaks signatures; and what is declared 8-bit may turn out to be 7-bit, which harms nobody.
  if (offered.has("8BITMIME")) line += ` BODY=${envelope.body === "7bit" ? "7BIT" : "8BITMIME"}`;
  if (envelope.utf8) line += " SMTPUTF8";
  if (offered.has("DSN")) {
    if (envelope.dsnReturn) line += ` RET=${envelope.dsnReturn === "full" ? "FULL" : "HDRS"}`;
    if (envelope.envelopeId) line += ` ENVID=${encodeXtext(envelope.envelopeId)}`;
  }
  return `${line}\r\n`;
}

export function formatRecipient(recipient: Recipient, offered: Extensions): string {
  let line = `RCPT TO:<${recipient.path}>`;
  if (offered.has("DSN")) {
    if (recipient.notify?.length) line += ` NOTIFY=${recipient.notify.join(",").toUpperCase()}`;
    if (recipient.originalRecipient && isParameterValue(recipient.originalRecipient)) {
      line += ` ORCPT=${recipient.originalRecipient}`;
    }
  }
  return `${line}\r\n`;
}

/** Whatever door it came through, an address that could break a command line is not sent. */
export function isSafePath(path: string): boolean {
  return parseMailbox(path, true).ok;
}

/** RFC 5321 §4.1.2 esmtp-value. */
function isParameterValue(text: string): boolean {
  return /^[!-<>-~]{1,500}$/.test(text);
}
