/** `postern connector`: the ways that mail goes out and comes in, their logins, and whether they work. */

import type { Command } from "commander";
import { wrapText } from "#identity/spf-advice";
import { type AdminClient, adminClient } from "../admin-client.ts";
import { exitCodes } from "../exit.ts";
import { localTime, plain, textTable } from "../table.ts";
import { dataOf, output } from "./shared.ts";

const examples = `
Examples:
  postern connector list                            all of them, with the age of their secrets
  postern connector show provider                   one of them, everything but its secrets
  postern connector test provider partner.example   which way partner.example goes and why, and
                                                    whether the hosts of "provider" take us

Connectors are tables [outbound.NAME] and [inbound.NAME] of postern.toml (docs/connectors.md). A test
connects, asks for TLS, logs in and hangs up; it sends no mail. It exits with 1 when no host took us.`;

interface Secret {
  readonly file: string;
  readonly ageDays: number;
  readonly expiresAtMs?: number;
  readonly isExpired: boolean;
  readonly openToAll: boolean;
}

interface Connector {
  readonly name: string;
  readonly direction: "outbound" | "inbound";
  readonly builtIn?: boolean;
  readonly spaces?: readonly string[];
  readonly door?: string;
  readonly networks?: readonly string[];
  readonly senderDomains?: readonly string[];
  readonly tls: { readonly level: string };
  readonly login?: {
    readonly user: string;
    readonly secrets: readonly Secret[];
    readonly fault?: string;
  };
  readonly opensAtMs?: number;
  readonly health?: readonly HostHealth[];
}

interface HostHealth {
  readonly remote: string;
  readonly succeededAtMs?: number;
  readonly failedAtMs?: number;
  readonly failure?: string;
}

interface Probe {
  readonly connector: string;
  readonly domain: string;
  readonly ranked: readonly {
    readonly connector: string;
    readonly space: string;
    readonly cost: number;
    readonly opensAtMs?: number;
  }[];
  readonly hosts: readonly {
    readonly host: string;
    readonly port: number;
    readonly ok: boolean;
    readonly policy?: string;
    readonly phase?: string;
    readonly reply?: string;
    readonly tls?: {
      readonly version: string;
      readonly cipher: string;
      readonly group?: string;
      readonly proof?: string;
      readonly provenName?: string;
    };
    readonly login?: string;
  }[];
  readonly fault?: string;
}

export function addConnectorCommands(program: Command): void {
  const connector = program
    .command("connector")
    .description("named ways in and out: list, look at, try")
    .addHelpText("after", examples);
  connector
    .command("list")
    .description("every connector: domains or networks, TLS, login, health")
    .action(async (_options: object, command: Command) => {
      const all = await clientOf(command).get<Connector[]>("/connectors");
      output(command, all, () => listText(all, Date.now()));
    });
  connector
    .command("show <name>")
    .description("everything of one connector but its secrets")
    .action(async (name: string, _options: object, command: Command) => {
      const found = await clientOf(command).get<Connector[]>(pathOf(name));
      output(command, found, () => found.map(showText).join("\n\n"));
    });
  connector
    .command("test <name> <domain>")
    .description("which connector a domain uses and why, and whether NAME's hosts take us")
    .action(async (name: string, domain: string, _options: object, command: Command) => {
      const wish = { domain };
      const result = await clientOf(command).send<Probe>("POST", `${pathOf(name)}/test`, wish);
      output(command, result, () => probeText(result));
      if (!result.hosts.some(({ ok }) => ok)) process.exitCode = exitCodes.failed;
    });
}

function clientOf(command: Command): AdminClient {
  return adminClient(dataOf(command));
}

function pathOf(name: string): string {
  return `/connectors/${encodeURIComponent(name)}`;
}

/** A line of the same columns for each, and below it, wrapped, what may be long. */
export function listText(all: readonly Connector[], nowMs: number): string {
  const heads = textTable(
    all.map((one) => [
      one.name,
      one.direction === "outbound" ? "out" : `in (${one.door ?? ""})`,
      `tls ${one.tls.level}`,
      one.builtIn === true ? "built in" : healthText(one),
    ]),
  ).split("\n");
  const blocks = all.map((one, at) => [heads[at] ?? "", ...detailLines(one, nowMs)]);
  return blocks.flat().join("\n");
}

