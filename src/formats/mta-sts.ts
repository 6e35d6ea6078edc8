/** MTA Strict Transport Security: the TXT record, the policy file and what it lists (RFC 8461). */

import { accept, type Result, refuse } from "#base/result";

export type StsMode = "enforce" | "testing" | "none";

export interface StsPolicy {
  readonly mode: StsMode;
  /** Patterns in lower case: "mx.example.net", "*.example.net". */
  readonly mx: readonly string[];
  /** Seconds, at most a year. */
  readonly maxAge: number;
}

/** none: the domain has no policy. several, bad-record: the same, and its owner made a mistake. */
export type StsRecordFault = "none" | "several" | "bad-record";

export type StsPolicyFault =
  | "too-long"
  | "bad-line"
  | "bad-version"
  | "bad-mode"
  | "bad-max-age"
  | "bad-mx"
  | "too-many-mx"
  | "no-mx";

/** §3.3 advises 64 KiB. In octets. */
export const maxPolicyBytes = 65_536;
/** §3.2 */
export const longestMaxAge = 31_557_600;
/** Ours: no honest record is longer. */
const maxRecord = 2048;
/** Ours: the longest list of a real domain has some dozen. */
const maxPatterns = 100;

const version = "STSv1";
const domainName = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,126}$/;

/** Where a domain says that it has a policy (§3.1). */
export function stsRecordName(domain: string): string {
  return `_mta-sts.${domain}`;
}

/** Who serves the policy of a domain (§3.3). */
export function stsHost(domain: string): string {
  return `mta-sts.${domain}`;
}

/** §3.3 */
export const stsPath = "/.well-known/mta-sts.txt";

/**
 * The id of the policy (§3.1): exactly one record may begin with the version.
 *
 * @param texts untrusted: the TXT records at `_mta-sts`, their strings joined
 */
export function parseStsRecord(texts: readonly string[]): Result<string, StsRecordFault> {
  const ours = texts.filter((text) => /^v=STSv1[ \t]*;/.test(text));
  const [text, ...more] = ours;
  if (text === undefined) return refuse("none");
  if (more.length > 0) return refuse("several");
  if (text.length > maxRecord) return refuse("bad-record", maxRecord);
  const fields = text.split(";").map((field) => field.trim());
  if (fields.at(-1) === "") fields.pop(); // one closing ";" is allowed
  const ids = fields.filter((field) => field.startsWith("id="));
  const id = ids[0]?.slice("id=".length) ?? "";
  const isSound =
    ids.length === 1 && fields.every((field) => /^[A-Za-z0-9_.-]+=[\x21-\x7e]*$/.test(field));
  return isSound && /^[A-Za-z0-9]{1,32}$/.test(id) ? accept(id) : refuse("bad-record");
}

/**
 * Reads a policy file (§3.2); lines with keys that are not known are passed over.
 *
 * @param octets untrusted: the body as it was fetched
 */
export function parseStsPolicy(octets: Uint8Array): Result<StsPolicy, StsPolicyFault> {
  if (octets.length > maxPolicyBytes) return refuse("too-long", maxPolicyBytes);
  const first = new Map<string, string>();
  const mx: string[] = [];
  let at = 0;
  for (const line of Buffer.from(octets).toString("latin1").split("\n")) {
    const text = line.trimEnd();
    const colon = text.indexOf(":");
    if (text !== "") {
      const key = text.slice(0, Math.max(colon, 0));
      if (!/^[A-Za-z0-9_.-]{1,32}$/.test(key)) return refuse("bad-line", at);
      const value = text.slice(colon + 1).trim();
      if (key === "mx") {
        const pattern = value.toLowerCase().replace(/\.$/, "");
        if (!isPattern(pattern)) return refuse("bad-mx", at);
        if (mx.length === maxPatterns) return refuse("too-many-mx", at);
        mx.push(pattern);
      }
      // §3.2: of a key that comes again, the first counts.
      else if (!first.has(key)) first.set(key, value);
    }
    at += line.length + 1;
  }
  return completed(first, mx);
}

function completed(
  fields: ReadonlyMap<string, string>,
  mx: readonly string[],
): Result<StsPolicy, StsPolicyFault> {
  if (fields.get("version") !== version) return refuse("bad-version");
  const mode = fields.get("mode");
  if (mode !== "enforce" && mode !== "testing" && mode !== "none") return refuse("bad-mode");
  const digits = fields.get("max_age") ?? "";
  const maxAge = /^\d{1,10}$/.test(digits) ? Number(digits) : Number.POSITIVE_INFINITY;
  if (maxAge > longestMaxAge) return refuse("bad-max-age");
  if (mx.length === 0 && mode !== "none") return refuse("no-mx");
  return accept({ mode, mx, maxAge });
}

/** Letters of the DNS alone: a domain in other letters is written as its A-labels. */
export function isPattern(text: string): boolean {
  const name = text.startsWith("*.") ? text.slice(2) : text;
  return text.length <= 255 && domainName.test(name);
}

/** Does the policy list the host (§4.1)? "*." stands for exactly one label. */
export function listsHost({ mx }: Pick<StsPolicy, "mx">, host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  const above = name.slice(name.indexOf(".") + 1);
  return mx.some((pattern) =>
    pattern.startsWith("*.")
      ? name.includes(".") && pattern.slice(2) === above && !name.startsWith(".")
      : pattern === name,
  );
}

/** The file (§3.2), with CRLF. */
export function formatStsPolicy({ mode, mx, maxAge }: StsPolicy): string {
  const hosts = mx.map((pattern) => `mx: ${pattern}`);
  const lines = [`version: ${version}`, `mode: ${mode}`, ...hosts, `max_age: ${maxAge}`];
  return lines.map((line) => `${line}\r\n`).join("");
}

/** @param id of 1 to 32 letters and digits; another one for each new policy */
export function formatStsRecord(id: string): string {
  return `v=${version}; id=${id}`;
}
