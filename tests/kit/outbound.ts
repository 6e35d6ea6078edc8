/** An outbound queue with everything around it in memory: store, DNS, servers, time. */

import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { Unavailable } from "#base/errors";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import type { Endpoint } from "#base/net";
import { defaultsOf } from "#base/parameters";
import { seededRandom } from "#base/random";
import type { QueueStore } from "#contracts/store";
import type { Attempt, QueueItem, QueueState } from "#model/queue";
import {
  createQueue,
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
  largestPage = 0;

  add(id: string, recipient: string, atMs: number, some: Partial<QueueItem> = {}): void {
    this.items.set(id, {
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
  due: QueueStore["due"] = async (nowMs: number, limit: number) => {
    const due = this.#in("waiting").filter(({ nextAttemptAtMs }) => nextAttemptAtMs <= nowMs);
    this.largestPage = Math.max(this.largestPage, limit);
    return due.slice(0, limit);
  };
  nextDueAtMs: QueueStore["nextDueAtMs"] = async () => {
    const waiting = this.#in("waiting").map(({ nextAttemptAtMs }) => nextAttemptAtMs);
    return waiting.length > 0 ? Math.min(...waiting) : undefined;
  };
  list: QueueStore["list"] = async ({ state, limit }) =>
    this.#in(state ?? "waiting").slice(0, limit);
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
    const state = last.outcome === "deferred" ? "waiting" : last.outcome;
    const attempts = item.attempts + 1;
    this.items.set(id, { ...item, state, last, attempts, nextAttemptAtMs: next ?? 0 });
  };
  delayNotified: QueueStore["delayNotified"] = async (id: string, delayNotifiedAtMs: number) => {
    const item = this.items.get(id);
    if (item) this.items.set(id, { ...item, delayNotifiedAtMs });
    this.log.push(`${id} delay-notified`);
  };
  change: QueueStore["change"] = async () => false;

  #in(state: QueueState): QueueItem[] {
    return [...this.items.values()].filter((item) => item.state === state);
  }
}

export const message: Buffer = Buffer.from(
  "From: alice@us.test\r\nSubject: secret\r\n\r\nbody text\r\n",
);

export interface House {
  readonly clock: FakeClock;
  readonly store: MemoryQueue;
  readonly sinks: ReadonlyMap<string, SmtpSink>;
  readonly notices: Notice[];
  readonly dialled: string[];
  readonly queue: Queue;
  readonly deps: QueueDeps;
}

/** @param hosts address (and port when not 25) to how its server behaves; "down": nobody there */
export function house(
  hosts: Readonly<Record<string, SinkOptions | "down">>,
  options: { zone?: Zone; parameters?: object; deps?: Partial<QueueDeps> } = {},
): House {
  const clock = fakeClock();
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
    ...options.deps,
  };
  return { clock, store, sinks, notices, dialled, deps, queue: createQueue(deps) };
}

/** Starts it, moves time, and lets all that is under way come to rest. */
export async function run(at: House, forMs = 0): Promise<void> {
  await at.queue.start();
  await at.clock.advance(forMs);
  for (let count = 0; count < 40; count += 1) await settle();
}
