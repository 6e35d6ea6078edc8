/** The way of a message from a stranger: the only place at the edge where order is decided (DESIGN §3). */

import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import { earlySpf } from "#identity/checks";
import type { ReplayCounter } from "#identity/replay";
import type { Connection } from "#model/connection";
import type { Opinion } from "#model/decision";
import type { Reply } from "#model/reply";
import type { SpfVerdict } from "#model/verdict";
import type { SmtpHandler, SmtpSession } from "#transport/smtp-server";
import type { Abuse } from "./abuse/index.ts";
import type { Overload } from "./abuse/overload.ts";
import { Recent } from "./abuse/recent.ts";
import type { EdgeConnectors } from "./connectors.ts";
import type { Depositor } from "./deposit.ts";
import { depositReplies } from "./deposit.ts";
import type { EdgeEvents } from "./events.ts";
import { deliveredOf, MessageSink } from "./message-sink.ts";
import type { AddressAnswer, PolicyHolder } from "./policy.ts";
import type { RecipientAnswer, RecipientQuestions } from "./recipient-questions.ts";
import type { Refusals } from "./refusals.ts";
import { confirmedName } from "./reverse-name.ts";

export interface InboundPorts {
  readonly hostname: string;
  readonly receivedLimit: number;
  /** Messages an hour; 0: any. */
  readonly replayLimit: number;
  readonly replays: ReplayCounter;
  readonly policy: PolicyHolder;
  readonly questions: RecipientQuestions;
  readonly connectors: Pick<EdgeConnectors, "refuseSender">;
  readonly abuse: Abuse;
  readonly overload: Pick<Overload, "hold" | "release">;
  readonly depositor: Depositor;
  readonly refusals: Refusals;
  readonly resolver: Resolver;
  readonly events: EdgeEvents;
  readonly clock: Clock;
  readonly random: Random;
}

/** One transaction before its content. */
export interface Dialogue {
  readonly connectedAtMs: number | undefined;
  readonly mailAtMs: number;
  recipientsAtMs: number;
  /** Begun at MAIL, so that the DNS is asked while the client talks; absent for relays of ours. */
  readonly spf: Promise<SpfVerdict> | undefined;
  /** Begun at MAIL, too; never rejects. */
  readonly reverseName: Promise<string | undefined>;
  /** What abuse control has to say of the message. */
  opinions: readonly Opinion[];
}

const unknownUser: Reply = { code: 550, status: "5.1.1", text: "no such user here" };

const recipientReplies: Readonly<Record<Exclude<AddressAnswer, "known" | "ask">, Reply>> = {
  "unknown-user": unknownUser,
  "foreign-domain": { code: 550, status: "5.7.1", text: "relaying denied" },
  "no-policy": { code: 451, status: "4.3.2", text: "not ready yet, try again later" },
};

const askedReplies: Readonly<Record<Exclude<RecipientAnswer, "known">, Reply>> = {
  unknown: unknownUser,
  later: { code: 451, status: "4.4.3", text: "cannot look that address up now, try again later" },
};

