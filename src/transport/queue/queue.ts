/** The queue's engine: begins what is due, runs it, and looks after what waits too long. */

import type { Duplex } from "node:stream";
import { type Clock, sleep, type Timer } from "#base/clock";
import type { QueueItem, QueueItemId } from "#model/queue";
import {
  type AttemptDeps,
  attemptLetters,
  type Batch,
  type LastWords,
  type Letter,
  type Report,
} from "./attempt.ts";
import { type QueueEvents, queueEvents } from "./events.ts";
import { type Host, type Hosts, hostsByMx, hostsOf } from "./hosts.ts";
import { Outcomes } from "./outcomes.ts";
import { Patience, type Wait } from "./patience.ts";
import { domainOf, type Job, Planner } from "./planner.ts";
import { type Leaving, NoWayOut, type QueueDeps } from "./ports.ts";
import { RecentNames } from "./recent-names.ts";
import { type Errand, IdleSessions, type SessionDeps } from "./sessions.ts";
import { Suspects } from "./suspects.ts";

export interface Queue {
  start(): Promise<void>;
  /** Something may have changed: a way out is open again. New items are noticed by themselves. */
  wake(): void;
  /** An administrator wants places that did not answer to be asked now: the domain's, or all. */
  lookNow(domain?: string): void;
  /** Why an item is not under way just now, in a sentence. */
  explain(item: QueueItem): string;
  /** Takes nothing new; attempts that still run after the grace are broken off. */
  stop(graceMs?: number): Promise<void>;
}

export function createQueue(deps: QueueDeps): Queue {
  return new Engine(deps);
}

/** At least this often what waits for long is looked at. */
const longestSleepMs = 60_000;
const lookMs = 500;
/** One message that was under way at a death is waited for this long, and all of them. */
const suspectMs = 300_000;
const suspectsMs = 3_600_000;
/** What could not be read is read again after so long. */
const lookAgainMs = 5000;
/** While no connection is to be had that way nothing begins: it would only ask for another. */
const shortMs = 1000;
/** Servers whose faults are remembered: our limit. */
const maxRemembered = 1000;

class Engine implements Queue {
  readonly #deps: QueueDeps;
  readonly #events: QueueEvents;
  readonly #planner: Planner;
  readonly #outcomes: Outcomes;
  readonly #idle: IdleSessions;
  readonly #inFlight = new Set<QueueItemId>();
  readonly #jobs = new Set<Promise<void>>();
  readonly #streams = new Set<Duplex>();
  readonly #withoutChunking = new RecentNames(maxRemembered);
  readonly #patience: Patience;
  #unwatch: () => void = () => {};
  #timer: Timer | undefined;
  #pumping: Promise<void> | undefined;
  #isWoken = false;
  #isStopped = true;
  #sweepAtMs = 0;
  readonly #shortUntilTick = { edge: 0, inside: 0 };

  constructor(deps: QueueDeps) {
    this.#deps = deps;
    this.#events = queueEvents(deps.log, deps.registry);
    this.#patience = new Patience(deps.clock, deps.parameters.connections);
    const troubled = this.#events.troubled.bind(this.#events);
    const shared = { ...deps, inFlight: this.#inFlight, patience: this.#patience, troubled };
    const outage = (via: Leaving["via"]) => deps.outage?.(via) ?? this.#shortage(via);
    this.#planner = new Planner({ ...shared, outage });
    this.#outcomes = new Outcomes({ ...shared, planner: this.#planner, events: this.#events });
    this.#idle = new IdleSessions(this.#sessionDeps);
  }

  get #sessionDeps(): SessionDeps {
    const dial: QueueDeps["dial"] = (...to) => this.#dial(...to);
    return { ...this.#deps, dial, streams: this.#streams, withoutChunking: this.#withoutChunking };
  }

  async #dial(...[to, timeoutMs, how]: Parameters<QueueDeps["dial"]>): Promise<Duplex> {
    try {
      return await this.#deps.dial(to, timeoutMs, how);
    } catch (error) {
      const { clock } = this.#deps;
      if (error instanceof NoWayOut) this.#shortUntilTick[how.via] = clock.tickMs() + shortMs;
      throw error;
    }
  }

