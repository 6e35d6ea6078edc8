/** A session with one server: greeting, EHLO, STARTTLS, then messages until QUIT (RFC 5321 §3.1-3.2). */

import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import { type Extensions, parseExtensions, type ServerLimits, serverLimits } from "#formats/smtp";
import type { TlsFacts } from "#model/connection";
import type { Reply } from "#model/reply";
import type { TlsDemand } from "#model/tls-policy";
import { askRecipient } from "./callout.ts";
import { type ClientLogin, logIn } from "./login.ts";
import type { Timeouts } from "./parameters.ts";
import { ourRefusals } from "./replies.ts";
import { startTls } from "./start-tls.ts";
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
  readonly tls: TlsDemand;
  readonly login?: ClientLogin;
  /** lmtp: one reply for each recipient at the end (RFC 2033). Absent: smtp. */
  readonly protocol?: "smtp" | "lmtp";
  /** DATA even where the server offers CHUNKING. */
  readonly withoutChunking?: boolean;
  readonly timeouts: Timeouts;
  readonly clock: Clock;
}

export interface ClientSession {
  readonly tls?: TlsFacts;
  /** The server reports deliveries itself where the sender asked for it (RFC 3461). */
  readonly offersDsn: boolean;
  /** What the server said that it takes at once (RFC 9422). */
  readonly limits: ServerLimits;
  /** False when the connection is of no more use, or the server takes no more messages over it. */
  readonly usable: boolean;
  /** The server takes no more messages over this connection, and may over the next (RFC 9422). */
  readonly isSpent: boolean;
  /** The server did not answer in time. */
  readonly hasTimedOut: boolean;
  /** The server offers CHUNKING and does not know BDAT: the next connection should do without. */
  readonly hasBrokenChunking: boolean;
  /**
   * @throws what the content throws; then the connection was broken off before the message's end
   */
  send(mail: OutgoingMail): Promise<SendOutcome>;
  /** Undefined when the server takes mail for the address; nothing is sent. */
  verify(path: string): Promise<Failure | undefined>;
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

/** The server's words alone do not say what they are about. */
function refusedTls({ reply, ...failure }: Failure): Failure {
  const said = [reply.text].flat().join(" ");
  const text = `TLS is required, and the server refused STARTTLS: ${said}`;
  return { ...failure, reply: { ...reply, text } };
}

class Session implements ClientSession {
  readonly #wire: Wire;
  readonly #options: SessionOptions;
  #offered: Extensions = new Map();
  #needsReset = false;
  #sent = 0;
  #exporter: Buffer | undefined;
  hasBrokenChunking = false;
  tls?: TlsFacts;

  constructor(wire: Wire, options: SessionOptions) {
    this.#wire = wire;
    this.#options = options;
  }

  get usable(): boolean {
    return this.#wire.broken === undefined && !this.isSpent;
  }

  get isSpent(): boolean {
    const { messages = Number.POSITIVE_INFINITY } = this.limits;
    return this.#wire.broken === undefined && this.#sent >= messages;
  }

  get hasTimedOut(): boolean {
    return this.#wire.broken === "timeout";
  }

