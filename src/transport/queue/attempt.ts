/** One try to hand some items on: hosts in order, one session, a transaction for each message. */

import type { Messages, QueueStore } from "#contracts/store";
import type { TlsFacts } from "#model/connection";
import type { MessageId } from "#model/mailbox";
import type { Attempt, QueueItem } from "#model/queue";
import { isPermanent, type Reply } from "#model/reply";
import type { ClientSession, RecipientOutcome } from "#transport/smtp-client";
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

export type AttemptDeps = OpeningDeps & {
  readonly wait: Pick<Wait, "opens" | "listens">;
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
  /** How it went at one host. */
  answered(host: Host, opening: Opening): void;
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
  /** Somebody listened. */
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
}

/** Calls `done` or `untried` once for each item. */
export async function attemptLetters(batch: Batch, deps: AttemptDeps): Promise<Report> {
  const since = { startMs: deps.clock.nowMs(), startTick: deps.clock.tickMs() };
  const run = new Run(batch.errand, since, deps);
  let left = batch.letters;
  if (batch.idle !== undefined) {
    const { here, elsewhere } = await run.send(left, batch.idle);
    left = [...here, ...elsewhere];
  }
  if (left.length > 0) left = await sendByHosts(left, batch, run, deps);
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
    if (deps.wait.isOver) {
      run.cutShort();
      break;
    }
    const elsewhere: Letter[] = [];
    for (let here = left; here.length > 0; ) {
      deps.wait.opens();
      const opening = await openAt(host, errand, deps);
      if (!opening.ok && deps.wait.isPutOff) return [...elsewhere, ...here];
      deps.answered(host, opening);
      if (!opening.ok) {
        run.refused(opening);
        elsewhere.push(...here);
        break;
      }
      deps.wait.listens();
      const rest = await run.send(here, opening.held);
      elsewhere.push(...rest.elsewhere);
      here = rest.here;
    }
    left = elsewhere;
  }
  return left;
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
  #isCrowded = false;
  #held: Held | undefined;
  /** The session ended before their turn came, and that says nothing about them. */
  readonly #passedOver = new Set<QueueItem>();

  constructor(errand: Errand, since: Since, deps: AttemptDeps) {
    this.#errand = errand;
    this.#since = since;
    this.#deps = deps;
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
    const { session, remote } = held;
    const { messagesPerSession } = this.#errand.connector;
    const here: Letter[] = [];
    const elsewhere: Letter[] = [];
    const usedBefore = held.used;
    this.#opened = true;
    this.#allPermanent = false;
    this.#passedOver.clear();
    const queue = [...letters];
    for (let letter = queue.shift(); letter !== undefined; letter = queue.shift()) {
      const waiting = await this.#stillWaiting(letter);
      if (waiting.length === 0) continue;
      const isWorn = held.used >= messagesPerSession || session.isSpent;
      // One that ended before it was asked for anything is an attempt all the same: else for ever.
      if (isWorn || (!session.usable && held.used > usedBefore)) {
        // RFC 9422: where it took something, the next connection takes more.
        (isWorn && held.used > usedBefore ? here : elsewhere).push(waiting);
        for (const item of waiting) this.#passedOver.add(item);
        continue;
      }
      held.used += 1;
      const { again, leftOver } = await this.#sendOne(waiting, session, remote);
      if (session.hasBrokenChunking) this.#deps.withoutChunking.add(held.demand.serverName);
      if (again.length > 0) elsewhere.push(again);
      if (leftOver.length > 0) queue.unshift(leftOver);
    }
    this.#fellSilent ||= session.hasTimedOut;
    // With one that is worn out or broken, the connection counts until it is gone.
    const isWorn = held.used >= messagesPerSession;
    const isKept = session.usable && !isWorn && elsewhere.length === 0;
    if (isKept && this.#held === undefined) this.#held = held;
    else await session.quit();
    return { here, elsewhere };
  }

  async #sendOne(
    letter: Letter,
    session: ClientSession,
    remote: string,
  ): Promise<{ readonly again: Letter; readonly leftOver: Letter }> {
    const { flight, begins, done } = this.#deps;
    begins(letter);
    const landed = flight?.begin(letter[0]?.message ?? "");
    const outcomes = await this.#transact(letter, session);
    const again: QueueItem[] = [];
    const leftOver: QueueItem[] = [];
    for (const [index, item] of letter.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined || outcome.isLeftOver === true) {
        (outcome === undefined ? again : leftOver).push(item);
        continue;
      }
      const { reply, answered, delivered } = outcome;
      const tls = session.tls && { tls: session.tls };
      this.#last = { remote, reply, answered, ...tls };
      this.#isCrowded ||= answered && reply.code === 421;
      const isUnprovable = isWithoutRequireTls(outcome);
      if (isUnprovable || mayTryNext(outcome)) {
        again.push(item);
        this.#isUnprovable &&= isUnprovable;
      } else {
        const attempt = this.#attempt({ remote, reply, answered, ...tls }, delivered);
        await done(item, attempt, session.offersDsn);
      }
    }
    landed?.();
    return { again, leftOver };
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

  async #transact(letter: Letter, session: ClientSession): Promise<readonly RecipientOutcome[]> {
    const { messages } = this.#deps;
    const [first] = letter;
    if (first === undefined) return [];
    try {
      const sizeBytes = (await messages.sizeBytes(first.message)) ?? first.sizeBytes;
      const start = await returnPathBytes(first.message, messages);
      const content = messages.stream(first.message, start);
      const mail = { envelope: envelopeOf(letter, first), content, sizeBytes: sizeBytes - start };
      return await session.send(mail);
    } catch {
      // The border of the attempt: whatever the store could not give, the item waits.
      session.destroy();
      const reply = { code: 451, status: "4.3.0", text: "the message cannot be read here now" };
      const facts = { phase: "data", answered: false, delivered: false, reply } as const;
      return letter.map(({ recipient }) => ({ path: recipient, ...facts }));
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

function envelopeOf(letter: Letter, first: QueueItem) {
  const { reversePath, dsnReturn, envelopeId, utf8, requireTls } = first;
  return {
    reversePath,
    recipients: letter.map(({ recipient, wishes }) => ({ path: recipient, ...wishes })),
    ...(utf8 && { utf8 }),
    ...(requireTls === true && { requireTls }),
    ...(dsnReturn && { dsnReturn }),
    ...(envelopeId !== undefined && { envelopeId }),
  };
}

/**
 * Nothing of the content was sent yet, so another host cannot make it a second copy. 421: the server
 * goes away (RFC 5321 §3.8), as one does that has waited for long.
 */
function mayTryNext({ answered, reply, phase }: RecipientOutcome): boolean {
  if (phase !== "mail" && phase !== "recipient") return false;
  return answered ? reply.code === 421 : !isPermanent(reply);
}

/** The server is as it should be, and does not offer REQUIRETLS: another host of the domain may. */
function isWithoutRequireTls({ answered, phase, reply }: RecipientOutcome): boolean {
  return phase === "mail" && !answered && reply.status === "5.7.30";
}

/** Ours is at most so long (RFC 5321 §4.5.3.1.3). */
const maxReturnPath = 600;

/** The field belongs to mail that has arrived: forwarded mail leaves without it (RFC 5321 §4.4). */
async function returnPathBytes(
  message: MessageId,
  messages: Pick<Messages, "read">,
): Promise<number> {
  const start = (await messages.read(message, 0, maxReturnPath)).toString("latin1");
  return /^Return-Path:[^\r\n]*\r\n/.exec(start)?.[0].length ?? 0;
}
