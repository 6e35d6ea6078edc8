/**
 * nftables rules: one file per host, and one for the firewall between the zones. Each file replaces
 * its own table in one step and touches no other.
 */

import { type Flow, type Party, serviceText } from "./flow.ts";
import { families, ofFamily } from "./network.ts";
import type { Plan } from "./plan.ts";
import { endMatch, noteOf, ownNetworks, portMatch } from "./rule-text.ts";
import type { Host, Topology, TunnelLink, Zone } from "./topology.ts";

type Way = "input" | "output" | "forward";

/** @param name of a host of the plan; a host with the role router also gets the forward chain */
export function hostRules(plan: Plan, name: string): string {
  const host = plan.topology.hosts.find((one) => one.name === name);
  if (host === undefined) throw new Error(`no host ${name} in this plan`);
  const flows = bothWays(plan.flows);
  const started = flows.filter(({ from }) => stands(host, from));
  const taken = flows.filter(({ to }) => stands(host, to));
  const rules = (some: readonly Flow[], way: Way): readonly string[] =>
    some.flatMap((flow) => hostRule(flow, plan.topology, way));
  const reject = "counter reject with icmpx type admin-prohibited";
  return file(`Rules for host ${name} (zone ${host.zone})`, [
    chain("input", [
      ...common("iif"),
      ...rules(taken, "input"),
      ...strangerRules(taken),
      ...ending("input"),
      "counter drop",
    ]),
    chain("output", [
      ...common("oif"),
      ...rules(started, "output"),
      ...ending("output"),
      `${reject} comment "an answer at once, so that programs do not wait"`,
    ]),
    host.roles.includes("router") ? forwardChain(plan) : chain("forward", ["counter drop"]),
  ]);
}

/** The firewall between the zones, whatever host it is: forwarded packets alone. */
export function zoneRules(plan: Plan): string {
  return file("Rules for the firewall between the zones", [
    ["# The same as a table, for a firewall of another make:", ...plainTable(plan)]
      .map((line, index) => (index === 0 ? line : `#   ${line}`))
      .join("\n"),
    forwardChain(plan),
  ]);
}

/** Number, source, destination, service, action, reason: what every firewall can be told. */
function plainTable(plan: Plan): readonly string[] {
  const rows = crossing(plan).map((flow, index) => {
    const ends = `${endText(flow, "from", plan)}  ->  ${endText(flow, "to", plan)}`;
    return `${index + 1}  ${ends}  ${serviceText(flow)}  accept  ${flow.reason}`;
  });
  return [...rows, `${rows.length + 1}  any  ->  any  any  drop and log`];
}

function endText(flow: Flow, end: "from" | "to", { topology }: Plan): string {
  const party = flow[end];
  if (party.zoneKind === "internet" && party.kind === "zone") {
    return `${party.name} [${flow.only?.join(", ") ?? "any but our networks"}]`;
  }
  const places: readonly (Host | Zone)[] = [...topology.hosts, ...topology.zones];
  const place = places.find(({ name }) => name === party.name);
  const texts = place === undefined ? [] : "networks" in place ? place.networks : place.addresses;
  return `${party.name} [${texts.join(", ")}]`;
}

/** What passes the firewall: between zones, and nothing that a tunnel hides from it. */
function crossing({ flows, topology }: Plan): readonly Flow[] {
  const isHidden = ({ inside }: Flow): boolean =>
    topology.links.some(({ name, by }) => name === inside && by !== "vlan");
  return flows.filter(
    (flow) => flow.from.zone !== flow.to.zone && flow.protocol !== "ah" && !isHidden(flow),
  );
}

/** ESP has no connections that a firewall could follow: either end may begin. AH is not written. */
function bothWays(flows: readonly Flow[]): readonly Flow[] {
  return flows.flatMap((flow) => {
    if (flow.protocol === "ah") return [];
    return flow.ports === undefined ? [flow, { ...flow, from: flow.to, to: flow.from }] : [flow];
  });
}

function file(title: string, parts: readonly string[]): string {
  const indented = parts
    .flatMap((part) => ["", ...part.split("\n")])
    .slice(1)
    .map((line) => (line === "" ? "" : `  ${line}`));
  return `#!/usr/sbin/nft -f
# ${title}. Made by postern plan rules: change the topology file, not this one.

table inet postern
delete table inet postern

table inet postern {
${indented.join("\n")}
}
`;
}

function chain(hook: Way, lines: readonly string[]): string {
  const head = `type filter hook ${hook} priority filter; policy drop;`;
  const body = [head, ...lines].map((line) => (line === "" ? "" : `  ${line}`));
  return `chain ${hook} {\n${body.join("\n")}\n}`;
}

