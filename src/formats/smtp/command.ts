/** SMTP commands as a server reads them (RFC 5321 §4.1.1 and its extensions). Strict and linear. */

import { accept, type Result, refuse } from "#base/result";
import { type AddressFault, scanPath } from "#formats/address";
import type { Envelope, Path, Recipient } from "#model/envelope";
import { readMailParameters, readRecipientParameters } from "./parameters.ts";

export interface MailCommand extends Omit<Envelope, "recipients"> {
  readonly verb: "MAIL";
  /** SIZE= as declared (RFC 1870). */
  readonly sizeBytes?: number;
}

export type Command =
  | MailCommand
  | { readonly verb: "EHLO" | "HELO" | "LHLO"; readonly name: string }
  | { readonly verb: "RCPT"; readonly recipient: Recipient }
  | { readonly verb: "BDAT"; readonly sizeBytes: number; readonly last: boolean }
  | { readonly verb: "AUTH"; readonly mechanism: string; readonly initial?: string }
  | { readonly verb: "DATA" | "RSET" | "QUIT" | "STARTTLS" }
  | { readonly verb: "NOOP" | "HELP" | "VRFY" | "EXPN"; readonly text: string };

export type CommandFault =
  | "unknown"
  | "not-offered"
  | "syntax"
  | "bad-sender"
  | "bad-recipient"
  | "needs-utf8"
  | "unknown-parameter"
  | "bad-parameter";

const bare = new Set(["DATA", "RSET", "QUIT", "STARTTLS"]);
const withText = new Set(["NOOP", "HELP", "VRFY", "EXPN"]);
/** Known elsewhere, never here; the X verbs would let a client choose who it is. */
const refused = new Set(["XCLIENT", "XFORWARD", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML"]);

const printable = /^[\x20-\x7e\u0080-\u{10ffff}]*$/u;
/** Wider than a domain: a host may call itself what it likes, as long as it harms no header. */
const helloName = /^[\w.:[\]-]{1,255}$/;
const mailFrom = /^MAIL FROM: ?/i;
const rcptTo = /^RCPT TO: ?/i;
const bdat = /^([0-9]{1,20})( LAST)?$/i;
const auth = /^([A-Za-z0-9_-]{1,20})(?: (=|[A-Za-z0-9+/]+={0,2}))?$/;

/**
 * Reads one command line.
 *
 * @param line untrusted, without its CRLF; the server caps its length
 * @param utf8 whether the transaction asked for SMTPUTF8; MAIL decides that for itself
 */
export function parseCommand(line: string, utf8: boolean): Result<Command, CommandFault> {
  const space = line.indexOf(" ");
  const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase();
  const rest = space < 0 ? "" : line.slice(space + 1);
  if (verb === "MAIL") return parseMail(line);
  if (verb === "RCPT") return parseRecipient(line, utf8);
  if (bare.has(verb)) {
    return rest.trim() === "" ? accept({ verb } as Command) : refuse("syntax", space);
  }
  switch (verb) {
    case "EHLO":
    case "HELO":
    case "LHLO":
      return parseHello(verb, rest.trimEnd());
    case "BDAT":
      return parseBdat(rest.trimEnd());
    case "AUTH":
      return parseAuth(rest.trimEnd());
  }
  if (withText.has(verb)) {
    return printable.test(rest) ? accept({ verb, text: rest } as Command) : refuse("syntax", space);
  }
  return refuse(refused.has(verb) ? "not-offered" : "unknown");
}

function parseHello(verb: "EHLO" | "HELO" | "LHLO", name: string): Result<Command, CommandFault> {
  if (helloName.test(name)) return accept({ verb, name });
  return refuse("syntax", verb.length + 1);
}

function parseMail(line: string): Result<Command, CommandFault> {
  const at = startOfPath(line, mailFrom);
  if (at < 0) return refuse("syntax", 5);
  // SMTPUTF8 stands behind the path it permits, so the path is read as if it were there.
  const scanned = scanPath(line, at, true);
  if (!scanned.ok || scanned.value.path === "postmaster") return refuse("bad-sender", at);
  const { path, end } = scanned.value;
  const read = readMailParameters(line, end);
  if (!read.ok) return read;
  if (!read.value.utf8 && isBeyondAscii(line.slice(at, end))) return refuse("needs-utf8", at);
  return accept({ verb: "MAIL", reversePath: path, ...read.value });
}

function parseRecipient(line: string, utf8: boolean): Result<Command, CommandFault> {
  const at = startOfPath(line, rcptTo);
  if (at < 0) return refuse("syntax", 5);
  const scanned = scanPath(line, at, utf8);
  if (!scanned.ok) return refuse(faultOfRecipient(scanned.fault), at);
  const path: Path = scanned.value.path;
  if (path === "") return refuse("bad-recipient", at);
  const read = readRecipientParameters(line, scanned.value.end);
  return read.ok ? accept({ verb: "RCPT", recipient: { path, ...read.value } }) : read;
}

/** Differs from RFC 5321 §3.3: one space behind the colon is let pass; old clients write it. */
function startOfPath(line: string, prefix: RegExp): number {
  const found = prefix.exec(line);
  return found === null ? -1 : found[0].length;
}

function faultOfRecipient(fault: AddressFault): CommandFault {
  return fault === "needs-utf8" ? "needs-utf8" : "bad-recipient";
}

/** RFC 3030 §2; a size of more than 20 digits is no size. */
function parseBdat(rest: string): Result<Command, CommandFault> {
  const found = bdat.exec(rest);
  if (found === null) return refuse("syntax", 5);
  return accept({ verb: "BDAT", sizeBytes: Number(found[1]), last: found[2] !== undefined });
}

/** RFC 4954 §4: "=" stands for an empty initial response. */
function parseAuth(rest: string): Result<Command, CommandFault> {
  const found = auth.exec(rest);
  if (found === null) return refuse("syntax", 5);
  const mechanism = (found[1] ?? "").toUpperCase();
  const initial = found[2];
  if (initial === undefined) return accept({ verb: "AUTH", mechanism });
  return accept({ verb: "AUTH", mechanism, initial: initial === "=" ? "" : initial });
}

function isBeyondAscii(text: string): boolean {
  return /[^\0-\x7f]/.test(text);
}
