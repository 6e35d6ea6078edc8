/** Policy discovery: whose record speaks for a domain, and which of its policies (RFC 9989 §4.10.1). */

import type { Resolver } from "#base/dns";
import type { DmarcPolicy } from "#model/verdict";
import type { Policies } from "./record.ts";
import {
  createRecords,
  type DmarcQuery,
  type PublishedRecord,
  type Records,
  type Walk,
  walkTree,
} from "./walk.ts";

/** §4.10.1: the Author Domain's own record, else its Organizational Domain's, else the suffix's. */
export async function discover(
  domain: string,
  records: Records,
): Promise<PublishedRecord | undefined | { readonly failed: string }> {
  const own = await records.find(domain);
  if (own !== undefined) return own;
  const walk = await walkTree(domain, records);
  return "failed" in walk ? walk : appliesFrom(walk);
}

function appliesFrom({ records, organizationalDomain }: Walk): PublishedRecord | undefined {
  return records.find((one) => one.domain === organizationalDomain) ?? records.at(-1);
}

export interface AppliedPolicy {
  /** After t=y. */
  readonly policy: DmarcPolicy;
  readonly published: DmarcPolicy;
  readonly tag: "p" | "sp" | "np";
  /** The DNS did not tell whether the domain exists: it may be the policy of np, or that of sp. */
  readonly unsure?: string;
}

const milder: Readonly<Record<DmarcPolicy, DmarcPolicy>> = {
  reject: "quarantine",
  quarantine: "none",
  none: "none",
};
const strength: readonly DmarcPolicy[] = ["none", "quarantine", "reject"];

/** Which of the record's policies meets this domain. Asks the DNS only where np makes a difference. */
export async function applyPolicy(
  domain: string,
  { domain: policyDomain, record }: PublishedRecord,
  policies: Policies,
  resolver: Resolver,
): Promise<AppliedPolicy> {
  const { p, sp, np } = policies;
  const applied = (published: DmarcPolicy, tag: AppliedPolicy["tag"]): AppliedPolicy => ({
    published,
    tag,
    policy: record.testing ? milder[published] : published, // §4.7 t
  });
  if (domain === policyDomain) return applied(p, "p");
  const existing = sp === undefined ? applied(p, "p") : applied(sp, "sp");
  if (np === undefined || np === existing.published) return existing;
  const missing = applied(np, "np");
  const exists = await domainExists(domain, resolver);
  if (typeof exists === "boolean") return exists ? existing : missing;
  const isMilder = strength.indexOf(np) < strength.indexOf(existing.published);
  return { ...(isMilder ? missing : existing), unsure: exists.failed };
}

/** §3.2.13: only NXDOMAIN is absence, and not that of the name that an alias points to. */
async function domainExists(
  domain: string,
  resolver: Resolver,
): Promise<boolean | { readonly failed: string }> {
  for (const type of ["A", "CNAME"] as const) {
    const answer = resolver.cached(domain, type) ?? (await resolver.query(domain, type));
    if (answer.kind === "failed") {
      return { failed: `the DNS did not answer for ${domain}: ${answer.why}` };
    }
    if (answer.kind === "found" || !answer.nxdomain) return true;
  }
  return false;
}

export interface PolicyFinding {
  /** "unusable": there is a record, but it says nothing that could be applied (§4.10.1). */
  readonly result: "found" | "none" | "unusable" | "failed";
  readonly published?: PublishedRecord;
  /** The policy that mail of this domain meets; only with "found". */
  readonly applied?: AppliedPolicy;
  /** Absent when the DNS failed on the way. */
  readonly organizationalDomain?: string;
  /** In the order of the answers. */
  readonly queries: readonly DmarcQuery[];
  readonly why: string;
}

/**
 * Everything about the policy of a domain, for people and for sending reports.
 *
 * @param domain A-labels, lower case
 */
export async function findPolicy(domain: string, resolver: Resolver): Promise<PolicyFinding> {
  const records = createRecords(resolver);
  const { queries } = records;
  const published = await discover(domain, records);
  if (published !== undefined && "failed" in published) {
    return { result: "failed", queries, why: published.failed };
  }
  const walk = await walkTree(domain, records);
  const place = "failed" in walk ? {} : { organizationalDomain: walk.organizationalDomain };
  if (published === undefined) {
    return { result: "none", queries, ...place, why: noRecord(domain, queries) };
  }
  const { policies } = published.record;
  if (typeof policies === "string") {
    const why = unusable(published);
    return { result: "unusable", published, queries, ...place, why };
  }
  const applied = await applyPolicy(domain, published, policies, resolver);
  const why = `${applied.tag}=${applied.published} of ${published.domain}`;
  return { result: "found", published, applied, queries, ...place, why };
}

export function noRecord(domain: string, queries: readonly DmarcQuery[]): string {
  const several = queries.find((one) => one.answer === "several");
  const found = several === undefined ? "" : `; ${several.name} has several, which counts as none`;
  return `${domain} and the domains above it publish no DMARC record${found}`;
}

export function unusable({ domain, record }: PublishedRecord): string {
  return `the record of ${domain} has no usable policy: ${record.faults.join("; ")}`;
}
