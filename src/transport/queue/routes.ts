/** Which hosts take mail for a domain (RFC 5321 §5.1, null MX of RFC 7505), or the fixed route. */

import { isIP } from "node:net";
import type { Resolver } from "#base/dns";
import { Misconfigured } from "#base/errors";
import { isPublicAddress } from "#base/ip";
import type { Endpoint } from "#base/net";
import { pick, type Random } from "#base/random";
import type { Reply } from "#model/reply";

/** An address to dial, and the host name it stands for. */
export interface Candidate {
  readonly name: string;
  readonly endpoint: Endpoint;
}

export type Route =
  | { readonly ok: true; readonly candidates: readonly Candidate[] }
  /** 5xx: never; 4xx: not now. */
  | { readonly ok: false; readonly reply: Reply };

export interface RouteDeps {
  readonly resolver: Pick<Resolver, "query">;
  readonly random: Random;
  /** Host names under which this site takes mail. */
  readonly ourNames: readonly string[];
  readonly privateNetworks: boolean;
}

/** Our limits: hosts of one domain and addresses altogether that one attempt looks at. */
const maxHosts = 8;
const maxCandidates = 12;
const smtpPort = 25;

export class Routes {
  readonly #exact = new Map<string, Endpoint>();
  readonly #below: (readonly [suffix: string, to: Endpoint])[] = [];
  readonly #smartHost: Endpoint | undefined;

  /** @throws Misconfigured on a route that cannot be read */
  constructor(routes: readonly string[], smartHost: string) {
    for (const text of routes) {
      const equals = text.indexOf("=");
      const domain = text.slice(0, Math.max(0, equals)).trim().toLowerCase();
      const to = parseEndpoint(text.slice(equals + 1).trim());
      if (domain === "" || to === undefined) throw new Misconfigured(`cannot read route "${text}"`);
      if (domain.startsWith(".")) this.#below.push([domain, to]);
      else this.#exact.set(domain, to);
    }
    this.#below.sort(([one], [other]) => other.length - one.length); // the longest match wins
    this.#smartHost = smartHost === "" ? undefined : parseEndpoint(smartHost);
    if (smartHost !== "" && this.#smartHost === undefined) {
      throw new Misconfigured(`cannot read smart host "${smartHost}"`);
    }
  }

  fixed(domain: string): Endpoint | undefined {
    const below = (): Endpoint | undefined =>
      this.#below.find(([suffix]) => domain.endsWith(suffix))?.[1];
    return this.#exact.get(domain) ?? below() ?? this.#smartHost;
  }
}

/** "host", "host:port", "[v6]:port" */
function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? smtpPort);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

export async function routeTo(to: Endpoint, deps: RouteDeps): Promise<Route> {
  const found = await addressesOf(to.host, deps, true);
  const candidates = found.addresses.map((host) => ({
    name: to.host,
    endpoint: { host, port: to.port },
  }));
  return candidates.length > 0 ? { ok: true, candidates } : { ok: false, reply: noLookUp(to.host) };
}

export async function routeByMx(domain: string, deps: RouteDeps): Promise<Route> {
  if (domain.startsWith("[")) return routeToLiteral(domain, deps);
  const answer = await deps.resolver.query(domain, "MX");
  if (answer.kind === "failed") return { ok: false, reply: noLookUp(domain) };
  // §5.1: without an MX the domain itself is the host.
  if (answer.kind === "none") return routeToHosts(domain, [domain], deps, answer.nxdomain);
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
  return routeToHosts(domain, hosts, deps, false);
}

/** By preference, equals in any order; from our own name on, hosts would loop back (§5.1). */
function inOrder(
  records: readonly { readonly preference: number; readonly exchange: string }[],
  { random, ourNames }: RouteDeps,
): string[] {
  const ours = new Set(ourNames.map((name) => name.toLowerCase()));
  const own = records.filter(({ exchange }) => ours.has(exchange));
  const limit = Math.min(...own.map(({ preference }) => preference), Number.POSITIVE_INFINITY);
  return records
    .filter(({ preference, exchange }) => preference < limit && exchange !== ".")
    .map((record) => ({ ...record, chance: random.fraction() }))
    .sort((one, other) => one.preference - other.preference || one.chance - other.chance)
    .slice(0, maxHosts)
    .map(({ exchange }) => exchange);
}

async function routeToHosts(
  domain: string,
  hosts: readonly string[],
  deps: RouteDeps,
  nxdomain: boolean,
): Promise<Route> {
  const found = await Promise.all(
    hosts.map(async (name) => ({ name, ...(await addressesOf(name, deps, false)) })),
  );
  const candidates = found
    .flatMap(({ name, addresses }) =>
      addresses.map((host) => ({ name, endpoint: { host, port: smtpPort } })),
    )
    .slice(0, maxCandidates);
  if (candidates.length > 0) return { ok: true, candidates };
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
  readonly failed: boolean;
  /** Some addresses were left out because others' DNS may not lead us to them. */
  readonly forbidden: boolean;
}

async function addressesOf(name: string, deps: RouteDeps, trusted: boolean): Promise<Found> {
  if (isIP(name) !== 0) {
    // Strangers' DNS must not make us talk to machines of our own network (RFC 6890).
    const may = trusted || deps.privateNetworks || isPublicAddress(name);
    return { addresses: may ? [name] : [], failed: false, forbidden: !may };
  }
  const [four, six] = await Promise.all([
    deps.resolver.query(name, "A"),
    deps.resolver.query(name, "AAAA"),
  ]);
  const all = [
    ...shuffled(four.kind === "found" ? four.records : [], deps.random),
    ...shuffled(six.kind === "found" ? six.records : [], deps.random),
  ].map(({ address }) => address);
  const addresses = trusted || deps.privateNetworks ? all : all.filter(isPublicAddress);
  return {
    addresses,
    failed: four.kind === "failed" || six.kind === "failed",
    forbidden: addresses.length < all.length,
  };
}

function shuffled<Value>(values: readonly Value[], random: Random): Value[] {
  const left = [...values];
  return values.flatMap(() => left.splice(pick(random, left.length), 1));
}

/** RFC 5321 §4.1.3: "[192.0.2.1]", "[IPv6:2001:db8::1]". */
function routeToLiteral(domain: string, deps: RouteDeps): Route {
  const host = domain.slice(1, -1).replace(/^ipv6:/i, "");
  const may = isIP(host) !== 0 && (deps.privateNetworks || isPublicAddress(host));
  if (may) return { ok: true, candidates: [{ name: host, endpoint: { host, port: smtpPort } }] };
  const text = `${domain} is no address we send to`;
  return { ok: false, reply: { code: 550, status: "5.1.2", text } };
}

function noLookUp(name: string): Reply {
  return { code: 451, status: "4.4.3", text: `${name} cannot be looked up now` };
}
