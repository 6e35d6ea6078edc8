/**
 * Handing a message in: over the link, and only what the inside committed is answered with 250.
 *
 * A small message is held until its outcome is known, so that a link which breaks under it costs a
 * question and a second try under the same id. A large one streams and is put off in that case.
 */

import type { Clock } from "#base/clock";
import { Full, Unavailable } from "#base/errors";
import { Gate } from "#base/limits";
import type { Values } from "#base/parameters";
import type { Deposit, DepositEnd, DepositOutcome } from "#contracts/deposit";
import type { LinkStream, Links, StreamKind } from "#contracts/link";
import type { Reply } from "#model/reply";
import type { EdgeEvents } from "./events.ts";
import type { edgeSmtpParameters } from "./parameters.ts";
import type { SealedSpool } from "./spool/index.ts";

export interface DepositPorts {
  readonly links: Links;
  readonly clock: Clock;
  readonly events: EdgeEvents;
  readonly limits: Pick<
    Values<typeof edgeSmtpParameters>,
    "linkWaitMs" | "answerWaitMs" | "depositsAtOnce" | "depositsWaiting"
  >;
  /** Present when mail may wait here. */
  readonly spool?: SealedSpool;
}

/** A message that streams. */
export interface Handover {
  write(chunk: Buffer): void | Promise<void>;
  end(end: DepositEnd): Promise<Reply>;
  abort(why: string): void;
}

export interface Depositor {
  /** Held whole: at most what one window of the link takes. */
  whole(deposit: Deposit, content: readonly Buffer[], end: DepositEnd): Promise<Reply>;
  stream(deposit: Deposit): Promise<Handover>;
  /** Can mail be kept now, by whichever way? */
  open(): boolean;
  /** Messages that wait for their turn to be handed in. */
  waiting(): number;
}

export const depositReplies: Readonly<Record<"linkDown" | "busy" | "spoolFull", Reply>> = {
  linkDown: {
    code: 451,
    status: "4.4.0",
    text: "cannot hand your message in now, try again later",
  },
  busy: { code: 451, status: "4.3.2", text: "too busy, try again later" },
  spoolFull: { code: 452, status: "4.3.1", text: "no room now, try again later" },
};

const kept = (id: string): Reply => ({ code: 250, status: "2.0.0", text: `kept as ${id}` });

/** Tries on a link that is up but breaks the stream. */
const maxTries = 3;
const pauseMs = 50;

export function createDepositor(ports: DepositPorts): Depositor {
  const gate = new Gate(ports.limits.depositsAtOnce, ports.limits.depositsWaiting);
  return {
    open: () => ports.links.forKind("deposit") !== undefined || (ports.spool?.usable() ?? false),
    waiting: () => gate.waiting,
    async whole(deposit, content, end) {
      const reply = await gate.run(() => handIn(ports, deposit, content, end));
      return reply ?? depositReplies.busy;
    },
    async stream(deposit) {
      const begun = Promise.withResolvers<Handover>();
      const admitted = gate.run(async () => {
        const over = Promise.withResolvers<void>();
        begun.resolve(noted(streaming(ports, deposit), over.resolve));
        await over.promise;
        return true;
      });
      void admitted.then(
        (was) => was ?? begun.resolve(refusing(depositReplies.busy)),
        begun.reject,
      );
      return begun.promise;
    },
  };
}

/** Gives the turn back when the message is over, in whichever way. */
function noted(inner: Handover, over: () => void): Handover {
  return {
    write: (chunk) => inner.write(chunk),
    end: (end) => inner.end(end).finally(over),
    abort(why) {
      inner.abort(why);
      over();
    },
  };
}

function refusing(reply: Reply): Handover {
  return { write() {}, end: async () => reply, abort() {} };
}

async function handIn(
  ports: DepositPorts,
  deposit: Deposit,
  content: readonly Buffer[],
  end: DepositEnd,
): Promise<Reply> {
  const untilMs = ports.clock.tickMs() + ports.limits.linkWaitMs;
  // A link that was down before anything was sent is not waited for when mail may be spooled.
  let sent = false;
  for (let tries = 0; tries < maxTries; ) {
    if (sent && ports.clock.tickMs() >= untilMs) break;
    if (ports.links.forKind("deposit") === undefined && !sent && ports.spool !== undefined) break;
    if (!(await linkUp(ports, "deposit", untilMs))) break;
    try {
      if (sent && (await wasCommitted(ports, deposit.id, untilMs))) {
        ports.events.rescued(deposit.id, "committed");
        return kept(deposit.id);
      }
      const again = sent;
      sent = true;
      tries += 1;
      const outcome = await sendWhole(ports, deposit, content, end);
      if (again) ports.events.rescued(deposit.id, "sent-again");
      return replyOf(outcome, deposit.id);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      await new Promise<void>((resolve) => void ports.clock.after(pauseMs, resolve));
    }
  }
  const spooled =
    ports.spool === undefined ? undefined : streamToSpool(ports, ports.spool, deposit);
  if (spooled === undefined) {
    ports.events.rescued(deposit.id, "put-off");
    return depositReplies.linkDown;
  }
  for (const chunk of content) await spooled.write(chunk);
  const reply = await spooled.end(end);
  if (sent) ports.events.rescued(deposit.id, reply.code === 250 ? "spooled" : "put-off");
  return reply;
}

