/** What the world sees of a domain's mail: every record that matters, judged. */

import type { Resolver } from "#base/dns";
import { findPolicy } from "#identity/dmarc";
import { expandSpf, printable } from "#identity/spf-advice";
import { recordText } from "./dns-compare.ts";
import { serverFindings } from "./dns-domain-servers.ts";
import { type ExplainedRecord, explainRecord, services } from "./dns-explain.ts";
import { type DomainFinding, unanswered } from "./dns-finding.ts";

/** Never rejects; the areas are asked for at the same time, so that silence costs its time once. */
export async function checkDomain(
  domain: string,
  selectors: readonly string[],
  resolver: Resolver,
): Promise<DomainFinding[]> {
  const found = await Promise.all([
    serverFindings(domain, resolver),
    spfFindings(domain, resolver),
    dkimFindings(domain, selectors, resolver),
    dmarcFindings(domain, resolver),
    mtaStsFindings(domain, resolver),
    textFindings(domain, resolver, tlsReporting),
    clientFindings(domain, resolver),
  ]);
  return found.flat();
}

async function spfFindings(domain: string, resolver: Resolver): Promise<DomainFinding[]> {
  const { record, lookups, addresses, findings } = await expandSpf(domain, resolver);
  const rows = findings.map((finding): DomainFinding => ({ area: "SPF", ...finding }));
  if (rows.some(({ level }) => level !== "note")) return rows;
  const may = `${addresses.ipv4} IPv4 and ${addresses.ipv6} IPv6 addresses may send`;
  const text = `${record.text?.slice(0, 200)}: ${may}, ${lookups} of 10 look-ups`;
  return [{ area: "SPF", level: "ok", text }, ...rows];
}

async function dkimFindings(
  domain: string,
  selectors: readonly string[],
  resolver: Resolver,
): Promise<DomainFinding[]> {
  if (selectors.length === 0) {
    const text = "not checked: keys stand under selectors, which nobody can list";
    const advice = "name some: --selector NAME (s= in the DKIM-Signature of its mail)";
    return [{ area: "DKIM", level: "note", text, advice }];
  }
  const found = await Promise.all(
    selectors.map((selector) => {
      const name = `${selector}._domainkey.${domain}`;
      const advice = `publish the key (ours: postern dns show ${domain})`;
      const missing = { level: "bad", text: `${name} has no key`, advice } as const;
      return textFindings(domain, resolver, { area: "DKIM", kind: "DKIM", name, missing });
    }),
  );
  return found.flat();
}

async function dmarcFindings(domain: string, resolver: Resolver): Promise<DomainFinding[]> {
  const area = "DMARC";
  const found = await findPolicy(domain, resolver);
  const why = printable(found.why);
  if (found.result === "failed") return [{ area, level: "unknown", text: why }];
  if (found.result === "unusable") {
    return [{ area, level: "bad", text: why, advice: "postern dns explain it" }];
  }
  const { published, applied } = found;
  if (published === undefined || applied === undefined) {
    const advice = `publish _dmarc.${domain}: begin with v=DMARC1; p=none; rua=mailto:ADDRESS`;
    return [{ area, level: "bad", text: why, advice }];
  }
  const explained = explainRecord(published.text, `_dmarc.${published.domain}`);
  const rows = explained === undefined ? [] : partFindings(area, explained);
  const inherited = published.domain === domain ? "" : `, inherited from ${published.domain}`;
  const reports: DomainFinding[] =
    published.record.rua.length > 0
      ? []
      : [{ area, level: "warn", text: "nobody gets reports", advice: "add rua=mailto:ADDRESS" }];
  if (rows.length > 0) return [...rows, ...reports];
  const text = `mail that pretends to be of the domain: ${applied.policy}${inherited}`;
  return [{ area, level: "ok", text }, ...reports];
}

/** Only what is wrong with a record; nothing when all of it is fine. */
function partFindings(area: DomainFinding["area"], { parts }: ExplainedRecord): DomainFinding[] {
  return parts.flatMap(({ part, words, level }) =>
    level === undefined ? [] : [{ area, level, text: `${part.slice(0, 60)}: ${words}` }],
  );
}

