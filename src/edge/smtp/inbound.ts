/** The way of a message from a stranger: the only place at the edge where order is decided (DESIGN §3). */

import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import { earlySpf } from "#identity/checks";
import type { ReplayCounter } from "#identity/replay";
import type { Connection } from "#model/connection";
import type { Reply } from "#model/reply";
import type { SpfVerdict } from "#model/verdict";
import type { SmtpHandler, SmtpSession } from "#transport/smtp-server";
import type { Depositor } from "./deposit.ts";
import { depositReplies } from "./deposit.ts";
import type { EdgeEvents } from "./events.ts";
import { deliveredOf, MessageSink } from "./message-sink.ts";
import type { AddressAnswer, PolicyHolder } from "./policy.ts";
import type { Refusals } from "./refusals.ts";
import { confirmedName } from "./reverse-name.ts";

export interface InboundPorts {
  readonly hostname: string;
  readonly receivedLimit: number;
  /** Messages an hour; 0: any. */
  readonly replayLimit: number;
  readonly replays: ReplayCounter;
  readonly policy: PolicyHolder;
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
}

const recipientReplies: Readonly<Record<Exclude<AddressAnswer, "known">, Reply>> = {
  "unknown-user": { code: 550, status: "5.1.1", text: "no such user here" },
  "foreign-domain": { code: 550, status: "5.7.1", text: "relaying denied" },
  "no-policy": { code: 451, status: "4.3.2", text: "not ready yet, try again later" },
};

export function inbound(ports: InboundPorts): SmtpHandler {
  const { clock, events } = ports;
  const dialogues = new WeakMap<Connection, Dialogue>();
  const arrivals = new Arrivals();

  const refuse = (session: SmtpSession, stage: string, path: string, reply: Reply): Reply => {
    const id = hex(ports.random.bytes(16));
    const recipient = stage === "recipient";
    events.refused(id, stage, reply.code, String(reply.text));
    ports.refusals.add({
      id,
      atMs: clock.nowMs(),
      connection: session.connection,
      reversePath: recipient ? (session.envelope?.reversePath ?? "") : path,
      recipients: recipient ? [path] : [],
      reply,
      steps: [],
    });
    return reply;
  };

  return {
    connected(connection) {
      arrivals.note(connection, clock.nowMs());
      return undefined;
    },
    mail(session, { reversePath }) {
      const { connection } = session;
      if (!ports.depositor.open()) {
        return refuse(session, "mail", reversePath, depositReplies.linkDown);
      }
      const delivered = deliveredOf(connection, reversePath, ports.hostname);
      const spf = earlySpf(delivered, ports.policy.identity, ports);
      spf?.catch(() => {}); // looked at when the content has come
      const mailAtMs = clock.nowMs();
      const connectedAtMs = arrivals.of(connection);
      const reverseName = confirmedName(connection.clientAddress, ports.resolver, clock);
      const begun = { connectedAtMs, mailAtMs, recipientsAtMs: mailAtMs };
      dialogues.set(connection, { ...begun, spf, reverseName });
      return undefined;
    },
    recipient(session, path) {
      const answer = ports.policy.address(path);
      if (answer !== "known") return refuse(session, "recipient", path, recipientReplies[answer]);
      const dialogue = dialogues.get(session.connection);
      if (dialogue !== undefined) dialogue.recipientsAtMs = clock.nowMs();
      return undefined;
    },
    begin(transaction) {
      const dialogue = dialogues.get(transaction.connection);
      if (dialogue === undefined || !ports.depositor.open()) throw new Unavailable("link is down");
      return new MessageSink(ports, transaction, dialogue);
    },
  };
}

/** When each client came. The session gets a new connection value with each greeting. */
class Arrivals {
  readonly #atMs = new Map<string, number>();

  note(connection: Connection, atMs: number): void {
    this.#atMs.set(keyOf(connection), atMs);
    if (this.#atMs.size <= 10_000) return;
    const [oldest] = this.#atMs.keys();
    if (oldest !== undefined) this.#atMs.delete(oldest);
  }

  of(connection: Connection): number | undefined {
    return this.#atMs.get(keyOf(connection));
  }
}

function keyOf({ clientAddress, clientPort }: Connection): string {
  return `${clientAddress} ${clientPort}`;
}
