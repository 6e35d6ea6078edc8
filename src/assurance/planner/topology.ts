/** What a plan is made of: zones, hosts with their roles, links, and what is wished for beside them. */

/** Where a zone stands; the names of zones are free. */
export const zoneKinds = ["internet", "dmz", "inside", "lan", "admin"] as const;
export type ZoneKind = (typeof zoneKinds)[number];

/** What a host does. The first four are our programs, the others what stands around them. */
export const roles = [
  "edge-smtp",
  "edge-web",
  "hub",
  "keyring",
  "router",
  "resolver",
  "time-server",
  "directory-server",
  "front-end",
  "back-end",
  "domain-controller",
  "reverse-proxy",
] as const;
export type Role = (typeof roles)[number];

/** Mail protocols that the edge passes on as ciphertext. */
export const publishable = ["imaps", "pop3s", "submissions"] as const;
export type Published = (typeof publishable)[number];

/** Where our programs are met; the last three on the edge, where published. */
export const usualPorts = {
  smtp: 25,
  https: 443,
  http: 80,
  smtpLink: 2526,
  webLink: 2527,
  imap: 993,
  submission: 465,
  imaps: 993,
  pop3s: 995,
  submissions: 465,
} as const;
export type PortName = keyof typeof usualPorts;

/** What a front end is used for: each opens one more port to the back ends. */
export const frontEndServices = ["smtp", "owa", "pop3", "imap4"] as const;
export type FrontEndService = (typeof frontEndServices)[number];

export interface Zone {
  readonly name: string;
  readonly kind: ZoneKind;
  /** "192.0.2.0/24", in the one right spelling; of the Internet none: it is what the others leave. */
  readonly networks: readonly string[];
  /** Interface of the zone firewall on this side, for its rules against forged sources. */
  readonly interface?: string;
}

export interface Host {
  readonly name: string;
  readonly zone: string;
  /** Without prefix, in the one right spelling. */
  readonly addresses: readonly string[];
  readonly roles: readonly Role[];
  /** Names of the directory hosts it may ask, in the order of failover; absent: all of them. */
  readonly directory?: readonly string[];
  readonly services: readonly FrontEndService[];
}

export const linkWays = ["ipsec", "wireguard", "vlan"] as const;
export type LinkWay = (typeof linkWays)[number];

/** What protects the flows between two ends besides their own TLS. */
export interface TunnelLink {
  readonly name: string;
  /** Names of hosts or zones; the first dials. */
  readonly between: readonly [string, string];
  readonly by: LinkWay;
  /** "flows": the flows of this plan and nothing else. "any" is a mistake that the plan names. */
  readonly selectors: "flows" | "any";
  /** Authentication Header beside ESP: obsolete, named by the plan and never written into rules. */
  readonly ah: boolean;
  /** Key exchange with ML-KEM beside the elliptic curve; strongSwan 6.0 and later. */
  readonly hybrid: boolean;
  readonly vlan?: number;
  /** Addresses of the ends inside a WireGuard tunnel. */
  readonly tunnel?: readonly [string, string];
  /** Public keys of the ends of a WireGuard tunnel. */
  readonly publicKeys?: readonly [string, string];
}

/** A flow that the administrator adds; it counts like every other. */
export interface ExtraFlow {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly ports: readonly PortRange[];
  readonly reason: string;
  readonly breaks: string;
}

export interface PortRange {
  readonly protocol: "tcp" | "udp";
  readonly first: number;
  readonly last: number;
}

export interface Topology {
  readonly name: string;
  readonly zones: readonly Zone[];
  readonly hosts: readonly Host[];
  readonly links: readonly TunnelLink[];
  readonly flows: readonly ExtraFlow[];
  /** A managed provider that filters the mail; no ranges: none. */
  readonly provider: {
    readonly ranges: readonly string[];
    /** Outgoing mail leaves through it, too. */
    readonly relays: boolean;
  };
  readonly publish: readonly Published[];
  /** The port of plain HTTP open, for a redirect to HTTPS. */
  readonly redirect: boolean;
  readonly ports: Readonly<Record<PortName, number>>;
  /** Static port of the domain controllers' RPC services; 0: whatever they pick above 1024. */
  readonly rpcPort: number;
}

export function zoneOf(topology: Topology, name: string): Zone | undefined {
  const host = topology.hosts.find((one) => one.name === name);
  return topology.zones.find((zone) => zone.name === (host?.zone ?? name));
}

/** Roles that hold mail, people or keys. */
export const insideRoles: readonly Role[] = [
  "hub",
  "keyring",
  "directory-server",
  "front-end",
  "back-end",
  "domain-controller",
];

/** The side of the line that a flow from the DMZ must not cross. */
export function isInside(kind: ZoneKind): boolean {
  return kind === "inside" || kind === "lan" || kind === "admin";
}

/** What a host holds that must not stand where strangers are met (CAP-3). */
export function misplacedRoles(host: Host, topology: Topology): readonly Role[] {
  const kind = zoneOf(topology, host.name)?.kind;
  if (kind !== "dmz" && kind !== "internet") return [];
  return host.roles.filter((role) => insideRoles.includes(role));
}
