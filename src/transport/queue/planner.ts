/**
 * What begins next: domains with something due, in lanes that take turns. Nothing is read of the
 * store but what is begun, however much waits elsewhere.
 */

import type { QueueStore } from "#contracts/store";
import type { OutboundConnector } from "#model/connector";
import type { Destination, QueueItem, QueueItemId } from "#model/queue";
import { Agenda } from "./agenda.ts";
import type { LastWords, Letter, Report } from "./attempt.ts";
import { type Gathered, gather, gatherPassing } from "./gather.ts";
import { HostHealth, type HostPlan } from "./health.ts";
import { Lane, lettersOf, type Target } from "./lanes.ts";
import type { Patience } from "./patience.ts";
import type { QueueDeps, Way } from "./ports.ts";
import { waitMs } from "./schedule.ts";

export interface Job {
  readonly lane: Lane;
  readonly targets: readonly Target[];
  readonly letters: readonly Letter[];
  /** Of the connector's hosts, where it has some and they are to be asked. */
  readonly plan?: HostPlan;
  /** The MX is asked, too, or only it. */
  readonly byMx: boolean;
  /** It has one of the connections for the silent. */
  readonly isDoubtful: boolean;
}

/** How it ended, as far as the lane is concerned. */
export interface Ending extends Report {
  /** What was said when nobody listened to anything there. */
  readonly dead?: LastWords;
  /** Nobody listened in time. */
  readonly isSilent: boolean;
}

type Ports = "wayTo" | "outage" | "clock" | "random" | "parameters";

export interface PlannerDeps extends Pick<QueueDeps, Ports> {
  readonly store: Pick<QueueStore, "destinations" | "due" | "nextDueAtMs">;
  readonly inFlight: Set<QueueItemId>;
  readonly patience: Pick<Patience, "room">;
  /** The store cannot be read: it is read again soon. */
  readonly troubled: (what: string, error: unknown) => void;
}

/** Messages that begin at once in one lane; its session then stays for the next ones. */
const batchMessages = 8;
/** Something is due and cannot be begun: it is under way, or what became of it could not be kept. */
const lookAgainMs = 5000;

export class Planner {
  readonly #deps: PlannerDeps;
  readonly #targets = new Map<string, Target>();
  readonly #lanes = new Map<string, Lane>();
  readonly #healths = new Map<string, HostHealth>();
  readonly #agenda = new Agenda<Target | Lane>();
  /** Lanes that may begin something, in the order of their turns. */
  readonly #ready = new Set<Lane>();
  /** Of those, the ones with mail that has just come. */
  readonly #fresh = new Set<Lane>();
  #isTurnOfFresh = false;
  /** Doubtful lanes that could begin something while as many as may be are waited for, in their order. */
  readonly #silent = new Set<Lane>();
  /** Lanes whose way out is closed. */
  readonly #parked = { edge: new Set<Lane>(), inside: new Set<Lane>() };

  constructor(deps: PlannerDeps) {
    this.#deps = deps;
  }

  get nextAtMs(): number {
    return this.#agenda.nextAtMs;
  }

  async load(): Promise<void> {
    for (const { domain, dueAtMs } of await this.#deps.store.destinations()) {
      this.#schedule(this.#targetOf(domain), dueAtMs);
    }
  }

  /** Something of the domain has begun to wait for that moment. */
  waits({ domain, dueAtMs }: Destination): void {
    const target = this.#targetOf(domain);
    target.hasNews = true;
    // It stands before the place where reading goes on.
    if (target.read !== undefined && dueAtMs <= target.read.nextAttemptAtMs) delete target.read;
    const nowMs = this.#deps.clock.nowMs();
    if (target.lane !== undefined) {
      target.lane.came(dueAtMs);
      return this.#offer(target.lane, nowMs);
    }
    if (dueAtMs > nowMs) return this.#schedule(target, dueAtMs);
    this.#enlist(target, nowMs);
    this.#freshen(target);
  }

  /** Mail that has just come has every second turn: its first try shall not wait for a backlog. */
  #freshen(target: Target): void {
    const { lane } = target;
    lane?.fresh.add(target);
    if (lane !== undefined && this.#ready.has(lane)) this.#fresh.add(lane);
  }

