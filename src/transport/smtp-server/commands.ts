/** What each command does to a session (RFC 5321 §4.1.1, RFC 3030, RFC 3207, RFC 4954). */

import { type Command, type MailCommand, parseCommand } from "#formats/smtp";
import type { Recipient } from "#model/envelope";
import type { Reply } from "#model/reply";
import { beginLogin, mechanismsFor } from "./login.ts";
import * as replies from "./replies.ts";
import type { Session } from "./session.ts";
import { slowly } from "./tarpit.ts";
import { finalReplies, Transfer } from "./transfer.ts";

/** A browser or an open proxy was made to talk to us: its body would be read as commands. */
const http = /^(?:GET|POST|PUT|HEAD|PATCH|DELETE|OPTIONS|TRACE|CONNECT|PRI) /i;

export function runCommand(session: Session, line: string): void {
  if (http.test(line)) return session.refuse("http", replies.notHttp);
  // RFC 2920 §3.1: who was not offered PIPELINING waits for each answer; only QUIT needs none.
  if (session.hasMore && !session.connection.extended && !/^QUIT\b/i.test(line)) {
    return session.refuse("out-of-step", replies.outOfTurn);
  }
  const parsed = parseCommand(line, session.envelope?.utf8 === true);
  if (parsed.ok) {
    run(session, parsed.value);
    return;
  }
  // Behind a chunk whose size cannot be read nobody knows where commands begin again.
  if (/^BDAT\b/i.test(line)) session.refuse("bad-chunk", replies.badChunk);
  else if (line === "\ufffd") session.error(replies.notUtf8);
  else session.error(replies.replyToFault(parsed.fault));
}

/** RFC 3207 §4: all that may be said before TLS where it is required. */
const beforeTls: ReadonlySet<Command["verb"]> = new Set([
  ...(["NOOP", "EHLO", "LHLO", "STARTTLS", "QUIT"] as const),
]);

function run(session: Session, command: Command): void {
  const { connection, peer } = session;
  if (peer.requireTls === true && connection.tls === undefined && !beforeTls.has(command.verb)) {
    return needsTls(session, command);
  }
  switch (command.verb) {
    case "MAIL":
      return mail(session, command);
    case "RCPT":
      return recipient(session, command.recipient);
    case "DATA":
      return data(session);
    case "BDAT":
      return chunk(session, command.sizeBytes, command.last);
    case "EHLO":
    case "HELO":
    case "LHLO":
      return hello(session, command.name, command.verb);
    case "STARTTLS":
      return startTls(session);
    case "AUTH":
      return beginLogin(session, command.mechanism, command.initial);
    case "QUIT":
      return session.close(replies.bye);
    case "RSET":
      session.resetTransaction();
      return idle(session, () => session.reply(replies.ok));
    case "NOOP":
      return idle(session, () => session.reply(replies.ok));
    case "VRFY":
      return idle(session, () => session.reply(replies.cannotVerify));
    case "HELP":
      return idle(session, () => session.reply(replies.help));
    case "EXPN":
      return session.error(replies.replyToFault("not-offered")); // RFC 5321 §7.3
  }
}

function needsTls(session: Session, command: Command): void {
  // Its octets are on their way, and would be read as commands.
  if (command.verb === "BDAT") return session.refuse("needs-tls", replies.tlsFirst);
  if (command.verb !== "MAIL") return session.error(replies.tlsFirst);
  // Whoever keeps the trace is told of mail that was turned away.
  const { verb: _verb, sizeBytes: _size, ...wishes } = command;
  const { envelope } = new Transfer(wishes);
  session.whenReady(session.core.handler.mail?.(session, envelope), (refusal) =>
    session.error(refusal ?? replies.tlsFirst),
  );
}

/** Commands that bring no mail nearer are free only up to a number. */
function idle(session: Session, answer: () => void): void {
  session.idleCommands += 1;
  if (session.idleCommands > session.core.options.limits.maxIdleCommands) {
    session.refuse("too-many-errors", replies.tooManyErrors);
  } else answer();
}

function hello(session: Session, helo: string, verb: "EHLO" | "HELO" | "LHLO"): void {
  const { core, connection } = session;
  // RFC 2033 §4.1: each protocol has its own, so that neither is taken for the other.
  if ((verb === "LHLO") !== (core.options.protocol === "lmtp")) {
    return session.error(replies.replyToFault("not-offered"));
  }
  const extended = verb !== "HELO";
  session.resetTransaction(); // §4.1.4
  session.connection = { ...connection, helo, extended };
  idle(session, () => {
    if (extended) session.say(core.ehloReply(connection.tls !== undefined, mechanismsFor(session)));
    else session.reply({ code: 250, text: core.options.hostname });
  });
}

function startTls(session: Session): void {
  const { tls, implicitTls } = session.core.options;
  if (tls === undefined || implicitTls || session.connection.tls !== undefined) {
    session.error(replies.noTls);
    return;
  }
  session.resetTransaction();
  session.reply(replies.readyForTls);
  session.beginTls();
}

