/** LOGIN and AUTHENTICATE PLAIN (RFC 9051 §6.2, RFC 4616, RFC 4959). Only ever inside TLS. */

import { Buffer, isUtf8 } from "node:buffer";
import { type Answer, bad, no, ok, type Talk } from "./context.ts";
import type { Outcome } from "./dispatch.ts";
import { maxLoginFailures } from "./parameters.ts";

/** Wrong passwords so far, by session. */
const failures: WeakMap<Talk, number> = new WeakMap();

export async function login(talk: Talk, user: string, password: string): Promise<Answer> {
  const { directory, events, capabilities } = talk.shared;
  const outcome = await directory.login(user, password, "imap", talk.from);
  if (!outcome.ok) {
    events.loginRefused(talk.from, outcome.reason);
    // Not told apart: whether the name exists. Told: that a right password would not help now.
    if (outcome.reason !== "refused") return no("Try again later", "UNAVAILABLE");
    const count = (failures.get(talk) ?? 0) + 1;
    failures.set(talk, count);
    const answer = no("Wrong name or password", "AUTHENTICATIONFAILED");
    return count < maxLoginFailures ? answer : { ...answer, end: "too many wrong passwords" };
  }
  if (!talk.shared.mayEnter(outcome.person)) {
    events.turnedAway(talk.from, "account");
    return { ...no("Too many connections of this account", "LIMIT"), end: "account limit" };
  }
  talk.person = outcome.person;
  talk.appPassword = outcome.appPassword;
  talk.revocations = talk.shared.revocations(outcome.person.id);
  events.loggedIn(outcome.person.id, talk.from);
  return ok("Logged in", `CAPABILITY ${capabilities.after}`);
}

export function authenticate(
  talk: Talk,
  mechanism: string,
  initial: string | undefined,
  tag: string,
): Outcome {
  if (mechanism !== "PLAIN") return no("Only AUTH=PLAIN is offered", "CANNOT");
  if (initial !== undefined) return loginPlain(talk, initial === "=" ? "" : initial);
  talk.out.line("+ ");
  return {
    name: "AUTHENTICATE",
    tag,
    line: (text) => (text === "*" ? bad("AUTHENTICATE cancelled") : loginPlain(talk, text)),
  };
}

/** @param text base64 of `authzid NUL authcid NUL password` (RFC 4616 §2) */
function loginPlain(talk: Talk, text: string): Answer | Promise<Answer> {
  const octets = Buffer.from(text, "base64");
  if (octets.toString("base64") !== text || !isUtf8(octets)) return bad("Bad SASL response");
  const [actAs, user, password, ...rest] = octets.toString("utf8").split("\0");
  if (!user || !password || rest.length > 0) return bad("Bad SASL response");
  if (actAs !== "" && actAs !== user) {
    return no("Acting for others is not offered", "AUTHORIZATIONFAILED");
  }
  return login(talk, user, password);
}
