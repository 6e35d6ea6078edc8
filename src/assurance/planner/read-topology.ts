/** Reads a topology file: TOML, every word known, every name fit to stand in a generated rule. */

import { parse, TomlError } from "smol-toml";
import { Misconfigured } from "#base/errors";
import { didYouMean } from "#base/parameters";
import { isWithin, normalAddress, normalNetwork, overlaps } from "./network.ts";
import { type Section, sections } from "./section.ts";
import {
  type ExtraFlow,
  type FrontEndService,
  frontEndServices,
  type Host,
  type LinkWay,
  linkWays,
  type PortName,
  type PortRange,
  publishable,
  type Role,
  roles,
  type Topology,
  type TunnelLink,
  usualPorts,
  type Zone,
  type ZoneKind,
  zoneKinds,
} from "./topology.ts";

/** Our limits: no honest plan is larger. */
const fileMaxLength = 262_144;
const hostsMaxCount = 200;
const zonesMaxCount = 16;
const linksMaxCount = 64;

/** Stands in chain comments, file names and interface names: letters, digits and hyphens alone. */
const nameForm = /^[a-z][a-z0-9-]{0,23}$/;
/** With "wg-" before it, what Linux takes for an interface: 15 characters. */
const linkNameForm = /^[a-z][a-z0-9-]{0,11}$/;
const interfaceForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/;
const publicKeyForm = /^[A-Za-z0-9+/]{43}=$/;
/** One printed line; what could end a comment or a cell is refused where it is read. */
const sentenceForm = /^[\p{L}\p{N}\p{P}\p{S} ]{1,200}$/u;

const tableNames = ["zone", "host", "link", "flow", "provider", "mail", "ports", "legacy"] as const;

/**
 * @param path as shown in errors
 * @throws Misconfigured with "FILE:LINE: what is wrong"
 */
export function readTopology(text: string, path: string): Topology {
  const fail = (what: string): Misconfigured => new Misconfigured(`${path}: ${what}`);
  if (text.length > fileMaxLength) throw fail(`longer than ${fileMaxLength} characters`);
  const file = { path, lines: text.split("\n"), tables: parsed(text, path) };
  for (const name of Object.keys(file.tables)) {
    if ((tableNames as readonly string[]).includes(name)) continue;
    const near = didYouMean(name, tableNames);
    const shown = name.replace(/[^ -~]/g, "?").slice(0, 60);
    throw fail(`[${shown}] is not known${near === undefined ? "" : `; did you mean [${near}]?`}`);
  }
  const zones = sections(file, "zone").map(readZone);
  checkZones(zones, fail);
  const hosts = sections(file, "host").map((section) => readHost(section, zones));
  if (hosts.length > hostsMaxCount) throw fail(`more than ${hostsMaxCount} hosts`);
  const places = [...zones, ...hosts].map(({ name }) => name);
  if (places.includes("zone-firewall")) throw fail(`"zone-firewall" is a file of plan rules`);
  const twice = repeated([...places, ...hosts.flatMap(({ addresses }) => addresses)]);
  if (twice !== undefined) throw fail(`"${twice}" stands twice`);
  checkDirectories(hosts, fail);
  const links = sections(file, "link").map((section) => readLink(section, places, hosts));
  if (links.length > linksMaxCount) throw fail(`more than ${linksMaxCount} links`);
  return {
    name: path,
    zones,
    hosts,
    links,
    flows: sections(file, "flow").map((section) => readFlow(section, places)),
    ...readWishes(file),
  };
}

function parsed(text: string, path: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split("\n")[0] ?? "not TOML";
    throw new Misconfigured(`${path}:${error.line}:${error.column}: ${what}`, { cause: error });
  }
}

