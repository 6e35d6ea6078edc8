/** The queue's engine: picks what is due, keeps to the limits, records outcomes, tells senders. */

import type { Duplex } from "node:stream";
import type { Clock, Timer } from "#base/clock";
import type { Resolver } from "#base/dns";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Endpoint, Net } from "#base/net";
import type { Random } from "#base/random";
import type { Messages, QueueStore } from "#contracts/store";
import type { Attempt, QueueItem, QueueItemId } from "#model/queue";
import type { Timeouts } from "#transport/smtp-client";
import { type AttemptDeps, attemptLetters, type Letter } from "./attempt.ts";
import { type QueueEvents, queueEvents } from "./events.ts";
import { Lanes } from "./lanes.ts";
import { isWanted, type Notice, type NoticeKind, noticeFor } from "./notices.ts";
import type { QueueParameters } from "./parameters.ts";
import { type Route, Routes, routeByMx, routeTo } from "./routes.ts";
import { nextAttemptAt } from "./schedule.ts";

export interface QueueDeps {
  readonly store: QueueStore;
  readonly messages: Pick<Messages, "read" | "stream" | "sizeBytes">;
  readonly resolver: Pick<Resolver, "query">;
  /** Through the edge; rejects when nothing answers. */
  readonly dial: Net["dial"];
  /** Commits the notice as a message of its own. */
  readonly notice: (notice: Notice) => Promise<void>;
  /** Told after each recorded attempt: measures. */
  readonly attempted?: (item: QueueItem, attempt: Attempt) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  readonly parameters: QueueParameters;
  readonly timeouts: Timeouts;
  /** Our name in EHLO and in notices. */
  readonly heloName: string;
  /** Names of our own MX hosts: mail never goes there. */
  readonly ourNames: readonly string[];
  /** Trust anchors for verified TLS, PEM; absent: those of Node. */
  readonly trust?: readonly string[];
}

export interface Queue {
  /** @throws Misconfigured when a route cannot be read */
  start(): Promise<void>;
  /** Something new may be due. Cheap: call it after every commit that queued. */
  wake(): void;
  /** Takes nothing new; attempts that still run after the grace are broken off. */
  stop(graceMs?: number): Promise<void>;
}

export function createQueue(deps: QueueDeps): Queue {
  return new Engine(deps);
}

/** Items asked for at once; more only when all of these are busy or blocked. */
const firstPage = 256;
const lastPage = 4096;
/** At least this often the store is asked, whatever it said before. */
const longestSleepMs = 60_000;
/** Notices that could not be committed and wait for the next turn: our limit. */
const maxUnsent = 1000;
/** How old an outcome may be whose notice a crash may have swallowed. */
const recoveryMs = 86_400_000;

class Engine implements Queue {
  readonly #deps: QueueDeps;
  readonly #events: QueueEvents;
  readonly #lanes: Lanes;
  readonly #inFlight = new Set<QueueItemId>();
  readonly #jobs = new Set<Promise<void>>();
  readonly #streams = new Set<Duplex>();
  readonly #unsent = new Map<string, () => Promise<void>>();
  #timer: Timer | undefined;
  #isPumping = false;
  #isWoken = false;
  #isStopped = true;

  constructor(deps: QueueDeps) {
    const { parameters } = deps;
    this.#deps = deps;
    this.#events = queueEvents(deps.log, deps.registry);
    this.#lanes = new Lanes(parameters, new Routes(parameters.routes, parameters.smartHost));
  }

  async start(): Promise<void> {
    this.#isStopped = false;
    await this.#recoverNotices();
    this.wake();
  }

