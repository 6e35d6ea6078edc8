/** The login form: shown without any help from the inside, asked of it once when it comes back. */

import { randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { TokenBucket } from "#base/limits";
import type { WebLogin, WebLoginOutcome } from "#contracts/web";
import {
  type CheckedHead,
  clearCookie,
  formCookie,
  type LoginNotice,
  linkedNotice,
  loginPage,
  parseForm,
  readCookie,
  safeReturnPath,
  sessionCookie,
  setCookie,
} from "#proxy";
import { sendError, sendPage, sendRedirect } from "./answers.ts";
import type { WebEvents } from "./events.ts";
import { networkOf } from "./listener.ts";
import type { EdgeLinks } from "./relay.ts";

/** A form of two names and a password; a longer one was not filled in by a person. */
export const formMaxBytes = 8192;

const loginTimeoutMs = 30_000;
/** Networks whose rate is remembered at once; the oldest is forgotten first. */
const rememberedNetworks = 20_000;

export interface LoginDoor {
  show(head: CheckedHead, response: ServerResponse): void;
  submit(
    head: CheckedHead,
    request: IncomingMessage,
    response: ServerResponse,
    clientAddress: string,
  ): Promise<void>;
  logout(head: CheckedHead, response: ServerResponse): void;
}

export interface LoginDeps {
  readonly links: EdgeLinks;
  readonly clock: Clock;
  readonly events: WebEvents;
  readonly loginsPerMinute: number;
}

export function loginDoor(deps: LoginDeps): LoginDoor {
  const rates = new Map<string, TokenBucket>();
  return {
    show(head, response) {
      const query = new URLSearchParams(head.target.query);
      const notice = linkedNotice(query.get("why") ?? undefined);
      sendForm(head, response, 200, { returnPath: safeReturnPath(query.get("return")), notice });
    },

    async submit(head, request, response, clientAddress) {
      const body = await readForm(head, request);
      if (body === undefined) return sendError(response, 400, true);
      const form = parseForm(body);
      if (!form.ok) return sendError(response, 400, true);
      const fields = readFields(form.value);
      const expected = readCookie(head.headers.get("cookie"), formCookie);
      const again = (status: number, notice: LoginNotice): void => {
        deps.events.login(notice, clientAddress);
        sendForm(head, response, status, { ...fields, notice });
      };
      if (expected === undefined || !sameToken(expected, fields.token)) return again(403, "form");
      if (!takeTurn(rates, deps, clientAddress)) return again(429, "slow-down");
      const outcome = await askInside(deps, { ...fields.login, clientAddress });
      if (outcome === undefined) {
        deps.events.linkDown();
        return sendError(response, 503, true, { "retry-after": "10" });
      }
      // One status and one text for an unknown name and a wrong password.
      if (!outcome.ok) {
        const status = { refused: 403, "slow-down": 429, busy: 503 }[outcome.reason];
        return again(status, outcome.reason);
      }
      deps.events.login("ok", clientAddress);
      const age = fields.login.publicComputer ? undefined : outcome.absoluteSeconds;
      const cookie = setCookie(sessionCookie, outcome.session, "Lax", age);
      sendRedirect(response, fields.returnPath, [cookie, clearCookie(formCookie)]);
    },

    logout(head, response) {
      const session = readCookie(head.headers.get("cookie"), sessionCookie);
      if (session !== undefined) {
        try {
          deps.links.forKind("logout")?.open("logout", { session });
        } catch (error) {
          if (!(error instanceof Unavailable)) throw error;
        }
      }
      sendRedirect(response, "/login?why=signed-out", [clearCookie(sessionCookie)], {
        "clear-site-data": '"cache", "storage"',
      });
    },
  };
}

interface FormState {
  readonly returnPath: string;
  readonly notice?: LoginNotice | undefined;
  readonly name?: string;
  readonly publicComputer?: boolean;
}

/** Double submit: the same random word in a cookie of this host and in the form (login CSRF). */
function sendForm(
  head: CheckedHead,
  response: ServerResponse,
  status: number,
  state: FormState,
): void {
  // An open form in another tab keeps working.
  const known = readCookie(head.headers.get("cookie"), formCookie);
  const formToken = known ?? randomBytes(24).toString("base64url");
  const { returnPath, notice, name, publicComputer } = state;
  const page = loginPage({
    formToken,
    returnPath,
    ...(notice !== undefined && { notice }),
    ...(name !== undefined && { name }),
    ...(publicComputer !== undefined && { publicComputer }),
  });
  sendPage(response, status, page, {
    "set-cookie": [setCookie(formCookie, formToken, "Strict", 3600)],
    ...(status === 429 && { "retry-after": "60" }),
  });
}

function readFields(form: ReadonlyMap<string, string>) {
  const name = (form.get("name") ?? "").trim().slice(0, 254);
  const publicComputer = form.get("computer") !== "private";
  const password = form.get("password") ?? "";
  return {
    token: form.get("token") ?? "",
    returnPath: safeReturnPath(form.get("return") ?? null),
    name,
    publicComputer,
    login: { name, password, publicComputer },
  };
}

function sameToken(expected: string, given: string): boolean {
  const [one, other] = [Buffer.from(expected), Buffer.from(given)];
  return one.length === other.length && timingSafeEqual(one, other);
}

function takeTurn(rates: Map<string, TokenBucket>, deps: LoginDeps, address: string): boolean {
  const key = networkOf(address);
  let rate = rates.get(key);
  if (rate === undefined) {
    rate = new TokenBucket(deps.clock, deps.loginsPerMinute / 60, deps.loginsPerMinute);
    const oldest = rates.size >= rememberedNetworks ? rates.keys().next().value : undefined;
    if (oldest !== undefined) rates.delete(oldest);
    rates.set(key, rate);
  }
  return rate.take();
}

/** Resolves to undefined when the inside cannot be asked or answers nonsense. */
async function askInside(deps: LoginDeps, login: WebLogin): Promise<WebLoginOutcome | undefined> {
  try {
    const stream = deps.links.forKind("login")?.open("login", login);
    if (stream === undefined) return undefined;
    const patience = deps.clock.after(loginTimeoutMs, () => stream.abort("no answer in time"));
    try {
      return webLoginOutcome(await stream.answered);
    } finally {
      patience.cancel();
    }
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}

function webLoginOutcome(answer: unknown): WebLoginOutcome | undefined {
  const outcome = (answer ?? {}) as Partial<Record<string, unknown>>;
  const { session, absoluteSeconds, idleSeconds } = outcome;
  if (outcome["ok"] === true) {
    const fits = typeof session === "string" && /^[A-Za-z0-9_-]{16,256}$/.test(session);
    if (!fits || typeof absoluteSeconds !== "number" || typeof idleSeconds !== "number") {
      return undefined;
    }
    return { ok: true, session, idleSeconds, absoluteSeconds: Math.floor(absoluteSeconds) };
  }
  const { reason } = outcome;
  if (reason !== "refused" && reason !== "slow-down" && reason !== "busy") return undefined;
  return { ok: false, reason };
}

/** Resolves to undefined for a body that is not such a form, or that broke off. */
function readForm(head: CheckedHead, request: IncomingMessage): Promise<string | undefined> {
  const type = head.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  const fits = type === "application/x-www-form-urlencoded" && head.bodyBytes <= formMaxBytes;
  if (!fits) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    request.once("close", () => resolve(undefined));
  });
}
