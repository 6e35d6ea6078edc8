/** An outbound queue with everything around it in memory: store, DNS, servers, time. */

import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { Unavailable } from "#base/errors";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import type { Endpoint } from "#base/net";
import { defaultsOf } from "#base/parameters";
import { seededRandom } from "#base/random";
import type { AgePlace, QueuePlace, QueueStore } from "#contracts/store";
import type { OutboundConnector } from "#model/connector";
import type { Attempt, Destination, QueueItem, QueueState } from "#model/queue";
import type { TlsDemand, TlsProof } from "#model/tls-policy";
import { defaultOutbound } from "#transport/connectors";
import {
  createQueue,
  type HopAnswer,
  type HopPolicies,
  type Notice,
  type Queue,
  type QueueDeps,
  queueParameters,
} from "#transport/queue";
import { smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import { type FakeClock, fakeClock, settle } from "./fake-clock.ts";
import { type SinkOptions, SmtpSink } from "./smtp-sink.ts";
import { streamPair } from "./stream-pair.ts";

export type Zone = Readonly<Record<string, readonly object[]>>;

/** "name TYPE" to its records; "!name TYPE" in the zone means that the look-up fails. */
function zoneResolver(zone: Zone): QueueDeps["resolver"] {
  return {
    query: async (name: string, type: string) => {
      if (zone[`!${name} ${type}`]) return { kind: "failed", why: "test" };
      const records = zone[`${name} ${type}`];
      if (records) return { kind: "found", records, ttl: 60, authenticated: false };
      const exists = Object.keys(zone).some((key) => key.startsWith(`${name} `));
      return { kind: "none", nxdomain: !exists };
    },
  } as QueueDeps["resolver"];
}

export class MemoryQueue implements QueueStore {
  readonly items: Map<string, QueueItem> = new Map();
  readonly log: string[] = [];
  /** Items that were read to be begun. */
  reads = 0;
  readonly #listeners = new Set<(waiting: Destination) => void>();

  add(id: string, recipient: string, atMs: number, some: Partial<QueueItem> = {}): void {
    this.#wait({
      id,
      message: "m1",
      reversePath: "alice@us.test",
      recipient,
      wishes: {},
      utf8: false,
      sizeBytes: 0,
      state: "waiting",
      queuedAtMs: atMs,
      nextAttemptAtMs: atMs,
      attempts: 0,
      ...some,
    });
  }

  get: QueueStore["get"] = async (id: string) => this.items.get(id);
  destinations: QueueStore["destinations"] = async () => {
    const domains = Map.groupBy(this.#in("waiting"), domainOf);
    return [...domains].map(([domain, items]) => ({
      domain,
      dueAtMs: Math.min(...items.map(({ nextAttemptAtMs }) => nextAttemptAtMs)),
    }));
  };
  watch: QueueStore["watch"] = (listener) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };
  due: QueueStore["due"] = async (domain, nowMs, limit, after) => {
    const due = this.#in("waiting").filter(
      (item) => domainOf(item) === domain && item.nextAttemptAtMs <= nowMs,
    );
    const page = due
      .sort(byDue)
      .filter((one) => after === undefined || byDue(one, after) > 0)
      .slice(0, limit);
    this.reads += page.length;
    return page;
  };
  nextDueAtMs: QueueStore["nextDueAtMs"] = async (domain) => {
    const waiting = this.#in("waiting").filter((item) => domainOf(item) === domain);
    if (waiting.length === 0) return undefined;
    return Math.min(...waiting.map(({ nextAttemptAtMs }) => nextAttemptAtMs));
  };
  waitingSince: QueueStore["waitingSince"] = async (beforeMs, limit, after) =>
    this.#in("waiting")
      .filter(({ queuedAtMs }) => queuedAtMs < beforeMs)
      .sort(byAge)
      .filter((one) => after === undefined || byAge(one, after) > 0)
      .slice(0, limit);
  list: QueueStore["list"] = async ({ state, message: of, after, limit }) =>
    [...this.items.values()]
      .filter((one) => state === undefined || one.state === state)
      .filter((one) => of === undefined || one.message === of)
      .sort((one, other) => byAge(other, one))
      .filter((one) => after === undefined || byAge(one, after) < 0)
      .slice(0, limit);
  attempts: QueueStore["attempts"] = async () => [];
  counts: QueueStore["counts"] = async () => ({
    waiting: this.#in("waiting").length,
    held: 0,
    delivered: 0,
    failed: 0,
    dropped: 0,
  });
  attempted: QueueStore["attempted"] = async (id: string, last: Attempt, next?: number) => {
    const item = this.items.get(id);
    assert.ok(item);
    this.log.push(`${id} ${last.outcome}`);
    const isKept = last.outcome === "deferred" || item.state === "dropped";
    const state = isKept ? item.state : last.outcome;
    const attempts = item.attempts + 1;
    this.items.set(id, { ...item, state, last, attempts, nextAttemptAtMs: next ?? 0 });
  };
  delayNotified: QueueStore["delayNotified"] = async (id: string, delayNotifiedAtMs: number) => {
    const item = this.items.get(id);
    if (item) this.items.set(id, { ...item, delayNotifiedAtMs });
    this.log.push(`${id} delay-notified`);
  };
  change: QueueStore["change"] = async (id, act, by, atMs) => {
    const item = this.items.get(id);
    if (item === undefined) return false;
    const { heldBy: _, ...rest } = item;
    if (act === "hold") this.items.set(id, { ...rest, state: "held", heldBy: by });
    else if (act === "drop") this.items.set(id, { ...rest, state: "dropped" });
    else this.#wait({ ...rest, state: "waiting", nextAttemptAtMs: atMs });
    return true;
  };

  #wait(item: QueueItem): void {
    this.items.set(item.id, item);
    const waiting = { domain: domainOf(item), dueAtMs: item.nextAttemptAtMs };
    for (const listener of this.#listeners) listener(waiting);
  }

  #in(state: QueueState): QueueItem[] {
    return [...this.items.values()].filter((item) => item.state === state);
  }
}

