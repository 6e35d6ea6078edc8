/** Tries a connector without mail: connection, greeting, TLS and login at each of its hosts. */

import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import { Misconfigured, Unavailable } from "#base/errors";
import type { Endpoint } from "#base/net";
import type { TlsFacts } from "#model/connection";
import type { OutboundConnector } from "#model/connector";
import type { Reply } from "#model/reply";
import type { TlsDemand } from "#model/tls-policy";
import {
  formatSpace,
  isOpenNow,
  nextOpenAtMs,
  rankOutbound,
  readSecrets,
} from "#transport/connectors";
import { openSession, type SessionOutcome, type Timeouts } from "#transport/smtp-client";
import type { TlsPolicies } from "#transport/tls-policy";
import { withDefault } from "./facts.ts";

/** One server that would be tried. */
export interface ProbeHost {
  readonly name: string;
  readonly port: number;
  readonly viaMx: boolean;
  readonly mxAuthenticated: boolean;
  readonly addressAuthenticated: boolean;
  readonly addresses: readonly string[];
}

export interface ProbePorts {
  readonly outbound: readonly OutboundConnector[];
  /** In order, as the queue would find them. */
  readonly hostsFor: (
    connector: OutboundConnector,
    domain: string,
  ) => Promise<
    | { readonly ok: true; readonly hosts: readonly ProbeHost[] }
    | { readonly ok: false; readonly reply: Reply }
  >;
  readonly policies: Pick<TlsPolicies, "demandFor">;
  readonly dial: (
    to: Endpoint,
    timeoutMs: number,
    how: { readonly via: OutboundConnector["via"]; readonly from?: string },
  ) => Promise<Duplex>;
  readonly heloName: string;
  readonly timeouts: Timeouts;
  readonly clock: Clock;
}

/** Why a domain goes the way that it goes. */
export interface Choice {
  readonly connector: string;
  /** That holds the domain. */
  readonly space: string;
  readonly cost: number;
  /** Absent: open now. */
  readonly opensAtMs?: number;
}

export interface HostProbe {
  readonly host: string;
  readonly port: number;
  readonly ok: boolean;
  /** What TLS was held against. */
  readonly policy?: string;
  /** Where it ended: "connect", "greeting", "hello", "tls", "login". */
  readonly phase?: string;
  /** The words of the server, or ours. */
  readonly reply?: string;
  readonly tls?: TlsFacts;
  /** User name that the server took. */
  readonly login?: string;
}

export interface Probe {
  readonly connector: string;
  readonly domain: string;
  /** All with a space for the domain; the first is used. */
  readonly ranked: readonly Choice[];
  readonly hosts: readonly HostProbe[];
  /** Why no host was tried. */
  readonly fault?: string;
}

const dialMs = 15_000;
/** Ours: who asks is waiting for the answer. */
const maxHosts = 4;

export async function probe(
  ports: ProbePorts,
  connector: OutboundConnector,
  domain: string,
): Promise<Probe> {
  const nowMs = ports.clock.nowMs();
  const ranked = rankOutbound(withDefault(ports.outbound), domain).map(
    ({ connector: one, space }) => ({
      connector: one.name,
      space: formatSpace(space),
      cost: one.cost,
      ...(!isOpenNow(one, nowMs) && { opensAtMs: nextOpenAtMs(one, nowMs) }),
    }),
  );
  const result = { connector: connector.name, domain, ranked };
  const found = await ports.hostsFor(connector, domain);
  if (!found.ok) return { ...result, hosts: [], fault: wordsOf(found.reply) };
  const hosts: HostProbe[] = [];
  for (const host of found.hosts.slice(0, maxHosts)) {
    hosts.push(await tryHost(ports, { connector, domain }, host));
  }
  return { ...result, hosts };
}

interface Asked {
  readonly connector: OutboundConnector;
  readonly domain: string;
}

async function tryHost(ports: ProbePorts, asked: Asked, host: ProbeHost): Promise<HostProbe> {
  const at = { host: host.name, port: host.port };
  const failed = (phase: string, reply: string): HostProbe => ({ ...at, ok: false, phase, reply });
  try {
    const { name, addresses: _addresses, ...facts } = host;
    const hop = { ...asked, ...facts, host: name, requireTls: false };
    const answer = await ports.policies.demandFor(hop);
    if (!answer.ok) return failed("tls", wordsOf(answer.reply));
    const outcome = await openThere(ports, asked.connector, host, answer.demand);
    const { policy } = answer;
    if (!outcome.ok) {
      return { ...failed(outcome.failure.phase, wordsOf(outcome.failure.reply)), policy };
    }
    const { tls } = outcome.session;
    const user = asked.connector.login?.user;
    await outcome.session.quit();
    return { ...at, ok: true, policy, ...(tls && { tls }), ...(user && { login: user }) };
  } catch (error) {
    if (error instanceof Unavailable) return failed("connect", error.message);
    if (error instanceof Misconfigured) return failed("login", error.message);
    throw error;
  }
}

/**
 * Without secrets the host is asked for all that comes before the login: it may have faults of its own.
 *
 * @throws Misconfigured when only the secrets are missing
 */
async function openThere(
  ports: ProbePorts,
  connector: OutboundConnector,
  host: ProbeHost,
  tls: TlsDemand,
): Promise<SessionOutcome> {
  const { login, heloName, protocol } = connector;
  const secrets = login && secretsOf(login);
  const outcome = await openSession({
    stream: await dialOneOf(ports, connector, host),
    heloName: heloName ?? ports.heloName,
    tls,
    protocol,
    ...(login && Array.isArray(secrets) && { login: { ...login, secrets } }),
    timeouts: ports.timeouts,
    clock: ports.clock,
  });
  if (!(secrets instanceof Misconfigured) || !outcome.ok) return outcome;
  await outcome.session.quit();
  throw secrets;
}

function secretsOf(login: NonNullable<OutboundConnector["login"]>): string[] | Misconfigured {
  try {
    return readSecrets(login).map(({ secret }) => secret);
  } catch (error) {
    if (error instanceof Misconfigured) return error;
    throw error;
  }
}

/** @throws Unavailable, of the last address */
async function dialOneOf(
  { dial }: ProbePorts,
  { via, sourceAddress }: OutboundConnector,
  { addresses, port }: ProbeHost,
): Promise<Duplex> {
  const leaving = { via, ...(sourceAddress !== undefined && { from: sourceAddress }) };
  let last: unknown = new Unavailable("it has no address");
  for (const address of addresses) {
    try {
      return await dial({ host: address, port }, dialMs, leaving);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      last = error;
    }
  }
  throw last;
}

function wordsOf({ code, status, text }: Reply): string {
  const words = typeof text === "string" ? text : text.join(" ");
  return [`${code}`, status ?? "", words].filter((part) => part !== "").join(" ");
}
