/** Authentication-Results (RFC 8601): our verdicts for those who read the message after us. */

import type { Verdict } from "#model/verdict";

/**
 * The whole field with its line ends, one method a line.
 *
 * @param authservId name under which this installation speaks, a token or a domain
 */
export function formatAuthResults(authservId: string, verdicts: readonly Verdict[]): string {
  const results = verdicts.map(resinfo);
  if (results.length === 0) results.push("none"); // §2.2
  return `Authentication-Results: ${value(authservId)};\r\n\t${results.join(";\r\n\t")}\r\n`;
}

/** Properties of §2.7.2 and §2.7.4. The version is left out: 1 is what absence means. */
function resinfo(verdict: Verdict): string {
  switch (verdict.method) {
    case "spf": {
      const property = verdict.identity === "helo" ? "smtp.helo" : "smtp.mailfrom";
      const named = verdict.domain === "" ? "" : ` ${property}=${value(verdict.domain)}`;
      return `spf=${verdict.result}${why(verdict.why)}${named}`;
    }
    case "auth": {
      const login = verdict.login === "" ? "" : ` smtp.auth=${value(verdict.login)}`;
      return `auth=${verdict.result}${login}`;
    }
  }
}

function why(text: string): string {
  if (text === "") return "";
  const safe = text.replace(/[^\x20-\x7e]/g, "?").replace(/[()\\]/g, "\\$&");
  return ` (${safe.slice(0, 400).replace(/\\+$/, "")})`;
}

const token = /^[!#$%&'*+.^_`{|}~\w-]+$/;
const address = /^(?:[!#$%&'*+/=?^`{|}~\w.-]+)?@[A-Za-z0-9.-]+$/;

/** §2.2 pvalue: a token, an address or domain, else a quoted string that cannot be broken out of. */
function value(text: string): string {
  if (token.test(text) || address.test(text)) return text;
  const safe = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "?").replace(/["\\]/g, "\\$&");
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
  return found === null ? body.toLowerCase().includes(ours) : found === ours;
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