  get limits(): ServerLimits {
    return serverLimits(this.#offered);
  }

  get offersDsn(): boolean {
    return this.#offered.has("DSN");
  }

  async open(): Promise<Failure | undefined> {
    const { timeouts, tls } = this.#options;
    if (tls.implicit && tls.level !== "none") {
      const failure = await this.#shakeHands();
      if (failure !== undefined) return failure;
    }
    const greeting = await this.#wire.reply(timeouts.greetingMs);
    if (isNot2xx(greeting)) return failureOf("greeting", greeting, "at the greeting");
    return (await this.#hello()) ?? (await this.#protect()) ?? this.#logIn();
  }

  async send(mail: OutgoingMail): Promise<SendOutcome> {
    const { timeouts, tls, protocol } = this.#options;
    this.#wire.limit(timeouts.totalMs);
    this.#wire.watch(mail.watch);
    this.#sent += 1;
    if (this.#needsReset) {
      this.#wire.write("RSET\r\n");
      if (isNot2xx(await this.#wire.reply(timeouts.mailMs))) this.#wire.destroy();
    }
    const isProven = tls.level === "required" && this.tls?.proof !== undefined;
    const isLmtp = protocol === "lmtp";
    const terms = { timeouts, offered: this.#offered, isLmtp, isProven };
    const transaction = new Transaction(this.#wire, terms, mail);
    const outcome = await transaction.run();
    this.#wire.watch(undefined);
    this.#needsReset = transaction.isOpen;
    this.hasBrokenChunking ||= transaction.hasBrokenChunking;
    // RFC 5321 §3.8: after 421 the server closes.
    if (outcome.some(({ answered, reply }) => answered && reply.code === 421)) this.#wire.end();
    return outcome;
  }

  verify(path: string): Promise<Failure | undefined> {
    return askRecipient(this.#wire, this.#options.timeouts, this.#offered, path);
  }

  async quit(): Promise<void> {
    if (this.#wire.broken !== undefined) return this.#wire.destroy();
    this.#wire.write("QUIT\r\n");
    await this.#wire.reply(this.#options.timeouts.quitMs);
    this.#wire.end();
  }

  destroy(): void {
    this.#wire.destroy();
  }

  /** EHLO, and HELO for a server that does not know it (RFC 5321 §3.2); LHLO has no other (RFC 2033 §4.1). */
  async #hello(): Promise<Failure | undefined> {
    const { heloName, timeouts, protocol, withoutChunking } = this.#options;
    const verb = protocol === "lmtp" ? "LHLO" : "EHLO";
    this.#wire.write(`${verb} ${heloName}\r\n`);
    const reply = await this.#wire.reply(timeouts.helloMs);
    if (typeof reply !== "string" && !isNot2xx(reply)) {
      const offered = new Map(parseExtensions(reply));
      if (withoutChunking) offered.delete("CHUNKING");
      this.#offered = offered;
      return undefined;
    }
    if (typeof reply === "string" || reply.code < 500 || protocol === "lmtp") {
      return failureOf("hello", reply, `after ${verb}`);
    }
    this.#offered = new Map();
    this.#wire.write(`HELO ${heloName}\r\n`);
    const plain = await this.#wire.reply(timeouts.helloMs);
    return isNot2xx(plain) ? failureOf("hello", plain, "after HELO") : undefined;
  }

  async #protect(): Promise<Failure | undefined> {
    const { timeouts, tls } = this.#options;
    if (tls.level === "none" || this.tls !== undefined) return undefined;
    const isRequired = tls.level === "required";
    if (!this.#offered.has("STARTTLS")) {
      const fault = "starttls-not-supported";
      if (!isRequired) return undefined;
      return { phase: "tls", answered: false, reply: ourRefusals.noTls, fault };
    }
    this.#wire.write("STARTTLS\r\n");
    const reply = await this.#wire.reply(timeouts.tlsMs);
    if (typeof reply === "string") return failureOf("tls", reply, "after STARTTLS");
    if (reply.code !== 220) {
      // RFC 7435 §3: what is not protected anyway may go on in the clear.
      return isRequired ? refusedTls(failureOf("tls", reply, "after STARTTLS")) : undefined;
    }
    // RFC 3207 §4.2: what was offered in the clear does not count any more.
    return (await this.#shakeHands()) ?? this.#hello();
  }

  async #shakeHands(): Promise<Failure | undefined> {
    const { timeouts, tls, clock } = this.#options;
    const plain = this.#wire.release();
    const handshake =
      plain === undefined ? injected : await startTls(plain, tls, clock, timeouts.tlsMs);
    if (!handshake.ok) {
      this.#wire.destroy();
      const text = `TLS: ${handshake.why} (${handshake.fault})`;
      const reply = { code: 421, status: "4.7.5", text };
      return { phase: "tls", answered: false, reply, fault: handshake.fault };
    }
    this.#wire.adopt(handshake.stream);
    this.tls = handshake.facts;
    this.#exporter = handshake.exporter;
    return undefined;
  }

  #logIn(): Promise<Failure | undefined> | undefined {
    const { login, timeouts } = this.#options;
    if (login === undefined) return undefined;
    const offered = (this.#offered.get("AUTH") ?? []).map((name) => name.toUpperCase());
    return logIn(this.#wire, {
      ...{ login, offered, tls: this.tls, timeoutMs: timeouts.helloMs },
      ...(this.#exporter !== undefined && { exporter: this.#exporter }),
    });
  }
}

/** A server waits for our first octet of TLS (RFC 8446 §2): who speaks before stands in between. */
const injected = {
  ok: false,
  fault: "validation-failure",
  why: "somebody put words in the clear between the server's 220 and the handshake",
} as const;

function isNot2xx(reply: Reply | string): boolean {
  return typeof reply === "string" || reply.code < 200 || reply.code > 299;
}
