/** Which hosts take mail for a domain: its MX (RFC 5321 §5.1, null MX of RFC 7505) or the connector's. */

import { isIP } from "node:net";
import type { DnsAnswer, Resolver } from "#base/dns";
import { isPublicAddress } from "#base/ip";
import { pick, type Random } from "#base/random";
import type { ConnectorHost, OutboundConnector } from "#model/connector";
import type { Reply } from "#model/reply";

export interface Host {
  readonly name: string;
  readonly port: number;
  /** Named by the domain's DNS rather than by the connector. */
  readonly viaMx: boolean;
  readonly mxAuthenticated: boolean;
  readonly addressAuthenticated: boolean;
  /** In the order in which they are tried; a name where whoever dials looks it up. */
  readonly addresses: readonly string[];
}

export type Hosts =
  | { readonly ok: true; readonly hosts: readonly Host[] }
  /** 5xx: never; 4xx: not now. */
  | { readonly ok: false; readonly reply: Reply };

export interface HostDeps {
  readonly resolver: Pick<Resolver, "query">;
  readonly random: Random;
  /** Host names under which this site takes mail. */
  readonly ourNames: readonly string[];
  readonly privateNetworks: boolean;
  /** Only addresses of this family can be dialled: that of the connector's own address. */
  readonly family?: number;
}

/** Our limits: hosts of one domain, and addresses of one host, that one attempt looks at. */
const maxHosts = 8;
const maxAddresses = 6;
const smtpPort = 25;

/** In order: the connector's own, or those of the domain's MX. */
export function hostsFor(
  { hosts, via }: Pick<OutboundConnector, "hosts" | "via">,
  domain: string,
  deps: HostDeps,
): Promise<Hosts> {
  return hosts.length > 0 ? hostsOf(hosts, via, deps) : hostsByMx(domain, deps);
}

/** Hosts that the connector names; one whose addresses cannot be found now is left out. */
export async function hostsOf(
  wanted: readonly ConnectorHost[],
  via: OutboundConnector["via"],
  deps: HostDeps,
): Promise<Hosts> {
  const hosts = await Promise.all(
    wanted.map(async ({ host: name, port }): Promise<Host> => {
      const facts = { name, port, viaMx: false, mxAuthenticated: false };
      // Names of the inside are for the inside to look up.
      if (via === "inside") return { ...facts, addresses: [name], addressAuthenticated: false };
      const { addresses, authenticated } = await addressesOf(name, deps, true);
      return { ...facts, addresses, addressAuthenticated: authenticated };
    }),
  );
  const found = hosts.filter(({ addresses }) => addresses.length > 0);
  if (found.length > 0) return { ok: true, hosts: found };
  return { ok: false, reply: noLookUp(wanted.map(({ host }) => host).join(", ")) };
}

export async function hostsByMx(domain: string, deps: HostDeps): Promise<Hosts> {
  if (domain.startsWith("[")) return literalHost(domain, deps);
  const answer = await deps.resolver.query(domain, "MX");
  if (answer.kind === "failed") return { ok: false, reply: noLookUp(domain) };
  // §5.1: without an MX the domain itself is the host.
  if (answer.kind === "none") {
    return withAddresses(domain, [domain], deps, {
      nxdomain: answer.nxdomain,
      authenticated: false,
    });
  }
  const [only] = answer.records;
  if (answer.records.length === 1 && (only?.exchange === "." || only?.exchange === "")) {
    const text = `${domain} takes no mail (null MX)`;
    return { ok: false, reply: { code: 556, status: "5.1.10", text } };
  }
  const hosts = inOrder(answer.records, deps);
  if (hosts.length === 0) {
    const text = `the MX of ${domain} leads back to us`;
    return { ok: false, reply: { code: 554, status: "5.4.6", text } };
  }
  const { authenticated } = answer;
  return withAddresses(domain, hosts, deps, { nxdomain: false, authenticated });
}

/** By preference, equals in any order; from our own name on, hosts would loop back (§5.1). */
function inOrder(
  records: readonly { readonly preference: number; readonly exchange: string }[],
  { random, ourNames }: HostDeps,
): string[] {
  const ours = new Set(ourNames.map((name) => name.toLowerCase()));
  const own = records.filter(({ exchange }) => ours.has(exchange.toLowerCase()));
  const limit = Math.min(...own.map(({ preference }) => preference), Number.POSITIVE_INFINITY);
  return records
    .filter(({ preference, exchange }) => preference < limit && exchange !== ".")
    .map((record) => ({ ...record, chance: random.fraction() }))
    .sort((one, other) => one.preference - other.preference || one.chance - other.chance)
    .slice(0, maxHosts)
    .map(({ exchange }) => exchange);
}

