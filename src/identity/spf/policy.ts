/** From the TXT records of a name to the one that counts (RFC 7208 §4.4, §4.5; RFC 4406 §4.3, §4.4). */

import type { DnsAnswer } from "#base/dns";
import { isSpfRecord, parseSpfRecord, type SpfRecord, scopesOf } from "./record.ts";

/** What Sender ID judges: MAIL FROM, or the purported responsible address (RFC 4406 §3.1). */
export type Scope = "mfrom" | "pra";

export type Policy =
  | { readonly kind: "record"; readonly record: SpfRecord }
  /** `nxdomain`: the name itself does not exist. */
  | { readonly kind: "none"; readonly why: string; readonly nxdomain: boolean }
  | { readonly kind: "temperror" | "permerror"; readonly why: string };

type Known = WeakMap<DnsAnswer<"TXT">, Policy>;

/** The resolver hands out the same answer while it is fresh: so each record is read once. */
const known: Readonly<Record<Scope | "spf1", Known>> = {
  spf1: new WeakMap(),
  mfrom: new WeakMap(),
  pra: new WeakMap(),
};

/** @param scope absent: SPF itself, which knows "v=spf1" only */
export function readPolicy(answer: DnsAnswer<"TXT">, domain: string, scope?: Scope): Policy {
  const before = known[scope ?? "spf1"].get(answer);
  if (before !== undefined) return before;
  const policy = read(answer, domain, scope);
  known[scope ?? "spf1"].set(answer, policy);
  return policy;
}

function read(answer: DnsAnswer<"TXT">, domain: string, scope: Scope | undefined): Policy {
  if (answer.kind === "failed") {
    return { kind: "temperror", why: `TXT of ${domain}: ${answer.why}` };
  }
  const texts = answer.kind === "found" ? answer.records.map((record) => record.text) : [];
  const [text, second] = selectRecords(texts, scope);
  if (text === undefined) {
    const nxdomain = answer.kind === "none" && answer.nxdomain;
    return { kind: "none", why: `${domain} publishes no SPF record`, nxdomain };
  }
  if (second !== undefined) {
    return { kind: "permerror", why: `${domain} publishes more than one SPF record` }; // §4.5
  }
  const parsed = parseSpfRecord(text);
  if (parsed.ok) return { kind: "record", record: parsed.value };
  const why = `the SPF record of ${domain} is faulty at character ${parsed.at}: ${parsed.fault}`;
  return { kind: "permerror", why };
}

/**
 * The records that apply; one is right, several are a fault of the publisher.
 *
 * RFC 4406 §4.4: a "spf2.0" record that names the scope goes before "v=spf1", which stands in where
 * there is none (§3.4).
 *
 * @param texts all TXT records of the name
 */
function selectRecords(texts: readonly string[], scope?: Scope): readonly string[] {
  if (scope !== undefined) {
    const named = texts.filter((text) => scopesOf(text)?.includes(scope));
    if (named.length > 0) return named;
  }
  return texts.filter(isSpfRecord);
}