interface TextPlace {
  readonly area: DomainFinding["area"];
  readonly kind: ExplainedRecord["kind"];
  readonly name: string;
  readonly missing: Omit<DomainFinding, "area">;
}

const tlsReporting = (domain: string): TextPlace => ({
  area: "TLS-RPT",
  kind: "TLS-RPT",
  name: `_smtp._tls.${domain}`,
  missing: {
    level: "note",
    text: "no TLS-RPT record: nobody tells when TLS to the servers fails",
    advice: `publish _smtp._tls.${domain}: v=TLSRPTv1; rua=mailto:ADDRESS`,
  },
});

/** The one record of a kind at a name. */
async function textFindings(
  domain: string,
  resolver: Resolver,
  given: TextPlace | ((domain: string) => TextPlace),
): Promise<DomainFinding[]> {
  const { area, kind, name, missing } = typeof given === "function" ? given(domain) : given;
  const answer = await resolver.query(name, "TXT");
  if (answer.kind === "failed") return [unanswered(area, "TXT", name, answer)];
  const texts = answer.kind === "found" ? answer.records.map(({ text }) => text) : [];
  const records = texts.flatMap((text) => explainRecord(text, name) ?? []);
  const [record, second] = records.filter((one) => one.kind === kind);
  if (record === undefined) return [{ area, ...missing }];
  if (second !== undefined) {
    const text = `${name} has several ${kind} records: they count as none`;
    return [{ area, level: "bad", text, advice: "leave one" }];
  }
  const rows = partFindings(area, record);
  const text = `${name}: ${record.text.slice(0, 60)}${record.text.length > 60 ? "..." : ""}`;
  return rows.length > 0 ? rows : [{ area, level: "ok", text }];
}

async function mtaStsFindings(domain: string, resolver: Resolver): Promise<DomainFinding[]> {
  const area = "MTA-STS";
  const missing = { level: "note", text: "no MTA-STS: senders may be talked out of TLS" } as const;
  const place = { area, kind: "MTA-STS", name: `_mta-sts.${domain}`, missing } as const;
  const rows = await textFindings(domain, resolver, place);
  if (rows[0]?.level !== "ok") return rows;
  const host = `mta-sts.${domain}`;
  const addresses = await Promise.all([resolver.query(host, "A"), resolver.query(host, "AAAA")]);
  if (addresses.some(({ kind }) => kind !== "none")) return rows;
  const text = `${host} has no address, so nobody can fetch the policy`;
  return [...rows, { area, level: "bad", text, advice: `serve the policy at https://${host}/` }];
}

async function clientFindings(domain: string, resolver: Resolver): Promise<DomainFinding[]> {
  const area = "clients";
  const wanted = ["_submissions._tcp", "_imaps._tcp", "_jmap._tcp"];
  const rows = await Promise.all(
    wanted.map(async (service): Promise<DomainFinding[]> => {
      const name = `${service}.${domain}`;
      const answer = await resolver.query(name, "SRV");
      if (answer.kind === "failed") return [unanswered(area, "SRV", name, answer)];
      const records = answer.kind === "found" ? answer.records : [];
      return records.slice(0, 4).map((record) => ({
        area,
        level: "ok",
        text: `${service} (${services[service]}): ${recordText("SRV", record)}`,
      }));
    }),
  );
  const settings = await Promise.all(
    ["autoconfig", "autodiscover"].map(async (label): Promise<DomainFinding[]> => {
      const answer = await resolver.query(`${label}.${domain}`, "A");
      if (answer.kind !== "found") return [];
      return [{ area, level: "ok", text: `${label}.${domain} exists` }];
    }),
  );
  const found = [...rows.flat(), ...settings.flat()];
  if (found.length > 0) return found;
  const text = "no SRV records and no autoconfig: people type server names themselves";
  return [{ area, level: "note", text, advice: `postern dns show ${domain}` }];
}
