/** What every generated file shares: the note above a rule, and whose address it means. */

import type { Flow, Party } from "./flow.ts";
import { serviceText } from "./flow.ts";
import { type Family, ofFamily } from "./network.ts";
import type { Topology } from "./topology.ts";

/** "# edge → resolver 53/udp DNS", the reason, and what breaks without it. */
export function noteOf(flow: Flow): readonly string[] {
  const within = flow.inside === undefined ? "" : `, inside link ${flow.inside}`;
  return [
    `# ${flow.from.name} -> ${flow.to.name} ${serviceText(flow)} (${flow.what})${within}`,
    `# why: ${flow.reason}; without it: ${flow.breaks}`,
  ];
}

/** Networks of every zone but the Internet: what the Internet is not. */
export function ownNetworks(topology: Topology): readonly string[] {
  return topology.zones.flatMap(({ networks }) => networks);
}

/** How a rule matches an end of a flow in one family; undefined: it has nothing of that family. */
export function endMatch(
  party: Party,
  side: "saddr" | "daddr",
  { topology, only }: { readonly topology: Topology; readonly only?: readonly string[] },
  family: Family,
): string | undefined {
  const match = (texts: readonly string[], negated = ""): string | undefined => {
    const own = ofFamily(texts, family);
    return own.length === 0 ? undefined : `${family} ${side} ${negated}{ ${own.join(", ")} }`;
  };
  if (party.kind === "host") {
    return match(topology.hosts.find(({ name }) => name === party.name)?.addresses ?? []);
  }
  if (party.zoneKind !== "internet") {
    return match(topology.zones.find(({ name }) => name === party.name)?.networks ?? []);
  }
  if (only !== undefined) return match(only);
  return match(ownNetworks(topology), "!= ") ?? `meta nfproto ${family === "ip" ? "ipv4" : "ipv6"}`;
}

/** `tcp dport 25`, `meta l4proto esp`. */
export function portMatch({ protocol, ports }: Pick<Flow, "protocol" | "ports">): string {
  if (ports === undefined) return `meta l4proto ${protocol}`;
  const { first, last } = ports;
  return `${protocol} dport ${first === last ? first : `${first}-${last}`}`;
}
