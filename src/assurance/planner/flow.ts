/** One permitted connection of a plan, with its reason; facts about roles from which flows are made. */

import type { PortRange, Role, ZoneKind } from "./topology.ts";

/** Who stands at one end: a host, or anybody in a zone. */
export interface Party {
  readonly kind: "host" | "zone";
  readonly name: string;
  readonly zone: string;
  readonly zoneKind: ZoneKind;
}

export interface Flow {
  readonly from: Party;
  readonly to: Party;
  readonly protocol: "tcp" | "udp" | "esp" | "ah";
  /** Of TCP and UDP, both included. */
  readonly ports?: { readonly first: number; readonly last: number };
  /** What runs there, in a word or two. */
  readonly what: string;
  readonly reason: string;
  /** What breaks without it. */
  readonly breaks: string;
  /** Only these networks of the zone at the other end. */
  readonly only?: readonly string[];
  /** Name of the link that it runs inside of. */
  readonly inside?: string;
  /** Name of the link that it carries. */
  readonly carries?: string;
}

/** A role, or anybody in zones of that kind. */
export type Actor = Role | Exclude<ZoneKind, "dmz" | "inside">;

export interface FlowFact {
  readonly from: Actor;
  readonly to: Actor;
  readonly ports: readonly PortRange[];
  readonly what: string;
  readonly reason: string;
  readonly breaks: string;
  readonly only?: readonly string[];
}

export const tcp = (first: number, last: number = first): PortRange => ({
  protocol: "tcp",
  first,
  last,
});

export const udp = (first: number): PortRange => ({ protocol: "udp", first, last: first });

/** "443", "1025-65535", "esp". */
export function portText(flow: Pick<Flow, "protocol" | "ports">): string {
  if (flow.ports === undefined) return "";
  const { first, last } = flow.ports;
  return first === last ? `${first}` : `${first}-${last}`;
}

/** "443/tcp", "esp". */
export function serviceText(flow: Pick<Flow, "protocol" | "ports">): string {
  return flow.ports === undefined ? flow.protocol : `${portText(flow)}/${flow.protocol}`;
}

export function isRange({ ports }: Pick<Flow, "ports">): boolean {
  return ports !== undefined && ports.last > ports.first;
}

/** How many pairs of host and port some flows open, each counted once; a bare protocol is one. */
export function openCount(flows: readonly Flow[]): number {
  const open = new Set<string>();
  for (const { to, protocol, ports } of flows) {
    const { first, last } = ports ?? { first: 0, last: 0 };
    for (let port = first; port <= last; port += 1) open.add(`${to.name} ${protocol} ${port}`);
  }
  return open.size;
}