  async start(): Promise<void> {
    const { store, flight } = this.#deps;
    this.#isStopped = false;
    const suspects = new Suspects({ ...this.#deps, events: this.#events });
    await suspects.setAside();
    for (const item of suspects.items) this.#inFlight.add(item.id);
    this.#unwatch = store.watch((waiting) => {
      this.#planner.waits(waiting);
      this.wake();
    });
    await this.#planner.load();
    await this.#outcomes.recoverNotices();
    if (flight !== undefined) this.#track(this.#trySuspects(suspects.letters));
    this.wake();
  }

  wake(): void {
    this.#isWoken = true;
    if (this.#isStopped) return;
    this.#pumping ??= this.#pump();
  }

  lookNow(domain?: string): void {
    this.#planner.lookNow(domain?.toLowerCase());
    this.wake();
  }

  explain(item: QueueItem): string {
    if (item.state === "held") return `held by ${item.heldBy ?? "somebody"}`;
    return item.state === "waiting" ? this.#planner.explain(item) : `it is ${item.state}`;
  }

  async stop(graceMs = 10_000): Promise<void> {
    this.#isStopped = true;
    this.#unwatch();
    this.#timer?.cancel();
    const grace = this.#deps.clock.after(graceMs, () => {
      for (const stream of this.#streams) stream.destroy();
    });
    await this.#pumping;
    await Promise.allSettled([...this.#jobs, this.#idle.close()]);
    await this.#idle.close();
    grace.cancel();
  }

  async #pump(): Promise<void> {
    try {
      while (this.#isWoken && !this.#isStopped) {
        this.#isWoken = false;
        this.#planner.turn(this.#deps.clock.nowMs());
        await this.#beginDue();
        await this.#sweep();
      }
      this.#events.counted(await this.#deps.store.counts());
    } catch (error) {
      this.#events.troubled("reading the queue", error);
      this.#sweepAtMs = Math.max(this.#sweepAtMs, this.#deps.clock.nowMs() + lookAgainMs);
    }
    this.#pumping = undefined;
    if (this.#isStopped) return;
    if (this.#isWoken) return this.wake();
    this.#timer?.cancel();
    const nowMs = this.#deps.clock.nowMs();
    const nextMs = Math.min(this.#planner.nextAtMs, this.#sweepAtMs, nowMs + longestSleepMs);
    const isShort = (["edge", "inside"] as const).some((via) => this.#shortage(via) !== undefined);
    const delayMs = Math.max(0, Math.min(nextMs - nowMs, isShort ? shortMs : longestSleepMs));
    this.#timer = this.#deps.clock.after(delayMs, () => this.wake());
  }

  #shortage(via: Leaving["via"]): string | undefined {
    const isOver = this.#deps.clock.tickMs() >= this.#shortUntilTick[via];
    return isOver ? undefined : "there is no connection to be had just now";
  }

  async #beginDue(): Promise<void> {
    while (!this.#isStopped && this.#jobs.size < this.#deps.parameters.connections) {
      if (this.#outcomes.isFull) return;
      const job = await this.#planner.next();
      if (job === undefined) return;
      this.#track(this.#run(job));
    }
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs < this.#sweepAtMs) return;
    const wasFull = this.#outcomes.isFull;
    await this.#outcomes.retryRecords();
    if (wasFull && !this.#outcomes.isFull) this.#isWoken = true;
    await this.#outcomes.retryNotices();
    const isMore = await this.#outcomes.sweep();
    this.#sweepAtMs = isMore ? nowMs + 1 : nowMs + longestSleepMs;
  }

  #track(work: Promise<void>): void {
    const job = work
      .catch((error: unknown) => this.#events.troubled("an attempt", error))
      .finally(() => {
        this.#jobs.delete(job);
        this.wake();
      });
    this.#jobs.add(job);
  }

  /**
   * Alone, one after the other: only then does another death say which of them it was. One that takes
   * long has the next beside it, and those whose turn has not come in an hour go with all else.
   */
  async #trySuspects(letters: readonly Letter[]): Promise<void> {
    const { clock } = this.#deps;
    const endTick = clock.tickMs() + suspectsMs;
    for (const letter of letters) {
      if (clock.tickMs() < endTick) await this.#untilOut(domainOf(letter[0]));
      const mayTry = !this.#isStopped && clock.tickMs() < endTick;
      const job = mayTry ? this.#planner.single(letter) : undefined;
      // What was tried is free again by itself, once it is recorded what became of it.
      if (job === undefined) {
        for (const { id } of letter) this.#inFlight.delete(id);
        this.#waits(letter);
      } else {
        const done = this.#run(job)
          .catch((error: unknown) => this.#events.troubled("an attempt", error))
          .finally(() => this.#waits(letter));
        this.#track(done);
        await within(done, suspectMs, clock);
      }
    }
  }

  #waits([first]: Letter): void {
    if (first === undefined) return;
    this.#planner.waits({ domain: domainOf(first), dueAtMs: this.#deps.clock.nowMs() });
    this.wake();
  }

  /** A start comes before its link: what is to be tried alone waits for that. */
  async #untilOut(domain: string): Promise<void> {
    const { clock, wayTo, outage } = this.#deps;
    for (let waitedMs = 0; waitedMs < longestSleepMs && !this.#isStopped; waitedMs += lookMs) {
      const { via } = wayTo(domain, clock.nowMs()).connector;
      if (outage?.(via) === undefined) return;
      await sleep(clock, lookMs);
    }
  }

  async #run(job: Job): Promise<void> {
    const wait = this.#patience.begin(job.isDoubtful);
    const untold = new Set(job.letters.flat());
    let report: Report = { opened: false, isCrowded: false };
    let dead: LastWords | undefined;
    try {
      for (const [care, letters] of Map.groupBy(job.letters, careOf)) {
        if (wait.isPutOff) break;
        const one = await this.#attempt({ job, wait, untold }, care, letters);
        // What REQUIRETLS cannot get there, or trouble of ours, says nothing of the place.
        const isOfPlace = care !== "require" && job.byMx && !(one.isOurs || wait.isPutOff);
        if (isOfPlace && one.last !== undefined && one.last.reply.code < 500) dead ??= one.last;
        report = { ...report, ...one, opened: report.opened || one.opened };
      }
    } catch (error) {
      // Begun again at once it would end in the same way, for ever.
      report = { ...report, isOurs: true };
      throw error;
    } finally {
      wait.end();
      // What did not come to be tried is tried again.
      for (const { id } of untold) this.#inFlight.delete(id);
      if (job.plan?.isProbe) job.lane.health?.unprobe(job.plan.hosts);
      const isOut = this.#deps.outage?.(job.lane.connector.via) !== undefined;
      // All that leaves by a connector has one lane: slow answers leave it its connections.
      const isSlow = wait.isSlow && (job.lane.health === undefined || !report.opened);
      const isSilent = !isOut && (isSlow || wait.isPutOff || report.fellSilent === true);
      await this.#planner.ended(job, { ...report, ...(!isOut && dead && { dead }), isSilent });
    }
  }

  async #attempt(flying: Flying, care: Errand["care"], letters: readonly Letter[]) {
    const { job } = flying;
    const { lane, plan, byMx } = job;
    const key = `${lane.key} ${care}`;
    const domain = domainOf(letters[0]?.[0]);
    const errand: Errand = { domain, connector: lane.connector, care };
    const idle = await this.#idle.take(key, errand);
    if (idle === undefined) await this.#makeRoom();
    const direct = { errand, hosts: () => this.#hostsByMx(errand) };
    const { connector } =
      plan === undefined ? lane : this.#deps.wayTo(domain, this.#deps.clock.nowMs());
    const probing = plan && {
      errand: { ...errand, connector },
      hosts: () => this.#hostsOf(job, { ...errand, connector }),
      ...(byMx && { otherwise: direct }),
    };
    const batch: Batch = { letters, ...(probing ?? direct), ...(idle && { idle }) };
    const report = await attemptLetters(batch, this.#attemptDeps(flying));
    if (report.held !== undefined) {
      if (this.#isStopped) await report.held.session.quit();
      else this.#idle.keep(key, report.held);
    }
    return report;
  }

  async #makeRoom(): Promise<void> {
    const most = this.#deps.parameters.connections;
    while (this.#idle.count > 0 && this.#jobs.size + this.#idle.count > most) {
      await this.#idle.dropOldest();
    }
  }

  /** Whatever went wrong before anything was sent: the items wait, rather than stay in flight. */
  async #hostsByMx({ domain, connector }: Errand): Promise<Hosts> {
    try {
      return await hostsByMx(domain, this.#hostDeps(connector.sourceAddress));
    } catch (error) {
      return this.#noWay(domain, error);
    }
  }

  async #hostsOf({ plan, lane }: Job, { domain, connector }: Errand): Promise<Hosts> {
    const wanted = plan?.hosts ?? [];
    try {
      const found = await hostsOf(wanted, connector.via, this.#hostDeps(connector.sourceAddress));
      const names = new Set(found.ok ? found.hosts.map(({ name }) => name) : []);
      for (const { host, port } of wanted) {
        if (!names.has(host) && this.#deps.outage?.(connector.via) === undefined) {
          lane.health?.failed(host, port, this.#deps.clock.nowMs());
        }
      }
      return found;
    } catch (error) {
      return this.#noWay(domain, error);
    }
  }

  #noWay(domain: string, error: unknown): Hosts {
    this.#events.troubled("finding the way", error);
    const text = `the way to ${domain} cannot be found now`;
    return { ok: false, reply: { code: 451, status: "4.3.0", text } };
  }

  #hostDeps(from: string | undefined) {
    const { resolver, random, ourNames, parameters } = this.#deps;
    const { privateNetworks } = parameters;
    const family = from === undefined ? {} : { family: from.includes(":") ? 6 : 4 };
    return { resolver, random, ourNames, privateNetworks, ...family };
  }

  #attemptDeps({ job: { lane }, wait, untold }: Flying): AttemptDeps {
    return {
      ...this.#deps,
      ...this.#sessionDeps,
      wait,
      begins: (letter) => {
        for (const item of letter) untold.delete(item);
      },
      done: (item, attempt, reported) => {
        untold.delete(item);
        return this.#outcomes.record(item, attempt, reported);
      },
      untried: (item) => {
        untold.delete(item);
        this.#inFlight.delete(item.id);
      },
      troubled: (what, error) => this.#events.troubled(what, error),
      isOut: () => this.#deps.outage?.(lane.connector.via) !== undefined,
      found: (host, isUp) => this.#found(lane, host, isUp),
    };
  }

  #found({ health, connector }: Job["lane"], { name, port, viaMx }: Host, isUp: boolean): void {
    if (health === undefined || viaMx) return;
    if (isUp) health.answered(name, port);
    // A way out that closed in mid-session says nothing of the host.
    else if (this.#deps.outage?.(connector.via) === undefined) {
      health.failed(name, port, this.#deps.clock.nowMs());
    }
  }
}

/** Until it is done, and for no longer than that. */
async function within(done: Promise<void>, ms: number, clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(ms, resolve);
  await Promise.race([done, promise]);
  timer.cancel();
}

/** A job under way. */
interface Flying {
  readonly job: Job;
  readonly wait: Wait;
  /** Items of which nothing is known yet, and nothing was sent. */
  readonly untold: Set<QueueItem>;
}

function careOf(letter: Letter): Errand["care"] {
  const [first] = letter;
  if (first?.requireTls === true) return "require";
  return first?.tlsOptional === true ? "optional" : "usual";
}
