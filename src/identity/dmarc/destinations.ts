/** Where reports may go: those who are named must want them (RFC 9990 §4, RFC 9991 §5). */

import type { Resolver } from "#base/dns";
import { type DmarcRecord, isDmarcRecord, parseDmarcRecord } from "./record.ts";
import type { ReportUri } from "./uri.ts";
import { createRecords, type Records, texts, walkTree } from "./walk.ts";

export interface Destination {
  readonly address: string;
  /** The policy domain is of another organization, and the destination's DNS agrees. */
  readonly external: boolean;
}

export interface Destinations {
  /** Aggregate reports. */
  readonly rua: readonly Destination[];
  /** Failure reports. */
  readonly ruf: readonly Destination[];
  readonly leftOut: readonly {
    readonly tag: "rua" | "ruf";
    readonly uri: string;
    readonly why: string;
    /** The DNS did not answer: a later try may tell. */
    readonly temporary: boolean;
  }[];
}

type Outcome =
  | { readonly to: readonly Destination[] }
  | { readonly why: string; readonly temporary: boolean };

/** @param policyDomain where the record was found, in A-labels */
export async function reportDestinations(
  record: DmarcRecord,
  policyDomain: string,
  resolver: Resolver,
): Promise<Destinations> {
  const records = createRecords(resolver);
  const kept = { rua: new Map<string, Destination>(), ruf: new Map<string, Destination>() };
  const leftOut: Destinations["leftOut"][number][] = [];
  for (const tag of ["rua", "ruf"] as const) {
    for (const uri of record[tag]) {
      const outcome =
        tag === "ruf" && record.psd === "y"
          ? no("a public suffix gets no failure reports") // RFC 9991 §2
          : await judge(uri, { tag, policyDomain }, records, resolver);
      if ("to" in outcome) for (const one of outcome.to) kept[tag].set(one.address, one);
      else leftOut.push({ tag, uri: uri.uri, ...outcome });
    }
  }
  return { rua: [...kept.rua.values()], ruf: [...kept.ruf.values()], leftOut };
}

function no(why: string, temporary = false): Outcome {
  return { why, temporary };
}

interface Asked {
  readonly tag: "rua" | "ruf";
  readonly policyDomain: string;
}

async function judge(
  { mailbox }: ReportUri,
  asked: Asked,
  records: Records,
  resolver: Resolver,
): Promise<Outcome> {
  if (mailbox === undefined) return no("only mailto is supported");
  const { address, domain } = mailbox;
  const external = await isExternal(domain, asked.policyDomain, records);
  if (typeof external !== "boolean") return no(external.failed, true);
  return external
    ? await agreement(mailbox, asked, resolver)
    : { to: [{ address, external: false }] };
}

async function isExternal(
  host: string,
  policyDomain: string,
  records: Records,
): Promise<boolean | { readonly failed: string }> {
  if (host === policyDomain) return false;
  if (host.split(".").at(-1) !== policyDomain.split(".").at(-1)) return true;
  const ours = await walkTree(policyDomain, records);
  if ("failed" in ours) return ours;
  const theirs = await walkTree(host, records);
  if ("failed" in theirs) return theirs;
  return ours.organizationalDomain !== theirs.organizationalDomain;
}

/** RFC 9990 §4 steps 2 to 9. A destination that agrees may name other mailboxes of the same host. */
async function agreement(
  { address, domain: host }: { readonly address: string; readonly domain: string },
  { tag, policyDomain }: Asked,
  resolver: Resolver,
): Promise<Outcome> {
  const name = `${policyDomain}._report._dmarc.${host}`;
  if (name.length > 253) return no("the name that would hold the agreement is too long"); // step 4
  const answer = await texts(name, resolver);
  if (answer.kind === "failed") return no(`the DNS did not answer for ${name}`, true);
  const found = answer.kind === "found" ? answer.records.map(({ text }) => text) : [];
  const agreements = found.filter(isDmarcRecord).flatMap((text) => {
    const parsed = parseDmarcRecord(text);
    return parsed.ok ? [parsed.value] : [];
  });
  if (agreements.length === 0) return no(`${host} does not say that it wants them (${name})`);
  const others = agreements.flatMap((one) => one[tag]);
  if (others.length === 0) return { to: [{ address, external: true }] };
  // Step 9: an answer that leads to a third host is worth nothing at all.
  if (others.some(({ mailbox }) => mailbox !== undefined && mailbox.domain !== host)) {
    return no(`${name} leads to another host`);
  }
  const to = others.flatMap(({ mailbox }) =>
    mailbox === undefined ? [] : [{ address: mailbox.address, external: true }],
  );
  return to.length > 0 ? { to } : no(`${name} names no mailbox`);
}
