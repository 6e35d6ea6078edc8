/** The dialogue of AUTH (RFC 4954), inside TLS only. */

import { Buffer } from "node:buffer";
import type { Reply } from "#model/reply";
import { decodeResponse, passwordDialogue, passwordMechanisms } from "./auth.ts";
import type { Core } from "./core.ts";
import { identify } from "./peer.ts";
import * as replies from "./replies.ts";
import type { Session } from "./session.ts";
import { slowly } from "./tarpit.ts";
import { channelBindingOf } from "./tls.ts";
import type { SaslDialogue, SaslStep, SmtpAuthOutcome } from "./types.ts";

/** What EHLO offers to this client now; empty: no login. */
export function mechanismsFor({
  core,
  connection,
}: Pick<Session, "core" | "connection">): readonly string[] {
  if (connection.tls === undefined) return [];
  return core.options.auth ? passwordMechanisms : (core.options.sasl?.mechanisms(connection) ?? []);
}

export function beginLogin(session: Session, mechanism: string, initial?: string): void {
  const { helo, extended, authenticated, tls } = session.connection;
  const { options } = session.core;
  if (authenticated !== undefined) return session.error(replies.noAuth); // §4: once is enough
  if (options.auth === undefined && options.sasl === undefined)
    return session.error(replies.noAuth);
  if (tls === undefined) return session.error(replies.authNeedsTls);
  if (helo === "" || !extended) return session.error(replies.sayHello);
  if (session.transfer !== undefined) return session.error(replies.noAuth); // §4: not in a transaction
  const offered = mechanismsFor(session);
  if (offered.length === 0) return session.error(replies.noAuth);
  if (!offered.includes(mechanism)) return session.error(replies.authUnknown);
  const dialogue = dialogueOf(session, mechanism);
  if (dialogue === undefined) return session.error(replies.noAuth);
  session.login = dialogue;
  if (initial !== undefined) return continueLogin(session, dialogue, initial);
  challenge(session, dialogue.prompt ?? Buffer.alloc(0));
}

function dialogueOf(session: Session, mechanism: string): SaslDialogue | undefined {
  const { auth, sasl }: Core["options"] = session.core.options;
  if (auth !== undefined) {
    return passwordDialogue(mechanism, auth, session.connection.clientAddress);
  }
  const binding = session.secure && channelBindingOf(session.secure);
  return sasl?.begin(mechanism, session.connection, binding);
}

function challenge(session: Session, octets: Uint8Array): void {
  session.phase = "login";
  session.reply({ code: 334, text: Buffer.from(octets).toString("base64") });
}

export function continueLogin(session: Session, dialogue: SaslDialogue, line: string): void {
  session.phase = "command";
  if (line === "*") return over(session, replies.authCancelled);
  const response = decodeResponse(line);
  if (response === null) return over(session, replies.authBad);
  session.whenReady(dialogue.next(response), (step) => take(session, step));
}

function over(session: Session, reply: Reply): void {
  session.login = undefined;
  session.error(reply);
}

function take(session: Session, step: SaslStep): void {
  if (step === "bad-response") return over(session, replies.authBad);
  if ("challenge" in step) return challenge(session, step.challenge);
  session.login = undefined;
  settle(session, step);
}

/** Who came by a connector has to be the one that it is for. */
function isFit(
  session: Session,
  { address: authenticated, login }: SmtpAuthOutcome & { readonly ok: true },
): boolean {
  const before = session.connection;
  session.connection = { ...before, authenticated, ...(login && { login }) };
  identify(session);
  if (session.peer.isLoginUnfit !== true) return true;
  session.connection = before;
  identify(session);
  return false;
}

function settle(session: Session, result: SmtpAuthOutcome): void {
  const { events, options } = session.core;
  const isIn = result.ok && isFit(session, result);
  const outcome = result.ok ? (isIn ? "ok" : "refused") : result.reason;
  events.login(outcome, session.connection.clientAddress);
  if (outcome === "ok") return session.reply(replies.loggedIn);
  if (outcome !== "refused") return session.error(replies.authLater);
  session.failedLogins += 1;
  slowly(session, () => {
    session.reply(replies.authRefused);
    if (session.failedLogins >= options.limits.maxLogins) {
      session.refuse("too-many-logins", replies.tooManyErrors);
    }
  });
}
