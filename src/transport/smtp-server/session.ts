/** One SMTP session, from the first octet to the last (RFC 5321 §3, §4.1.4). */

import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { plainAddress } from "#base/ip";
import { type Endpoint, readProxyHeader } from "#base/net";
import { formatReply } from "#formats/smtp";
import type { Connection } from "#model/connection";
import type { Envelope } from "#model/envelope";
import type { Reply } from "#model/reply";
import { runCommand } from "./commands.ts";
import type { ScanOutcome } from "./content-scanner.ts";
import type { Core, Phase } from "./core.ts";
import { continueLogin } from "./login.ts";
import { handshakeFailed, identify } from "./peer.ts";
import * as replies from "./replies.ts";
import { insideTls, serverTls, shownCertificate } from "./tls.ts";
import { bestOf, finalReplies, type Transfer } from "./transfer.ts";
import type { PeerRules, SaslDialogue, ShownCertificate, SmtpSession } from "./types.ts";
import { Wire } from "./wire.ts";

/** RFC 4954 §4: lines of a login may be so long. */
const maxLoginLine = 12_288;
/** Time a closed connection has to take our last words. */
const lingerMs = 5000;

export class Session extends Wire implements SmtpSession {
  readonly core: Core;
  connection: Connection;
  transfer: Transfer | undefined;
  /** The dialogue of AUTH that is under way. */
  login: SaslDialogue | undefined;
  peer: PeerRules = {};
  secure: TLSSocket | undefined;
  /** What the client showed in its handshake. */
  shown: ShownCertificate | undefined;
  phase: Phase = "silent";
  errors = 0;
  idleCommands = 0;
  failedLogins = 0;
  messages = 0;
  #plain: Duplex | undefined;
  #admitted = false;
  #deadlineMs = 0;
  readonly #endsMs: number;
  #outcome: ScanOutcome = "more";
  #discardLeft = 0;
  #afterDiscard: (() => void) | undefined;

  constructor(core: Core, stream: Duplex, from: Endpoint) {
    super(stream);
    const { listener, clock, limits } = core.options;
    this.core = core;
    const clientAddress = plainAddress(from.host);
    this.connection = { listener, clientAddress, clientPort: from.port, helo: "", extended: false };
    this.#endsMs = clock.tickMs() + limits.sessionTimeoutMs;
  }

  get envelope(): Envelope | undefined {
    return this.transfer?.envelope;
  }

  start(): void {
    this.expect(this.core.options.limits.greetingTimeoutMs);
    if (this.core.isTrustedProxy(this.connection.clientAddress)) this.phase = "proxy";
    else this.#admit();
  }

  /** Gives the client so long until the next thing it owes us. */
  expect(timeoutMs: number): void {
    this.#deadlineMs = this.core.options.clock.tickMs() + timeoutMs;
  }

