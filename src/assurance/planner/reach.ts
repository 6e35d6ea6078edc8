/** What a taken host can open: connections that the plan lets it start, and what follows from those. */

import type { Flow, Party } from "./flow.ts";
import { serviceText } from "./flow.ts";
import type { Plan } from "./plan.ts";
import { insideRoles, isInside, type Role, type TunnelLink } from "./topology.ts";

export interface Reach {
  readonly host: string;
  readonly zone: string;
  readonly inside: boolean;
  /** "443/tcp", or "every port" behind a tunnel that lets anything pass. */
  readonly service: string;
}

export interface BlastRadius {
  readonly host: string;
  readonly zone: string;
  /** Its own roles that hold mail, people or keys: lost with the host. */
  readonly holds: readonly Role[];
  /** What it may open itself; hosts of the plan only. */
  readonly direct: readonly Reach[];
  /** What could be opened if each host that can be reached were taken in its turn. */
  readonly worst: readonly Reach[];
}

export function blastRadii(plan: Plan): readonly BlastRadius[] {
  return plan.topology.hosts.map(({ name, zone, roles }) => {
    const direct = reachFrom(name, plan);
    const seen = new Set([name]);
    const worst = new Map<string, Reach>();
    const waiting = [name];
    for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
      for (const reach of reachFrom(at, plan)) {
        if (reach.host !== name) worst.set(`${reach.host} ${reach.service}`, reach);
        if (seen.has(reach.host)) continue;
        seen.add(reach.host);
        waiting.push(reach.host);
      }
    }
    const holds = roles.filter((role) => insideRoles.includes(role));
    return { host: name, zone, holds, direct, worst: [...worst.values()] };
  });
}

/** Everybody is on the Internet already: only hosts and zones of the plan count. */
function reachFrom(name: string, { flows, topology }: Plan): readonly Reach[] {
  const zone = topology.hosts.find((host) => host.name === name)?.zone ?? "";
  const isMe = (party: Party): boolean => party.name === name || party.name === zone;
  const started = flows.filter(
    ({ from, to, carries }) => isMe(from) && to.name !== name && carries === undefined,
  );
  const listed = started.filter(({ to }) => to.zoneKind !== "internet").map(reachOf);
  return [...listed, ...topology.links.flatMap((link) => anyReach(name, link, flows))];
}

function reachOf(flow: Flow): Reach {
  const { to } = flow;
  const inside = isInside(to.zoneKind);
  return { host: to.name, zone: to.zone, inside, service: serviceText(flow) };
}

/** A tunnel without selectors lets either end open anything at the other. */
function anyReach(name: string, link: TunnelLink, flows: readonly Flow[]): readonly Reach[] {
  if (link.selectors !== "any" || !link.between.includes(name)) return [];
  const other = flows
    .filter(({ carries }) => carries === link.name)
    .flatMap(({ from, to }) => [from, to])
    .find((party) => party.name !== name);
  if (other === undefined) return [];
  const inside = isInside(other.zoneKind);
  return [{ host: other.name, zone: other.zone, inside, service: "every port" }];
}
