/** The DNS Tree Walk: records from a domain upwards, and the Organizational Domain (RFC 9989 §4.10). */

import type { DnsAnswer, Resolver } from "#base/dns";
import { type DmarcRecord, isDmarcRecord, parseDmarcRecord } from "./record.ts";

/** One question to the DNS, for the tools that show how a policy was found. */
export interface DmarcQuery {
  readonly name: string;
  readonly answer: "record" | "none" | "several" | "failed";
  /** The record, or why there is no answer. */
  readonly text?: string;
}

export interface PublishedRecord {
  /** Where it stands, without "_dmarc.". */
  readonly domain: string;
  readonly text: string;
  readonly record: DmarcRecord;
}

/** What stands at one name: a record, nothing that counts, or no answer. */
export type Found = PublishedRecord | undefined | { readonly failed: string };

/** The records that one message needs: each name is asked for once. */
export interface Records {
  find(domain: string): Promise<Found>;
  readonly queries: readonly DmarcQuery[];
}

export function createRecords(resolver: Resolver): Records {
  const asked = new Map<string, Promise<Found>>();
  const queries: DmarcQuery[] = [];
  const find = (domain: string): Promise<Found> => {
    let found = asked.get(domain);
    if (found === undefined) {
      found = look(domain, resolver, queries);
      asked.set(domain, found);
    }
    return found;
  };
  return { find, queries };
}

async function look(domain: string, resolver: Resolver, queries: DmarcQuery[]): Promise<Found> {
  const name = `_dmarc.${domain}`;
  const answer = await texts(name, resolver);
  if (answer.kind === "failed") {
    queries.push({ name, answer: "failed", text: answer.why });
    return { failed: `the DNS did not answer for ${name}: ${answer.why}` };
  }
  const only = onlyRecord(answer);
  if (typeof only === "string") {
    queries.push({ name, answer: only });
    return undefined; // §4.10 steps 2 and 6: several are as good as none
  }
  queries.push({ name, answer: "record", text: only.text });
  return { domain, ...only };
}

type Only = Pick<PublishedRecord, "text" | "record"> | "none" | "several";

/** The resolver hands out the same answer while it is fresh: so each record is read once. */
const known = new WeakMap<DnsAnswer<"TXT">, Only>();

function onlyRecord(answer: DnsAnswer<"TXT">): Only {
  let only = known.get(answer);
  if (only === undefined) {
    only = readOnly(answer);
    known.set(answer, only);
  }
  return only;
}

function readOnly(answer: DnsAnswer<"TXT">): Only {
  const texts = answer.kind === "found" ? answer.records.map(({ text }) => text) : [];
  const [text, second] = texts.filter(isDmarcRecord);
  if (second !== undefined) return "several";
  const parsed = text === undefined ? undefined : parseDmarcRecord(text);
  return text === undefined || parsed?.ok !== true ? "none" : { text, record: parsed.value };
}

export async function texts(name: string, resolver: Resolver): Promise<DnsAnswer<"TXT">> {
  return resolver.cached(name, "TXT") ?? (await resolver.query(name, "TXT"));
}

/** §4.10 step 4: at most eight names, whatever the number of labels. */
const longestParent = 7;

export interface Walk {
  /** From the longest name to the shortest. */
  readonly records: readonly PublishedRecord[];
  /** Of the domain where the walk began (§4.10.2). */
  readonly organizationalDomain: string;
}

/** §4.10 from the domain itself; a name without an answer ends it, since what follows hangs on it. */
export async function walkTree(
  domain: string,
  records: Records,
): Promise<Walk | { readonly failed: string }> {
  const found: PublishedRecord[] = [];
  for (const name of namesOf(domain)) {
    const one = await records.find(name);
    if (one === undefined) continue;
    if ("failed" in one) return one;
    found.push(one);
    if (one.record.psd !== "u") break;
  }
  return { records: found, organizationalDomain: organizationalDomainOf(domain, found.at(-1)) };
}

function namesOf(domain: string): readonly string[] {
  const labels = domain.split(".");
  const parent = labels.slice(Math.max(1, labels.length - longestParent));
  return [domain, ...parent.map((_, at) => parent.slice(at).join("."))];
}

/** §4.10.2. Only the last record can have psd=n or psd=y, because the walk stops there. */
function organizationalDomainOf(domain: string, last: PublishedRecord | undefined): string {
  if (last === undefined) return domain;
  const isAbove = last.record.psd === "y" && last.domain !== domain;
  if (!isAbove) return last.domain;
  const below = last.domain.split(".").length + 1;
  return domain.split(".").slice(-below).join(".");
}
