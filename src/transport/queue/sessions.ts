/** Sessions with other servers: opened as the policies demand, and kept for a few seconds for more. */

import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { Timer } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { OutboundConnector } from "#model/connector";
import { isPermanent } from "#model/reply";
import type { TlsDemand } from "#model/tls-policy";
import { type ClientSession, type Failure, openSession } from "#transport/smtp-client";
import { type Dialled, dialFirst } from "./dialling.ts";
import type { Host } from "./hosts.ts";
import type { Wait } from "./patience.ts";
import { type Hop, type HopAnswer, NoWayOut, type QueueDeps } from "./ports.ts";

/** What messages that share a session have in common. */
export interface Errand {
  /** Domain of the recipients; of one of them where a connector's host takes several. */
  readonly domain: string;
  readonly connector: OutboundConnector;
  /** require: REQUIRETLS. optional: the sender asked that the world's policies be passed over. */
  readonly care: "require" | "usual" | "optional";
}

/** A session and what it was opened for. */
export interface Held {
  readonly session: ClientSession;
  readonly remote: string;
  readonly hop: Hop;
  readonly demand: TlsDemand;
  /** Messages so far. */
  used: number;
}

export type Opening =
  | { readonly ok: true; readonly held: Held }
  | (Failure & {
      readonly ok: false;
      readonly remote: string;
      /** Nobody was asked: the trouble is ours. */
      readonly isOurs?: boolean;
      /** The host does not serve, rather than refuse us or fail what we demand. */
      readonly isDown: boolean;
      readonly isCrowded?: boolean;
      /** REQUIRETLS cannot be had of that host, now or later (RFC 8689 §4.2.1). */
      readonly isUnprovable?: boolean;
    });

type Failed = Extract<Opening, { ok: false }>;

export type SessionDeps = Pick<
  QueueDeps,
  "hops" | "secretsOf" | "dial" | "clock" | "timeouts" | "heloName" | "parameters"
> & {
  /** Every stream that is open, so that stopping can break them. */
  readonly streams: Set<Duplex>;
  /** Names of servers that offer CHUNKING and do not know BDAT. */
  readonly withoutChunking: Pick<Set<string>, "has"> & { add(name: string): void };
};

export type OpeningDeps = SessionDeps & {
  readonly wait: Pick<Wait, "isOver" | "isPutOff" | "hearken">;
};

/** The first address of the host that greets us as it should, or what the last one said. */
export async function openAt(host: Host, errand: Errand, deps: OpeningDeps): Promise<Opening> {
  const hop = hopOf(host, errand);
  const answer = await demandFor(hop, errand, deps);
  if (!answer.ok) {
    deps.hops.observed(hop, answer);
    return { ...refusedByPolicy(answer.reply, errand), remote: hop.host };
  }
  let left = [...host.addresses];
  let last: Failed | undefined;
  while (left.length > 0 && !deps.wait.isOver) {
    const dead = new Set<string>();
    const dialled = await dial(left, host, { deps, dead, errand });
    // Who was not asked may serve, whatever the others say.
    if ("ok" in dialled) return dialled.isOurs === true ? dialled : (last ?? dialled);
    left = left.filter((address) => address !== dialled.address && !dead.has(address));
    const opening = await openOn(dialled, { hop, answer, errand }, deps);
    if (opening.ok) return opening;
    last = opening;
  }
  return last ?? { ...silence("there is no address"), remote: hop.host };
}

function hopOf(host: Host, { domain, connector, care }: Errand): Hop {
  const { name, port, viaMx, mxAuthenticated, addressAuthenticated } = host;
  const facts = { viaMx, mxAuthenticated, addressAuthenticated, requireTls: care === "require" };
  return { domain, host: name, port, connector, ...facts };
}

/** Fails closed: what cannot be known now is no reason to send unprotected. */
async function demandFor(hop: Hop, { care }: Errand, { hops }: SessionDeps): Promise<HopAnswer> {
  const { level } = hop.connector.tls;
  // RFC 8689 §4.2.2: the world's policies are passed over, never the administrator's.
  if (care === "optional" && level === "opportunistic") {
    const demand = hops.connectorDemand(hop.connector, hop.host);
    return { ok: true, demand, policy: "connector" };
  }
  try {
    return await hops.demandFor(hop);
  } catch (error) {
    const text = `what ${hop.host} demands of TLS cannot be found out: ${(error as Error).message}`;
    return { ok: false, reply: { code: 451, status: "4.7.5", text: text.slice(0, 300) } };
  }
}

