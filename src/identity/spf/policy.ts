/** From the TXT records of a name to its one SPF record (RFC 7208 §4.4, §4.5). */

import type { DnsAnswer } from "#base/dns";
import { isSpfRecord, parseSpfRecord, type SpfRecord } from "./record.ts";

export type Policy =
  | { readonly kind: "record"; readonly record: SpfRecord }
  | { readonly kind: "none" | "temperror" | "permerror"; readonly why: string };

/** The resolver hands out the same answer while it is fresh: so each record is read once. */
const known = new WeakMap<DnsAnswer<"TXT">, Policy>();

export function readPolicy(answer: DnsAnswer<"TXT">, domain: string): Policy {
  const before = known.get(answer);
  if (before !== undefined) return before;
  const policy = read(answer, domain);
  known.set(answer, policy);
  return policy;
}

function read(answer: DnsAnswer<"TXT">, domain: string): Policy {
  if (answer.kind === "failed") {
    return { kind: "temperror", why: `TXT of ${domain}: ${answer.why}` };
  }
  const texts = answer.kind === "found" ? answer.records.map((record) => record.text) : [];
  const [text, second] = texts.filter(isSpfRecord);
  if (text === undefined) return { kind: "none", why: `${domain} publishes no SPF record` };
  if (second !== undefined) {
    return { kind: "permerror", why: `${domain} publishes more than one SPF record` }; // §4.5
  }
  const parsed = parseSpfRecord(text);
  if (parsed.ok) return { kind: "record", record: parsed.value };
  const why = `the SPF record of ${domain} is faulty at character ${parsed.at}: ${parsed.fault}`;
  return { kind: "permerror", why };
}
