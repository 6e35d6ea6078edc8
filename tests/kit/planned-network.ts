/** A network of namespaces from a plan's topology: its hosts, and some that are on no plan. */

import type { Topology } from "#assurance/planner";
import { isWithin } from "../../src/assurance/planner/network.ts";
import type { NetworkHost, NetworkPlan, NetworkZone } from "./namespaces.ts";

/** The Internet of tests (RFC 5737, RFC 3849). The second network is that of a managed provider. */
export const internetNetworks: readonly string[] = [
  "198.51.100.0/24",
  "203.0.113.0/24",
  "2001:db8:ffff::/64",
];

export interface Guest {
  readonly name: string;
  readonly zone: string;
  readonly addresses: readonly string[];
}

/**
 * The router has the first address of each network. Its interface to the zone that stands at place N
 * of the topology is called "zoneN": a topology may name it for rules against forged sources.
 */
export function networkPlanOf(
  topology: Topology,
  guests: readonly Guest[],
  nameServers: Readonly<Record<string, string>> = {},
): NetworkPlan {
  const networksOf = (zone: string): readonly string[] => {
    const found = topology.zones.find(({ name }) => name === zone);
    return found?.kind === "internet" ? internetNetworks : (found?.networks ?? []);
  };
  const zones = topology.zones.map(
    ({ name }): NetworkZone => ({ name, gateways: networksOf(name).map(firstOf) }),
  );
  const machines = topology.hosts.filter(({ roles }) => !roles.includes("router"));
  const hosts = [...machines, ...guests].map(({ name, zone, addresses }): NetworkHost => {
    const nameServer = nameServers[name];
    return {
      name,
      zone,
      addresses: addresses.map((one) => withPrefix(one, networksOf(zone))),
      ...(nameServer !== undefined && { nameServer }),
    };
  });
  return { zones, hosts };
}

function firstOf(network: string): string {
  const [base = "", bits = ""] = network.split("/");
  return base.includes(":") ? `${base}1/${bits}` : `${base.replace(/\d+$/, "1")}/${bits}`;
}

function withPrefix(address: string, networks: readonly string[]): string {
  const network = networks.find((one) => isWithin(address, one));
  if (network === undefined) throw new Error(`${address} lies in none of ${networks.join(", ")}`);
  return `${address}/${network.split("/")[1]}`;
}
