/** WireGuard configurations: one peer, its one address inside the tunnel, and nothing else allowed. */

import { Misconfigured } from "#base/errors";
import { wireguardPortOf } from "./links.ts";
import type { Plan } from "./plan.ts";
import { noteOf } from "./rule-text.ts";
import type { Topology, TunnelLink } from "./topology.ts";

export interface WireguardFile {
  /** Of the interface, and of the file with ".conf" behind it. */
  readonly device: string;
  readonly text: string;
}

/** @throws Misconfigured for a link that lets anything pass (CAP-10) */
export function wireguardFiles(plan: Plan, host: string): readonly WireguardFile[] {
  return plan.topology.links
    .filter(({ by, between }) => by === "wireguard" && between.includes(host))
    .map((link) => ({ device: `wg-${link.name}`, text: textOf(plan, link, host) }));
}

function textOf({ topology, flows }: Plan, link: TunnelLink, host: string): string {
  if (link.selectors === "any") {
    throw new Misconfigured(`link ${link.name} lets anything pass: no rules are made (CAP-10)`);
  }
  const isDialling = link.between[0] === host;
  const [mine, theirs] = isDialling ? ([0, 1] as const) : ([1, 0] as const);
  const port = wireguardPortOf(link, topology.links);
  const inner = flows.filter(({ inside }) => inside === link.name);
  const lines = [
    `# wg-${link.name}.conf of ${host}. Made by postern plan rules: change the topology file, not this one.`,
    "# WireGuard checks addresses; the ports below are held by the nftables rules of this host:",
    ...inner.flatMap(noteOf),
    "",
    "[Interface]",
    `Address = ${alone(link.tunnel?.[mine])}`,
    ...(isDialling ? [] : [`ListenPort = ${port}`]),
    `# The private key is made here and stays here: wg genkey > /etc/wireguard/wg-${link.name}.key`,
    `PostUp = wg set %i private-key /etc/wireguard/wg-${link.name}.key`,
    "",
    "[Peer]",
    `# ${link.between[theirs]}`,
    `PublicKey = ${link.publicKeys?.[theirs] ?? ""}`,
    `AllowedIPs = ${alone(link.tunnel?.[theirs])}`,
    ...(isDialling ? [`Endpoint = ${endpointOf(link, topology)}:${port}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

function alone(address = ""): string {
  return address.includes(":") ? `${address}/128` : `${address}/32`;
}

/** The first address of the answering end that the dialling one has an address like. */
function endpointOf({ between }: TunnelLink, { hosts }: Topology): string {
  const [dials, answers] = between.map((name) => hosts.find((host) => host.name === name));
  const address = answers?.addresses.find((one) =>
    dials?.addresses.some((other) => other.includes(":") === one.includes(":")),
  );
  if (address === undefined) {
    throw new Misconfigured(`${between.join(" and ")} have no addresses of one IP version`);
  }
  return address.includes(":") ? `[${address}]` : address;
}
