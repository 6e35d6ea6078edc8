/** What is wrong or worth knowing about a plan, each with the row of the capabilities it belongs to. */

import type { Manifest } from "#contracts/manifest";
import { unknownEntries } from "./facts-ours.ts";
import { isRange, openCount, serviceText } from "./flow.ts";
import type { Plan } from "./plan.ts";
import { type Host, misplacedRoles, type Topology, type TunnelLink } from "./topology.ts";

export interface PlanFinding {
  readonly level: "critical" | "warning" | "note";
  /** "CAP-3" … */
  readonly capability: string;
  /** Name of a host, zone or link. */
  readonly about: string;
  readonly text: string;
  readonly advice: string;
}

export function findingsOf(plan: Plan, manifests: readonly Manifest[]): readonly PlanFinding[] {
  const { topology } = plan;
  const all = [
    ...topology.hosts.flatMap((host) => placementFindings(host, topology)),
    ...listenerFindings(plan),
    ...holeFindings(plan),
    ...topology.links.flatMap(linkFindings),
    ...unknownEntries(topology, manifests).map(
      (entry): PlanFinding => ({
        level: "warning",
        capability: "CAP-4",
        about: entry.split(" ")[0] ?? "",
        text: `${entry}: this plan knows no flow for that`,
        advice: "add a [flow.NAME], or report it: the planner should know",
      }),
    ),
    ...adminFindings(plan),
  ];
  const order = ["critical", "warning", "note"];
  return all.toSorted((one, other) => order.indexOf(one.level) - order.indexOf(other.level));
}

function placementFindings(host: Host, topology: Topology): readonly PlanFinding[] {
  const found = misplacedRoles(host, topology).map(
    (role): PlanFinding => ({
      level: "critical",
      capability: "CAP-3",
      about: host.name,
      text: `${role} stands in zone ${host.zone}: it belongs inside`,
      advice: "move it to a zone inside; only edges and proxies stand in the DMZ",
    }),
  );
  if (host.addresses.every((address) => address === "127.0.0.1" || address === "::1")) {
    found.push({
      level: "note",
      capability: "CAP-4",
      about: host.name,
      text: "listens on its loopback alone: no other machine meets it yet",
      advice: "name addresses in [listen] of the configuration when it shall be met",
    });
  }
  const asks = host.roles.some((role) => ["front-end", "back-end", "hub"].includes(role));
  const directories = topology.hosts.filter(({ roles }) =>
    roles.some((role) => role === "domain-controller" || role === "directory-server"),
  );
  if (asks && directories.length > 0 && host.directory === undefined) {
    found.push({
      level: "warning",
      capability: "CAP-8",
      about: host.name,
      text: "may ask every directory host of the plan",
      advice: 'pin those it should ask: directory = ["NAME", …], in the order of failover',
    });
  }
  return found;
}

function listenerFindings({ listeners }: Plan): readonly PlanFinding[] {
  return listeners.map((flow) => {
    const { to } = flow;
    const isRight = to.zoneKind === "dmz";
    return {
      level: isRight ? "note" : "critical",
      capability: "CAP-4",
      about: to.name,
      text: `${serviceText(flow)} (${flow.what}) is open to ${sourceText(flow)}, in zone ${to.zone}`,
      advice: isRight ? "as the plan wants it" : "move what listens for strangers to the DMZ",
    };
  });
}

function sourceText({ only }: Pick<Plan["flows"][number], "only">): string {
  return only === undefined ? "the Internet" : `the provider alone (${only.join(", ")})`;
}

function holeFindings({ holes }: Plan): readonly PlanFinding[] {
  const pairs = Map.groupBy(holes, ({ from, to }) => `${from.name} → ${to.name}`);
  const found = [...pairs].map(([pair, flows]): PlanFinding => {
    const opened = `${counted(flows.length, "rule")} for ${counted(openCount(flows), "port")}`;
    return {
      level: "warning",
      capability: "CAP-12",
      about: flows[0]?.from.name ?? "",
      text: `${pair}: ${opened} from the DMZ to the inside`,
      advice: "let the inside dial, as the layout postern does",
    };
  });
  const dynamic = holes.filter(isRange);
  return [
    ...found,
    ...dynamic.map(
      (flow): PlanFinding => ({
        level: "critical",
        capability: "CAP-7",
        about: flow.to.name,
        text: `${flow.what} opens ${serviceText(flow)} from ${flow.from.name}`,
        advice: "give the service one static port: [legacy] rpcPort = 4900",
      }),
    ),
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function linkFindings(link: TunnelLink): readonly PlanFinding[] {
  const about = link.name;
  const found: PlanFinding[] = [];
  if (link.selectors === "any") {
    found.push({
      level: "critical",
      capability: "CAP-10",
      about,
      text: `lets anything pass between ${link.between.join(" and ")}: more than the ports it replaced`,
      advice: 'selectors = "flows": only the hosts, protocols and ports of this plan',
    });
  }
  if (link.ah) {
    found.push({
      level: "warning",
      capability: "CAP-9",
      about,
      text: "Authentication Header (IP protocol 51) is obsolete and encrypts nothing",
      advice: "leave it out: ESP with AES-GCM authenticates what it encrypts",
    });
  }
  if (link.by === "vlan") {
    found.push({
      level: "note",
      capability: "CAP-14",
      about,
      text: "a VLAN keeps traffic apart and encrypts nothing",
      advice: "where others reach the switches, take ipsec or wireguard",
    });
  }
  return found;
}

/** Rules without a way in for administrators lock them out when they are loaded. */
function adminFindings({ topology }: Plan): readonly PlanFinding[] {
  const ours = topology.hosts.some(({ roles }) =>
    roles.some((role) => role === "hub" || role === "edge-smtp" || role === "edge-web"),
  );
  if (!ours || topology.zones.some(({ kind }) => kind === "admin")) return [];
  return [
    {
      level: "warning",
      capability: "CAP-4",
      about: "admin",
      text: "no zone is of kind admin: generated rules let no administrator in over the network",
      advice: "add [zone.admin] with its networks before rules are loaded",
    },
  ];
}
