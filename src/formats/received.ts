/** Trace fields (RFC 5321 §4.4): Received, Return-Path, and the count that stops loops (§6.3). */

import { isIpv6, parseAddressLiteral, parseDomain } from "#formats/address";
import { formatDate } from "#formats/date";
import type { Connection } from "#model/connection";
import type { Path } from "#model/envelope";

export interface ReceivedFacts {
  readonly connection: Connection;
  /** Host name that greeted the client. */
  readonly receivedBy: string;
  /** Id of the transaction. */
  readonly id: string;
  /** The recipient, when there is exactly one; several would tell each about the others (§7.2). */
  readonly recipient?: Path;
  /** SMTPUTF8 was used (RFC 6531 §3.7.3). */
  readonly utf8?: boolean;
  readonly receivedAtMs: number;
}

/** One whole field with its line ends, folded before 78 columns where its words allow. */
export function formatReceived(facts: ReceivedFacts): string {
  const { connection, receivedBy, id, recipient, receivedAtMs } = facts;
  const tls = connection.tls;
  const secured = tls === undefined ? "" : ` (${comment(tlsText(tls))})`;
  const audience = recipient === undefined ? "" : `\r\n\tfor <${recipient}>`;
  return (
    `Received: from ${fromClause(connection)}\r\n` +
    `\tby ${receivedBy} with ${protocolOf(facts)}${secured}\r\n` +
    `\tid ${id}${audience};\r\n` +
    `\t${formatDate(receivedAtMs)}\r\n`
  );
}

export function formatReturnPath(reversePath: Path): string {
  return `Return-Path: <${reversePath}>\r\n`;
}

/** IANA's mail transmission types (RFC 3848, RFC 6531 §4.3). */
function protocolOf({ connection, utf8 }: ReceivedFacts): string {
  if (!connection.extended) return "SMTP";
  const secure = connection.tls === undefined ? "" : "S";
  const authenticated = connection.authenticated === undefined ? "" : "A";
  return `${utf8 ? "UTF8SMTP" : "ESMTP"}${secure}${authenticated}`;
}

/** The name is hearsay; the address in brackets is what we saw. */
function fromClause({ helo, clientAddress }: Connection): string {
  const literal = isIpv6(clientAddress) ? `[IPv6:${clientAddress}]` : `[${clientAddress}]`;
  const proper = parseDomain(helo) ?? parseAddressLiteral(helo);
  if (proper !== null) return `${proper} (${literal})`;
  return helo === "" ? literal : `${literal} (helo=${comment(helo)})`;
}

function tlsText({ version, cipher, group }: NonNullable<Connection["tls"]>): string {
  return [version, cipher, group].filter((part) => part !== undefined && part !== "").join(" ");
}

function comment(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, "?")
    .replace(/[()\\]/g, "?")
    .slice(0, 255);
}

/**
 * How many Received fields a header holds; reading stops at the blank line or at the limit.
 *
 * @param header untrusted octets from the start of the message
 */
export function countReceived(header: Buffer, limit = 100): number {
  let count = 0;
  let at = 0;
  while (at < header.length && count < limit) {
    const first = header[at];
    if (first === 13 || first === 10) break;
    if ((first === 82 || first === 114) && isReceived(header, at)) count += 1;
    const end = header.indexOf(10, at);
    if (end < 0) break;
    at = end + 1;
  }
  return count;
}

function isReceived(header: Buffer, at: number): boolean {
  return /^received[ \t]*:/i.test(header.toString("latin1", at, at + 24));
}