function domainOf({ recipient }: Pick<QueueItem, "recipient">): string {
  return recipient.slice(recipient.lastIndexOf("@") + 1).toLowerCase();
}

function byDue(one: QueuePlace, other: QueuePlace): number {
  return one.nextAttemptAtMs - other.nextAttemptAtMs || byAge(one, other);
}

function byAge(one: AgePlace, other: AgePlace): number {
  return one.queuedAtMs - other.queuedAtMs || (one.id < other.id ? -1 : Number(one.id > other.id));
}

/** By the MX, opportunistic: what a connector is that nobody configured. */
export const plainConnector: OutboundConnector = defaultOutbound;

/** All mail to these hosts. */
export function smartConnector(
  hosts: readonly string[],
  more: Partial<OutboundConnector> = {},
): OutboundConnector {
  const ends = hosts.map((text) => {
    const [, host = "", port = "25"] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
    return { host, port: Number(port) };
  });
  return { ...plainConnector, name: "smart", hosts: ends, ...more };
}

const demandOf = ({ tls }: OutboundConnector, host: string): TlsDemand => {
  const { level, authorities, minVersion, groups } = tls;
  const proof: TlsProof = { kind: "authority", names: [host], ...(authorities && { authorities }) };
  return {
    level: level === "pinned" ? "required" : level,
    serverName: host,
    ...(level === "required" && { proof }),
    ...(level === "pinned" && { proof: { kind: "pin" as const, sha256: tls.pins } }),
    minVersion,
    ...(groups && { groups }),
  };
};

