/** The address of the envelope (RFC 5321 §4.1.2, internationalised by RFC 6531 §3.3). */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import type { Path } from "#model/envelope";
import { parseAddressLiteral, parseDomain } from "./domain.ts";

export type AddressFault = "bad-local-part" | "bad-domain" | "too-long" | "bad-path" | "needs-utf8";

export interface ScannedPath {
  /** Canonical; "" for the null path, a lone local part for `<postmaster>`. */
  readonly path: Path;
  /** Offset behind the closing bracket. */
  readonly end: number;
}

/** RFC 5321 §4.5.3.1.1, in octets as written. */
const maxLocalPart = 64;
/** RFC 5321 §4.5.3.1.3 allows 256 with the brackets; in octets. */
const maxAddress = 254;

const dotString =
  /[\w!#$%&'*+/=?^`{|}~\u0080-\u{10ffff}-]+(?:\.[\w!#$%&'*+/=?^`{|}~\u0080-\u{10ffff}-]+)*/uy;
const wholeDotString =
  /^[\w!#$%&'*+/=?^`{|}~\u0080-\u{10ffff}-]+(?:\.[\w!#$%&'*+/=?^`{|}~\u0080-\u{10ffff}-]+)*$/u;
const quotedString = /"(?:[\x20!#-[\]-~\u0080-\u{10ffff}]|\\[\x20-~])*"/uy;
const sourceRoute = /@[A-Za-z0-9.-]+(?:,@[A-Za-z0-9.-]+)*:/y;
/** Nobody can type or see these, so they only serve to deceive: controls, separators, lone surrogates. */
const unseen = /(?! )[\x80-\x9f\p{Zs}\p{Zl}\p{Zp}\p{Cs}\p{Cn}\p{Co}]/u;
const beyondAscii = /[^\0-\x7f]/;

/**
 * Reads `<local@domain>`, `<>` or `<postmaster>` at an offset. A source route is accepted and
 * dropped (RFC 5321 §4.1.1.3, appendix C).
 *
 * @param text untrusted command line
 * @param utf8 whether SMTPUTF8 was asked for
 */
export function scanPath(
  text: string,
  at: number,
  utf8: boolean,
): Result<ScannedPath, AddressFault> {
  if (text[at] !== "<") return refuse("bad-path", at);
  if (text[at + 1] === ">") return accept({ path: "", end: at + 2 });
  sourceRoute.lastIndex = at + 1;
  const start = sourceRoute.test(text) ? sourceRoute.lastIndex : at + 1;
  const localEnd = endOfLocalPart(text, start);
  if (localEnd < 0) return refuse("bad-local-part", start);
  if (text[localEnd] === ">" && text.slice(start, localEnd).toLowerCase() === "postmaster") {
    return accept({ path: "postmaster", end: localEnd + 1 }); // §4.1.1.3: no domain needed
  }
  const end = text.indexOf(">", localEnd);
  if (end < 0) return refuse("bad-path", localEnd);
  const parsed = assemble(text, { start, localEnd, end }, utf8);
  return parsed.ok ? accept({ path: parsed.value, end: end + 1 }) : parsed;
}

/** Reads a whole `local@domain` without brackets, as the command line and the console give it. */
export function parseMailbox(text: string, utf8 = false): Result<Path, AddressFault> {
  const localEnd = endOfLocalPart(text, 0);
  if (localEnd < 0) return refuse("bad-local-part");
  return assemble(text, { start: 0, localEnd, end: text.length }, utf8);
}

/** Halves of a canonical path; the domain is "" for the null path and a lone local part. */
export function splitPath(path: Path): { readonly localPart: string; readonly domain: string } {
  const at = path.lastIndexOf("@"); // a domain never holds one, a quoted local part may
  return at < 0
    ? { localPart: path, domain: "" }
    : { localPart: path.slice(0, at), domain: path.slice(at + 1) };
}

function endOfLocalPart(text: string, start: number): number {
  const shape = text[start] === '"' ? quotedString : dotString;
  shape.lastIndex = start;
  return shape.test(text) ? shape.lastIndex : -1;
}

interface Span {
  readonly start: number;
  readonly localEnd: number;
  readonly end: number;
}

function assemble(text: string, span: Span, utf8: boolean): Result<Path, AddressFault> {
  const { start, localEnd, end } = span;
  if (text[localEnd] !== "@") return refuse("bad-local-part", localEnd);
  const written = text.slice(start, end);
  if (written.length > maxAddress || octets(written) > maxAddress) return refuse("too-long", start);
  if (beyondAscii.test(written)) {
    if (!utf8) return refuse("needs-utf8", start);
    if (unseen.test(written)) return refuse("bad-local-part", start);
  }
  const local = text.slice(start, localEnd);
  if (octets(local) > maxLocalPart) return refuse("too-long", start);
  const domainText = text.slice(localEnd + 1, end);
  const domain = domainText.startsWith("[")
    ? parseAddressLiteral(domainText)
    : parseDomain(domainText, utf8);
  if (domain === null) return refuse("bad-domain", localEnd + 1);
  return accept(`${local.startsWith('"') ? plainest(local) : local}@${domain}`);
}

/** §4.1.2: quotes and backslashes that change nothing mean nothing; one form for each mailbox. */
function plainest(quoted: string): string {
  const bare = quoted.slice(1, -1).replace(/\\(.)/gsu, "$1");
  return wholeDotString.test(bare) ? bare : `"${bare.replace(/["\\]/g, "\\$&")}"`;
}

function octets(text: string): number {
  return beyondAscii.test(text) ? Buffer.byteLength(text) : text.length;
}
