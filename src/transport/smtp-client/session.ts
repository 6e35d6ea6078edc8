/** A session with one server: greeting, EHLO, STARTTLS, then messages until QUIT (RFC 5321 §3.1-3.2). */

import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import { type Extensions, parseExtensions } from "#formats/smtp";
import type { TlsFacts } from "#model/connection";
import type { Reply } from "#model/reply";
import type { Timeouts } from "./parameters.ts";
import { faultReply, ourRefusals } from "./replies.ts";
import { startTls, type TlsWish } from "./start-tls.ts";
import {
  type Failure,
  failureOf,
  type OutgoingMail,
  type SendOutcome,
  Transaction,
} from "./transaction.ts";
import { Wire } from "./wire.ts";

export interface SessionOptions {
  readonly stream: Duplex;
  /** Our name in EHLO: a domain or an address literal. */
  readonly heloName: string;
  readonly tls: TlsWish;
  readonly timeouts: Timeouts;
  readonly clock: Clock;
}

export interface ClientSession {
  readonly tls?: TlsFacts;
  /** The server reports deliveries itself where the sender asked for it (RFC 3461). */
  readonly offersDsn: boolean;
  /** False when the connection is of no more use. */
  readonly usable: boolean;
  /**
   * @throws what the content throws; then the connection was broken off before the message's end
   */
  send(mail: OutgoingMail): Promise<SendOutcome>;
  /** Politely, and without waiting for ever; safe to call on a broken session. */
  quit(): Promise<void>;
  destroy(): void;
}

export type SessionOutcome =
  | { readonly ok: true; readonly session: ClientSession }
  | { readonly ok: false; readonly failure: Failure };

/** @param options the stream belongs to the session from now on, also when opening fails */
export async function openSession(options: SessionOptions): Promise<SessionOutcome> {
  const wire = new Wire(options.stream, options.clock);
  wire.limit(options.timeouts.totalMs);
  const session = new Session(wire, options);
  const failure = await session.open();
  if (failure === undefined) return { ok: true, session };
  await session.quit();
  return { ok: false, failure };
}

class Session implements ClientSession {
  readonly #wire: Wire;
  readonly #options: SessionOptions;
  #offered: Extensions = new Map();
  #needsReset = false;
  tls?: TlsFacts;

  constructor(wire: Wire, options: SessionOptions) {
    this.#wire = wire;
    this.#options = options;
  }

  get usable(): boolean {
    return this.#wire.broken === undefined;
  }

  get offersDsn(): boolean {
    return this.#offered.has("DSN");
  }

  async open(): Promise<Failure | undefined> {
    const { timeouts, tls } = this.#options;
    const greeting = await this.#wire.reply(timeouts.greetingMs);
    if (isNot2xx(greeting)) return failureOf("greeting", greeting, "at the greeting");
    const failure = await this.#hello();
    if (failure !== undefined || tls.mode === "none") return failure;
    if (this.#offered.has("STARTTLS")) return this.#protect();
    if (tls.mode === "opportunistic") return undefined;
    return { phase: "tls", answered: false, reply: ourRefusals.noTls };
  }

  async send(mail: OutgoingMail): Promise<SendOutcome> {
    const { timeouts } = this.#options;
    this.#wire.limit(timeouts.totalMs);
    if (this.#needsReset) {
      this.#wire.write("RSET\r\n");
      if (isNot2xx(await this.#wire.reply(timeouts.mailMs))) this.#wire.destroy();
    }
    const transaction = new Transaction(this.#wire, timeouts, this.#offered, mail);
    const outcome = await transaction.run();
    this.#needsReset = transaction.isOpen;
    // RFC 5321 §3.8: after 421 the server closes.
    if (outcome.some(({ answered, reply }) => answered && reply.code === 421)) this.#wire.end();
    return outcome;
  }

  async quit(): Promise<void> {
    if (!this.usable) return this.#wire.destroy();
    this.#wire.write("QUIT\r\n");
    await this.#wire.reply(this.#options.timeouts.quitMs);
    this.#wire.end();
  }

  destroy(): void {
    this.#wire.destroy();
  }

  /** EHLO, and HELO for a server that does not know it (RFC 5321 §3.2). */
  async #hello(): Promise<Failure | undefined> {
    const { heloName, timeouts } = this.#options;
    this.#wire.write(`EHLO ${heloName}\r\n`);
    const reply = await this.#wire.reply(timeouts.helloMs);
    if (!isNot2xx(reply)) {
      this.#offered = parseExtensions(reply as Reply);
      return undefined;
    }
    if (typeof reply === "string" || reply.code < 500)
      return failureOf("hello", reply, "after EHLO");
    this.#offered = new Map();
    this.#wire.write(`HELO ${heloName}\r\n`);
    const plain = await this.#wire.reply(timeouts.helloMs);
    return isNot2xx(plain) ? failureOf("hello", plain, "after HELO") : undefined;
  }

  async #protect(): Promise<Failure | undefined> {
    const { timeouts, tls, clock } = this.#options;
    this.#wire.write("STARTTLS\r\n");
    const reply = await this.#wire.reply(timeouts.tlsMs);
    if (typeof reply === "string") return failureOf("tls", reply, "after STARTTLS");
    if (reply.code !== 220) {
      // RFC 7435 §3: what is not protected anyway may go on in the clear.
      return tls.mode === "required" ? failureOf("tls", reply, "after STARTTLS") : undefined;
    }
    // RFC 3207 §4.2: nothing said in the clear counts any more, neither replies nor extensions.
    const handshake = await startTls(this.#wire.release(), tls, clock, timeouts.tlsMs);
    if (!handshake.ok) {
      this.#wire.destroy();
      const reply = faultReply("closed", `TLS: ${handshake.why}`);
      return { phase: "tls", answered: false, reply: { ...reply, status: "4.7.5" } };
    }
    this.#wire.adopt(handshake.stream);
    this.tls = handshake.facts;
    return this.#hello();
  }
}

function isNot2xx(reply: Reply | string): boolean {
  return typeof reply === "string" || reply.code < 200 || reply.code > 299;
}
