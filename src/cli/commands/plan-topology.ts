/** Which topology a plan command means: a file, a built-in layout, or what the configuration says. */

import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Command } from "commander";
import {
  type LayoutName,
  layoutNames,
  layoutTopology,
  makePlan,
  type Plan,
  publishable,
  readTopology,
  type Topology,
} from "#assurance/planner";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import type { Manifest } from "#contracts/manifest";
import type { Config } from "../config/read.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { readEdges } from "../up/enrolment/records.ts";
import { layoutOf } from "../up/layout.ts";
import { endpointOf } from "../up/settings.ts";
import { configOf, dataOf } from "./shared.ts";

interface Asked {
  readonly layout?: string;
  readonly command: Command;
  readonly manifests: readonly Manifest[];
}

export function planOf(file: string | undefined, asked: Asked): Plan {
  return makePlan(topologyOf(file, asked), asked.manifests);
}

function topologyOf(file: string | undefined, { layout, command }: Asked): Topology {
  if (file !== undefined && layout !== undefined) {
    throw new ExitError(exitCodes.usage, "name a file or a layout, not both");
  }
  if (layout !== undefined) return layoutTopology(layoutNamed(layout));
  if (file !== undefined) return readTopology(readText(file), file);
  const name = "this installation";
  return { ...readTopology(installationText(dataOf(command), configOf(command)), name), name };
}

export function layoutNamed(name: string): LayoutName {
  const found = layoutNames.find((one) => one === name);
  if (found === undefined) throw unknownName("layout", name, layoutNames);
  return found;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const why = errorCode(error) ?? "error";
    throw new ExitError(exitCodes.cannotOpen, `${file}: cannot be read (${why})`);
  }
}

/** The configuration as a topology file: one machine, or the inside with the edges it knows. */
export function installationText(data: string, config: Config): string {
  const edges = readEdges(layoutOf(data));
  const { listen } = config;
  const inside = addressesOf([listen.imap, listen.submission]);
  const [first] = edges;
  if (first === undefined) {
    const all = addressesOf([listen.smtp, listen.https, listen.imap, listen.submission]);
    const machine = hostText("machine", "dmz", all, ["edge-smtp", "edge-web", "hub", "keyring"]);
    return [zoneText("internet", []), zoneText("dmz", all), machine, wishes(config)].join("\n");
  }
  const outside = edges.map(({ address }) => address);
  return [
    zoneText("internet", []),
    zoneText("dmz", outside),
    zoneText("inside", inside),
    ...edges.map(({ name, address }) =>
      hostText(name, "dmz", [address], ["edge-smtp", "edge-web"]),
    ),
    hostText("hub", "inside", inside, ["hub", "keyring"]),
    wishes(config, { smtpLink: first.smtp.port, webLink: first.web.port }),
  ].join("\n");
}

function wishes(config: Config, links?: Readonly<Record<string, number>>): string {
  const { listen, clients } = config;
  const published = publishable.filter((name) => clients[name] !== "");
  const places = [
    ...(["smtp", "https", "imap", "submission", "smtpLink", "webLink"] as const).map((name) => {
      const key = name === "smtpLink" ? "linkSmtp" : name === "webLink" ? "linkWeb" : name;
      return [name, links?.[name] ?? endpointOf(listen[key], `listen.${key}`).port];
    }),
    ...published.map((name) => [name, endpointOf(clients[name], `clients.${name}`).port]),
  ];
  const ports = places.map(([name, port]) => `${name} = ${port}`).join("\n");
  return `[mail]\npublish = ${JSON.stringify(published)}\n\n[ports]\n${ports}\n`;
}

function zoneText(name: string, addresses: readonly string[]): string {
  const list = addresses.length === 0 ? "" : `networks = ${JSON.stringify(addresses)}\n`;
  return `[zone.${name}]\n${list}`;
}

function hostText(
  name: string,
  zone: string,
  addresses: readonly string[],
  roles: readonly string[],
): string {
  const stranger = addresses.find((one) => isIP(one) === 0);
  if (stranger !== undefined) {
    throw new Misconfigured(
      `${name} is known by a name, not by its address; write a topology file: postern plan layout postern`,
    );
  }
  const [place, doing] = [JSON.stringify(addresses), JSON.stringify(roles)];
  return `[host.${name}]\nzone = "${zone}"\naddresses = ${place}\nroles = ${doing}\n`;
}

/** Where these endpoints listen; "every address" is those of this machine. */
function addressesOf(endpoints: readonly string[]): readonly string[] {
  const hosts = endpoints.map((text) => endpointOf(text, "listen").host);
  const isAny = hosts.some((host) => host === "0.0.0.0" || host === "::");
  const named = hosts.filter((host) => host !== "0.0.0.0" && host !== "::");
  const known = named.map((host) => (host === "localhost" ? "127.0.0.1" : host));
  return [...new Set([...known, ...(isAny ? localAddresses() : [])])];
}

/** Addresses of this machine that others could meet. */
export function localAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"))
    .map(({ address }) => address);
}

/** A name that came from the command line and is not known. */
export function unknownName(what: string, name: string, known: readonly string[]): ExitError {
  return new ExitError(
    exitCodes.usage,
    `no ${what} ${JSON.stringify(name.slice(0, 40))}: ${known.join(", ")}`,
  );
}
