/** SPF records as values (RFC 7208 §4.5, §5, §6, §12), and those of Sender ID (RFC 4406 §3). */

import type { Buffer } from "node:buffer";
import { parseIp } from "#base/ip";
import { accept, type Result, refuse } from "#base/result";
import { type MacroFault, type MacroString, parseDomainSpec, parseMacroString } from "./macro.ts";

export type Mechanism =
  | { readonly kind: "all" }
  | { readonly kind: "ip"; readonly network: Buffer; readonly bits: number }
  | {
      readonly kind: "a" | "mx";
      readonly domain?: MacroString;
      readonly bits4: number;
      readonly bits6: number;
    }
  | { readonly kind: "include" | "exists"; readonly domain: MacroString }
  | { readonly kind: "ptr"; readonly domain?: MacroString };

export interface Directive {
  readonly result: "pass" | "fail" | "softfail" | "neutral";
  readonly mechanism: Mechanism;
  /** As published. */
  readonly text: string;
}

export interface SpfRecord {
  /** As published, at most 64 characters: "v=spf1", "spf2.0/mfrom,pra". */
  readonly version: string;
  readonly directives: readonly Directive[];
  readonly redirect?: MacroString;
  readonly explanation?: MacroString;
}

export type RecordFault = MacroFault | "bad-term" | "bad-network" | "bad-prefix" | "repeated";

const results = { "+": "pass", "-": "fail", "~": "softfail", "?": "neutral" } as const;

const modifier = /^([A-Za-z][A-Za-z0-9_.-]*)=/;

/** §4.5: the version ends at a space or at the end. */
export function isSpfRecord(text: string): boolean {
  return /^v=spf1(?: |$)/i.test(text);
}

/** A minor version must be well formed and is passed over (RFC 4406 §3.1, §4.4). */
const spf2 = /^spf2\.\d+\/([a-z][a-z0-9_.-]*(?:,[a-z][a-z0-9_.-]*)*)(?: |$)/i;

/** What a "spf2.0" record may be used for, in lower case; undefined when the text is none. */
export function scopesOf(text: string): readonly string[] | undefined {
  return spf2.exec(text)?.[1]?.toLowerCase().split(",");
}

/**
 * A fault anywhere makes the whole record useless (§4.6), and points at the offending term.
 *
 * Modifiers may stand anywhere; those that only hold for the term before them (RFC 4406 §3.3) are
 * unknown ones, since none was ever defined.
 *
 * @param text untrusted, begins with the version of either kind
 */
export function parseSpfRecord(text: string): Result<SpfRecord, RecordFault> {
  const directives: Directive[] = [];
  const modifiers = new Map<string, MacroString>();
  let at = 0;
  for (const [index, term] of text.split(" ").entries()) {
    const start = at;
    at += term.length + 1;
    if (term === "" || index === 0) continue;
    const [, name] = modifier.exec(term) ?? [];
    if (name === undefined) {
      const directive = parseDirective(term);
      if (!directive.ok) return refuse(directive.fault, start);
      directives.push(directive.value);
    } else {
      const value = parseModifier(name.toLowerCase(), term.slice(name.length + 1), modifiers);
      if (!value.ok) return refuse(value.fault, start);
    }
  }
  const redirect = modifiers.get("redirect");
  const explanation = modifiers.get("exp");
  return accept({
    version: text.slice(0, 64).split(" ", 1)[0] ?? "",
    directives,
    ...(redirect && { redirect }),
    ...(explanation && { explanation }),
  });
}

/** §6: unknown modifiers are passed over, but must be well formed. */
function parseModifier(
  name: string,
  value: string,
  into: Map<string, MacroString>,
): Result<MacroString, RecordFault> {
  if (name !== "redirect" && name !== "exp") return parseMacroString(value, "domain");
  if (into.has(name)) return refuse("repeated");
  const parsed = parseDomainSpec(value);
  if (parsed.ok) into.set(name, parsed.value);
  return parsed;
}

function parseDirective(term: string): Result<Directive, RecordFault> {
  const sign = term[0] ?? "";
  const hasSign = sign in results;
  const mechanism = parseMechanism(hasSign ? term.slice(1) : term);
  if (!mechanism.ok) return mechanism;
  const result = results[hasSign ? (sign as keyof typeof results) : "+"];
  return accept({ result, mechanism: mechanism.value, text: term });
}

function parseMechanism(text: string): Result<Mechanism, RecordFault> {
  const nameEnd = text.search(/[:/]/);
  const name = (nameEnd < 0 ? text : text.slice(0, nameEnd)).toLowerCase();
  const rest = nameEnd < 0 ? "" : text.slice(nameEnd);
  switch (name) {
    case "all":
      return rest === "" ? accept({ kind: "all" }) : refuse("bad-term");
    case "include":
    case "exists": {
      const domain = parseTarget(rest);
      if (!domain.ok) return domain;
      return domain.value ? accept({ kind: name, domain: domain.value }) : refuse("bad-domain");
    }
    case "ptr": {
      const domain = parseTarget(rest);
      if (!domain.ok) return domain;
      return accept({ kind: name, ...(domain.value && { domain: domain.value }) });
    }
    case "a":
    case "mx":
      return parseAddressMechanism(name, rest);
    case "ip4":
      return parseNetwork(rest, 4);
    case "ip6":
      return parseNetwork(rest, 16);
    default:
      return refuse("bad-term");
  }
}

/** Undefined when there is no ":". */
function parseTarget(rest: string): Result<MacroString | undefined, RecordFault> {
  if (rest === "") return accept(undefined);
  return rest.startsWith(":") ? parseDomainSpec(rest.slice(1)) : refuse("bad-term");
}

/** A "/" may also stand inside the domain, so prefix lengths are taken from the end. */
const withPrefixes = /^(.*?)(?:\/(0|[1-9]\d?))?(?:\/\/(0|[1-9]\d{0,2}))?$/;

function parseAddressMechanism(kind: "a" | "mx", rest: string): Result<Mechanism, RecordFault> {
  const match = withPrefixes.exec(rest);
  if (match === null) return refuse("bad-character");
  const [, target = "", digits4 = "32", digits6 = "128"] = match;
  const [bits4, bits6] = [Number(digits4), Number(digits6)];
  if (bits4 > 32 || bits6 > 128) return refuse("bad-prefix");
  const domain = parseTarget(target);
  if (!domain.ok) return domain;
  return accept({ kind, bits4, bits6, ...(domain.value && { domain: domain.value }) });
}

function parseNetwork(rest: string, octets: 4 | 16): Result<Mechanism, RecordFault> {
  const most = octets * 8;
  const [, address = "", digits = String(most)] =
    /^:([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(rest) ?? [];
  const network = parseIp(address);
  if (network?.length !== octets) return refuse("bad-network");
  const bits = Number(digits);
  return bits <= most ? accept({ kind: "ip", network, bits }) : refuse("bad-prefix");
}
