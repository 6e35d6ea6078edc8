/** The SMTP server engine: takes connections, shares one timer among them, and shuts down in order. */

import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import type { Timer } from "#base/clock";
import { Misconfigured } from "#base/errors";
import { type Endpoint, type Listener, systemNet, trustOf } from "#base/net";
import { formatReply } from "#formats/smtp";
import { Admission } from "./admission.ts";
import type { Core } from "./core.ts";
import { smtpEvents } from "./events.ts";
import { Session } from "./session.ts";
import { Tarpit } from "./tarpit.ts";
import type { SmtpHandler, SmtpServerOptions } from "./types.ts";

export interface SmtpServer {
  /** Serves a connection that somebody else accepted. */
  attach(stream: Duplex, from: Endpoint): void;
  listen(at: Endpoint): Promise<Listener>;
  connections(): number;
  /** No new connections; idle ones get 421, busy ones may end their message until the time is up. */
  drain(timeoutMs: number): Promise<void>;
}

export function createSmtpServer(options: SmtpServerOptions, handler: SmtpHandler): SmtpServer {
  if (options.implicitTls && options.tls === undefined) {
    throw new Misconfigured(`listener ${options.listener} has TLS from the start but no key`);
  }
  return new Engine(options, handler);
}

const sweepMs = 1000;
const idBytes = 16;
const owner = Symbol("session");

interface OwnedStream extends Duplex {
  [owner]?: Session;
}

function onData(this: OwnedStream, chunk: Buffer): void {
  this[owner]?.receive(chunk);
}

function onEnd(this: OwnedStream): void {
  if (!this.writableEnded) this.end();
}

function onClose(this: OwnedStream): void {
  this[owner]?.gone();
}

/** What goes wrong on a connection ends in its close event. */
function onError(): void {}

class Engine implements SmtpServer, Core {
  readonly options: SmtpServerOptions;
  readonly handler: SmtpHandler;
  readonly events: Core["events"];
  readonly admission: Admission;
  readonly tarpit: Tarpit | undefined;
  readonly isTrustedProxy: Core["isTrustedProxy"];
  isDraining = false;
  readonly #sessions = new Set<Session>();
  readonly #listeners = new Set<Listener>();
  #ungreeted: Session[] = [];
  #idPool: Buffer = Buffer.alloc(0);
  #idAt = 0;
  #sweep: Timer | undefined;
  #drained: (() => void) | undefined;
  /** Replies to EHLO by what they offer. */
  readonly #ehlo = new Map<string, string>();

  constructor(options: SmtpServerOptions, handler: SmtpHandler) {
    this.options = options;
    this.handler = handler;
    this.events = smtpEvents(options.listener, options.log, options.registry);
    this.admission = new Admission(options.limits);
    this.tarpit = options.tarpit && new Tarpit(options.tarpit, options.clock, this.events);
    this.isTrustedProxy = trustOf(options.proxyTrusted);
  }

  attach(stream: Duplex, from: Endpoint): void {
    const session = new Session(this, stream, from);
    this.#sessions.add(session);
    this.adopt(stream, session);
    if (this.isDraining) {
      stream.destroy();
      return;
    }
    this.#sweep ??= this.options.clock.after(sweepMs, this.#sweepAll);
    this.events.open(this.#sessions.size);
    session.start();
  }

  async listen(at: Endpoint): Promise<Listener> {
    const net = this.options.net ?? systemNet;
    const inner = await net.listen(at, (stream, from) => this.attach(stream, from));
    const listener: Listener = {
      endpoint: inner.endpoint,
      [Symbol.asyncDispose]: async () => {
        this.#listeners.delete(listener);
        await inner[Symbol.asyncDispose]();
      },
    };
    this.#listeners.add(listener);
    return listener;
  }

  connections(): number {
    return this.#sessions.size;
  }

  async drain(timeoutMs: number): Promise<void> {
    this.isDraining = true;
    // A listener is closed only when its connections are, so it is not waited for first.
    const closed = [...this.#listeners].map((listener) => listener[Symbol.asyncDispose]());
    const empty = new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    for (const session of this.#sessions) session.retire();
    if (this.#sessions.size > 0) {
      const timer = this.options.clock.after(timeoutMs, () => {
        for (const session of this.#sessions) session.abandon();
      });
      await empty;
      timer.cancel();
    }
    await Promise.all(closed);
  }

  ehloReply(secure: boolean, logins: readonly string[]): string {
    const key = secure ? `secure ${logins.join(" ")}` : "clear";
    let reply = this.#ehlo.get(key);
    if (reply === undefined) {
      reply = ehloReply(this.options, secure, logins);
      this.#ehlo.set(key, reply);
    }
    return reply;
  }

  newId(): string {
    // Fetched in bulk: one call for random octets costs as much as reading the commands of a message.
    if (this.#idAt >= this.#idPool.length) {
      this.#idPool = this.options.random.bytes(256 * idBytes);
      this.#idAt = 0;
    }
    this.#idAt += idBytes;
    return this.#idPool.toString("hex", this.#idAt - idBytes, this.#idAt);
  }

  greetSoon(session: Session): void {
    const { greetingDelayMs } = this.options.limits;
    if (greetingDelayMs === 0) {
      session.greet();
      return;
    }
    this.#ungreeted.push(session);
    // Who comes within the pause of another shares its timer, and waits for its own pause at least.
    if (this.#ungreeted.length === 1) this.options.clock.after(greetingDelayMs, this.#greetAll);
  }

  adopt(stream: OwnedStream, session: Session): void {
    stream[owner] = session;
    stream.on("error", onError).on("close", onClose).on("end", onEnd).on("data", onData);
  }

  release(stream: OwnedStream): void {
    delete stream[owner];
    stream.off("data", onData).off("end", onEnd).off("close", onClose);
  }

  forget(session: Session): void {
    this.#sessions.delete(session);
    this.events.open(this.#sessions.size);
    if (this.#sessions.size > 0) return;
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#drained?.();
  }

  readonly #greetAll = (): void => {
    const sessions = this.#ungreeted;
    this.#ungreeted = [];
    for (const session of sessions) session.greet();
  };

  /** One look at every session costs less than a timer for each. */
  readonly #sweepAll = (): void => {
    this.#sweep = this.options.clock.after(sweepMs, this.#sweepAll);
    const nowMs = this.options.clock.tickMs();
    for (const session of this.#sessions) session.sweep(nowMs);
  };
}

function ehloReply(options: SmtpServerOptions, secure: boolean, logins: readonly string[]): string {
  const { hostname, limits, tls, implicitTls } = options;
  const text = [
    hostname,
    "PIPELINING",
    `SIZE ${limits.maxMessageBytes}`,
    "8BITMIME",
    "SMTPUTF8",
    "CHUNKING",
    "ENHANCEDSTATUSCODES",
    "DSN",
    `LIMITS RCPTMAX=${limits.maxRecipients} MAILMAX=${limits.messagesPerConnection}`, // RFC 9422
  ];
  if (tls !== undefined && !implicitTls && !secure) text.push("STARTTLS");
  if (secure) text.push("REQUIRETLS"); // RFC 8689 §2
  if (logins.length > 0) text.push(`AUTH ${logins.join(" ")}`);
  return formatReply({ code: 250, text });
}