function mail(session: Session, command: MailCommand): void {
  const { verb: _verb, sizeBytes, ...wishes } = command;
  const { core, connection } = session;
  const { limits, auth } = core.options;
  if (connection.helo === "") return session.error(replies.sayHello);
  if (session.transfer !== undefined) return session.error(replies.nestedMail);
  if (auth?.required === true && connection.authenticated === undefined) {
    return session.error(replies.authRequired);
  }
  if (core.isDraining) return session.close(replies.shuttingDown);
  if (session.messages >= limits.messagesPerConnection) {
    return session.close(replies.tooManyMessages);
  }
  if ((sizeBytes ?? 0) > limits.maxMessageBytes) return session.error(replies.tooLarge);
  if (!hasRoom(session, sizeBytes ?? 0)) return session.error(replies.noRoom);
  if (wishes.body === "binarymime") return session.error(replies.noBinary);
  // RFC 8689 §2: the parameter exists inside TLS only.
  if (wishes.requireTls === true && connection.tls === undefined) {
    return session.error(replies.replyToFault("unknown-parameter"));
  }
  const transfer = new Transfer(wishes, sizeBytes);
  session.whenReady(core.handler.mail?.(session, transfer.envelope), (refusal) => {
    if (refusal !== undefined) return refuse(session, refusal);
    session.transfer = transfer;
    session.reply(replies.senderOk);
  });
}

function recipient(session: Session, wanted: Recipient): void {
  const { transfer, core } = session;
  const { limits, hostname, postmasterDomain } = core.options;
  if (transfer === undefined) return session.error(replies.mailFirst);
  if (transfer.intake !== undefined) return session.error(replies.chunksBegun);
  if (transfer.recipients.length >= limits.maxRecipients) {
    session.reply(replies.tooManyRecipients); // RFC 5321 §4.5.3.1.10: the client sends the rest later
    return;
  }
  const isBare = wanted.path === "postmaster";
  const path = isBare ? `postmaster@${postmasterDomain ?? hostname}` : wanted.path;
  session.whenReady(core.handler.recipient(session, path), (refusal) => {
    if (refusal !== undefined) {
      if (refusal.code < 500) return refuse(session, refusal);
      return slowly(session, () => session.error(refusal));
    }
    transfer.recipients.push(isBare ? { ...wanted, path } : wanted);
    session.reply(replies.recipientOk);
  });
}

/** 421 is also the end (RFC 5321 §3.8). */
function refuse(session: Session, refusal: Reply): void {
  if (refusal.code === 421) session.close(refusal, "refused");
  else session.error(refusal);
}

function data(session: Session): void {
  const { transfer } = session;
  if (transfer === undefined) return session.error(replies.mailFirst);
  if (transfer.intake !== undefined) return session.error(replies.chunksBegun); // RFC 3030 §2
  if (transfer.recipients.length === 0) return session.error(replies.recipientFirst);
  if (session.hasMore) {
    // RFC 2920 §3.1: DATA is the last of its group. Octets behind it are either commands or content,
    // and whoever guesses wrong has been smuggled.
    return session.refuse("out-of-step", replies.outOfStep);
  }
  if (!hasRoom(session, transfer.declaredBytes)) {
    session.resetTransaction();
    return session.error(replies.noRoom);
  }
  openContent(session, transfer, true);
  session.phase = "data";
  session.expect(session.core.options.limits.dataTimeoutMs);
  session.reply(replies.goAhead);
}

function chunk(session: Session, sizeBytes: number, last: boolean): void {
  const { transfer } = session;
  const { limits } = session.core.options;
  if (sizeBytes > 2 * limits.maxMessageBytes) {
    return session.refuse("too-large", replies.tooLarge); // not worth reading to its end
  }
  if (transfer === undefined) return session.discardChunk(sizeBytes, replies.mailFirst);
  if (transfer.recipients.length === 0) {
    return session.discardChunk(sizeBytes, replies.recipientFirst);
  }
  transfer.chunkLeft = sizeBytes;
  transfer.chunkBytes = sizeBytes;
  transfer.chunkIsLast = last;
  const refusal = transfer.intake === undefined ? beginChunks(session, transfer) : undefined;
  if (refusal === undefined) return session.beginChunk(sizeBytes);
  const { length } = finalReplies(transfer, refusal, session.core.options.protocol);
  // Chunks behind this one are no beginning of a message.
  session.resetTransaction();
  session.discardChunk(sizeBytes, refusal, length);
}

/** @returns why there is no message; the octets of the chunk come all the same */
function beginChunks(session: Session, transfer: Transfer): Reply | undefined {
  if (!hasRoom(session, transfer.declaredBytes)) return replies.noRoom;
  try {
    openContent(session, transfer, false);
    return undefined;
  } catch (error) {
    const reply = replies.replyToError(error);
    if (reply.status === "4.3.0") session.core.events.handlerFailed(error);
    return reply;
  }
}

/** Ours: below so much left nothing is begun (RFC 5321 §4.5.3.1.7). */
const leastBytes = 65_536;

function hasRoom({ core }: Session, declaredBytes: number): boolean {
  return core.options.room?.fits(Math.max(declaredBytes, leastBytes)) !== false;
}

function openContent(session: Session, transfer: Transfer, dotted: boolean): void {
  const { handler, options } = session.core;
  const { clock } = options;
  const sink = handler.begin({
    id: session.core.newId(),
    connection: session.connection,
    envelope: transfer.envelope,
    receivedAtMs: clock.nowMs(),
  });
  transfer.open(sink, dotted, options, clock.tickMs());
}
