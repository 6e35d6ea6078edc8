/** One try to hand some items on: hosts in order, one session, a transaction for each message. */

import type { Messages, QueueStore } from "#contracts/store";
import type { TlsFacts } from "#model/connection";
import type { Attempt, QueueItem } from "#model/queue";
import { isPermanent, type Reply } from "#model/reply";
import type { ClientSession } from "#transport/smtp-client";
import type { FlightLog } from "./flight.ts";
import type { Host, Hosts } from "./hosts.ts";
import type { Wait } from "./patience.ts";
import {
  asTemporary,
  type Errand,
  type Held,
  type Opening,
  type OpeningDeps,
  openAt,
} from "./sessions.ts";
import { isWithoutRequireTls, mayTryNext, transact } from "./transact.ts";

export type AttemptDeps = OpeningDeps & {
  readonly wait: Pick<Wait, "opens" | "listens" | "waits" | "goesOn">;
  readonly messages: Pick<Messages, "read" | "stream" | "sizeBytes">;
  readonly store: Pick<QueueStore, "get">;
  readonly flight?: Pick<FlightLog, "begin">;
  /** What becomes of it is settled by what the server says from now on. */
  begins(letter: Letter): void;
  /** @param reported the server will confirm the delivery itself, if that was asked for */
  done(item: QueueItem, attempt: Attempt, reported: boolean): Promise<void>;
  /** It was not tried: somebody took it out meanwhile, or nothing can leave just now. */
  untried(item: QueueItem): void;
  /** Nothing can leave that way now. */
  isOut(): boolean;
  /** Whether that host serves. */
  found(host: Host, isUp: boolean): void;
  /** Something of ours that mail has to wait for. */
  troubled(what: string, error: unknown): void;
};

/** Items of one message, at most as many as one transaction may have. */
export type Letter = readonly QueueItem[];

export interface Batch {
  readonly letters: readonly Letter[];
  readonly errand: Errand;
  /** One that is open already. */
  readonly idle?: Held;
  /** Asked only when a connection is needed. */
  readonly hosts: () => Promise<Hosts>;
  /** Another way for what nobody listened to here. */
  readonly otherwise?: Omit<Batch, "letters">;
}

export interface Report {
  /** Somebody listened: opened a session, and was not silent at MAIL. */
  readonly opened: boolean;
  /** The server, or we for it, said that it has too much to do. */
  readonly isCrowded: boolean;
  /** The trouble is ours: nobody was asked, or the store could not say what may be sent. */
  readonly isOurs?: boolean;
  /** A server that listened did not answer in time later on. */
  readonly fellSilent?: boolean;
  /** Still open, and with nothing wrong. */
  readonly held?: Held;
  /** What was said last when nobody listened. */
  readonly last?: LastWords;
}

export interface LastWords {
  readonly remote: string;
  readonly reply: Reply;
  readonly answered: boolean;
  /** It is TLS that is not as demanded, or what it has to be cannot be found out. */
  readonly isTls?: boolean;
}

/** Letters that a session did not take. */
interface Rest {
  /** Another connection to the same host may. */
  readonly here: readonly Letter[];
  readonly elsewhere: readonly Letter[];
  /** The server was silent at the first MAIL. */
  readonly isGone: boolean;
}

/** One job opens so many sessions, and begins nothing after so long: then it is others' turn. */
const maxSessions = 10;
const longestMs = 900_000;

/** Calls `done` or `untried` once for each item. */
export async function attemptLetters(batch: Batch, deps: AttemptDeps): Promise<Report> {
  const since = { startMs: deps.clock.nowMs(), startTick: deps.clock.tickMs() };
  const run = new Run(batch.errand, since, deps);
  let left = batch.letters;
  if (batch.idle !== undefined) {
    const { here, elsewhere } = await run.send(left, batch.idle);
    left = [...here, ...elsewhere];
  }
  if (left.length > 0 && !run.isSpent) left = await sendByHosts(left, batch, run, deps);
  deps.wait.listens();
  const mayGoOn = !run.report.opened && !deps.wait.isPutOff;
  if (left.length > 0 && batch.otherwise !== undefined && mayGoOn) {
    return attemptLetters({ ...batch.otherwise, letters: left }, deps);
  }
  for (const item of left.flat()) await run.giveBack(item);
  return run.report;
}

