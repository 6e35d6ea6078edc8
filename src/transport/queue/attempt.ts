/** One try to hand some items on: hosts in order, one session, a transaction for each message. */

import type { Messages, QueueStore } from "#contracts/store";
import type { TlsFacts } from "#model/connection";
import type { MessageId } from "#model/mailbox";
import type { Attempt, QueueItem } from "#model/queue";
import { isPermanent, type Reply } from "#model/reply";
import type { ClientSession, RecipientOutcome } from "#transport/smtp-client";
import type { FlightLog } from "./flight.ts";
import type { Host, Hosts } from "./hosts.ts";
import {
  asTemporary,
  type Errand,
  type Held,
  type Opening,
  openAt,
  openingMs,
  type SessionDeps,
} from "./sessions.ts";

export interface AttemptDeps extends SessionDeps {
  readonly messages: Pick<Messages, "read" | "stream" | "sizeBytes">;
  readonly store: Pick<QueueStore, "get">;
  readonly flight?: Pick<FlightLog, "begin">;
  /** @param reported the server will confirm the delivery itself, if that was asked for */
  done(item: QueueItem, attempt: Attempt, reported: boolean): Promise<void>;
  /** It was not tried: somebody took it out meanwhile, or nothing can leave just now. */
  untried(item: QueueItem): void;
  /** Nothing can leave that way now. */
  isOut(): boolean;
  /** How it went at one host. */
  answered(host: Host, opening: Opening): void;
}

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
  /** Nobody was asked: the trouble is ours. */
  readonly isOurs?: boolean;
  /** Still open, and with nothing wrong. */
  readonly held?: Held;
  /** What was said last when nobody listened. */
  readonly last?: LastWords;
}

export interface LastWords {
  readonly remote: string;
  readonly reply: Reply;
  readonly answered: boolean;
}

/** Calls `done` or `untried` once for each item. */
export async function attemptLetters(batch: Batch, deps: AttemptDeps): Promise<Report> {
  const since = { startMs: deps.clock.nowMs(), startTick: deps.clock.tickMs() };
  const run = new Run(batch.errand, since, deps);
  let left = batch.letters;
  if (batch.idle !== undefined) left = await run.send(left, batch.idle);
  if (left.length > 0) left = await sendByHosts(left, batch, run, deps);
  if (left.length > 0 && batch.otherwise !== undefined && !run.report.opened) {
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
  const found = await hosts();
  if (!found.ok) {
    run.nowhere(errand.domain, found.reply);
    return letters;
  }
  let left = letters;
  const startTick = deps.clock.tickMs();
  for (const host of found.hosts) {
    if (!run.report.opened && deps.clock.tickMs() - startTick > openingMs) break;
    const opening = await openAt(host, errand, deps);
    deps.answered(host, opening);
    if (opening.ok) left = await run.send(left, opening.held);
    else run.refused(opening);
    if (left.length === 0) break;
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
  #isOurs = false;
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
      ...(this.#held && { held: this.#held }),
      ...(!this.#opened && { last: this.#last }),
    };
  }

  refused(opening: Extract<Opening, { ok: false }>): void {
    const { remote, reply, answered, isOurs, isCrowded, isDown } = opening;
    // Why a host that listens does not get the mail says more than that the next one is down.
    if (!isDown || !this.#isTelling) this.#last = { remote, reply, answered };
    this.#isTelling ||= !isDown;
    this.#allPermanent &&= answered && isPermanent(reply);
    this.#isOurs ||= isOurs === true;
    this.#isCrowded ||= isCrowded === true;
    this.#passedOver.clear();
  }

  /** There is no host to ask. */
  nowhere(domain: string, reply: Reply): void {
    this.#last = { remote: domain, reply, answered: false };
    this.#allPermanent &&= isPermanent(reply);
    this.#passedOver.clear();
  }

  /** @returns letters that should be tried at the next host */
  async send(letters: readonly Letter[], held: Held): Promise<readonly Letter[]> {
    const { session, remote } = held;
    const left: Letter[] = [];
    this.#opened = true;
    this.#allPermanent = false;
    this.#passedOver.clear();
    for (const letter of letters) {
      const waiting = await this.#stillWaiting(letter);
      if (waiting.length === 0) continue;
      if (!session.usable || held.used >= this.#errand.connector.messagesPerSession) {
        left.push(waiting);
        for (const item of waiting) this.#passedOver.add(item);
        continue;
      }
      held.used += 1;
      const again = await this.#sendOne(waiting, session, remote);
      if (session.hasBrokenChunking) this.#deps.withoutChunking.add(held.demand.serverName);
      if (again.length > 0) left.push(again);
    }
    // With one that is worn out or broken, the connection counts until it is gone.
    const isWorn = held.used >= this.#errand.connector.messagesPerSession;
    if (session.usable && !isWorn && this.#held === undefined) this.#held = held;
    else await session.quit();
    return left;
  }

  async #sendOne(letter: Letter, session: ClientSession, remote: string): Promise<Letter> {
    const { flight, done } = this.#deps;
    const landed = flight?.begin(letter[0]?.message ?? "");
    const outcomes = await this.#transact(letter, session);
    const again: QueueItem[] = [];
    for (const [index, item] of letter.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) {
        again.push(item);
        continue;
      }
      const { reply, answered, delivered } = outcome;
      const tls = session.tls && { tls: session.tls };
      this.#last = { remote, reply, answered, ...tls };
      this.#isCrowded ||= answered && reply.code === 421;
      if (mayTryNext(outcome)) again.push(item);
      else {
        const attempt = this.#attempt({ remote, reply, answered, ...tls }, delivered);
        await done(item, attempt, session.offersDsn);
      }
    }
    landed?.();
    return again;
  }

  /** Of those left when all hosts were tried. */
  async giveBack(item: QueueItem): Promise<void> {
    const { done, untried, isOut } = this.#deps;
    if (this.#passedOver.has(item)) return untried(item);
    if (this.#isOurs || (!this.#last.answered && isOut())) return untried(item);
    // RFC 5321 §4.2.1: only when every host said "never" is it never.
    const { reply } = this.#last;
    const isFinal = this.#allPermanent && this.#errand.connector.hosts.length === 0;
    const said = isFinal ? reply : asTemporary(reply);
    await done(item, this.#attempt({ ...this.#last, reply: said }), false);
  }

  /** What an administrator held or dropped while it waited for its turn here does not go out. */
  async #stillWaiting(letter: Letter): Promise<Letter> {
    const waiting: QueueItem[] = [];
    for (const item of letter) {
      const now = await this.#deps.store.get(item.id);
      if (now?.state === "waiting") waiting.push(item);
      else this.#deps.untried(item);
    }
    return waiting;
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