  /** Ends the rest of places that did not answer: of the domain's, or of all. */
  lookNow(domain?: string): void {
    const nowMs = this.#deps.clock.nowMs();
    const only = domain === undefined ? undefined : this.#targets.get(domain)?.lane;
    const lanes = domain === undefined ? this.#lanes.values() : [only];
    for (const lane of lanes) {
      if (lane === undefined) continue;
      lane.lookNow(nowMs);
      if (domain !== undefined) lane.isWanted = true;
      lane.health?.lookNow(nowMs);
      this.#offer(lane, nowMs);
    }
  }

  /** Brings up what has become due. */
  turn(nowMs: number): void {
    for (let next = this.#agenda.take(nowMs); next !== undefined; next = this.#agenda.take(nowMs)) {
      const { atMs, what } = next;
      if (what instanceof Lane) this.#offer(what, nowMs);
      else if (what.dueAtMs === atMs) this.#enlist(what, nowMs);
    }
    this.#unpark("edge", nowMs);
    this.#unpark("inside", nowMs);
  }

  #unpark(via: OutboundConnector["via"], nowMs: number): void {
    const parked = this.#parked[via];
    if (parked.size === 0 || this.#isOut(via)) return;
    for (const lane of parked) this.#offer(lane, nowMs);
    parked.clear();
  }