async function sendByHosts(
  letters: readonly Letter[],
  { errand, hosts }: Batch,
  run: Run,
  deps: AttemptDeps,
): Promise<readonly Letter[]> {
  deps.wait.opens();
  const found = await hosts();
  if (deps.wait.isPutOff) return letters;
  if (!found.ok) {
    run.nowhere(errand.domain, found.reply);
    return letters;
  }
  let left = letters;
  for (const host of found.hosts) {
    if (left.length === 0) break;
    if (deps.wait.isOver || run.isLate) {
      run.cutShort();
      break;
    }
    const elsewhere: Letter[] = [];
    for (let here = left; here.length > 0; ) {
      deps.wait.opens();
      const opening = await openAt(host, errand, deps);
      if (!opening.ok && deps.wait.isPutOff) return [...elsewhere, ...here];
      if (!opening.ok) {
        if (opening.isOurs !== true) deps.found(host, !opening.isDown);
        run.refused(opening);
        elsewhere.push(...here);
        break;
      }
      deps.wait.listens();
      const rest = await run.send(here, opening.held);
      elsewhere.push(...rest.elsewhere);
      here = rest.here;
      if (deps.wait.isPutOff) return [...elsewhere, ...here];
      deps.found(host, !rest.isGone);
      if (here.length > 0 && run.isSpent) return [...elsewhere, ...here];
    }
    left = elsewhere;
  }
  return left;
}

/** What became of one letter, but for what is settled. */
interface Sent {
  readonly again: Letter;
  readonly leftOver: Letter;
  /** The server has answered MAIL. */
  readonly isHeard: boolean;
}

interface Since {
  readonly startMs: number;
  readonly startTick: number;
}

