/** Authentication-Results (RFC 8601): our verdicts for those who read the message after us. */

import type { DkimVerdict, SenderIdVerdict, Verdict } from "#model/verdict";

/**
 * The whole field with its line ends, one method a line.
 *
 * @param authservId name under which this installation speaks, a token or a domain
 */
export function formatAuthResults(authservId: string, verdicts: readonly Verdict[]): string {
  const results = verdicts.map((verdict) => folded(formatResult(verdict)));
  if (results.length === 0) results.push("none"); // §2.2
  return `Authentication-Results: ${value(authservId)};\r\n\t${results.join(";\r\n\t")}\r\n`;
}

/** RFC 5322 §2.1.1: no line over 998 octets, however long the names that a signer chose. */
function folded(text: string): string {
  return text.length < 900 ? text : text.replace(/ (?=(?:header|smtp|policy)\.)/g, "\r\n\t ");
}

/** One verdict: "dkim=pass (…) header.d=example.org". The version is left out: 1 is what absence means. */
export function formatResult(verdict: Verdict): string {
  switch (verdict.method) {
    case "spf": {
      const property = verdict.identity === "helo" ? "smtp.helo" : "smtp.mailfrom";
      return `spf=${verdict.result}${why(verdict.why)}${named(property, verdict.domain)}`; // §2.7.2
    }
    case "sender-id": // §2.7.7 of RFC 7601, deprecated: the property names the field of the PRA
      return `sender-id=${verdict.result}${why(verdict.why)}${praProperty(verdict)}`;
    case "dkim":
      return `dkim=${verdict.result}${why(verdict.why)}${signature(verdict)}`;
    case "arc": {
      const sealer = verdict.sealers[0] ?? "";
      return `arc=${verdict.result}${why(verdict.why)}${named("header.d", sealer)}`; // RFC 8617 §10.1
    }
    case "dmarc": {
      const policy = named("policy.dmarc", verdict.policy ?? "");
      return `dmarc=${verdict.result}${why(verdict.why)}${named("header.from", verdict.fromDomain)}${policy}`;
    }
    case "auth": {
      const connector = named("policy.connector", verdict.connector ?? "");
      return `auth=${verdict.result}${named("smtp.auth", verdict.login)}${connector}`; // §2.7.4
    }
    case "connector": // ours: no method is registered for certificates of clients
      return `x-connector=${verdict.result}${named("policy.connector", verdict.connector)}${named("policy.certificate", verdict.certificate)}`;
    case "sender": // ours, marked as experimental (§2.7.7)
      return `x-sender=${verdict.result}${why(verdict.text)} policy.origin=${verdict.origin}`;
    case "spam": {
      const reasons = verdict.reasons.map(({ points, text }) => `${signed(points)} ${text}`);
      return `x-spam-level=${verdict.level}${why(reasons.join("; "))}`;
    }
  }
}

function named(property: string, text: string): string {
  return text === "" ? "" : ` ${property}=${value(text)}`;
}

function praProperty({ pra, praHeader }: SenderIdVerdict): string {
  if (pra === undefined || praHeader === undefined) return "";
  const property =
    praHeader === "MAIL FROM" ? "smtp.mailfrom" : `header.${praHeader.toLowerCase()}`;
  return named(property, pra);
}

/** §2.7.1; header.b by RFC 6008, header.a and header.s by RFC 8601 §3. */
function signature({ domain, selector, identity, algorithm, mark }: DkimVerdict): string {
  const d = named("header.d", domain);
  const i = identity === `@${domain}` ? "" : named("header.i", identity);
  const a = named("header.a", algorithm);
  return `${d}${i}${named("header.s", selector)}${a}${named("header.b", mark)}`;
}

function signed(points: number): string {
  return points > 0 ? `+${points}` : String(points);
}

function why(text: string): string {
  if (text === "") return "";
  const safe = text.replace(/[^\x20-\x7e]|=(?=pass)/gi, "?").replace(/[()\\]/g, "\\$&");
  return ` (${safe.slice(0, 400).replace(/\\+$/, "")})`;
}

/** Ours: no domain is longer, and a longer address is not worth a line. */
const maxValue = 255;

const token = /^[!#$%&'*+.^_`{|}~\w-]+$/;
const address = /^(?:[!#$%&'*+/=?^`{|}~\w.-]+)?@[A-Za-z0-9.-]+$/;

/**
 * §2.2 pvalue: a token, an address or domain, else a quoted string that cannot be broken out of. What
 * looks like a result in it does not stay: some readers only search the field for words.
 */
function value(text: string): string {
  if (text.length <= maxValue && (token.test(text) || address.test(text))) return text;
  const cut = text.slice(0, maxValue);
  const safe = cut.replace(/[\p{Cc}\p{Zl}\p{Zp};=]/gu, "?").replace(/["\\]/g, "\\$&");
  return `"${safe}"`;
}

const leadingSpace = /^[ \t\r\n]+/;
const firstToken = /^[^\s()<>@,;:\\"/[\]?=]+/;
const firstQuoted = /^"((?:[^"\\]|\\.)*)"/s;

/**
 * Does a foreign field claim to be ours? Such a field is removed before we add our own (§5). A field
 * that cannot be read counts as ours when our name stands anywhere in it.
 *
 * @param body untrusted text behind "Authentication-Results:"
 */
export function claimsAuthservId(body: string, authservId: string): boolean {
  const ours = authservId.toLowerCase();
  const found = authservIdOf(body.slice(0, 4096));
  // A last dot means the same domain to those who know domains.
  return found === null ? body.toLowerCase().includes(ours) : found.replace(/\.$/, "") === ours;
}

/** The authserv-id in lower case; null when the field does not begin with one. */
function authservIdOf(body: string): string | null {
  const text = body.slice(skipComments(body));
  const quoted = firstQuoted.exec(text);
  const id = quoted === null ? firstToken.exec(text)?.[0] : quoted[1]?.replace(/\\(.)/gs, "$1");
  if (id === undefined || id === "") return null;
  const rest = text.slice(quoted === null ? id.length : (quoted[0]?.length ?? 0));
  // Anything but a space, a comment or the semicolon behind it means we misread the field.
  return rest === "" || /^[ \t\r\n(;]/.test(rest) ? id.toLowerCase() : null;
}

function skipComments(text: string): number {
  let depth = 0;
  let at = 0;
  for (; at < text.length; at += 1) {
    const char = text[at] ?? "";
    if (char === "(") depth += 1;
    else if (depth > 0 && char === ")") depth -= 1;
    else if (depth > 0 && char === "\\") at += 1;
    else if (depth === 0 && !leadingSpace.test(char)) break;
  }
  return Math.min(at, text.length);
}
