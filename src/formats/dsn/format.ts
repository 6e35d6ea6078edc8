/** Builds a delivery status notification (RFC 3464, RFC 6522; RFC 6533 where addresses need UTF-8). */

import { Buffer } from "node:buffer";
import { formatDate } from "#formats/date";
import type { Path } from "#model/envelope";
import { explainStatus } from "./explain.ts";

export type DsnAction = "failed" | "delayed" | "delivered" | "relayed";

/** One group of per-recipient fields (RFC 3464 §2.3). */
export interface RecipientStatus {
  readonly recipient: Path;
  /** ORCPT as given: "rfc822;user+40example.org". */
  readonly originalRecipient?: string;
  readonly action: DsnAction;
  /** "5.1.1" */
  readonly status: string;
  /** Name of the host that spoke, when one did. */
  readonly remoteHost?: string;
  /** The words that decided, untrusted: with the SMTP code when the remote said them. */
  readonly diagnostic: string;
  /** Were these the remote's words, in SMTP? */
  readonly isSmtp: boolean;
  readonly lastAttemptAtMs: number;
  /** RFC 3464 §2.3.9: only with "delayed". */
  readonly willRetryUntilMs?: number;
}

export interface Notification {
  /** Our host name: Reporting-MTA, and the domain of the sender and the Message-ID. */
  readonly reportingHost: string;
  /** The reverse path of the message; never null (RFC 3464 §2). */
  readonly to: Path;
  /** Unique, of safe characters: boundary and Message-ID are made from it. */
  readonly id: string;
  readonly madeAtMs: number;
  readonly arrivedAtMs: number;
  /** ENVID as the client gave it (RFC 3461 §4.4). */
  readonly envelopeId?: string;
  readonly recipients: readonly RecipientStatus[];
  /** The message it is about: its header section, or all of it (RET=FULL). */
  readonly original: Uint8Array;
  readonly originalIsWhole: boolean;
}

/** Our limit on the remote's words, in characters; a field line stays below 998 octets. */
const maxDiagnostic = 600;

export function formatDsn(about: Notification): Buffer {
  const global =
    about.recipients.some(({ recipient }) => !isAscii(recipient)) || !isAscii(about.to);
  const original = Buffer.from(
    about.original.buffer,
    about.original.byteOffset,
    about.original.byteLength,
  );
  const boundary = `=_${about.id}`;
  const parts = [
    part("text/plain; charset=utf-8", "8bit", Buffer.from(humanText(about))),
    part(
      global ? "message/global-delivery-status" : "message/delivery-status",
      global ? "8bit" : "7bit",
      Buffer.from(statusFields(about, global)),
    ),
    part(originalType(about.originalIsWhole, global), encodingOf(original), original),
  ];
  const delimiter = Buffer.from(`--${boundary}\r\n`);
  const body = parts.flatMap((one) => [delimiter, one]);
  return Buffer.concat([head(about, boundary), ...body, Buffer.from(`--${boundary}--\r\n`)]);
}

const titles: Readonly<Record<DsnAction, string>> = {
  failed: "Your message was not delivered",
  delayed: "Your message is delayed",
  delivered: "Your message was delivered",
  relayed: "Your message was handed on",
};

function head(about: Notification, boundary: string): Buffer {
  const action = about.recipients[0]?.action ?? "failed";
  const fields = [
    `From: Mail Delivery System <mailer-daemon@${about.reportingHost}>`,
    `To: <${clean(about.to, 320)}>`,
    `Subject: ${titles[action]}`,
    `Date: ${formatDate(about.madeAtMs)}`,
    `Message-ID: <${about.id}@${about.reportingHost}>`,
    "Auto-Submitted: auto-replied", // RFC 3834 §5: so that no machine answers it
    "MIME-Version: 1.0",
    `Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"`,
  ];
  return Buffer.from(`${fields.join("\r\n")}\r\n\r\nThis is a report in several parts.\r\n\r\n`);
}

function part(type: string, encoding: string, content: Buffer): Buffer {
  const header = `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`;
  // The CRLF before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
  return Buffer.concat([Buffer.from(header), content, Buffer.from("\r\n")]);
}

function originalType(whole: boolean, global: boolean): string {
  if (whole) return global ? "message/global" : "message/rfc822";
  return global ? "message/global-headers" : "text/rfc822-headers";
}

function encodingOf(content: Buffer): "7bit" | "8bit" {
  return content.some((octet) => octet > 127) ? "8bit" : "7bit";
}