async function withAddresses(
  domain: string,
  names: readonly string[],
  deps: HostDeps,
  { nxdomain, authenticated }: { readonly nxdomain: boolean; readonly authenticated: boolean },
): Promise<Hosts> {
  const found = await Promise.all(
    names.map(async (name) => ({ name, ...(await addressesOf(name, deps, false)) })),
  );
  const hosts = found
    .filter(({ addresses }) => addresses.length > 0)
    .map(({ name, addresses, authenticated: addressAuthenticated }) => ({
      name,
      port: smtpPort,
      viaMx: true,
      mxAuthenticated: authenticated,
      addressAuthenticated,
      addresses,
    }));
  if (hosts.length > 0) return { ok: true, hosts };
  if (found.some(({ failed }) => failed)) return { ok: false, reply: noLookUp(domain) };
  if (found.some(({ forbidden }) => forbidden)) {
    const text = `${domain} leads to addresses that are not public`;
    return { ok: false, reply: { code: 550, status: "5.4.4", text } };
  }
  const text = nxdomain ? `${domain} does not exist` : `${domain} names no host that takes mail`;
  return { ok: false, reply: { code: 550, status: nxdomain ? "5.1.2" : "5.4.4", text } };
}

interface Found {
  readonly addresses: readonly string[];
  readonly authenticated: boolean;
  readonly failed: boolean;
  /** Some addresses were left out because others' DNS may not lead us to them. */
  readonly forbidden: boolean;
}

async function addressesOf(name: string, deps: HostDeps, trusted: boolean): Promise<Found> {
  const may = (address: string): boolean =>
    trusted || deps.privateNetworks || isPublicAddress(address);
  if (isIP(name) !== 0) {
    // Strangers' DNS must not make us talk to machines of our own network (RFC 6890).
    const addresses = may(name) ? [name] : [];
    return { addresses, authenticated: false, failed: false, forbidden: !may(name) };
  }
  const [four, six] = await Promise.all([
    deps.resolver.query(name, "A"),
    deps.resolver.query(name, "AAAA"),
  ]);
  const all = alternating(addressesIn(six, deps.random), addressesIn(four, deps.random));
  const addresses = all.filter(may);
  return {
    addresses: addresses
      .filter((address) => deps.family === undefined || isIP(address) === deps.family)
      .slice(0, maxAddresses),
    authenticated: [four, six].every((one) => one.kind !== "found" || one.authenticated),
    failed: four.kind === "failed" || six.kind === "failed",
    forbidden: addresses.length < all.length,
  };
}

function addressesIn(answer: DnsAnswer<"A"> | DnsAnswer<"AAAA">, random: Random): string[] {
  const left = answer.kind === "found" ? answer.records.map(({ address }) => address) : [];
  const mixed: string[] = [];
  while (left.length > 0) mixed.push(...left.splice(pick(random, left.length), 1));
  return mixed;
}

/** RFC 8305 §4: IPv6 first, then the families in turn. */
function alternating(six: readonly string[], four: readonly string[]): string[] {
  const length = Math.max(six.length, four.length);
  const pairs = Array.from({ length }, (_, at) => [six[at], four[at]]);
  return pairs.flat().filter((address) => address !== undefined);
}

/** RFC 5321 §4.1.3: "[192.0.2.1]", "[IPv6:2001:db8::1]". */
function literalHost(domain: string, deps: HostDeps): Hosts {
  const name = domain.slice(1, -1).replace(/^ipv6:/i, "");
  const may = isIP(name) !== 0 && (deps.privateNetworks || isPublicAddress(name));
  if (may) {
    const facts = { viaMx: true, mxAuthenticated: false, addressAuthenticated: false };
    return { ok: true, hosts: [{ name, port: smtpPort, addresses: [name], ...facts }] };
  }
  const text = `${domain} is no address we send to`;
  return { ok: false, reply: { code: 550, status: "5.1.2", text } };
}

function noLookUp(name: string): Reply {
  return { code: 451, status: "4.4.3", text: `${name} cannot be looked up now` };
}