/** Everything in one turn of the event loop, so in one write to the connection. */
function sendWhole(
  ports: DepositPorts,
  deposit: Deposit,
  content: readonly Buffer[],
  end: DepositEnd,
): Promise<unknown> {
  const link = ports.links.forKind("deposit");
  if (link === undefined) throw new Unavailable("link is down");
  const stream = link.open("deposit", deposit);
  for (const chunk of content) stream.send(chunk);
  stream.end(end);
  return answerOf(ports, stream);
}

/** A link may be half dead: it takes everything and answers nothing. */
async function answerOf(ports: DepositPorts, stream: LinkStream): Promise<unknown> {
  const timer = ports.clock.after(ports.limits.answerWaitMs, () =>
    stream.abort("no answer in time"),
  );
  try {
    return await stream.answered;
  } finally {
    timer.cancel();
  }
}

/** Resolves to whether the link is up before the moment comes. */
function linkUp(ports: DepositPorts, kind: StreamKind, untilMs: number): Promise<boolean> {
  if (ports.links.forKind(kind) !== undefined) return Promise.resolve(true);
  const leftMs = untilMs - ports.clock.tickMs();
  if (leftMs <= 0) return Promise.resolve(false);
  return new Promise((resolve) => {
    const finish = (): void => {
      stop();
      timer.cancel();
      resolve(ports.links.forKind(kind) !== undefined);
    };
    const timer = ports.clock.after(leftMs, finish);
    const stop = ports.links.onChange(() => {
      if (ports.links.forKind(kind) !== undefined) finish();
    });
  });
}

/** @throws Unavailable when nobody can be asked */
async function wasCommitted(ports: DepositPorts, id: string, untilMs: number): Promise<boolean> {
  if (!(await linkUp(ports, "asked", untilMs))) throw new Unavailable("link is down");
  const link = ports.links.forKind("asked");
  if (link === undefined) throw new Unavailable("link is down");
  const answer = await answerOf(ports, link.open("asked", { id }));
  return (answer as { committed?: unknown } | null)?.committed === true;
}

function replyOf(outcome: unknown, id: string): Reply {
  const said = outcome as Partial<DepositOutcome> | null;
  if (said?.committed === true) return kept(id);
  const reply = (said as { reply?: Partial<Reply> } | null)?.reply;
  // Whatever else the inside says, it is no 250.
  const { code, status, text } = reply ?? {};
  if (typeof code !== "number" || code < 400 || code > 599) return depositReplies.linkDown;
  const line = typeof text === "string" ? text.replace(/[^\x20-\x7e]/g, " ").slice(0, 400) : "";
  const sound = typeof status === "string" && /^[45]\.\d{1,3}\.\d{1,3}$/.test(status);
  return { code, ...(sound && { status }), text: line === "" ? "refused" : line };
}

function streaming(ports: DepositPorts, deposit: Deposit): Handover {
  const link = ports.links.forKind("deposit");
  if (link !== undefined) return streamToLink(ports, link.open("deposit", deposit), deposit.id);
  const spooled =
    ports.spool === undefined ? undefined : streamToSpool(ports, ports.spool, deposit);
  return spooled ?? refusing(depositReplies.linkDown);
}

function streamToLink(ports: DepositPorts, stream: LinkStream, id: string): Handover {
  let broken = false;
  stream.answered.catch(() => (broken = true));
  return {
    write(chunk) {
      // When it breaks the rest is swallowed, and the client hears of it at the end.
      if (!broken && !stream.send(chunk)) return stream.drained().catch(() => {});
    },
    async end(end) {
      if (broken) return depositReplies.linkDown; // without its end nothing was committed
      stream.end(end);
      try {
        return replyOf(await answerOf(ports, stream), id);
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
      }
      return askedAfterwards(ports, id);
    },
    abort: (why) => stream.abort(why),
  };
}

async function askedAfterwards(ports: DepositPorts, id: string): Promise<Reply> {
  const untilMs = ports.clock.tickMs() + ports.limits.linkWaitMs;
  for (let tries = 0; tries < maxTries; tries += 1) {
    try {
      const committed = await wasCommitted(ports, id, untilMs);
      ports.events.rescued(id, committed ? "committed" : "put-off");
      return committed ? kept(id) : depositReplies.linkDown;
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
    }
  }
  ports.events.rescued(id, "put-off");
  return depositReplies.linkDown;
}

/** Nothing when there is no key to seal to. */
function streamToSpool(
  { events }: DepositPorts,
  spool: SealedSpool,
  deposit: Deposit,
): Handover | undefined {
  const writer = spool.begin(deposit);
  if (writer === undefined) return undefined;
  let failed: unknown;
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    if (failed !== undefined) return;
    try {
      await work();
    } catch (error) {
      failed = error;
      writer.abort();
    }
  };
  return {
    write: (chunk) => guarded(() => writer.write(chunk)),
    async end(end) {
      await guarded(() => writer.end(end));
      if (failed === undefined) {
        events.spooled(deposit.id);
        return kept(deposit.id);
      }
      events.spoolFailed(failed);
      return failed instanceof Full ? depositReplies.spoolFull : depositReplies.linkDown;
    },
    abort: () => writer.abort(),
  };
}
