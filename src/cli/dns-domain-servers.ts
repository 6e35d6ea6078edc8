/** The servers that take a domain's mail, as the world sees them: MX, addresses, names, DANE. */

import type { Resolver } from "#base/dns";
import { isPublicAddress, parseIp } from "#base/ip";
import { recordText } from "./dns-compare.ts";
import { explainRecord } from "./dns-explain.ts";
import { type DomainFinding, unanswered } from "./dns-finding.ts";

/** Ours: more servers and addresses than anybody reads about. */
const maxServers = 6;
const maxAddresses = 4;

export async function serverFindings(domain: string, resolver: Resolver): Promise<DomainFinding[]> {
  const area = "MX";
  const answer = await resolver.query(domain, "MX");
  if (answer.kind === "failed") return [unanswered(area, "MX", domain, answer)];
  if (answer.kind === "none") {
    const own = await resolver.query(domain, "A");
    const advice = `postern dns show ${domain}`;
    if (own.kind === "none") {
      return [{ area, level: "bad", text: `${domain} has no MX record and takes no mail`, advice }];
    }
    const text = `${domain} has no MX record: its mail goes to its own address (RFC 5321, 5.1)`;
    return [{ area, level: "warn", text, advice }, ...(await oneServer(domain, resolver))];
  }
  const records = answer.records.toSorted((a, b) => a.preference - b.preference);
  const names = records.map(({ exchange }) => exchange);
  if (names.includes(".")) {
    const isAlone = names.length === 1;
    const text = isAlone
      ? "takes no mail, and says so (RFC 7505)"
      : '"." stands beside other servers';
    return [{ area, level: isAlone ? "ok" : "bad", text }];
  }
  const listed = records.slice(0, maxServers);
  const text = listed.map((record) => recordText("MX", record)).join(", ");
  const more = names.length > maxServers ? ` and ${names.length - maxServers} more` : "";
  const each = await Promise.all(listed.map(({ exchange }) => oneServer(exchange, resolver)));
  return [{ area, level: "ok", text: `${text}${more}` }, ...each.flat()];
}

async function oneServer(name: string, resolver: Resolver): Promise<DomainFinding[]> {
  const [addresses, dane] = await Promise.all([
    addressFindings(name, resolver),
    daneFindings(name, resolver),
  ]);
  return [...addresses, ...dane];
}

async function addressFindings(name: string, resolver: Resolver): Promise<DomainFinding[]> {
  const area = "addresses";
  if (parseIp(name) !== undefined) {
    const text = `${name} is an address where a host name must stand`;
    return [{ area, level: "bad", text, advice: "name the host" }];
  }
  const [alias, v4, v6] = await Promise.all([
    resolver.query(name, "CNAME"),
    resolver.query(name, "A"),
    resolver.query(name, "AAAA"),
  ]);
  const found: string[] = [];
  const rows: DomainFinding[] = [];
  for (const [type, answer] of [
    ["A", v4],
    ["AAAA", v6],
  ] as const) {
    if (answer.kind === "failed") rows.push(unanswered(area, type, name, answer));
    if (answer.kind === "found") found.push(...answer.records.map(({ address }) => address));
  }
  if (alias.kind === "found") {
    const text = `${name} is an alias (CNAME), which an MX record must not name (RFC 2181, 10.3)`;
    rows.push({ area, level: "warn", text, advice: "name the host itself" });
  }
  if (found.length === 0 && rows.length === 0) {
    const text = `${name} has no address: no mail can reach it`;
    rows.push({ area, level: "bad", text, advice: "publish its A and AAAA records" });
  }
  const each = await Promise.all(
    found.slice(0, maxAddresses).map((address) => oneAddress(name, address, resolver)),
  );
  return [...rows, ...each.flat()];
}

async function oneAddress(
  name: string,
  address: string,
  resolver: Resolver,
): Promise<DomainFinding[]> {
  const area = "addresses";
  if (!isPublicAddress(address)) {
    const text = `${name} is ${address}, which is not a public address`;
    return [
      { area, level: "bad", text, advice: "publish the address under which the world sees it" },
    ];
  }
  const reverse = await resolver.query(reverseName(address), "PTR");
  if (reverse.kind === "failed") {
    return [unanswered(area, "PTR", address, reverse)];
  }
  const names = reverse.kind === "found" ? reverse.records.map((record) => record.name) : [];
  const back = await Promise.all(
    names.slice(0, maxAddresses).map(async (one) => {
      const answer = await resolver.query(one, address.includes(":") ? "AAAA" : "A");
      const same = answer.kind === "found" && answer.records.some((row) => row.address === address);
      return same ? [one] : [];
    }),
  );
  const [confirmed] = back.flat();
  if (confirmed !== undefined) {
    return [
      { area, level: "ok", text: `${name} is ${address}, whose reverse name is ${confirmed}` },
    ];
  }
  const seen =
    names.length === 0
      ? "has no reverse name"
      : `has the reverse name ${names[0]}, which does not lead back`;
  const text = `${name} is ${address}, which ${seen}: many servers refuse mail from it`;
  return [{ area, level: "warn", text, advice: "have the owner of the network set it" }];
}

/** RFC 1035 §3.5, RFC 3596 §2.5. */
function reverseName(address: string): string {
  const octets = [...(parseIp(address) ?? [])];
  if (octets.length === 4) return `${octets.reverse().join(".")}.in-addr.arpa`;
  const nibbles = octets.flatMap((octet) => [octet >> 4, octet & 15]);
  return `${nibbles
    .reverse()
    .map((one) => one.toString(16))
    .join(".")}.ip6.arpa`;
}

/** RFC 7672 §2.2: only records that DNSSEC protects are used. */
async function daneFindings(host: string, resolver: Resolver): Promise<DomainFinding[]> {
  const area = "DANE";
  const name = `_25._tcp.${host}`;
  const answer = await resolver.query(name, "TLSA");
  if (answer.kind === "failed") return [unanswered(area, "TLSA", name, answer)];
  if (answer.kind === "none") {
    return [{ area, level: "note", text: `${host} has no TLSA record` }];
  }
  const rows = answer.records.flatMap((record): DomainFinding[] => {
    const parts = explainRecord(recordText("TLSA", record), name)?.parts ?? [];
    return parts.flatMap(({ part, words, level }) =>
      level === undefined ? [] : [{ area, level, text: `${name}: ${part.slice(0, 20)}: ${words}` }],
    );
  });
  if (rows.length > 0) return rows;
  if (answer.authenticated) {
    return [{ area, level: "ok", text: `${name} names the certificate, protected by DNSSEC` }];
  }
  const text = `${name}: no proof of DNSSEC came with it, and without DNSSEC nobody uses it`;
  return [{ area, level: "note", text, advice: "sign the zone; ask a resolver that validates" }];
}
