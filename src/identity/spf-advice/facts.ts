/** What a domain publishes already: the ground on which its owner answers the wizard's questions. */

import type { Resolver } from "#base/dns";
import { isSpfRecord } from "#identity/spf";
import { Asker } from "./asker.ts";
import { printable } from "./words.ts";

export interface SpfFacts {
  readonly domain: string;
  /** Its SPF records as they are now; more than one is an error. */
  readonly present: readonly string[];
  readonly exchanges: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  /** Of the domain's own name. */
  readonly addresses: readonly string[];
  /** Look-ups without an answer: what is missing above may be there. */
  readonly unanswered: readonly string[];
}

/** As many as a receiver would follow (RFC 7208 §4.6.4). */
const maxExchanges = 10;

export async function spfFacts(domain: string, resolver: Resolver): Promise<SpfFacts> {
  const asker = new Asker(resolver);
  const unanswered: string[] = [];
  const find = async <Type extends "A" | "AAAA" | "MX" | "TXT">(name: string, type: Type) => {
    const answer = await asker.ask(name, type);
    if (answer?.kind === "failed") unanswered.push(`${type} of ${name}: ${answer.why}`);
    return answer?.kind === "found" ? answer.records : [];
  };
  const addressesOf = async (name: string): Promise<string[]> => {
    const both = await Promise.all([find(name, "A"), find(name, "AAAA")]);
    return both.flat().map(({ address }) => address);
  };
  const [texts, servers, addresses] = await Promise.all([
    find(domain, "TXT"),
    find(domain, "MX"),
    addressesOf(domain),
  ]);
  const present = texts.filter(({ text }) => isSpfRecord(text)).map(({ text }) => printable(text));
  const byPreference = servers.toSorted((a, b) => a.preference - b.preference);
  const names = byPreference.map(({ exchange }) => exchange).filter((name) => name !== ".");
  const exchanges = await Promise.all(
    names
      .slice(0, maxExchanges)
      .map(async (name) => ({ name, addresses: await addressesOf(name) })),
  );
  return { domain, present, exchanges, addresses, unanswered };
}
