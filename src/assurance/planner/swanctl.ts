/** strongSwan `swanctl.conf` of one end: IKEv2, ESP with AES-GCM, and no selector but the plan's flows. */

import { Misconfigured } from "#base/errors";
import { type Flow, portText, serviceText } from "./flow.ts";
import type { Plan } from "./plan.ts";
import { noteOf } from "./rule-text.ts";
import type { Topology, TunnelLink } from "./topology.ts";

/** AEAD alone, a key exchange for each child (perfect forward secrecy), ML-KEM beside it on wish. */
const exchange = "x25519";
const hybridExchange = "x25519-ke1_mlkem768";

/**
 * @param end name of a host, or of a zone whose hosts all get the same file
 * @throws Misconfigured for a link that lets anything pass (CAP-10)
 */
export function swanctlText(plan: Plan, end: string): string | undefined {
  const links = plan.topology.links.filter(
    ({ by, between }) => by === "ipsec" && between.includes(end),
  );
  if (links.length === 0) return undefined;
  const body = links.flatMap((link) => connection(plan, link, end));
  return `# swanctl.conf of ${end}. Made by postern plan rules: change the topology file, not this one.
# Certificates: x509/${end}.pem with the name ${end}, its key in private/, the authority of the
# links in x509ca/links-ca.pem and of nothing else.

connections {
${body.map((line) => `  ${line}`).join("\n")}
}
`;
}

function connection(plan: Plan, link: TunnelLink, end: string): readonly string[] {
  if (link.selectors === "any") {
    throw new Misconfigured(`link ${link.name} lets anything pass: no rules are made (CAP-10)`);
  }
  const { topology, flows } = plan;
  const [dials, answers] = link.between;
  const other = end === dials ? answers : dials;
  const inner = flows.filter(({ inside }) => inside === link.name);
  const group = link.hybrid ? hybridExchange : exchange;
  return [
    `${link.name} {`,
    "  version = 2",
    `  local_addrs = ${isHost(end, topology) ? placesOf(end, topology).join(", ") : "%any"}`,
    `  remote_addrs = ${placesOf(other, topology).join(", ")}`,
    `  proposals = aes256gcm16-prfsha384-${group}`,
    "  dpd_delay = 30s",
    `  local {`,
    "    auth = pubkey",
    ...(isHost(end, topology) ? [`    certs = ${end}.pem`, `    id = ${end}`] : []),
    "  }",
    "  remote {",
    "    auth = pubkey",
    "    cacerts = links-ca.pem",
    ...(isHost(other, topology) ? [`    id = ${other}`] : []),
    "  }",
    "  children {",
    ...inner.flatMap((flow) =>
      child(flow, topology, { end, other, dials: end === dials, group }).map(
        (line) => `    ${line}`,
      ),
    ),
    "  }",
    "}",
  ];
}

interface Side {
  readonly end: string;
  readonly other: string;
  /** The end that begins; the other waits. */
  readonly dials: boolean;
  readonly group: string;
}

function child(flow: Flow, topology: Topology, side: Side): readonly string[] {
  const starts = flow.from.name === side.end;
  const selectors = (name: string, isTarget: boolean): string => {
    const port = isTarget ? `[${flow.protocol}/${portText(flow)}]` : `[${flow.protocol}]`;
    const own = name === side.end && !isHost(name, topology);
    const places = own ? ["dynamic"] : placesOf(name, topology).map(withPrefix);
    return places.map((place) => `${place}${port}`).join(", ");
  };
  const name = `${starts ? "to" : "from"}-${side.other}-${serviceText(flow).replace("/", "-")}`;
  return [
    ...noteOf(flow),
    `${name} {`,
    `  local_ts = ${selectors(side.end, !starts)}`,
    `  remote_ts = ${selectors(side.other, starts)}`,
    `  esp_proposals = aes256gcm16-${side.group}`,
    `  start_action = ${side.dials ? "trap" : "none"}`,
    "}",
  ];
}

function isHost(name: string, { hosts }: Topology): boolean {
  return hosts.some((host) => host.name === name);
}

/** Addresses of a host, networks of a zone. */
function placesOf(name: string, { hosts, zones }: Topology): readonly string[] {
  const host = hosts.find((one) => one.name === name);
  return host?.addresses ?? zones.find((zone) => zone.name === name)?.networks ?? [];
}

function withPrefix(place: string): string {
  if (place.includes("/")) return place;
  return place.includes(":") ? `${place}/128` : `${place}/32`;
}
