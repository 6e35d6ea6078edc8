/** What stands before the message when rspamd (HTTP) and spamd (SPAMC/1.5, its PROTOCOL) are asked. */

import { formatDate } from "#formats/date";
import type { SpamMail } from "./types.ts";

/** Our limit for one field's text, in UTF-16 units; a path has at most 256 octets (RFC 5321 §4.5.3.1.3). */
const maxFieldLength = 320;
/** rspamd resets connections whose header passes some 80 KiB; further recipients stay untold. */
const maxRecipientBytes = 32_768;

/**
 * HTTP/1.0 (RFC 1945), so that no answer comes in chunks (RFC 9112 §6.1) and the connection ends
 * with it; rspamd takes either version.
 */
export function formatRspamdRequest(mail: SpamMail): Buffer {
  const fields = [
    `Content-Length: ${mail.sizeBytes}`,
    field("Queue-Id", mail.queueId),
    field("IP", mail.clientAddress),
    field("From", `<${plain(mail.mailFrom)}>`),
  ];
  // An empty field would be an empty name, and not its absence.
  if (mail.clientName !== undefined) fields.push(field("Hostname", mail.clientName));
  if (mail.helo !== "") fields.push(field("Helo", mail.helo));
  if (mail.authenticated !== undefined) fields.push(field("User", mail.authenticated));
  let roomBytes = maxRecipientBytes;
  for (const recipient of mail.recipients) {
    const line = `Rcpt: <${plain(recipient)}>`;
    roomBytes -= Buffer.byteLength(line);
    if (roomBytes < 0) break;
    fields.push(line);
  }
  const head = `POST /checkv2 HTTP/1.0\r\n${fields.join("\r\n")}\r\n\r\n`;
  return Buffer.from(head, "utf8");
}

/**
 * SPAMC has no fields for the envelope: SpamAssassin reads it from the trace fields on top of the
 * message, which a mail server is expected to have written (RFC 5321 §4.4).
 */
export function formatSpamdRequest(mail: SpamMail, nowMs: number): Buffer {
  const trace = formatTrace(mail, nowMs);
  const sizeBytes = Buffer.byteLength(trace) + mail.sizeBytes;
  return Buffer.from(`SYMBOLS SPAMC/1.5\r\nContent-length: ${sizeBytes}\r\n\r\n${trace}`, "utf8");
}

function formatTrace(mail: SpamMail, nowMs: number): string {
  const { clientAddress, clientName, helo, receivedBy, queueId, authenticated } = mail;
  const literal = clientAddress.includes(":") ? `[IPv6:${clientAddress}]` : `[${clientAddress}]`;
  const client = clientName === undefined ? literal : `${word(clientName)} ${plain(literal)}`;
  const protocol = authenticated === undefined ? "ESMTP" : "ESMTPA"; // RFC 3848
  return (
    `Return-Path: <${plain(mail.mailFrom)}>\r\n` +
    `Received: from ${word(helo)} (${plain(client)})\r\n` +
    `\tby ${word(receivedBy)} with ${protocol}\r\n` +
    `\tid ${word(queueId)};\r\n` +
    `\t${formatDate(nowMs)}\r\n`
  );
}

function field(name: string, value: string): string {
  return `${name}: ${plain(value)}`;
}

/**
 * No text can end its line. What does not fit is replaced and not refused: nobody escapes the
 * filter by an odd name.
 */
function plain(text: string): string {
  return text.slice(0, maxFieldLength).replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}

/** Something without spaces that closes no comment either. */
function word(text: string): string {
  return text === "" ? "?" : plain(text).replace(/[^\x21-\x7e]|[()\\;<>]/g, "?");
}