function readWishes(
  file: Parameters<typeof sections>[0],
): Pick<Topology, "provider" | "publish" | "redirect" | "ports" | "rpcPort"> {
  const [provider] = sections(file, "provider", "alone");
  const [mail] = sections(file, "mail", "alone");
  const [ports] = sections(file, "ports", "alone");
  const [legacy] = sections(file, "legacy", "alone");
  provider?.only("ranges", "relays");
  mail?.only("publish", "redirect");
  ports?.only(...Object.keys(usualPorts));
  legacy?.only("rpcPort");
  const given = Object.entries(usualPorts).map(([name, usual]) => [
    name,
    ports?.number(name, 1, 65_535) ?? usual,
  ]);
  return {
    provider: {
      ranges: provider?.list("ranges", 500, normalNetwork, "a network") ?? [],
      relays: provider?.flag("relays") ?? false,
    },
    publish: mail?.words("publish", publishable) ?? [],
    redirect: mail?.flag("redirect") ?? false,
    ports: Object.fromEntries(given) as Record<PortName, number>,
    rpcPort: legacy?.number("rpcPort", 1025, 65_535) ?? 0,
  };
}

function readZone(section: Section): Zone {
  section.only("kind", "networks", "interface");
  const name = named(section, nameForm);
  const kind = section.word("kind", zoneKinds) ?? (name as ZoneKind);
  if (!zoneKinds.includes(kind)) {
    throw section.fault("kind", `is missing: one of ${zoneKinds.join(", ")}`);
  }
  const networks = section.list("networks", 64, normalNetwork, "a network") ?? [];
  if (kind === "internet" ? networks.length > 0 : networks.length === 0) {
    const what =
      kind === "internet" ? "belongs to no Internet zone: it is the rest" : "must name a network";
    throw section.fault("networks", what);
  }
  const via = section.text("interface", interfaceForm, "an interface name");
  return { name, kind, networks, ...(via !== undefined && { interface: via }) };
}

function checkZones(zones: readonly Zone[], fail: (what: string) => Misconfigured): void {
  if (zones.length === 0) throw fail("there is no [zone.NAME]");
  if (zones.length > zonesMaxCount) throw fail(`more than ${zonesMaxCount} zones`);
  if (zones.filter(({ kind }) => kind === "internet").length > 1) {
    throw fail("there is one Internet: two zones are of that kind");
  }
  for (const [index, zone] of zones.entries()) {
    for (const other of zones.slice(index + 1)) {
      const both = zone.networks.find((one) => other.networks.some((two) => overlaps(one, two)));
      if (both !== undefined) throw fail(`${both} of ${zone.name} also lies in ${other.name}`);
    }
  }
}

function readHost(section: Section, zones: readonly Zone[]): Host {
  section.only("zone", "addresses", "roles", "directory", "services");
  const name = named(section, nameForm);
  const zoneName = section.word("zone", names(zones)) ?? missing(section, "zone");
  const addresses =
    section.list("addresses", 16, normalAddress, "an IP address") ?? missing(section, "addresses");
  if (addresses.length === 0) throw section.fault("addresses", "must not be empty");
  const hostRoles: readonly Role[] = section.words("roles", roles) ?? [];
  const zone = zones.find((one) => one.name === zoneName);
  if (zone !== undefined && !hostRoles.includes("router")) checkAddresses(section, addresses, zone);
  const directory = section.list("directory", 16, (text) => text, "a host name");
  return {
    name,
    zone: zoneName,
    addresses,
    roles: hostRoles,
    services: section.words<FrontEndService>("services", frontEndServices) ?? frontEndServices,
    ...(directory !== undefined && { directory }),
  };
}

function checkAddresses(section: Section, addresses: readonly string[], zone: Zone): void {
  if (zone.kind === "internet") return;
  const stray = addresses.find((one) => !zone.networks.some((network) => isWithin(one, network)));
  if (stray === undefined) return;
  throw section.fault("addresses", `: ${stray} lies outside zone ${zone.name}`);
}

