/** Tunnels between two ends: the flows go inside, and what carries them takes their place. */

import type { Flow, Party } from "./flow.ts";
import type { Topology, TunnelLink } from "./topology.ts";

/** UDP port that WireGuard is met at; each further link of a host takes the next. */
const wireguardPort = 51_820;

export function wireguardPortOf(link: TunnelLink, links: readonly TunnelLink[]): number {
  const tunnels = links.filter(({ by }) => by === "wireguard");
  return wireguardPort + tunnels.findIndex(({ name }) => name === link.name);
}

/** @returns the flows, those of a link marked with its name, and what carries it */
export function protect(flows: readonly Flow[], topology: Topology): readonly Flow[] {
  let all = flows;
  for (const link of topology.links) {
    const [one, other] = link.between.map((name) => partyOf(name, topology));
    if (one === undefined || other === undefined) continue;
    const within = all.flatMap((flow) => innerOf(flow, one, other, link));
    const plain = all.filter((flow) => !isReplaced(flow, one, other));
    all = [...plain, ...within, ...carriers(link, one, other, topology)];
  }
  return all;
}

function partyOf(name: string, { hosts, zones }: Topology): Party | undefined {
  const host = hosts.find((one) => one.name === name);
  const zone = zones.find((one) => one.name === (host?.zone ?? name));
  if (zone === undefined) return undefined;
  const kind = host === undefined ? "zone" : "host";
  return { kind, name, zone: zone.name, zoneKind: zone.kind };
}

/** Is the end of the flow this one, or a zone that it stands in? */
function covers(end: Party, one: Party): boolean {
  return end.name === one.name || (end.kind === "zone" && end.name === one.zone);
}

function innerOf(flow: Flow, one: Party, other: Party, link: TunnelLink): readonly Flow[] {
  if (flow.inside !== undefined || flow.carries !== undefined) return [];
  const inside = link.name;
  if (covers(flow.from, one) && covers(flow.to, other)) {
    return [{ ...flow, from: one, to: other, inside }];
  }
  if (covers(flow.from, other) && covers(flow.to, one)) {
    return [{ ...flow, from: other, to: one, inside }];
  }
  return [];
}

/** A flow of a whole zone stays for the others, when only one host of it has a tunnel. */
function isReplaced(flow: Flow, one: Party, other: Party): boolean {
  if (flow.inside !== undefined || flow.carries !== undefined) return false;
  const ends = [flow.from.name, flow.to.name];
  return ends.includes(one.name) && ends.includes(other.name);
}

function carriers(link: TunnelLink, from: Party, to: Party, topology: Topology): readonly Flow[] {
  const common = { from, to, carries: link.name, breaks: `nothing passes the link ${link.name}` };
  const udpPort = (port: number, what: string, reason: string): Flow => ({
    ...common,
    protocol: "udp",
    ports: { first: port, last: port },
    what,
    reason,
  });
  if (link.by === "vlan") return [];
  if (link.by === "wireguard") {
    const port = wireguardPortOf(link, topology.links);
    return [udpPort(port, "WireGuard", "the tunnel, and all that is visible of it")];
  }
  const esp: Flow = {
    ...common,
    protocol: "esp",
    what: "ESP",
    reason: "the encrypted packets (IP protocol 50)",
  };
  const ah: Flow = {
    ...common,
    protocol: "ah",
    what: "AH, obsolete",
    reason: "asked for by the plan (IP protocol 51); ESP with AES-GCM authenticates by itself",
  };
  return [
    udpPort(500, "IKEv2", "the ends agree on keys"),
    udpPort(4500, "IKEv2 and ESP in UDP", "the same, where an address is translated on the way"),
    esp,
    ...(link.ah ? [ah] : []),
  ];
}
