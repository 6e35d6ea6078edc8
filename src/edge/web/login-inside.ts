/** What the inside is asked for a login, and what of its answers is believed. */

import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { SecondFactor, WebLogin, WebLoginOutcome } from "#contracts/web";
import { handleShape } from "#proxy";
import type { EdgeLinks } from "./relay.ts";

const loginTimeoutMs = 30_000;

/** Resolves to undefined when the inside cannot be asked or answers nonsense. */
export async function askInside(
  { links, clock }: { readonly links: EdgeLinks; readonly clock: Clock },
  login: WebLogin,
): Promise<WebLoginOutcome | undefined> {
  try {
    const stream = links.forKind("login")?.open("login", login);
    if (stream === undefined) return undefined;
    const patience = clock.after(loginTimeoutMs, () => stream.abort("no answer in time"));
    try {
      return loginOutcome(await stream.answered);
    } finally {
      patience.cancel();
    }
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}

/** Ends a session; without a link it ends by itself when its time is over. */
export function endSession(links: EdgeLinks, session: string): void {
  try {
    links.forKind("logout")?.open("logout", { session });
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** The inside is trusted, and still checked: a mistake there must not become a hole here. */
export function loginOutcome(answer: unknown): WebLoginOutcome | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  const outcome = answer as Fields;
  if (outcome["ok"] === true) return opened(outcome);
  const { reason, pending } = outcome;
  if (reason === "refused" || reason === "slow-down" || reason === "busy") {
    return { ok: false, reason };
  }
  if (typeof pending !== "string" || !handleShape.test(pending)) return undefined;
  if (reason === "second-factor") return secondFactor(pending, outcome["factors"]);
  if (reason === "challenge" && isJsonObject(outcome["options"])) {
    return { ok: false, reason, pending, options: outcome["options"] };
  }
  if (reason === "redirect" && isWebAddress(outcome["location"])) {
    return { ok: false, reason, pending, location: outcome["location"] };
  }
  return undefined;
}

function opened(outcome: Fields): WebLoginOutcome | undefined {
  const { session, absoluteSeconds, idleSeconds } = outcome;
  if (typeof session !== "string" || !handleShape.test(session)) return undefined;
  if (typeof absoluteSeconds !== "number" || typeof idleSeconds !== "number") return undefined;
  if (!(absoluteSeconds >= 0)) return undefined;
  // What does not say that the computer is private is treated as a public one.
  const publicComputer = outcome["publicComputer"] !== false;
  const seconds = Math.floor(absoluteSeconds);
  return { ok: true, session, idleSeconds, absoluteSeconds: seconds, publicComputer };
}

function secondFactor(pending: string, given: unknown): WebLoginOutcome | undefined {
  if (!Array.isArray(given)) return undefined;
  const known: readonly SecondFactor[] = ["code", "passkey"];
  const factors = known.filter((one) => given.includes(one));
  if (factors.length === 0) return undefined;
  return { ok: false, reason: "second-factor", pending, factors };
}

function isJsonObject(text: unknown): text is string {
  if (typeof text !== "string" || text.length > 65_536) return false;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function isWebAddress(text: unknown): text is string {
  const url = typeof text === "string" && text.length <= 4096 ? URL.parse(text) : null;
  return url !== null && ["https:", "http:"].includes(url.protocol) && url.username === "";
}