interface DialFor {
  readonly deps: OpeningDeps;
  readonly dead: Set<string>;
  readonly errand: Errand;
}

async function dial(
  addresses: readonly string[],
  host: Host,
  { deps, dead, errand: { connector } }: DialFor,
): Promise<Dialled | Failed> {
  const { via, sourceAddress: from } = connector;
  try {
    return await dialFirst(addresses, {
      dial: (address) =>
        deps.dial({ host: address, port: host.port }, deps.parameters.dialS * 1000, {
          via,
          ...(from !== undefined && { from }),
        }),
      clock: deps.clock,
      failed: (address) => dead.add(address),
    });
  } catch (error) {
    const failure = silence(`no connection: ${(error as Error).message}`);
    const remote = remoteName(host, addresses[0] ?? host.name);
    return { ...failure, remote, ...(error instanceof NoWayOut && { isOurs: true }) };
  }
}

interface Answered {
  readonly hop: Hop;
  readonly answer: Extract<HopAnswer, { ok: true }>;
  readonly errand: Errand;
}

/** With one more try in the clear where the handshake failed and the clear is as good (RFC 7435). */
async function openOn(
  dialled: Dialled,
  { hop, answer, errand }: Answered,
  deps: OpeningDeps,
): Promise<Opening> {
  const at = { ...hop, address: dialled.address };
  const remote = remoteName({ name: hop.host, port: hop.port }, dialled.address);
  const first = await session(dialled.stream, answer.demand, errand, deps);
  try {
    if (!deps.wait.isPutOff) tell(at, answer, first, deps);
  } catch (error) {
    if (first.ok) first.session.destroy();
    throw error;
  }
  if (first.ok) return held(first.session, { hop, remote, demand: answer.demand });
  const mayBeClear =
    first.failure.phase === "tls" &&
    answer.demand.level === "opportunistic" &&
    answer.demand.implicit !== true &&
    errand.care !== "require" &&
    errand.connector.login === undefined;
  const where = { remote, viaMx: hop.viaMx };
  if (!mayBeClear || deps.wait.isPutOff) return failed(first.failure, where, errand);
  const again = await dial(
    [dialled.address],
    { ...noHost, name: hop.host, port: hop.port },
    {
      ...{ deps, errand, dead: new Set<string>() },
    },
  );
  if ("ok" in again) return again;
  const demand = { ...answer.demand, level: "none" } as const;
  const second = await session(again.stream, demand, errand, deps);
  // The demand is kept as it was: the next message tries TLS again.
  if (second.ok) return held(second.session, { hop, remote, demand });
  return failed(second.failure, where, errand);
}

const noHost: Omit<Host, "name" | "port"> = {
  viaMx: false,
  mxAuthenticated: false,
  addressAuthenticated: false,
  addresses: [],
};

function held(session: ClientSession, facts: Pick<Held, "hop" | "remote" | "demand">): Opening {
  return { ok: true, held: { session, ...facts, used: 0 } };
}

type SessionResult = Awaited<ReturnType<typeof openSession>>;

function tell(
  hop: Hop,
  answer: HopAnswer,
  result: SessionResult,
  { hops }: Pick<SessionDeps, "hops">,
): void {
  if (result.ok) return hops.observed(hop, answer, undefined, result.session.tls);
  const { phase, reply } = result.failure;
  hops.observed(hop, answer, { phase, text: [reply.text].flat().join(" ") });
}

async function session(
  stream: Duplex,
  tls: TlsDemand,
  { connector }: Errand,
  { streams, withoutChunking, clock, timeouts, heloName, secretsOf, wait }: OpeningDeps,
): Promise<SessionResult> {
  streams.add(stream);
  stream.once("close", () => streams.delete(stream));
  wait.hearken(stream);
  const { login } = connector;
  let secrets: readonly string[] = [];
  try {
    if (login !== undefined) secrets = secretsOf(login);
  } catch (error) {
    stream.destroy();
    if (!(error instanceof Misconfigured)) throw error;
    const text = `the login's secret cannot be read: ${error.message}`.slice(0, 300);
    const reply = { code: 454, status: "4.7.0", text };
    return { ok: false, failure: { phase: "login", answered: false, reply } };
  }
  return openSession({
    stream,
    heloName: connector.heloName ?? heloName,
    tls,
    protocol: connector.protocol,
    withoutChunking: withoutChunking.has(tls.serverName),
    ...(login && { login: { mechanism: login.mechanism, user: login.user, secrets } }),
    timeouts,
    clock,
  });
}