  wake(): void {
    this.#isWoken = true;
    if (!this.#isPumping && !this.#isStopped) void this.#pump();
  }

  async stop(graceMs = 10_000): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    const grace = this.#deps.clock.after(graceMs, () => {
      for (const stream of this.#streams) stream.destroy();
    });
    await Promise.allSettled(this.#jobs);
    grace.cancel();
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    let sleepMs = longestSleepMs;
    try {
      while (this.#isWoken && !this.#isStopped) {
        this.#isWoken = false;
        await this.#retryNotices();
        await this.#startDue();
      }
      const next = await this.#deps.store.nextDueAtMs();
      // What is due but blocked comes up again when a job ends; the second is for the rest.
      const waitMs = (next ?? Number.POSITIVE_INFINITY) - this.#deps.clock.nowMs();
      sleepMs = Math.min(longestSleepMs, Math.max(1000, waitMs));
      this.#events.counted(await this.#deps.store.counts());
    } catch (error) {
      this.#events.troubled("reading the queue", error);
    }
    this.#isPumping = false;
    if (this.#isStopped) return;
    if (this.#isWoken) return void this.#pump();
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.after(sleepMs, () => this.wake());
  }

  async #startDue(): Promise<void> {
    for (let page = firstPage; page <= lastPage; page *= 4) {
      if (this.#lanes.isFull) return;
      const due = await this.#deps.store.due(this.#deps.clock.nowMs(), page);
      if (this.#isStopped) return;
      const free = due.filter(({ id }) => !this.#inFlight.has(id));
      const jobs = this.#lanes.plan(free);
      for (const { lane, letters } of jobs) this.#startJob(lane, letters);
      if (due.length < page) return;
    }
  }

  #startJob(lane: string, letters: readonly Letter[]): void {
    for (const { id } of letters.flat()) this.#inFlight.add(id);
    this.#lanes.enter(lane);
    const job = this.#run(letters)
      .catch((error: unknown) => this.#events.troubled("an attempt", error))
      .finally(() => {
        this.#lanes.leave(lane);
        this.#jobs.delete(job);
        this.wake();
      });
    this.#jobs.add(job);
  }

  async #run(letters: readonly Letter[]): Promise<void> {
    const { clock } = this.#deps;
    const domain = domainOf(letters[0]?.[0]);
    const [startMs, startTick] = [clock.nowMs(), clock.tickMs()];
    const { fixed, requireTls } = this.#lanes.wayTo(domain);
    const route = await this.#routeOf(domain, fixed);
    if (route.ok) {
      return attemptLetters(letters, route.candidates, this.#attemptDeps(requireTls));
    }
    const attempt: Attempt = {
      atMs: startMs,
      durationMs: Math.round(clock.tickMs() - startTick),
      outcome: route.reply.code >= 500 ? "failed" : "deferred",
      remote: domain,
      reply: route.reply,
      unanswered: true,
    };
    for (const item of letters.flat()) await this.#record(item, attempt, false);
  }

  /** Whatever went wrong before anything was sent: the items wait, rather than stay in flight. */
  async #routeOf(domain: string, fixed: Endpoint | undefined): Promise<Route> {
    const deps = { ...this.#deps, privateNetworks: this.#deps.parameters.privateNetworks };
    try {
      return await (fixed ? routeTo(fixed, deps) : routeByMx(domain, deps));
    } catch (error) {
      this.#events.troubled("finding the way", error);
      const text = `the way to ${domain} cannot be found now`;
      return { ok: false, reply: { code: 451, status: "4.3.0", text } };
    }
  }

  #attemptDeps(requireTls: boolean): AttemptDeps {
    const { dial, messages, clock, heloName, timeouts, parameters, trust } = this.#deps;
    return {
      ...{ dial, messages, clock, heloName, timeouts, requireTls },
      ...(trust && { trust }),
      dialMs: parameters.dialS * 1000,
      streams: this.#streams,
      done: (item, attempt, reported) => this.#record(item, attempt, reported),
    };
  }

  /** Durable first; only then is anybody told, and only then may the item be tried again. */
  async #record(item: QueueItem, tried: Attempt, reported: boolean): Promise<void> {
    const { store, clock, random, parameters } = this.#deps;
    const isDeferred = tried.outcome === "deferred";
    const next = isDeferred ? nextAttemptAt(item, clock.nowMs(), random, parameters) : undefined;
    const attempt = isDeferred && next === undefined ? givenUp(tried) : tried;
    try {
      await store.attempted(item.id, attempt, next);
    } catch (error) {
      // It stays in flight: to try what may have been delivered would make a second copy.
      this.#events.troubled("recording an attempt", error, item);
      return;
    }
    this.#inFlight.delete(item.id);
    this.#events.attempted(item, domainOf(item), attempt);
    this.#deps.attempted?.(item, attempt);
    await this.#tell(item, attempt, reported);
  }

  async #tell(item: QueueItem, attempt: Attempt, reported: boolean): Promise<void> {
    if (attempt.outcome === "failed") return this.#notify(item, attempt, "failure");
    if (attempt.outcome === "delivered") {
      // RFC 3461 §5.2.2: where the next server knows DSN, the confirmation is its business.
      return reported ? undefined : this.#notify(item, attempt, "success");
    }
    const { clock, parameters, store } = this.#deps;
    const isLate = clock.nowMs() - item.queuedAtMs >= parameters.delayNoticeS * 1000;
    if (parameters.delayNoticeS === 0 || !isLate || item.delayNotifiedAtMs !== undefined) return;
    await this.#notify(item, attempt, "delay", () => store.delayNotified(item.id, clock.nowMs()));
  }

  async #notify(
    item: QueueItem,
    attempt: Attempt,
    kind: NoticeKind,
    then?: () => Promise<void>,
  ): Promise<void> {
    if (!isWanted(item, kind)) return;
    const { messages, heloName, parameters } = this.#deps;
    const send = async (): Promise<void> => {
      const deps = { messages, reportingHost: heloName, giveUpS: parameters.giveUpS };
      await this.#deps.notice(await noticeFor(item, attempt, kind, deps));
      await then?.();
      this.#events.notified(item, kind);
    };
    try {
      await send();
    } catch (error) {
      this.#events.troubled("a notice", error, item);
      if (this.#unsent.size < maxUnsent) this.#unsent.set(`${item.id}\0${kind}`, send);
    }
  }

  async #retryNotices(): Promise<void> {
    for (const [key, send] of this.#unsent) {
      try {
        await send();
        this.#unsent.delete(key);
      } catch {
        return; // what hinders one hinders all; the next turn tries again
      }
    }
  }

  /** A crash between an outcome and its notice: ids are fixed, so a second commit does nothing. */
  async #recoverNotices(): Promise<void> {
    const { store, clock } = this.#deps;
    for (const item of await store.list({ state: "failed", limit: 1000 })) {
      const { last } = item;
      if (last !== undefined && clock.nowMs() - last.atMs < recoveryMs) {
        await this.#notify(item, last, "failure");
      }
    }
  }
}

function givenUp(attempt: Attempt): Attempt {
  const { code, text } = attempt.reply;
  const words = typeof text === "string" ? [text] : text;
  const reply = {
    code: 554,
    status: "5.4.7",
    text: [`given up after too long; the last answer was ${code}`, ...words],
  };
  return { ...attempt, outcome: "failed", reply };
}

function domainOf(item: QueueItem | undefined): string {
  const recipient = item?.recipient ?? "";
  return recipient.slice(recipient.lastIndexOf("@") + 1);
}