class Run {
  readonly #errand: Errand;
  readonly #since: Since;
  readonly #deps: AttemptDeps;
  #last: LastWords & { readonly tls?: TlsFacts } = {
    remote: "",
    reply: { code: 451, status: "4.4.1", text: "no host" },
    answered: false,
  };
  #isTelling = false;
  #allPermanent = true;
  /** RFC 8689 §4.2.1: no host so far can promise what REQUIRETLS asks for. */
  #isUnprovable = true;
  #isOurs = false;
  #fellSilent = false;
  #opened = false;
  #sessions = 0;
  #isCrowded = false;
  #held: Held | undefined;
  /** The session ended before their turn came, and that says nothing about them. */
  readonly #passedOver = new Set<QueueItem>();

  constructor(errand: Errand, since: Since, deps: AttemptDeps) {
    this.#errand = errand;
    this.#since = since;
    this.#deps = deps;
  }

  get isLate(): boolean {
    return this.#deps.clock.tickMs() - this.#since.startTick >= longestMs;
  }

  /** No other session is opened for what is left. */
  get isSpent(): boolean {
    return this.#deps.wait.isPutOff || this.isLate || this.#sessions >= maxSessions;
  }

  get report(): Report {
    return {
      opened: this.#opened,
      isCrowded: this.#isCrowded,
      ...(this.#isOurs && { isOurs: true }),
      ...(this.#fellSilent && { fellSilent: true }),
      ...(this.#held && { held: this.#held }),
      ...(!this.#opened && { last: this.#last }),
    };
  }

  refused(opening: Extract<Opening, { ok: false }>): void {
    const { remote, reply, answered, isOurs, isCrowded, isDown } = opening;
    const isTls = opening.phase === "tls" && { isTls: true };
    // Why a host that listens does not get the mail says more than that the next one is down.
    if (!isDown || !this.#isTelling) this.#last = { remote, reply, answered, ...isTls };
    this.#isUnprovable &&= opening.isUnprovable === true;
    this.#isTelling ||= !isDown;
    this.#allPermanent &&= answered && isPermanent(reply);
    this.#isOurs ||= isOurs === true;
    this.#isCrowded ||= isCrowded === true;
    this.#passedOver.clear();
  }

  /** There are hosts that were not asked. */
  cutShort(): void {
    this.#allPermanent = false;
    this.#isUnprovable = false;
  }

  /** There is no host to ask. */
  nowhere(domain: string, reply: Reply): void {
    this.#last = { remote: domain, reply, answered: false };
    this.#allPermanent &&= isPermanent(reply);
    this.#isUnprovable = false;
    this.#passedOver.clear();
  }

  async send(letters: readonly Letter[], held: Held): Promise<Rest> {
    this.#sessions += 1;
    try {
      return await this.#sendAll(letters, held);
    } catch (error) {
      held.session.destroy();
      throw error;
    }
  }

  async #sendAll(letters: readonly Letter[], held: Held): Promise<Rest> {
    const { session, remote } = held;
    const { messagesPerSession } = this.#errand.connector;
    const here: Letter[] = [];
    const elsewhere: Letter[] = [];
    const usedBefore = held.used;
    let isHeard = false;
    this.#allPermanent = false;
    this.#passedOver.clear();
    const queue = [...letters];
    for (let letter = queue.shift(); letter !== undefined; letter = queue.shift()) {
      const waiting = await this.#stillWaiting(letter);
      if (waiting.length === 0) continue;
      const hasSent = held.used > usedBefore;
      const isBroken = !session.usable && !session.isSpent;
      const isFull = session.isSpent || held.used >= messagesPerSession;
      const isWorn = !isBroken && (isFull || (this.isLate && hasSent));
      // One that ended before it was asked for anything is an attempt all the same: else for ever.
      if (isWorn || (isBroken && hasSent)) {
        // RFC 9422: where it took something, the next connection takes more.
        (isWorn && hasSent ? here : elsewhere).push(waiting);
        for (const item of waiting) this.#passedOver.add(item);
        continue;
      }
      held.used += 1;
      const { again, leftOver, ...one } = await this.#sendOne(waiting, session, remote);
      isHeard ||= one.isHeard;
      if (session.hasBrokenChunking) this.#deps.withoutChunking.add(held.demand.serverName);
      if (again.length > 0) elsewhere.push(again);
      if (leftOver.length > 0) queue.unshift(leftOver);
    }
    // 421 or the end of the connection at MAIL may be about that sender alone, silence is not.
    const isGone = held.used > usedBefore && !isHeard && session.hasTimedOut;
    this.#opened ||= !isGone;
    this.#fellSilent ||= session.hasTimedOut;
    // With one that is worn out or broken, the connection counts until it is gone.
    const isWorn = held.used >= messagesPerSession;
    const isKept = session.usable && !isWorn && elsewhere.length === 0;
    if (isKept && this.#held === undefined) this.#held = held;
    else await session.quit();
    return { here, elsewhere, isGone };
  }

  async #sendOne(letter: Letter, session: ClientSession, remote: string): Promise<Sent> {
    const { flight, begins, done, wait } = this.#deps;
    begins(letter);
    const landed = flight?.begin(letter[0]?.message ?? "");
    const outcomes = await transact(letter, session, this.#deps);
    const again: QueueItem[] = [];
    const leftOver: QueueItem[] = [];
    let isHeard = false;
    for (const [index, item] of letter.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined || outcome.isLeftOver === true) {
        (outcome === undefined ? again : leftOver).push(item);
        continue;
      }
      const { phase, reply, answered, delivered } = outcome;
      const tls = session.tls && { tls: session.tls };
      if (!delivered) this.#last = { remote, reply, answered, ...tls };
      this.#isCrowded ||= answered && reply.code === 421;
      const isUnprovable = isWithoutRequireTls(outcome);
      const isBrokenOff = mayTryNext(outcome) || (wait.isPutOff && !answered);
      isHeard ||= !isBrokenOff || phase === "recipient";
      if (isUnprovable || isBrokenOff) {
        again.push(item);
        this.#isUnprovable &&= isUnprovable;
      } else {
        const attempt = this.#attempt({ remote, reply, answered, ...tls }, delivered);
        await done(item, attempt, session.offersDsn);
      }
    }
    landed?.();
    return { again, leftOver, isHeard };
  }

  /** Of those left when all hosts were tried. */
  async giveBack(item: QueueItem): Promise<void> {
    const { done, untried, isOut } = this.#deps;
    if (this.#passedOver.has(item) || this.#deps.wait.isPutOff) return untried(item);
    if (this.#isOurs || (!this.#last.answered && isOut())) return untried(item);
    // RFC 5321 §4.2.1: only when every host said "never" is it never.
    const { reply } = this.#last;
    const isFinal = this.#allPermanent && this.#errand.connector.hosts.length === 0;
    const said = isFinal || this.#isLost(item) ? reply : asTemporary(reply);
    await done(item, this.#attempt({ ...this.#last, reply: said }), false);
  }

  /**
   * REQUIRETLS that no host can promise comes back at once (RFC 8689 §4.2.1). A notice with it does not
   * end for that alone (§5).
   */
  #isLost({ reversePath }: QueueItem): boolean {
    const { care } = this.#errand;
    return care === "require" && this.#isUnprovable && reversePath !== "";
  }

  /** What an administrator held or dropped while it waited for its turn here does not go out. */
  async #stillWaiting(letter: Letter): Promise<Letter> {
    const waiting: QueueItem[] = [];
    for (const item of letter) {
      if (await this.#isWaiting(item)) waiting.push(item);
      else this.#deps.untried(item);
    }
    return waiting;
  }

  async #isWaiting({ id }: QueueItem): Promise<boolean> {
    try {
      return (await this.#deps.store.get(id))?.state === "waiting";
    } catch (error) {
      this.#isOurs = true;
      this.#deps.troubled("reading an item", error);
      return false;
    }
  }

  #attempt(
    { remote, reply, answered, tls }: LastWords & { readonly tls?: TlsFacts },
    delivered = false,
  ): Attempt {
    const { startMs, startTick } = this.#since;
    const failed = isPermanent(reply) ? "failed" : "deferred";
    return {
      atMs: startMs,
      durationMs: Math.round(this.#deps.clock.tickMs() - startTick),
      outcome: delivered ? "delivered" : failed,
      remote,
      connector: this.#errand.connector.name,
      reply,
      ...(!answered && { unanswered: true }),
      ...(tls && { tls }),
    };
  }
}