export function inbound(ports: InboundPorts): SmtpHandler {
  const { clock, abuse } = ports;
  const dialogues = new WeakMap<Connection, Dialogue>();
  // By client: the session gets a new connection value with each greeting.
  const arrivals = new Recent<number>(10_000);
  const refuse = refuser(ports);
  const lookedUp = recipients(ports, dialogues, refuse);

  return {
    connected(connection) {
      arrivals.set(keyOf(connection), clock.nowMs());
      return abuse.connected(connection);
    },
    mail(session, { reversePath }) {
      const { connection } = session;
      if (!ports.depositor.open()) {
        return refuse(session, "mail", reversePath, depositReplies.linkDown);
      }
      const refusal = ports.connectors.refuseSender(connection, reversePath) ?? abuse.mail(session);
      if (refusal !== undefined) return refuse(session, "mail", reversePath, refusal);
      const delivered = deliveredOf(connection, reversePath, ports.hostname);
      const spf = earlySpf(delivered, ports.policy.identity, ports);
      spf?.catch(() => {}); // looked at when the content has come
      const mailAtMs = clock.nowMs();
      const connectedAtMs = arrivals.get(keyOf(connection));
      const reverseName = confirmedName(connection.clientAddress, ports.resolver, clock);
      const begun = { connectedAtMs, mailAtMs, recipientsAtMs: mailAtMs };
      dialogues.set(connection, { ...begun, spf, reverseName, opinions: [] });
      return undefined;
    },
    recipient(session, path) {
      return next(abuse.recipient(session, path), (refusal) => {
        if (refusal !== undefined) return refuse(session, "recipient", path, refusal);
        return lookedUp(session, path);
      });
    },
    begin(transaction) {
      const dialogue = dialogues.get(transaction.connection);
      if (dialogue === undefined || !ports.depositor.open()) throw new Unavailable("link is down");
      return new MessageSink(ports, transaction, dialogue);
    },
  };
}

type Refuse = (session: SmtpSession, stage: string, path: string, reply: Reply) => Reply;

/** Counts, logs and tells the inside what a client hears. */
function refuser({ clock, random, events, refusals }: InboundPorts): Refuse {
  const soon = afterwards(clock);
  return ({ connection, envelope }, stage, path, reply) => {
    const recipient = stage === "recipient";
    const atMs = clock.nowMs();
    soon(() => {
      const id = hex(random.bytes(16));
      events.refused(id, stage, reply.code, String(reply.text));
      refusals.add({
        ...{ id, atMs, connection, reply },
        reversePath: recipient ? (envelope?.reversePath ?? "") : path,
        recipients: recipient ? [path] : [],
        steps: [],
      });
    });
    return reply;
  };
}

/** A recipient, once nothing stands against the client itself. */
function recipients(
  { abuse, policy, questions, clock }: InboundPorts,
  dialogues: WeakMap<Connection, Dialogue>,
  refuse: Refuse,
): SmtpHandler["recipient"] {
  const refused = (session: SmtpSession, path: string, reply: Reply): Reply => {
    if (reply === unknownUser) abuse.unknown(session.connection);
    return refuse(session, "recipient", path, reply);
  };
  const taken = (session: SmtpSession, path: string): Later<Reply | undefined> => {
    const dialogue = dialogues.get(session.connection);
    if (dialogue !== undefined) {
      dialogue.recipientsAtMs = clock.nowMs();
      dialogue.opinions = abuse.opinions(session);
    }
    return next(abuse.greylisted(session, path, dialogue?.spf), (refusal) => {
      return refusal && refused(session, path, refusal);
    });
  };
  return (session, path) => {
    const answer = policy.address(path);
    if (answer === "ask") {
      return questions.ask(path).then((told) => {
        return told === "known" ? taken(session, path) : refused(session, path, askedReplies[told]);
      });
    }
    if (answer !== "known") return refused(session, path, recipientReplies[answer]);
    return taken(session, path);
  };
}

/** The answer on a recipient who is unknown takes no longer than on one who is not (catalogue S9). */
function afterwards(clock: Clock): (work: () => void) => void {
  let waiting: (() => void)[] = [];
  const run = (): void => {
    const all = waiting;
    waiting = [];
    for (const work of all) work();
  };
  return (work) => {
    if (waiting.push(work) === 1) clock.after(afterwardsMs, run);
  };
}

const afterwardsMs = 50;

type Later<Value> = Value | Promise<Value>;

/** At once where nothing is waited for. */
function next<Before, After>(
  outcome: Later<Before>,
  then: (value: Before) => Later<After>,
): Later<After> {
  return outcome instanceof Promise ? outcome.then(then) : then(outcome);
}

function keyOf({ clientAddress, clientPort }: Connection): string {
  return `${clientAddress} ${clientPort}`;
}
