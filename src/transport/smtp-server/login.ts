/** The dialogue of AUTH (RFC 4954), inside TLS only. */

import { type Credentials, decodeResponse, mechanisms, readPlain } from "./auth.ts";
import * as replies from "./replies.ts";
import type { Session } from "./session.ts";
import type { SmtpAuthOutcome } from "./types.ts";

/** Where a login stands between two lines. */
export interface Login {
  readonly mechanism: string;
  /** LOGIN: given first. */
  readonly name?: string;
}

const askPlain = { code: 334, text: "" };
const askName = { code: 334, text: "VXNlcm5hbWU6" }; // "Username:"
const askPassword = { code: 334, text: "UGFzc3dvcmQ6" }; // "Password:"

export function beginLogin(session: Session, mechanism: string, initial?: string): void {
  const { auth } = session.core.options;
  const { tls, helo, extended, authenticated } = session.connection;
  if (auth === undefined || authenticated !== undefined) return session.error(replies.noAuth);
  if (tls === undefined) return session.error(replies.authNeedsTls);
  if (helo === "" || !extended) return session.error(replies.sayHello);
  if (session.transfer !== undefined) return session.error(replies.noAuth); // §3: not in a transaction
  if (!mechanisms.includes(mechanism)) return session.error(replies.authUnknown);
  session.login = { mechanism };
  if (initial !== undefined) return continueLogin(session, session.login, initial);
  session.phase = "login";
  session.reply(mechanism === "PLAIN" ? askPlain : askName);
}

export function continueLogin(session: Session, login: Login, line: string): void {
  session.phase = "command";
  session.login = undefined;
  if (line === "*") return session.error(replies.authCancelled);
  const text = decodeResponse(line);
  if (text === null) return session.error(replies.authBad);
  if (login.mechanism === "PLAIN") {
    const credentials = readPlain(text);
    return credentials === null ? session.error(replies.authBad) : verify(session, credentials);
  }
  if (login.name !== undefined) return verify(session, { name: login.name, password: text });
  session.login = { mechanism: login.mechanism, name: text };
  session.phase = "login";
  session.reply(askPassword);
}

function verify(session: Session, { name, password }: Credentials): void {
  const { auth } = session.core.options;
  if (auth === undefined) return session.error(replies.noAuth);
  const outcome = auth.verify(name, password, session.connection.clientAddress);
  session.whenReady(outcome, (result) => settle(session, result));
}

function settle(session: Session, result: SmtpAuthOutcome): void {
  const { events, options } = session.core;
  events.login(result.ok ? "ok" : result.reason, session.connection.clientAddress);
  if (result.ok) {
    session.connection = { ...session.connection, authenticated: result.address };
    session.reply(replies.loggedIn);
    return;
  }
  if (result.reason !== "refused") {
    session.error(replies.authLater);
    return;
  }
  session.failedLogins += 1;
  session.reply(replies.authRefused);
  if (session.failedLogins >= options.limits.maxLogins) {
    session.refuse("too-many-logins", replies.tooManyErrors);
  }
}