/** What the connector asks, and what a test says that the world demands of a host. */
export function policiesOf(
  demands: Readonly<Record<string, HopAnswer>> = {},
  observed: string[] = [],
): HopPolicies {
  return {
    demandFor: async ({ connector, host, requireTls }) => {
      const told = demands[host];
      if (told !== undefined) return told;
      const demand = demandOf(connector, host);
      if (!requireTls) return { ok: true, demand, policy: "connector" };
      const proof = demand.proof ?? { kind: "authority" as const, names: [host] };
      return { ok: true, demand: { ...demand, level: "required", proof }, policy: "connector" };
    },
    observed: ({ host }, answer, failure, tls) => {
      const how = answer.ok ? (failure?.phase ?? tls?.version ?? "clear") : "refused";
      observed.push(`${host} ${how}`);
    },
    connectorDemand: demandOf,
  };
}

export const message: Buffer = Buffer.from(
  "From: alice@us.test\r\nSubject: secret\r\n\r\nbody text\r\n",
);

export interface House {
  readonly clock: FakeClock;
  readonly store: MemoryQueue;
  /** Who answers where; what is taken out of it is down. */
  readonly sinks: Map<string, SmtpSink>;
  readonly notices: Notice[];
  readonly dialled: string[];
  /** Host and how its session went. */
  readonly observed: string[];
  /** May be changed while it runs. */
  readonly now: { outage?: string; opensAtMs?: number };
  readonly queue: Queue;
  readonly deps: QueueDeps;
}

/** @param hosts address (and port when not 25) to how its server behaves; "down": nobody there */
export function house(
  hosts: Readonly<Record<string, SinkOptions | "down">>,
  options: {
    zone?: Zone;
    parameters?: object;
    /** Domain to the connector that it goes by; "*": the rest. */
    ways?: Readonly<Record<string, OutboundConnector>>;
    demands?: Readonly<Record<string, HopAnswer>>;
    deps?: Partial<QueueDeps>;
  } = {},
): House {
  const clock = fakeClock();
  const now: House["now"] = {};
  const observed: string[] = [];
  const store = new MemoryQueue();
  const notices: Notice[] = [];
  const dialled: string[] = [];
  const sinks = new Map<string, SmtpSink>();
  for (const [at, how] of Object.entries(hosts)) {
    if (how !== "down") sinks.set(at, new SmtpSink(how));
  }
  const dial = async ({ host, port }: Endpoint): Promise<Duplex> => {
    const at = port === 25 ? host : `${host}:${port}`;
    dialled.push(at);
    const sink = sinks.get(at);
    if (sink === undefined) throw new Unavailable(`nobody at ${at}`);
    const [ours, theirs] = streamPair();
    sink.serve(theirs);
    return ours;
  };
  const deps: QueueDeps = {
    store,
    messages: {
      read: async (_id, start = 0, end = message.length) => message.subarray(start, end),
      async *stream() {
        yield message;
      },
      sizeBytes: async () => message.length,
    },
    resolver: zoneResolver(options.zone ?? {}),
    wayTo: (domain) => {
      const { ways = {} } = options;
      const connector = ways[domain] ?? ways["*"] ?? plainConnector;
      const { login: _, ...rest } = connector;
      const opens = now.opensAtMs === undefined ? {} : { opensAtMs: now.opensAtMs };
      const direct = connector.whenDown === "direct" && { direct: { ...rest, hosts: [] } };
      return { connector, ...direct, ...opens };
    },
    hops: policiesOf(options.demands, observed),
    secretsOf: () => ["secret"],
    outage: () => now.outage,
    dial,
    notice: async (notice) => {
      store.log.push(`notice ${notice.kind}`);
      notices.push(notice);
    },
    clock,
    random: seededRandom(5),
    log: silentLog,
    registry: new Registry(),
    parameters: { ...defaultsOf(queueParameters), ...options.parameters },
    timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
    heloName: "out.us.test",
    ourNames: ["mx.us.test"],
    postmaster: "postmaster@us.test",
    ...options.deps,
  };
  const queue = createQueue(deps);
  return { clock, store, sinks, notices, dialled, observed, now, deps, queue };
}

/** Starts it, moves time, and lets all that is under way come to rest. */
export async function run(at: House, forMs = 0): Promise<void> {
  await at.queue.start();
  await at.clock.advance(forMs);
  for (let count = 0; count < 40; count += 1) await settle();
}