/** RFC 4890 §4.4.1 and RFC 1191: without these, large packets vanish. */
const errorRules: readonly string[] = [
  "# errors and path MTU",
  "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
  "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
];

function common(loopback: "iif" | "oif"): readonly string[] {
  return [
    "ct state established,related accept",
    "ct state invalid counter drop",
    `${loopback} lo accept`,
    ...errorRules,
    "# neighbours (RFC 4861: hop limit 255) and multicast membership (RFC 2710, RFC 3810)",
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept",
    "icmpv6 type { nd-router-solicit, nd-router-advert } ip6 hoplimit 255 accept",
    "icmpv6 type { mld-listener-query, mld-listener-report, mld2-listener-report } accept",
  ];
}

function ending(way: Way): readonly string[] {
  return [
    "",
    "# what is not above is dropped, and some of it logged",
    `limit rate 10/minute burst 20 packets log prefix "postern ${way}: "`,
  ];
}

/** Port 25 of an edge behind a provider: whoever else knocks is counted apart (CAP-13). */
function strangerRules(taken: readonly Flow[]): readonly string[] {
  return taken
    .filter(({ only }) => only !== undefined)
    .flatMap((flow) => [
      "",
      `# ${flow.what} from others than the provider`,
      `${portMatch(flow)} counter drop comment "not from the provider"`,
    ]);
}

/** Addresses and port of a flow, a line per IP version that both ends have. */
function matches(flow: Flow, topology: Topology): readonly string[] {
  const around = { topology, ...(flow.only !== undefined && { only: flow.only }) };
  const state = flow.ports === undefined ? "" : " ct state new";
  return families.flatMap((family) => {
    const source = endMatch(flow.from, "saddr", around, family);
    const target = endMatch(flow.to, "daddr", around, family);
    if (source === undefined || target === undefined) return [];
    return [`${source} ${target} ${portMatch(flow)}${state} counter accept`];
  });
}

function hostRule(flow: Flow, topology: Topology, way: Way): readonly string[] {
  const link = topology.links.find(({ name }) => name === flow.inside);
  const rules =
    link?.by === "wireguard"
      ? [tunnelMatch(flow, link, way)]
      : matches(flow, topology).map((rule) => `${guardOf(link, way)}${rule}`);
  return rules.length === 0 ? [] : ["", ...noteOf(flow), ...rules];
}

/** In the clear, the same packet must not pass. */
function guardOf(link: TunnelLink | undefined, way: Way): string {
  if (link === undefined) return "";
  if (link.by === "vlan") return `${way === "input" ? "iifname" : "oifname"} "vlan${link.vlan}" `;
  return way === "input" ? "meta ipsec exists " : "rt ipsec exists ";
}

function tunnelMatch(flow: Flow, link: TunnelLink, way: Way): string {
  const [first, second] = link.tunnel ?? ["", ""];
  const [source, target] = flow.from.name === link.between[0] ? [first, second] : [second, first];
  const device = `${way === "input" ? "iifname" : "oifname"} "wg-${link.name}"`;
  const family = source.includes(":") ? "ip6" : "ip";
  const ends = `${family} saddr ${source} ${family} daddr ${target}`;
  return `${device} ${ends} ${portMatch(flow)} ct state new counter accept`;
}

/** Is the host this party, or one of its zone? */
function stands(host: Host, party: Party): boolean {
  return party.name === host.name || (party.kind === "zone" && party.name === host.zone);
}

function forwardChain(plan: Plan): string {
  return chain("forward", [
    "ct state established,related accept",
    "ct state invalid counter drop",
    "# established and related hold answers, errors and path MTU of what was let in",
    ...forgedSources(plan.topology),
    ...bothWays(crossing(plan)).flatMap((flow) => {
      const rules = matches(flow, plan.topology);
      return rules.length === 0 ? [] : ["", ...noteOf(flow), ...rules];
    }),
    ...ending("forward"),
    "counter drop",
  ]);
}

/** A packet comes in at the side where its source lives (RFC 2827), where interfaces are named. */
function forgedSources(topology: Topology): readonly string[] {
  return topology.zones.flatMap(({ kind, interface: device, networks }) => {
    if (device === undefined) return [];
    const isInternet = kind === "internet";
    return families.flatMap((family) => {
      const own = ofFamily(isInternet ? ownNetworks(topology) : networks, family);
      if (own.length === 0 && isInternet) return [];
      const sign = isInternet ? "" : "!= ";
      const none = `meta nfproto ${family === "ip" ? "ipv4" : "ipv6"}`;
      const forged = own.length === 0 ? none : `${family} saddr ${sign}{ ${own.join(", ")} }`;
      return [`iifname "${device}" ${forged} counter drop comment "forged source"`];
    });
  });
}