function failed(
  failure: Failure,
  { remote, viaMx }: { readonly remote: string; readonly viaMx: boolean },
  { connector, care }: Errand,
): Failed {
  const { phase, answered, reply } = failure;
  const isTls = phase === "tls";
  const isDemanded = connector.tls.level === "required" || connector.tls.level === "pinned";
  const isDown = phase === "greeting" || phase === "hello" || (isTls && !isDemanded);
  const isUnprovable = isTls && viaMx && care === "require" && isLasting(failure);
  // A login that is refused, or TLS that fails, is ours to mend: no sender's mail comes back for it.
  const told = phase === "login" || isTls ? asTemporary(reply) : reply;
  return {
    ...{ ok: false, phase, answered, remote, isDown },
    // RFC 8689 §4.2.1: 5.7.10, encryption needed.
    reply: isUnprovable ? { ...reply, code: 550, status: "5.7.10" } : told,
    ...(answered && reply.code === 421 && { isCrowded: true }),
    ...(isUnprovable && { isUnprovable }),
  };
}

/** The server said or showed it; a handshake that broke off may be the network's fault. */
function isLasting({ answered, reply, fault }: Failure): boolean {
  if (fault !== undefined) return fault !== "validation-failure";
  return answered && isPermanent(reply);
}

/** What the policies say before anybody is asked. */
function refusedByPolicy(reply: Failure["reply"], { care }: Errand): Omit<Failed, "remote"> {
  const isUnprovable = care === "require" && isPermanent(reply);
  return {
    ...{ ok: false, phase: "tls", answered: false, isDown: false },
    reply: isUnprovable ? reply : asTemporary(reply),
    ...(isUnprovable && { isUnprovable }),
  };
}

function silence(text: string): Omit<Failed, "remote"> {
  const reply = { code: 421, status: "4.4.1", text: text.slice(0, 300) };
  return { ok: false, phase: "greeting", answered: false, isDown: true, reply };
}

export function asTemporary(reply: Failure["reply"]): Failure["reply"] {
  if (reply.code < 500) return reply;
  return { ...reply, code: 451, status: `4${(reply.status ?? "5.0.0").slice(1)}` };
}

function remoteName({ name, port }: Pick<Host, "name" | "port">, address: string): string {
  const host = name === address ? name : `${name} [${address}]`;
  if (port === 25) return host;
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** How long a session may wait for more to the same place. */
const idleMs = 3000;

/** Sessions that have nothing to do just now. */
export class IdleSessions {
  readonly #deps: SessionDeps;
  readonly #all: { readonly key: string; readonly held: Held; readonly timer: Timer }[] = [];

  constructor(deps: SessionDeps) {
    this.#deps = deps;
  }

  get count(): number {
    return this.#all.length;
  }

  countOf(key: string): number {
    return this.#all.filter((one) => one.key === key).length;
  }

  keep(key: string, held: Held): void {
    const timer = this.#deps.clock.after(idleMs, () => {
      const at = this.#all.indexOf(one);
      if (at >= 0) this.#all.splice(at, 1);
      void held.session.quit();
    });
    const one = { key, held, timer };
    this.#all.push(one);
  }

  /** One that may be used for that errand now: what is demanded may have changed since. */
  async take(key: string, errand: Errand): Promise<Held | undefined> {
    for (;;) {
      const at = this.#all.findLastIndex((one) => one.key === key);
      const [one] = at < 0 ? [] : this.#all.splice(at, 1);
      if (one === undefined) return undefined;
      one.timer.cancel();
      const { held } = one;
      const answer = await demandFor(held.hop, errand, this.#deps);
      const isSame = answer.ok && JSON.stringify(answer.demand) === JSON.stringify(held.demand);
      if (isSame && held.session.usable) return held;
      void held.session.quit();
    }
  }

  /** Room for another connection. */
  async dropOldest(): Promise<void> {
    const one = this.#all.shift();
    one?.timer.cancel();
    await one?.held.session.quit();
  }

  async close(): Promise<void> {
    while (this.#all.length > 0) await this.dropOldest();
  }
}