  /** Called about once a second for every session. */
  sweep(nowMs: number): void {
    if (this.closed) {
      if (nowMs > this.#deadlineMs) this.cut();
    } else if (!this.isBusy) {
      const { dataBytesPerSecond } = this.core.options.limits;
      const receives = this.phase === "data" || this.phase === "chunk";
      const slow = receives && this.transfer?.isTooSlow(nowMs, dataBytesPerSecond) === true;
      if (slow || nowMs > this.#deadlineMs || nowMs > this.#endsMs) {
        this.refuse("too-slow", replies.tooSlow);
      }
    }
  }

  reply(reply: Reply): void {
    this.say(formatReply(reply));
  }

  /** A refused command; too many of them end the session. */
  error(reply: Reply): void {
    this.reply(reply);
    this.errors += 1;
    if (this.errors >= this.core.options.limits.maxErrors) {
      this.refuse("too-many-errors", replies.tooManyErrors);
    }
  }

  /** Ends the session because of what the client did. */
  refuse(reason: string, reply: Reply): void {
    this.core.events.refused(reason, this.connection.clientAddress);
    this.close(reply, reason);
  }

  close(reply: Reply, why = "closed"): void {
    this.transfer?.intake?.abort(why);
    this.transfer = undefined;
    this.login = undefined;
    this.expect(lingerMs);
    // Inside a handshake, and before a trusted proxy has spoken, there is nobody to talk to.
    if (this.phase === "handshake" || this.phase === "proxy") this.cut();
    else this.finish(formatReply(reply));
  }

  /** Shutting down: at once when nothing is under way. */
  retire(): void {
    if (this.closed || this.isBusy || this.transfer !== undefined) return;
    this.close(replies.shuttingDown);
  }

  /** The time for an orderly end is over. */
  abandon(): void {
    this.cut();
  }

  resetTransaction(): void {
    this.transfer?.intake?.abort("reset");
    this.transfer = undefined;
  }

  greet(): void {
    if (this.closed) return;
    const { handler, options, events } = this.core;
    this.whenReady(handler.connected?.(this.connection), (refusal) => {
      if (refusal !== undefined) {
        this.close(refusal, "refused");
        return;
      }
      this.phase = "command";
      events.connected();
      this.expect(options.limits.greetingTimeoutMs);
      const protocol = options.protocol === "lmtp" ? "LMTP" : "ESMTP";
      this.reply({ code: 220, text: `${options.hostname} ${protocol} Postern` });
      if (!this.isBusy) this.run();
    });
  }

  /**
   * STARTTLS, or the first thing on a port that is all TLS.
   *
   * @param handshake what came of it already, behind a PROXY header; absent with STARTTLS
   */
  beginTls(handshake?: Buffer): void {
    const plain = this.stream;
    this.flush();
    this.phase = "handshake";
    this.expect(this.core.options.limits.greetingTimeoutMs);
    plain.pause();
    this.core.release(plain);
    if (handshake === undefined) {
      while (plain.read() !== null); // RFC 3207 §4.2: nothing said in clear may reach the other side
    } else if (handshake.length > 0) plain.unshift(handshake);
    this.#plain = plain;
    const { tls, peers } = this.core.options;
    const asks = peers?.asksCertificate(this.connection) ?? false;
    const secure = serverTls(plain, tls?.(this.connection), asks);
    this.changeStream(secure);
    this.core.adopt(secure, this);
    secure.once("secure", () => this.#secured(secure));
    secure.once("error", (error) => {
      if (this.phase === "handshake") handshakeFailed(this, error);
    });
  }

  beginChunk(sizeBytes: number): void {
    this.expect(this.core.options.limits.dataTimeoutMs);
    this.phase = "chunk";
    if (sizeBytes === 0) this.#afterPiece();
  }

  /** RFC 3030 §2: the octets of a refused chunk come all the same. @param times for LMTP */
  discardChunk(sizeBytes: number, reply: Reply, times = 1): void {
    const refuse = (): void => {
      for (let told = 1; told < times; told += 1) this.reply(reply);
      this.error(reply);
    };
    if (sizeBytes === 0) return refuse();
    this.#discardLeft = sizeBytes;
    this.#afterDiscard = refuse;
    this.phase = "discard";
  }

  protected override step(): boolean {
    switch (this.phase) {
      case "proxy":
        return this.#takeProxyHeader();
      case "silent":
        this.refuse("early-talker", replies.earlyTalker); // RFC 5321 §4.3.1
        return true;
      case "command":
      case "login":
        return this.#takeLine();
      case "data":
      case "chunk":
        this.#takePiece();
        return true;
      case "discard":
        this.#discard();
        return true;
      default:
        return false;
    }
  }

  protected override failed(error: unknown): void {
    const reply = replies.replyToError(error);
    if (reply.status === "4.3.0") this.core.events.handlerFailed(error);
    const { transfer } = this;
    const { intake } = transfer ?? {};
    if ((this.phase === "data" || this.phase === "chunk") && intake !== undefined) {
      intake.refuse(reply, "sink failed");
      this.#afterPiece();
      return;
    }
    if (this.phase === "ending" && transfer !== undefined) return this.#settle(transfer, reply);
    this.reply(reply);
    if (this.phase === "silent") this.close(replies.shuttingDown, "failed");
  }

  protected override lost(): void {
    this.transfer?.intake?.abort("connection lost");
    this.transfer = undefined;
    this.#plain?.destroy();
    if (this.#admitted) this.core.admission.leave(this.connection.clientAddress);
    this.#admitted = false;
    this.core.forget(this);
  }

  #admit(): void {
    this.phase = "silent";
    identify(this);
    this.#admitted = this.core.admission.enter(this.connection.clientAddress);
    if (!this.#admitted) {
      if (this.core.options.implicitTls) this.phase = "handshake"; // no clear text on a TLS port
      this.refuse("busy", replies.tooManyHere);
    } else if (this.core.options.implicitTls) this.beginTls(this.input.subarray(this.at));
    else this.core.greetSoon(this);
  }

  #takeProxyHeader(): boolean {
    const header = readProxyHeader(this.input);
    if (header.kind === "more") return false;
    if (header.kind === "bad") {
      this.refuse("bad-proxy", replies.outOfStep);
      return true;
    }
    if (header.from !== undefined) {
      const { host, port } = header.from;
      const clientAddress = plainAddress(host);
      this.connection = { ...this.connection, clientAddress, clientPort: port, viaProxy: true };
    }
    this.at = header.end;
    this.#admit();
    return true;
  }

  #secured(stream: TLSSocket): void {
    this.secure = stream;
    this.shown = shownCertificate(stream);
    this.connection = insideTls(this.connection, stream, this.shown);
    identify(this);
    this.resetTransaction();
    if (this.core.options.implicitTls) {
      this.phase = "silent";
      this.core.greetSoon(this);
    } else {
      this.phase = "command";
      this.expect(this.core.options.limits.greetingTimeoutMs);
    }
  }

