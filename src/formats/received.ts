/** Trace fields (RFC 5321 §4.4): Received as we write it and as others do, and Return-Path. */

import { formatIp, parseIp } from "#base/ip";
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

/** The first name is hearsay; the address in brackets is what we saw, and the DNS its name. */
function fromClause({ helo, clientAddress, reverseName }: Connection): string {
  const literal = isIpv6(clientAddress) ? `[IPv6:${clientAddress}]` : `[${clientAddress}]`;
  const name = parseDomain(reverseName ?? "");
  const seen = name === null ? literal : `${name} ${literal}`;
  const proper = parseDomain(helo) ?? parseAddressLiteral(helo);
  if (proper !== null) return `${proper} (${seen})`;
  const claimed = helo === "" ? "" : `helo=${comment(helo)}`;
  if (name === null) return claimed === "" ? literal : `${literal} (${claimed})`;
  return `${literal} (${[seen, claimed].join(" ").trimEnd()})`;
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

/** What a Received field says of the hop that it stands for. */
export interface Received {
  /** The client's address as the server saw it, in its shortest form. */
  readonly address?: string;
  /** What the client called itself; untrusted. Absent when the field does not say "from" at all. */
  readonly helo?: string;
  readonly by?: string;
  /** After "with", in upper case: "ESMTPS", "MICROSOFT", "HTTP". */
  readonly protocol?: string;
}

/** Ours: the clauses come first, and no honest field is longer. */
const maxReceived = 10_000;

/** Atoms, comments and the ";" before the date; an open comment ends with the text. */
const receivedToken = /[ \t\r\n]+|;|[()]|\\[^]|[^ \t\r\n();\\]+|\\$/y;

interface Clauses {
  readonly words: readonly string[];
  readonly comments: readonly string[];
}

/**
 * Reads what Postfix, Exim, Sendmail, Exchange, Gmail, qmail and we write. They agree on little, but
 * each puts the address that it saw itself into brackets or alone into a comment, and says so of a
 * name that was only claimed. Absent members were not found. Linear.
 *
 * @param text untrusted: the field's value, folded or not
 */
export function parseReceived(text: string): Received {
  const clauses = readClauses(text.slice(0, maxReceived));
  const by = clauses.get("by")?.words[0];
  const protocol = clauses.get("with")?.words[0]?.toUpperCase();
  const seen = clientOf(clauses.get("from"));
  const handedOver = clauses.get("")?.comments.some((one) => qmailNetwork.test(one)) ?? false;
  return {
    ...seen,
    ...(by !== undefined && { by }),
    ...(protocol !== undefined && { protocol }),
    ...(handedOver && { protocol: "SMTP" }),
  };
}

/** qmail writes one field for the network and one for its queue; this is the latter. */
const qmailNetwork = /^qmail \d+ invoked from network$/i;
const clauseName = /^(?:from|by|via|with|id|for)$/i;

/** Each clause by its name, the first of that name; "" holds what stands before any. */
function readClauses(text: string): ReadonlyMap<string, Clauses> {
  const found = new Map<string, Clauses>();
  let words: string[] = [];
  let comments: string[] = [];
  found.set("", { words, comments });
  let comment: string[] = [];
  let depth = 0;
  // What follows the name of a clause is never another: a client may greet as "by".
  let awaits = false;
  receivedToken.lastIndex = 0;
  for (let match = receivedToken.exec(text); match !== null; match = receivedToken.exec(text)) {
    const [token] = match;
    if (token === ")" && depth > 0) {
      depth -= 1;
      if (depth === 0) comments.push(comment.join(""));
      awaits = false;
    } else if (token === "(") {
      if (depth === 0) comment = [];
      depth += 1;
    } else if (depth > 0) comment.push(/^\s/.test(token) ? " " : token);
    else if (token === ";") break;
    else if (!awaits && clauseName.test(token) && !found.has(token.toLowerCase())) {
      awaits = true;
      [words, comments] = [[], []];
      found.set(token.toLowerCase(), { words, comments });
    } else if (!/^[\s)]/.test(token)) {
      words.push(token);
      awaits = false;
    }
  }
  return found;
}

/** From here on a comment repeats what the client claimed. */
const claim = /(?:^|[ ,])(?:helo[= ]|ehlo[= ]|ident=)/i;
const greeting = /(?:^|[ ,])(?:helo|ehlo)[= ]([^ ]*)/i;
const bracketed = /\[(?:ipv6:)?([0-9a-f:.]{2,45})\]/gi;

function clientOf(from: Clauses | undefined): Pick<Received, "address" | "helo"> {
  if (from === undefined) return {};
  let address: string | undefined;
  let helo: string | undefined;
  for (const comment of from.comments) {
    helo ??= greeting.exec(comment)?.[1];
    const claimed = comment.search(claim);
    address ??= addressIn(claimed < 0 ? comment : comment.slice(0, claimed));
  }
  // Exim and we write the address itself as a word when the client gave no proper name.
  for (const word of from.words.toReversed()) address ??= readAddress(word);
  helo ??= from.words[0] ?? "";
  return { helo, ...(address !== undefined && { address }) };
}

/** The last "[192.0.2.1]", or the comment when it is nothing but an address or "ident@address". */
function addressIn(comment: string): string | undefined {
  const inBrackets = [...comment.matchAll(bracketed)].at(-1)?.[1];
  if (inBrackets !== undefined) return canonical(inBrackets);
  const bare = comment.trim();
  return bare.includes(" ") ? undefined : canonical(bare.slice(bare.lastIndexOf("@") + 1));
}

/** A whole word: "[192.0.2.1]" or "[IPv6:2001:db8::1]", with Exim's port or without. */
function readAddress(word: string): string | undefined {
  const [, inner] = /^\[(?:ipv6:)?([0-9a-f:.]{2,45})\](?::\d{1,5})?$/i.exec(word) ?? [];
  return inner === undefined ? undefined : canonical(inner);
}

function canonical(text: string): string | undefined {
  const octets = parseIp(text);
  return octets === undefined ? undefined : formatIp(octets);
}
