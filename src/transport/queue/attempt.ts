/** One try to hand some items on: hosts in order, one session, a transaction for each message. */

import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import type { Net } from "#base/net";
import type { Messages } from "#contracts/store";
import type { TlsFacts } from "#model/connection";
import type { MessageId } from "#model/mailbox";
import type { Attempt, QueueItem } from "#model/queue";
import { isPermanent, type Reply } from "#model/reply";
import {
  type ClientSession,
  openSession,
  type RecipientOutcome,
  type SessionOutcome,
  type Timeouts,
  type TlsWish,
} from "#transport/smtp-client";
import type { Candidate } from "./routes.ts";

export interface AttemptDeps {
  readonly dial: Net["dial"];
  readonly messages: Pick<Messages, "read" | "stream" | "sizeBytes">;
  readonly clock: Clock;
  readonly heloName: string;
  readonly timeouts: Timeouts;
  readonly dialMs: number;
  readonly requireTls: boolean;
  readonly trust?: readonly string[];
  /** Every stream that is open, so that stopping can break them. */
  readonly streams: Set<Duplex>;
  /** @param reported the server will confirm the delivery itself, if that was asked for */
  done(item: QueueItem, attempt: Attempt, reported: boolean): Promise<void>;
}

/** Items of one message, at most as many as one transaction may have. */
export type Letter = readonly QueueItem[];

interface LastWords {
  readonly remote: string;
  readonly reply: Reply;
  readonly answered: boolean;
}

/** Calls `done` once for each item. */
export async function attemptLetters(
  letters: readonly Letter[],
  candidates: readonly Candidate[],
  deps: AttemptDeps,
): Promise<void> {
  const startMs = deps.clock.nowMs();
  const startTick = deps.clock.tickMs();
  let left = letters;
  let last: LastWords = {
    remote: "",
    reply: { code: 451, status: "4.4.1", text: "no host" },
    answered: false,
  };
  let allPermanent = true;
  for (const candidate of candidates) {
    const remote = remoteName(candidate);
    const opening = await open(candidate, deps);
    if (!opening.ok) {
      const { answered, reply } = opening.failure;
      last = { remote, reply, answered };
      allPermanent &&= answered && isPermanent(reply);
      continue;
    }
    allPermanent = false;
    const since = { startMs, startTick, remote };
    const rest = await sendLetters(left, opening.session, since, deps);
    left = rest.left;
    last = { remote, reply: rest.reply, answered: rest.answered };
    if (left.length === 0) return;
  }
  // RFC 5321 §4.2.1: only when every host said "never" is it never.
  const reply = allPermanent || !isPermanent(last.reply) ? last.reply : asTemporary(last.reply);
  for (const item of left.flat()) {
    await deps.done(item, attemptOf({ ...last, startMs, startTick, reply }, deps.clock), false);
  }
}

interface Since {
  readonly startMs: number;
  readonly startTick: number;
  readonly remote: string;
}

/** Letters that should be tried at the next host, and why. */
async function sendLetters(
  letters: readonly Letter[],
  session: ClientSession,
  since: Since,
  deps: AttemptDeps,
): Promise<{ readonly left: readonly Letter[] } & Omit<LastWords, "remote">> {
  const left: Letter[] = [];
  let reply: Reply = { code: 421, status: "4.4.2", text: "the server closed the connection" };
  let answered = false;
  for (const letter of letters) {
    if (!session.usable) {
      left.push(letter);
      continue;
    }
    const outcomes = await sendLetter(letter, session, deps);
    const again: QueueItem[] = [];
    for (const [index, item] of letter.entries()) {
      const outcome = outcomes[index];
      if (outcome !== undefined) ({ reply, answered } = outcome);
      if (outcome === undefined || mayTryNext(outcome)) again.push(item);
      else {
        const facts = { ...since, reply, answered, ...(session.tls && { tls: session.tls }) };
        const attempt = attemptOf(facts, deps.clock, outcome.delivered);
        await deps.done(item, attempt, session.offersDsn);
      }
    }
    if (again.length > 0) left.push(again);
  }
  await session.quit(); // the connection counts until it is gone
  return { left, reply, answered };
}

/** Nothing of the content was sent yet, so another host cannot make it a second copy. */
function mayTryNext({ answered, reply, phase }: RecipientOutcome): boolean {
  return !answered && !isPermanent(reply) && (phase === "mail" || phase === "recipient");
}

async function sendLetter(
  letter: Letter,
  session: ClientSession,
  { messages }: AttemptDeps,
): Promise<readonly RecipientOutcome[]> {
  const [first] = letter;
  if (first === undefined) return [];
  const { message, reversePath, dsnReturn, envelopeId, utf8 } = first;
  const envelope = {
    reversePath,
    recipients: letter.map(({ recipient, wishes }) => ({ path: recipient, ...wishes })),
    ...(utf8 && { utf8 }),
    ...(dsnReturn && { dsnReturn }),
    ...(envelopeId !== undefined && { envelopeId }),
  };
  try {
    const sizeBytes = (await messages.sizeBytes(message)) ?? first.sizeBytes;
    const start = await returnPathBytes(message, messages);
    const content = messages.stream(message, start);
    return await session.send({ envelope, content, sizeBytes: sizeBytes - start });
  } catch {
    // The border of the attempt: whatever the store could not give, the item waits.
    session.destroy();
    const reply = { code: 451, status: "4.3.0", text: "the message cannot be read here now" };
    return letter.map(({ recipient }) => ({
      path: recipient,
      phase: "data" as const,
      answered: false,
      delivered: false,
      reply,
    }));
  }
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

/** With one more try in the clear where the handshake failed and TLS is not required. */
async function open(candidate: Candidate, deps: AttemptDeps): Promise<SessionOutcome> {
  const first = await openWith(deps.requireTls ? "required" : "opportunistic", candidate, deps);
  const isBroken = !first.ok && first.failure.phase === "tls" && !deps.requireTls;
  return isBroken ? openWith("none", candidate, deps) : first;
}

async function openWith(
  mode: TlsWish["mode"],
  { name, endpoint }: Candidate,
  deps: AttemptDeps,
): Promise<SessionOutcome> {
  let stream: Duplex;
  try {
    stream = await deps.dial(endpoint, deps.dialMs);
  } catch (error) {
    const text = `no connection: ${(error as Error).message}`.slice(0, 300);
    const reply = { code: 421, status: "4.4.1", text };
    return { ok: false, failure: { phase: "greeting", answered: false, reply } };
  }
  deps.streams.add(stream);
  stream.once("close", () => deps.streams.delete(stream));
  const { heloName, timeouts, clock, trust } = deps;
  const tls = { mode, servername: name, ...(trust && { ca: trust }) };
  return openSession({ stream, heloName, tls, timeouts, clock });
}

function attemptOf(
  { startMs, startTick, remote, reply, answered, tls }: Since & LastWords & { tls?: TlsFacts },
  clock: Clock,
  delivered = false,
): Attempt {
  const failed = isPermanent(reply) ? "failed" : "deferred";
  return {
    atMs: startMs,
    durationMs: Math.round(clock.tickMs() - startTick),
    outcome: delivered ? "delivered" : failed,
    remote,
    reply,
    ...(!answered && { unanswered: true }),
    ...(tls && { tls }),
  };
}

function asTemporary(reply: Reply): Reply {
  return { ...reply, code: 451, status: `4${(reply.status ?? "5.0.0").slice(1)}` };
}

function remoteName({ name, endpoint: { host, port } }: Candidate): string {
  const address = name === host ? name : `${name} [${host}]`;
  return port === 25 ? address : `${address}:${port}`;
}