function checkDirectories(hosts: readonly Host[], fail: (what: string) => Misconfigured): void {
  for (const { name, directory } of hosts) {
    const stranger = directory?.find((one) => !isDirectory(hosts.find((h) => h.name === one)));
    if (stranger === undefined) continue;
    const shown = JSON.stringify(stranger.slice(0, 40));
    throw fail(`[host.${name}] directory: ${shown} is no domain-controller or directory-server`);
  }
}

function isDirectory(host: Host | undefined): boolean {
  return ["domain-controller", "directory-server"].some((role) =>
    host?.roles.includes(role as Role),
  );
}

function readLink(section: Section, places: readonly string[], hosts: readonly Host[]): TunnelLink {
  section.only("between", "by", "selectors", "ah", "hybrid", "vlan", "tunnel", "publicKeys");
  const name = named(section, linkNameForm);
  const between = section.pair("between", (one) => (places.includes(one) ? one : undefined));
  const by = section.word<LinkWay>("by", linkWays) ?? missing(section, "by");
  const vlan = section.number("vlan", 1, 4094);
  const tunnel = section.pair("tunnel", normalAddress);
  const publicKeys = section.pair("publicKeys", (key) =>
    publicKeyForm.test(key) ? key : undefined,
  );
  if (between === undefined) return missing(section, "between");
  if (between[0] === between[1]) throw section.fault("between", "names the same end twice");
  if (by === "vlan" && vlan === undefined) return missing(section, "vlan");
  if (by === "wireguard") {
    if (tunnel === undefined) return missing(section, "tunnel");
    if (publicKeys === undefined) return missing(section, "publicKeys");
    const zone = between.find((end) => !hosts.some((host) => host.name === end));
    if (zone !== undefined) {
      throw section.fault("between", `: WireGuard joins two hosts, and ${zone} is a zone`);
    }
  }
  return {
    name,
    between,
    by,
    selectors: section.word("selectors", ["flows", "any"] as const) ?? "flows",
    ah: section.flag("ah") ?? false,
    hybrid: section.flag("hybrid") ?? false,
    ...(vlan !== undefined && { vlan }),
    ...(tunnel !== undefined && { tunnel }),
    ...(publicKeys !== undefined && { publicKeys }),
  };
}

function readFlow(section: Section, places: readonly string[]): ExtraFlow {
  section.only("from", "to", "ports", "reason", "breaks");
  const sentence = (key: string): string =>
    section.text(key, sentenceForm, "one line of up to 200 characters") ?? missing(section, key);
  const end = (key: string): string => section.word(key, places) ?? missing(section, key);
  const ports = section.list("ports", 32, normalPorts, 'ports as "443/tcp" or "5000-5010/udp"');
  return {
    name: named(section, nameForm),
    from: end("from"),
    to: end("to"),
    ports: (ports ?? missing(section, "ports")).map(portsOf),
    reason: sentence("reason"),
    breaks: sentence("breaks"),
  };
}

function normalPorts(text: string): string | undefined {
  const { first, last } = portsOf(text);
  const isFit = /^\d{1,5}(?:-\d{1,5})?\/(?:tcp|udp)$/.test(text);
  return isFit && first >= 1 && last >= first && last <= 65_535 ? text : undefined;
}

function portsOf(text: string): PortRange {
  const [numbers = "", protocol] = text.split("/");
  const [first, last = first] = numbers.split("-").map(Number);
  return { protocol: protocol === "udp" ? "udp" : "tcp", first: first ?? 0, last: last ?? 0 };
}

function names(all: readonly { readonly name: string }[]): readonly string[] {
  return all.map(({ name }) => name);
}

function named(section: Section, form: RegExp): string {
  if (form.test(section.name)) return section.name;
  const most = form === nameForm ? 24 : 12;
  throw section.fault(
    "",
    `: a name is a lower-case letter, then letters, digits, hyphens; ${most} at most`,
  );
}

function missing(section: Section, key: string): never {
  throw section.fault(key, "is missing");
}

function repeated(texts: readonly string[]): string | undefined {
  return texts.find((text, index) => texts.indexOf(text) !== index);
}