function detailLines(one: Connector, nowMs: number): string[] {
  const whom = one.spaces ?? [...(one.networks ?? []), ...(one.senderDomains ?? [])];
  const [last] = one.health ?? [];
  return [
    ...(whom.length === 0 ? [] : [`${one.spaces === undefined ? "from" : "to"} ${whom.join(" ")}`]),
    ...(one.login === undefined ? [] : [`login ${loginText(one.login, nowMs)}`]),
    ...(last === undefined || !isFailed(last) ? [] : [`said ${last.failure ?? ""}`]),
  ].flatMap((line) => wrapText(plain(line), "    ", "      "));
}

function loginText(login: NonNullable<Connector["login"]>, nowMs: number): string {
  if (login.fault !== undefined) return `${login.user}: ${login.fault}`;
  const secrets = login.secrets.map((secret) => secretText(secret, nowMs));
  return `${login.user}: ${secrets.join("; ")}`;
}

/** "40 days old, expires in 12 days"; "400 days old, expired 35 days ago, readable by everybody". */
function secretText({ ageDays, expiresAtMs, openToAll }: Secret, nowMs: number): string {
  const parts = [`${days(ageDays)} old`];
  if (expiresAtMs !== undefined) {
    const left = (expiresAtMs - nowMs) / 86_400_000;
    const whole = Math.floor(Math.abs(left));
    if (whole === 0) parts.push(left > 0 ? "expires today" : "expired today");
    else parts.push(left > 0 ? `expires in ${days(whole)}` : `expired ${days(whole)} ago`);
  }
  if (openToAll) parts.push("readable by everybody");
  return parts.join(", ");
}

function days(count: number): string {
  return count === 1 ? "1 day" : `${count} days`;
}

function healthText({ opensAtMs, health = [] }: Connector): string {
  if (opensAtMs !== undefined) return `closed until ${localTime(opensAtMs)}`;
  const [last] = health;
  if (last === undefined) return "";
  return isFailed(last)
    ? `failed ${localTime(last.failedAtMs ?? 0)} ${last.remote}`
    : `worked ${localTime(last.succeededAtMs ?? 0)} ${last.remote}`;
}

function isFailed({ failedAtMs, succeededAtMs }: HostHealth): boolean {
  return (failedAtMs ?? Number.NEGATIVE_INFINITY) > (succeededAtMs ?? Number.NEGATIVE_INFINITY);
}

export function showText(connector: Connector): string {
  return textTable(Object.entries(connector).flatMap(([key, value]) => factRows(key, value)));
}

/** A moment as a time, a list with spaces, what is inside of another with a dot. */
function factRows(key: string, value: unknown): string[][] {
  const isWords = Array.isArray(value) && value.every((one) => typeof one === "string");
  if (isWords) return [[key, value.length === 0 ? "-" : value.join(" ")]];
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([inner, one]) => factRows(`${key}.${inner}`, one));
  }
  if (key.endsWith("AtMs") && typeof value === "number") {
    return [[key.slice(0, -"Ms".length), localTime(value)]];
  }
  return [[key, String(value)]];
}

export function probeText({ connector, domain, ranked, hosts, fault }: Probe): string {
  const [used, ...others] = ranked;
  const ways = [used, ...others].flatMap((one, index) => {
    if (one === undefined) return [];
    const why = `its space ${one.space} at cost ${one.cost}`;
    const when = one.opensAtMs === undefined ? "" : `; closed until ${localTime(one.opensAtMs)}`;
    return index === 0
      ? [`${domain} goes by "${one.connector}": ${why} is the most specific${when}`]
      : [`  not by "${one.connector}": ${why} comes after it`];
  });
  const tried = hosts.map((host) => [
    `  ${host.host}:${host.port}`,
    host.ok ? "ok" : `failed at ${host.phase ?? ""}`,
    host.ok ? tlsText(host) : (host.reply ?? ""),
  ]);
  const head = `${connector} now:`;
  return [...ways, head, fault === undefined ? textTable(tried) : `  ${fault}`].join("\n");
}

function tlsText({ tls, policy, login }: Probe["hosts"][number]): string {
  const proof = tls?.proof === undefined ? "certificate not checked" : `proved by ${tls.proof}`;
  const name = tls?.provenName === undefined ? "" : ` for ${tls.provenName}`;
  const parts =
    tls === undefined
      ? ["no TLS"]
      : [tls.version, tls.group ?? "", tls.cipher, `${proof}${name}`, `policy ${policy ?? "none"}`];
  if (login !== undefined) parts.push(`logged in as ${login}`);
  return parts.filter((part) => part !== "").join(", ");
}