  #isOut(via: OutboundConnector["via"]): boolean {
    return this.#deps.outage?.(via) !== undefined;
  }

  /** @returns undefined when nothing more can begin now */
  async next(): Promise<Job | undefined> {
    for (;;) {
      const lane = this.#takeTurn();
      if (lane === undefined) return undefined;
      const nowMs = this.#deps.clock.nowMs();
      if (!lane.mayBegin(nowMs)) this.#offer(lane, nowMs);
      else if (this.#isOut(lane.connector.via)) this.#parked[lane.connector.via].add(lane);
      else if (lane.isDoubtful && this.#deps.patience.room <= 0) this.#silent.add(lane);
      else {
        const job = await this.#begin(lane, nowMs);
        if (job !== undefined) return job;
      }
    }
  }

  /** Doubtful ones that wait come before those that came up later. */
  #takeTurn(): Lane | undefined {
    const [waiting] = this.#deps.patience.room > 0 ? this.#silent : [];
    if (waiting === undefined) this.#isTurnOfFresh = !this.#isTurnOfFresh && this.#fresh.size > 0;
    const [next] = this.#isTurnOfFresh ? this.#fresh : this.#ready;
    const lane = waiting ?? next;
    if (lane === undefined) return undefined;
    for (const lanes of [this.#silent, this.#ready, this.#fresh]) lanes.delete(lane);
    return lane;
  }

  async #begin(lane: Lane, nowMs: number): Promise<Job | undefined> {
    const { health } = lane;
    const isDirect = health !== undefined && lane.isDirect;
    if (this.#moveAll(lane, nowMs)) return undefined;
    const plan = health?.plan(nowMs);
    if (health !== undefined && plan === undefined && !isDirect) {
      if (Number.isFinite(health.nextProbeAtMs)) this.#agenda.add(health.nextProbeAtMs, lane);
      return undefined;
    }
    const isSingle = lane.isDead || plan?.isProbe === true;
    const most = Math.min(batchMessages, lane.connector.messagesPerSession, lane.allowance(nowMs));
    const { items, targets } = await this.#gather(lane, isSingle ? 1 : most, nowMs);
    if (items.length === 0) {
      if (plan?.isProbe) health?.unprobe(plan.hosts);
      this.#offer(lane, nowMs);
      this.#forget(lane);
      return undefined;
    }
    const letters = lettersOf(items, this.#deps.parameters.recipientsPerMessage);
    const { isDoubtful } = lane;
    lane.isWanted = false;
    lane.open += 1;
    lane.began(letters.length, nowMs);
    for (const target of targets) target.open += 1;
    this.#offer(lane, nowMs);
    const byMx = health === undefined || isDirect;
    return { lane, targets, letters, byMx, isDoubtful, ...(plan && { plan }) };
  }

  /** Mail of a connector whose hosts are lost, or back, changes lanes; of a closed one it waits. @returns whether it did */
  #moveAll(lane: Lane, nowMs: number): boolean {
    const targets = [...lane.due];
    const [first] = targets;
    if (first === undefined || this.#laneOf(first.domain, nowMs) === lane) return false;
    lane.due.clear();
    lane.fresh.clear();
    for (const target of targets) {
      delete target.lane;
      this.#enlist(target, nowMs);
    }
    this.#forget(lane);
    return true;
  }

  /** Reads what is begun, and marks it as under way. */
  async #gather(lane: Lane, most: number, nowMs: number): Promise<Gathered> {
    const wish = { most, nowMs, isTurnOfFresh: this.#isTurnOfFresh };
    // A lane that rests and may begin all the same has mail that passes.
    if (nowMs < lane.rest.untilMs) return gatherPassing(lane, wish, this.#deps);
    const gathered = await gather(lane, wish, this.#deps);
    for (const target of gathered.spent) {
      if (gathered.targets.includes(target) || target.open > 0) continue;
      delete target.read; // what is under way elsewhere may come back as it was
      await this.#refresh(target, nowMs + lookAgainMs);
    }
    return gathered;
  }

  async ended({ lane, targets, letters }: Job, report: Ending): Promise<void> {
    const { clock, random, parameters } = this.#deps;
    const nowMs = clock.nowMs();
    lane.open -= 1;
    lane.isSilent = report.isSilent || (lane.isSilent && !report.opened);
    const { dead, opened } = report;
    // Whoever may go without TLS is listened to where nobody else is.
    const isBarred = dead?.isTls === true && lane.mayBeBarred;
    const tellsNothing = lane.isBarred && letters.every(([first]) => first?.tlsOptional === true);
    if (opened && !isBarred) {
      if (!tellsNothing) lane.listened();
    } else if (dead !== undefined) {
      lane.failed(dead, nowMs, waitMs(lane.failures, random, parameters));
    } else if (this.#isWaitingForHosts(lane) && report.last && report.isOurs !== true) {
      lane.last = { ...report.last, atMs: nowMs };
    }
    if (report.isOurs === true) lane.pause(nowMs + lookAgainMs, "there is trouble on our side");
    lane.ended(report, nowMs);
    for (const target of targets) {
      target.open -= 1;
      if (target.open > 0) continue;
      delete target.read;
      if (target.lane === undefined) await this.#refresh(target, 0);
    }
    this.#offer(lane, nowMs);
    // Of hosts that are found or lost, every lane of their connector wants to know.
    for (const other of lane.health === undefined ? [] : this.#lanes.values()) {
      if (other.health === lane.health) this.#offer(other, nowMs);
    }
    this.#forget(lane);
  }

  /** A job of its own for these, whatever else the lane has; undefined while nothing may begin. */
  single(letter: Letter): Job | undefined {
    const nowMs = this.#deps.clock.nowMs();
    const target = this.#targetOf(domainOf(letter[0]));
    const lane = this.#laneOf(target.domain, nowMs);
    if (lane === undefined || lane.isDead || lane.health?.isUp === false) return undefined;
    if (this.#isOut(lane.connector.via)) return undefined;
    const plan = lane.health?.plan(nowMs);
    lane.open += 1;
    target.open += 1;
    const byMx = lane.health === undefined;
    const job = { lane, targets: [target], letters: [letter], byMx, isDoubtful: false };
    return { ...job, ...(plan && { plan }) };
  }

  /** Why the item is not under way. */
  explain(item: QueueItem): string {
    const nowMs = this.#deps.clock.nowMs();
    const at = (ms: number): string =>
      `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")}Z`;
    if (this.#deps.inFlight.has(item.id)) return "it is under way";
    const domain = domainOf(item);
    const { connector, opensAtMs } = this.#deps.wayTo(domain, nowMs);
    const by = `connector ${connector.name}`;
    const outage = this.#deps.outage?.(connector.via);
    if (item.nextAttemptAtMs > nowMs) return `its next attempt is at ${at(item.nextAttemptAtMs)}`;
    if (outage !== undefined) return outage;
    if (opensAtMs !== undefined && opensAtMs > nowMs) return `${by} opens at ${at(opensAtMs)}`;
    const lane = this.#targets.get(domain)?.lane;
    if (lane === undefined) return `${by} takes it up next`;
    const { untilMs, why } = lane.rest;
    if (untilMs > nowMs && !(lane.isBarred && item.tlsOptional === true)) {
      return `${domain} is left alone until ${at(untilMs)}: ${why}`;
    }
    if (lane.health?.isUp === false && !lane.isDirect) {
      return `${by}: ${lane.health.describe(nowMs).join("; ")}`;
    }
    if (this.#silent.has(lane)) {
      return `${domain} did not answer, and waits for a connection of those for silent places`;
    }
    return `it waits for a free connection to ${domain} by ${by}`;
  }

  /** The last word of a place where nobody listens. */
  deadEnd(item: QueueItem): Lane["last"] {
    const lane = this.#targets.get(domainOf(item))?.lane;
    if (lane?.isBarred === true && item.tlsOptional === true) return undefined;
    // Of hosts that are back the words of before tell nothing.
    const isBack = lane?.isDirect === false && lane.health?.isUp === true;
    return isBack ? undefined : lane?.last;
  }

  /** None of its connector's hosts answers, and there is no other way. */
  #isWaitingForHosts({ health, isDirect, connector: { via, whenDown } }: Lane): boolean {
    return health?.isUp === false && !isDirect && whenDown !== "direct" && !this.#isOut(via);
  }

  #targetOf(domain: string): Target {
    const known = this.#targets.get(domain);
    if (known !== undefined) return known;
    const made: Target = { domain, open: 0, hasNews: false };
    this.#targets.set(domain, made);
    return made;
  }

  #schedule(target: Target, atMs: number): void {
    if (target.dueAtMs !== undefined && target.dueAtMs <= atMs) return;
    target.dueAtMs = atMs;
    this.#agenda.add(atMs, target);
  }

  #enlist(target: Target, nowMs: number): void {
    delete target.dueAtMs;
    const way = this.#deps.wayTo(target.domain, nowMs);
    if (way.opensAtMs !== undefined && way.opensAtMs > nowMs) {
      return this.#schedule(target, way.opensAtMs);
    }
    const lane = this.#laneBy(way, target.domain);
    target.lane = lane;
    lane.came(nowMs);
    lane.due.add(target);
    this.#offer(lane, nowMs);
  }

  #laneOf(domain: string, nowMs: number): Lane | undefined {
    const way = this.#deps.wayTo(domain, nowMs);
    return way.opensAtMs !== undefined && way.opensAtMs > nowMs
      ? undefined
      : this.#laneBy(way, domain);
  }

  #laneBy({ connector, direct }: Way, domain: string): Lane {
    if (connector.hosts.length === 0) return this.#lane(`${connector.name} ${domain}`, connector);
    const health = this.#healthOf(connector);
    if (direct !== undefined && health.isLost) {
      return this.#lane(`${connector.name} direct ${domain}`, direct, health, true);
    }
    return this.#lane(connector.name, connector, health);
  }

  #healthOf({ name, hosts }: OutboundConnector): HostHealth {
    const known = this.#healths.get(name);
    if (known !== undefined) return known;
    const made = new HostHealth(hosts, this.#deps.parameters);
    this.#healths.set(name, made);
    return made;
  }

  #lane(key: string, connector: OutboundConnector, health?: HostHealth, isDirect = false): Lane {
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const made = new Lane(key, connector, { ...(health && { health }), isDirect });
    this.#lanes.set(key, made);
    return made;
  }

  /** To the end of those that may begin, or to the moment when it may. */
  #offer(lane: Lane, nowMs: number): void {
    if (lane.mayBegin(nowMs)) {
      this.#ready.add(lane);
      if (lane.fresh.size > 0) this.#fresh.add(lane);
    } else if (lane.due.size > 0 && lane.restsUntilMs > nowMs && !lane.isNoted) {
      lane.notedUntilMs = lane.restsUntilMs;
      this.#agenda.add(lane.restsUntilMs, lane);
    }
  }

  /** Asks anew what is next, when nothing of it is under way. */
  async #refresh(target: Target, notBeforeMs: number): Promise<void> {
    const next = await this.#nextDueAtMs(target);
    if (target.lane !== undefined || target.open > 0) return;
    if (next !== undefined) return this.#schedule(target, Math.max(next, notBeforeMs));
    if (target.dueAtMs === undefined) this.#targets.delete(target.domain);
  }

  async #nextDueAtMs({ domain }: Target): Promise<number | undefined> {
    try {
      return await this.#deps.store.nextDueAtMs(domain);
    } catch (error) {
      this.#deps.troubled("reading when something is due", error);
      return this.#deps.clock.nowMs() + lookAgainMs;
    }
  }

  /** How often a place failed, and that it rests, is remembered as long as something waits for it. */
  #forget({ key, domain, open, due, isDead, isSilent, rest }: Lane): void {
    if (domain === undefined || open > 0 || due.size > 0) return;
    const isKept = isDead || isSilent || rest.untilMs > this.#deps.clock.nowMs();
    if (!isKept || !this.#targets.has(domain)) this.#lanes.delete(key);
  }
}

export function domainOf(item: Pick<QueueItem, "recipient"> | undefined): string {
  const recipient = item?.recipient ?? "";
  return recipient.slice(recipient.lastIndexOf("@") + 1).toLowerCase();
}
