/** What administrators see of a connector: everything but secrets and keys. */

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { Misconfigured } from "#base/errors";
import type { InboundConnector, OutboundConnector } from "#model/connector";
import {
  defaultOutbound,
  formatSpace,
  formatWindow,
  isOpenNow,
  nextOpenAtMs,
  readSecrets,
} from "#transport/connectors";
import type { Health, HostHealth } from "./health.ts";

const dayMs = 86_400_000;

export interface SecretFacts {
  readonly file: string;
  readonly ageDays: number;
  /** Absent: never. */
  readonly expiresAtMs?: number;
  readonly isExpired: boolean;
  /** Everybody on the machine may read the file. */
  readonly openToAll: boolean;
}

export interface LoginFacts {
  readonly user: string;
  readonly mechanism?: string;
  readonly secretFiles: readonly string[];
  readonly secrets: readonly SecretFacts[];
  /** Why there are none. */
  readonly fault?: string;
}

export interface OutboundFacts {
  readonly name: string;
  readonly direction: "outbound";
  /** Nobody configured it: it stands in for a connector with "*". */
  readonly builtIn: boolean;
  readonly spaces: readonly string[];
  readonly cost: number;
  readonly hosts: readonly string[];
  readonly way: Pick<OutboundConnector, "via" | "protocol" | "whenDown">;
  readonly tls: Readonly<Record<string, unknown>> & { readonly level: string };
  readonly login?: LoginFacts;
  readonly local: Pick<OutboundConnector, "sourceAddress" | "heloName">;
  readonly schedule: readonly string[];
  /** Absent: it is open. */
  readonly opensAtMs?: number;
  readonly pace: Pick<
    OutboundConnector,
    "connections" | "messagesPerSession" | "messagesPerMinute"
  >;
  readonly health: readonly HostHealth[];
}

export interface InboundFacts
  extends Omit<
    InboundConnector,
    "user" | "secretFiles" | "secretMaxAgeDays" | "minVersion" | "groups" | "requireTls"
  > {
  readonly direction: "inbound";
  readonly tls: Readonly<Record<string, unknown>> & { readonly level: string };
  readonly login?: LoginFacts;
}

export type ConnectorFacts = OutboundFacts | InboundFacts;

export interface FactPorts {
  readonly outbound: readonly OutboundConnector[];
  readonly inbound: readonly InboundConnector[];
  readonly health: Pick<Health, "of">;
}

/** Every connector, the built-in one included where it is used. */
export function connectorFacts(ports: FactPorts, nowMs: number): readonly ConnectorFacts[] {
  return [
    ...withDefault(ports.outbound).map((one) => outboundFacts(one, ports.health, nowMs)),
    ...ports.inbound.map((one) => inboundFacts(one, nowMs)),
  ];
}

/** With the one that is used where no "*" is configured. */
export function withDefault(outbound: readonly OutboundConnector[]): readonly OutboundConnector[] {
  const hasAny = outbound.some(({ spaces }) => spaces.some(({ kind }) => kind === "any"));
  return hasAny ? outbound : [...outbound, defaultOutbound];
}

function outboundFacts(
  connector: OutboundConnector,
  health: Pick<Health, "of">,
  nowMs: number,
): OutboundFacts {
  const { name, spaces, cost, hosts, via, protocol, whenDown, login, schedule } = connector;
  const { sourceAddress, heloName, connections, messagesPerSession, messagesPerMinute } = connector;
  return {
    name,
    direction: "outbound",
    builtIn: connector === defaultOutbound,
    spaces: spaces.map(formatSpace),
    cost,
    hosts: hosts.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`),
    way: { via, protocol, whenDown },
    tls: tlsFacts(connector),
    ...(login && { login: loginFacts(login, nowMs) }),
    local: { ...(sourceAddress && { sourceAddress }), ...(heloName && { heloName }) },
    schedule: schedule.map(formatWindow),
    ...(!isOpenNow(connector, nowMs) && { opensAtMs: nextOpenAtMs(connector, nowMs) }),
    pace: { connections, messagesPerSession, messagesPerMinute },
    health: ownHealth(connector, health.of(name)),
  };
}

/** Ours: more than anybody reads about. */
const maxHealth = 16;

/**
 * Of the servers that the connector is for: its hosts, or those that MX records name for its domains.
 * What servers of all the world do says nothing about it, nor, while it is down, what they do directly.
 */
function ownHealth(
  { hosts, spaces }: Pick<OutboundConnector, "hosts" | "spaces">,
  seen: readonly HostHealth[],
): readonly HostHealth[] {
  const isForAll = spaces.some(({ kind }) => kind === "any");
  if (hosts.length === 0) return isForAll ? [] : seen.slice(0, maxHealth);
  const own = new Set(hosts.map(({ host }) => host));
  return seen.filter(({ remote }) => own.has(hostOf(remote))).slice(0, maxHealth);
}

/** Host of "mx.example [192.0.2.1]:587", "192.0.2.1:24", "[2001:db8::1]:24" or "2001:db8::1". */
function hostOf(remote: string): string {
  const [name = ""] = remote.split(" ");
  if (name.startsWith("[")) return name.slice(1).split("]")[0] ?? "";
  return isIP(name) === 0 ? (name.split(":")[0] ?? "") : name;
}

/** Certificates by what identifies them; never a key. */
function tlsFacts({ tls }: OutboundConnector): OutboundFacts["tls"] {
  const { authorities, client, ...others } = tls;
  return {
    ...others,
    ...(authorities && { authorities: authorities.map(certificateFacts) }),
    ...(client && { client: certificateFacts(client.certificate) }),
  };
}

function certificateFacts(pem: string): object {
  const { subject, validTo, fingerprint256 } = new X509Certificate(pem);
  return { subject: subject.replaceAll("\n", ", "), validTo, sha256: fingerprint256 };
}

function inboundFacts(connector: InboundConnector, nowMs: number): InboundFacts {
  const { user, secretFiles, secretMaxAgeDays, minVersion, groups, requireTls, ...others } =
    connector;
  return {
    ...others,
    direction: "inbound",
    tls: {
      level: requireTls ? "required" : "opportunistic",
      minVersion,
      ...(groups && { groups }),
    },
    ...(user !== undefined && {
      login: loginFacts(
        { user, secretFiles: secretFiles ?? [], secretMaxAgeDays: secretMaxAgeDays ?? 0 },
        nowMs,
      ),
    }),
  };
}

export interface SecretsOf {
  readonly user: string;
  readonly mechanism?: string;
  readonly secretFiles: readonly string[];
  readonly secretMaxAgeDays: number;
}

export function loginFacts(login: SecretsOf, nowMs: number): LoginFacts {
  const { user, mechanism, secretFiles, secretMaxAgeDays } = login;
  const who = { user, ...(mechanism && { mechanism }), secretFiles };
  try {
    const secrets = readSecrets(login).map(({ file, changedAtMs, openToAll }) => {
      const expiresAtMs = changedAtMs + secretMaxAgeDays * dayMs;
      return {
        file,
        ageDays: Math.max(0, Math.floor((nowMs - changedAtMs) / dayMs)),
        ...(secretMaxAgeDays > 0 && { expiresAtMs }),
        isExpired: secretMaxAgeDays > 0 && expiresAtMs <= nowMs,
        openToAll,
      };
    });
    return { ...who, secrets };
  } catch (error) {
    if (!(error instanceof Misconfigured)) throw error;
    return { ...who, secrets: [], fault: error.message };
  }
}