function humanText({ recipients, reportingHost, arrivedAtMs }: Notification): string {
  const lines = [`This is the mail system at ${reportingHost}.`, ""];
  lines.push(`It is about the message you sent on ${formatDate(arrivedAtMs)}.`);
  for (const one of recipients) {
    lines.push("", ...outcomeLines(one));
    if (one.diagnostic !== "") {
      const who =
        one.isSmtp && one.remoteHost ? clean(one.remoteHost, 255) : "The reason on record";
      lines.push("", `${who}${one.isSmtp ? " said" : ""}:`, `    ${clean(one.diagnostic)}`);
    }
  }
  lines.push("", "Programs find the same facts in the next part of this message.", "");
  return lines.join("\r\n");
}

function outcomeLines(one: RecipientStatus): string[] {
  const recipient = `<${clean(one.recipient, 320)}>`;
  const { cause, advice } = explainStatus(one.status);
  switch (one.action) {
    case "failed":
      return [`It could not be delivered to ${recipient}.`, cause, advice];
    case "delayed": {
      const until = one.willRetryUntilMs;
      const end = until === undefined ? "" : ` until ${formatDate(until)}`;
      return [
        `It could not be delivered to ${recipient} yet.`,
        cause,
        `We keep trying${end}. You need not send it again.`,
      ];
    }
    case "delivered":
      return [`It was delivered to ${recipient}.`];
    case "relayed":
      return [
        `It was handed on to the server of ${recipient}, which sends no confirmations.`,
        "It may report trouble later.",
      ];
  }
}

function statusFields(about: Notification, global: boolean): string {
  const groups = [
    [
      // RFC 3464 §2.2.1: ENVID goes back as the sender wrote it.
      ...(about.envelopeId === undefined
        ? []
        : [`Original-Envelope-Id: ${clean(about.envelopeId, 100)}`]),
      `Reporting-MTA: dns; ${about.reportingHost}`,
      `Arrival-Date: ${formatDate(about.arrivedAtMs)}`,
    ],
    ...about.recipients.map((one) => recipientFields(one, global)),
  ];
  return groups.map((fields) => `${fields.join("\r\n")}\r\n`).join("\r\n");
}

function recipientFields(one: RecipientStatus, global: boolean): string[] {
  const type = global && !isAscii(one.recipient) ? "utf-8" : "rfc822"; // RFC 6533 §3
  const fields = [
    ...(one.originalRecipient === undefined
      ? []
      : [`Original-Recipient: ${originalRecipient(one.originalRecipient)}`]),
    `Final-Recipient: ${type}; ${clean(one.recipient, 320)}`,
    `Action: ${one.action}`,
    `Status: ${one.status}`,
  ];
  if (one.remoteHost) fields.push(`Remote-MTA: dns; ${clean(one.remoteHost, 255)}`);
  if (one.diagnostic !== "") {
    // RFC 3464 §2.3.6: "smtp" only for words that came over SMTP.
    const words = global ? clean(one.diagnostic) : ascii(clean(one.diagnostic));
    fields.push(`Diagnostic-Code: ${one.isSmtp ? "smtp" : "x-postern"}; ${words}`);
  }
  fields.push(`Last-Attempt-Date: ${formatDate(one.lastAttemptAtMs)}`);
  if (one.action === "delayed" && one.willRetryUntilMs !== undefined) {
    fields.push(`Will-Retry-Until: ${formatDate(one.willRetryUntilMs)}`);
  }
  return fields;
}

/** "rfc822;user+40example.org" with its xtext resolved (RFC 3461 §4.2, §5.2.1). */
function originalRecipient(given: string): string {
  const semicolon = given.indexOf(";");
  const type = semicolon < 0 ? "rfc822" : given.slice(0, semicolon);
  const address = given
    .slice(semicolon + 1)
    .replace(/\+([0-9A-F]{2})/g, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    );
  return `${clean(type, 32)}; ${ascii(clean(address, 320))}`;
}

/** One line without control characters: what others wrote cannot forge a field. */
function clean(text: string, max = maxDiagnostic): string {
  const line = text.replace(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, " ").trim();
  return line.length > max ? `${line.slice(0, max - 1)}…`.replace(/\p{Cs}/gu, "") : line;
}

function ascii(text: string): string {
  return text.replace(/…/g, "...").replace(/[^\x20-\x7e]/gu, "?");
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