  #takeLine(): boolean {
    const { limits, auth, sasl } = this.core.options;
    const max = (auth ?? sasl) === undefined ? limits.maxCommandBytes : maxLoginLine;
    const read = this.readLine(max);
    if (read === "more") return false;
    if (read === "too-long") {
      this.refuse("line-too-long", this.#isInLogin() ? replies.authTooLong : replies.lineTooLong);
    } else if (read === "bad-end") this.refuse("bad-line-end", replies.badLineEnd);
    else {
      this.expect(limits.commandTimeoutMs);
      if (this.login !== undefined && this.phase === "login")
        continueLogin(this, this.login, read.line);
      else runCommand(this, read.line);
    }
    return true;
  }

  #isInLogin(): boolean {
    return (
      this.phase === "login" || /^AUTH /i.test(this.input.toString("latin1", this.at, this.at + 5))
    );
  }

  #takePiece(): void {
    const { transfer } = this;
    const { scanner, intake } = transfer ?? {};
    if (transfer === undefined || scanner === undefined || intake === undefined) return;
    const room = this.input.length - this.at;
    const length = this.phase === "chunk" ? Math.min(room, transfer.chunkLeft) : room;
    this.#outcome = scanner.scan(this.input, this.at, this.at + length);
    if (this.phase === "chunk") transfer.chunkLeft -= scanner.next - this.at;
    this.at = scanner.next;
    if (this.#outcome === "bad-octet" || this.#outcome === "long-line") {
      const isLong = this.#outcome === "long-line";
      this.refuse(
        isLong ? "long-line" : "bad-content",
        isLong ? replies.longTextLine : replies.badContent,
      );
      return;
    }
    this.expect(this.core.options.limits.dataTimeoutMs);
    if (scanner.pieceEnd === scanner.pieceStart) {
      this.#afterPiece();
      return;
    }
    const wait = intake.take(this.input.subarray(scanner.pieceStart, scanner.pieceEnd));
    if (wait instanceof Promise) this.#waitForSink(transfer, wait);
    else this.#afterPiece();
  }

  #waitForSink(transfer: Transfer, wait: Promise<void>): void {
    const { clock, limits } = this.core.options;
    transfer.waiting(clock.tickMs());
    this.whenReady(wait, () => {
      transfer.goesOn(clock.tickMs());
      this.expect(limits.dataTimeoutMs);
      this.#afterPiece();
    });
  }

  /** What the last piece was handed on, or thrown away: is the chunk or the message complete? */
  #afterPiece(): void {
    const { transfer } = this;
    if (transfer === undefined) return;
    if (this.phase === "data") {
      if (this.#outcome === "end") this.#endMessage(transfer);
      return;
    }
    if (transfer.chunkLeft > 0) return;
    this.phase = "command";
    this.expect(this.core.options.limits.commandTimeoutMs);
    if (transfer.chunkIsLast || transfer.intake?.refusal !== undefined) this.#endMessage(transfer);
    else this.reply({ code: 250, status: "2.0.0", text: `${transfer.chunkBytes} octets taken` });
  }

  #endMessage(transfer: Transfer): void {
    const { intake, scanner } = transfer;
    if (intake === undefined || scanner === undefined) return;
    this.#outcome = "more";
    if (intake.refusal === undefined && !scanner.isWhole) {
      this.refuse("bad-content", replies.badContent);
      return;
    }
    this.phase = "ending";
    this.whenReady(intake.refusal ?? intake.end(), (outcome) => this.#settle(transfer, outcome));
  }

  #settle(transfer: Transfer, outcome: Reply | readonly Reply[]): void {
    const { events, options, isDraining } = this.core;
    const told = finalReplies(transfer, outcome, options.protocol);
    this.transfer = undefined;
    this.phase = "command";
    this.messages += 1;
    this.idleCommands = 0;
    events.message(bestOf(told).code, transfer.intake?.sizeBytes ?? 0);
    for (const reply of told) this.reply(reply);
    this.expect(options.limits.commandTimeoutMs);
    if (isDraining) this.close(replies.shuttingDown);
  }

  #discard(): void {
    const length = Math.min(this.input.length - this.at, this.#discardLeft);
    this.at += length;
    this.#discardLeft -= length;
    if (this.#discardLeft > 0) return;
    this.phase = "command";
    this.#afterDiscard?.();
  }
}
