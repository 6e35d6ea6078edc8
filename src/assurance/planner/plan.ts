/** From a topology to its flows: roles of hosts joined by what is known of them. */

import type { Manifest } from "#contracts/manifest";
import { legacyFacts } from "./facts-legacy.ts";
import { ourFacts } from "./facts-ours.ts";
import type { Actor, Flow, FlowFact, Party } from "./flow.ts";
import { protect } from "./links.ts";
import {
  type FrontEndService,
  type Host,
  isInside,
  misplacedRoles,
  type Topology,
  type Zone,
  zoneKinds,
} from "./topology.ts";

export interface Plan {
  readonly topology: Topology;
  readonly flows: readonly Flow[];
  /** What the firewall lets from a zone of kind dmz to one inside, tunnels as what carries them. */
  readonly holes: readonly Flow[];
  /** Roles that hold mail, people or keys and stand in the DMZ, as "ROLE on HOST". */
  readonly misplaced: readonly string[];
  /** What hosts listen for, from the Internet. */
  readonly listeners: readonly Flow[];
}

export function makePlan(topology: Topology, manifests: readonly Manifest[]): Plan {
  const used = new Set<FrontEndService>(
    topology.hosts.filter(isFrontEnd).flatMap(({ services }) => services),
  );
  const facts = [...ourFacts(topology, manifests), ...legacyFacts(topology, used)];
  const plain = facts.flatMap((fact) => flowsOf(fact, topology));
  const all = protect([...plain, ...extraFlows(topology)], topology);
  const flows = unique(all);
  const crossing = flows.filter(({ inside }) => inside === undefined);
  return {
    topology,
    flows,
    holes: crossing.filter(({ from, to }) => from.zoneKind === "dmz" && isInside(to.zoneKind)),
    misplaced: topology.hosts.flatMap((host) =>
      misplacedRoles(host, topology).map((role) => `${role} on ${host.name}`),
    ),
    listeners: crossing.filter(({ from }) => from.zoneKind === "internet"),
  };
}

function isFrontEnd({ roles }: Host): boolean {
  return roles.includes("front-end");
}

function flowsOf(fact: FlowFact, topology: Topology): readonly Flow[] {
  const { from: starter, to: answerer, ports, ...words } = fact;
  return parties(starter, topology).flatMap((from) =>
    parties(answerer, topology)
      .filter((to) => mayMeet(fact, from, to, topology))
      .flatMap((to) =>
        ports.map(({ protocol, ...range }) => ({ from, to, protocol, ports: range, ...words })),
      ),
  );
}

function parties(actor: Actor, { hosts, zones }: Topology): readonly Party[] {
  if ((zoneKinds as readonly string[]).includes(actor)) {
    return zones.filter(({ kind }) => kind === actor).map(zoneParty);
  }
  return hosts
    .filter((host) => (host.roles as readonly string[]).includes(actor))
    .map((host) => hostParty(host, zones));
}

export function zoneParty({ name, kind }: Zone): Party {
  return { kind: "zone", name, zone: name, zoneKind: kind };
}

export function hostParty({ name, zone }: Host, zones: readonly Zone[]): Party {
  const kind = zones.find((one) => one.name === zone)?.kind ?? "internet";
  return { kind: "host", name, zone, zoneKind: kind };
}

/** A front end inside is reached through a proxy only; a directory that is not pinned is not asked. */
function mayMeet(fact: FlowFact, from: Party, to: Party, topology: Topology): boolean {
  if (from.name === to.name) return false;
  const hasProxy = topology.hosts.some(({ roles }) => roles.includes("reverse-proxy"));
  if (fact.to === "front-end" && fact.from === "internet" && hasProxy) return false;
  const asking = topology.hosts.find(({ name }) => name === from.name);
  const isAsked = fact.to === "domain-controller" || fact.to === "directory-server";
  return !isAsked || asking?.directory === undefined || asking.directory.includes(to.name);
}

function extraFlows({ flows, hosts, zones }: Topology): readonly Flow[] {
  const party = (name: string): Party => {
    const host = hosts.find((one) => one.name === name);
    if (host !== undefined) return hostParty(host, zones);
    const zone = zones.find((one) => one.name === name);
    return { kind: "zone", name, zone: name, zoneKind: zone?.kind ?? "internet" };
  };
  return flows.flatMap(({ name, from, to, ports, reason, breaks }) =>
    ports.map(({ protocol, first, last }) => ({
      from: party(from),
      to: party(to),
      protocol,
      ports: { first, last },
      what: name,
      reason,
      breaks,
    })),
  );
}

/** Two roles of one host may need the same port for two reasons: the first tells it. */
function unique(flows: readonly Flow[]): readonly Flow[] {
  const seen = new Set<string>();
  return flows.filter((flow) => {
    const { from, to, protocol, ports, inside, carries } = flow;
    const key = JSON.stringify([from.name, to.name, protocol, ports, inside, carries]);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
