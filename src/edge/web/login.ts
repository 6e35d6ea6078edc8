/**
 * Everything at or below /login: pages that need no help from the inside, and the steps of a login,
 * each asked of it once. What the steps have in common is here; what they mean is decided inside.
 */

import type { Clock } from "#base/clock";
import { clientNetwork } from "#base/ip";
import { TokenBucket } from "#base/limits";
import type { HeaderList, WebLogin, WebLoginFrom, WebLoginOutcome } from "#contracts/web";
import type { LoginOffer } from "#model/publishing";
import {
  type CheckedRequest,
  clearCookie,
  formCookie,
  isNavigation,
  type LoginNotice,
  leavingPage,
  linkedNotice,
  loginAddress,
  loginPage,
  logoutPage,
  noticeText,
  pagePolicy,
  passkeyPagePolicy,
  passkeyScriptPath,
  readCookie,
  returnPathIn,
  safeReturnPath,
  secondFactorPage,
  sessionCookie,
  setCookie,
} from "#proxy";
import { sendError, sendPage, sendRedirect, sendText } from "./answers.ts";
import type { WebEvents } from "./events.ts";
import type { Incoming } from "./incoming.ts";
import { type LoginForm, newFormToken, readLoginForm, sameToken } from "./login-form.ts";
import { askInside, endSession } from "./login-inside.ts";
import { passkeyScript } from "./login-script.ts";
import type { EdgeLinks } from "./relay.ts";

export interface LoginDoor {
  /** Everything at or below /login. */
  handle(request: CheckedRequest, incoming: Incoming): void;
  logout(request: CheckedRequest, incoming: Incoming): void;
  /**
   * There is no session: leads a person to the form, and tells a program so.
   *
   * @param gone there was one, and it is over
   */
  ask(request: CheckedRequest, incoming: Incoming, gone: boolean): void;
}

export interface LoginDeps {
  readonly links: EdgeLinks;
  readonly clock: Clock;
  readonly events: WebEvents;
  readonly loginsPerMinute: number;
  /** As the newest policy says. */
  readonly offer: () => LoginOffer;
}

/** Binds the way back from an OpenID provider to the browser that went there (login CSRF). */
const providerCookie = "__Host-postern-oidc";
const returnCookie = "__Host-postern-return";
/** How long somebody may take at the provider. */
const providerSeconds = 600;

/** Networks whose rate is remembered at once; the oldest is forgotten first. */
const rememberedNetworks = 20_000;

const statusOf = { refused: 403, "slow-down": 429, busy: 503 } as const;

/** One request, with what every answer to it needs. */
interface Visit {
  readonly request: CheckedRequest;
  readonly incoming: Incoming;
  readonly from: WebLoginFrom;
}

export function loginDoor(deps: LoginDeps): LoginDoor {
  const takeTurn = turnTaker(deps);
  const handle = (visit: Visit): void | Promise<void> => {
    const { request, incoming } = visit;
    const { method, target } = request;
    if (target.path === "/login" && method === "POST") return submit(deps, takeTurn, visit);
    if (method === "POST") return sendError(incoming, 405, true, [["allow", "GET, HEAD"]]);
    switch (target.path) {
      case "/login":
        return show(deps, visit);
      case "/login/oidc":
        return comeBack(deps, takeTurn, visit);
      case passkeyScriptPath:
        return sendText(incoming, 200, passkeyScript, [
          ["content-type", "text/javascript; charset=utf-8"],
        ]);
      default:
        return sendError(incoming, 404, isNavigation(request));
    }
  };
  return {
    handle(request, incoming) {
      const { clientAddress } = incoming.head;
      void (async () =>
        handle({ request, incoming, from: { clientAddress, host: request.host } }))();
    },
    logout(request, incoming) {
      const session = readCookie(request.header("cookie"), sessionCookie);
      if (request.method !== "POST") {
        // A link ends nothing by itself: applications lead here when somebody leaves them.
        if (session === undefined) return sendRedirect(incoming, "/login?why=signed-out");
        return sendPage(incoming, 200, logoutPage(request.host));
      }
      if (session !== undefined) endSession(deps.links, session);
      sendRedirect(
        incoming,
        "/login?why=signed-out",
        [clearCookie(sessionCookie)],
        [["clear-site-data", '"cache", "storage"']],
      );
    },
    ask(request, incoming, gone) {
      const cookies = gone ? [clearCookie(sessionCookie)] : [];
      if (!isNavigation(request)) {
        // No WWW-Authenticate: a browser would answer it with a box of its own.
        return sendError(incoming, 401, false, setCookies(cookies));
      }
      const { path, query } = request.target;
      const here = request.method === "POST" ? null : query === "" ? path : `${path}?${query}`;
      const back = safeReturnPath(here, request);
      sendRedirect(incoming, loginAddress(back, gone ? "ended" : undefined), cookies);
    },
  };
}

function show(deps: LoginDeps, visit: Visit): void {
  const query = new URLSearchParams(visit.request.target.query);
  const notice = linkedNotice(query.get("why") ?? undefined);
  const returnPath = safeReturnPath(returnPathIn(query), visit.request);
  sendForm(deps, visit, 200, { returnPath, ...(notice !== undefined && { notice }) });
}

async function submit(deps: LoginDeps, takeTurn: TakeTurn, visit: Visit): Promise<void> {
  const { request, incoming, from } = visit;
  const form = await readLoginForm(request, incoming, from);
  if (form?.login === undefined) return sendError(incoming, 400, true);
  const { login } = form;
  const refuse = (notice: LoginNotice, status: number): void => {
    deps.events.login(notice, from.clientAddress);
    refuseStep(deps, visit, { form, notice, status });
  };
  const expected = readCookie(request.header("cookie"), formCookie);
  if (!sameToken(expected, form.token)) return refuse("form", 403);
  return ask(deps, takeTurn, visit, { login, returnPath: form.returnPath, refuse });
}

interface Asked {
  readonly login: WebLogin;
  readonly returnPath: string;
  refuse(notice: LoginNotice, status: number): void;
}

/** One step, asked of the inside where its network has a turn left. */
async function ask(
  deps: LoginDeps,
  takeTurn: TakeTurn,
  visit: Visit,
  { login, returnPath, refuse }: Asked,
): Promise<void> {
  if (!takeTurn(visit.from.clientAddress)) return refuse("slow-down", 429);
  const outcome = await askInside(deps, login);
  if (outcome === undefined) return outOfReach(deps, visit);
  if (!outcome.ok && outcome.reason in statusOf) {
    const reason = outcome.reason as keyof typeof statusOf;
    return refuse(reason === "refused" ? refusalOf(login) : reason, statusOf[reason]);
  }
  goOn(deps, visit, { outcome, login, returnPath });
}

/** One status and one text for every cause: an unknown name and a wrong password look the same. */
function refusalOf(login: WebLogin): LoginNotice {
  if (login.step === "password") return "refused";
  if (login.step === "code") return "again";
  return login.step === "oidc" || login.step === "oidc-start" ? "provider" : "passkey";
}

interface Refusal {
  readonly form: LoginForm;
  readonly notice: LoginNotice;
  readonly status: number;
}

function refuseStep(deps: LoginDeps, visit: Visit, { form, notice, status }: Refusal): void {
  const later: HeaderList = status === 429 ? [["retry-after", "60"]] : [];
  // The script of the page asked, and shows the words itself.
  if (form.login?.step === "passkey-challenge") {
    return sendJson(visit.incoming, status, { text: noticeText(notice) }, later);
  }
  sendForm(deps, visit, status, { ...form, notice });
}

interface Further {
  readonly outcome: WebLoginOutcome;
  readonly login: WebLogin;
  readonly returnPath: string;
}

/** What follows when a step was not refused. */
function goOn(deps: LoginDeps, visit: Visit, { outcome, login, returnPath }: Further): void {
  const { incoming, request } = visit;
  if (outcome.ok) return signIn(deps, visit, { session: outcome, returnPath });
  if (outcome.reason === "second-factor") {
    const again = login.step === "code" || login.step === "passkey";
    const { pending, factors } = outcome;
    const notice = again ? { notice: login.step } : {};
    deps.events.login(again ? login.step : outcome.reason, visit.from.clientAddress);
    const formToken = formTokenOf(request);
    const page = secondFactorPage({
      ...{ formToken, returnPath, host: request.host, pending, factors },
      ...notice,
    });
    const scripted = factors.includes("passkey");
    return sendStep(visit, again ? 403 : 200, { page, formToken, scripted });
  }
  if (outcome.reason === "challenge" && login.step === "passkey-challenge") {
    const { pending, options } = outcome;
    return sendJson(incoming, 200, { pending, options: JSON.parse(options) });
  }
  if (outcome.reason === "redirect" && login.step === "oidc-start") {
    const kept = returnValue(returnPath);
    return sendPage(
      incoming,
      200,
      leavingPage(new URL(outcome.location), request.host),
      // Lax: the browser comes back from another site.
      setCookies([
        setCookie(providerCookie, outcome.pending, "Lax", providerSeconds),
        kept === undefined
          ? clearCookie(returnCookie)
          : setCookie(returnCookie, kept, "Lax", providerSeconds),
      ]),
    );
  }
  outOfReach(deps, visit); // no answer to what was asked
}

/** The browser is back from the OpenID provider (OpenID Connect Core §3.1.2.5). */
async function comeBack(deps: LoginDeps, takeTurn: TakeTurn, visit: Visit): Promise<void> {
  const { request, from } = visit;
  const cookies = request.header("cookie");
  const pending = readCookie(cookies, providerCookie);
  const returnPath = safeReturnPath(returnPathOf(readCookie(cookies, returnCookie)), request);
  const refuse = (notice: LoginNotice, status: number): void => {
    deps.events.login(notice, from.clientAddress);
    sendForm(deps, visit, status, { returnPath, notice });
  };
  // Somebody else's way back, opened in this browser, would sign it in as them (W9).
  if (pending === undefined || request.method !== "GET") return refuse("provider", 403);
  const login: WebLogin = { step: "oidc", pending, query: request.target.query, ...from };
  return ask(deps, takeTurn, visit, { login, returnPath, refuse });
}

interface SignedIn {
  readonly session: Extract<WebLoginOutcome, { ok: true }>;
  readonly returnPath: string;
}

/** A new handle with each login; what the browser brought along before is worth nothing any more. */
function signIn(deps: LoginDeps, visit: Visit, { session, returnPath }: SignedIn): void {
  const cookies = visit.request.header("cookie");
  const before = readCookie(cookies, sessionCookie);
  if (before !== undefined && before !== session.session) endSession(deps.links, before);
  deps.events.login("ok", visit.from.clientAddress);
  // On a public computer the cookie goes when the browser closes, and is never written down.
  const age = session.publicComputer ? undefined : session.absoluteSeconds;
  sendRedirect(visit.incoming, returnPath, [
    setCookie(sessionCookie, session.session, "Lax", age),
    clearCookie(formCookie),
    ...[providerCookie, returnCookie]
      .filter((name) => readCookie(cookies, name) !== undefined)
      .map(clearCookie),
  ]);
}

interface FormState {
  readonly returnPath: string;
  readonly notice?: LoginNotice;
  readonly name?: string;
  readonly publicComputer?: boolean;
}

function sendForm(deps: LoginDeps, visit: Visit, status: number, state: FormState): void {
  const { returnPath, notice, name, publicComputer } = state;
  const { host } = visit.request;
  const formToken = formTokenOf(visit.request);
  const offer = deps.offer();
  const page = loginPage({
    ...{ formToken, returnPath, host, offer },
    ...(notice !== undefined && { notice }),
    ...(name !== undefined && { name }),
    ...(publicComputer !== undefined && { publicComputer }),
  });
  sendStep(visit, status, { page, formToken, scripted: offer.passkeys });
}

/** An open form in another tab keeps working. */
function formTokenOf(request: CheckedRequest): string {
  return readCookie(request.header("cookie"), formCookie) ?? newFormToken();
}

interface Step {
  readonly page: string;
  readonly formToken: string;
  readonly scripted: boolean;
}

/** Double submit: the same random word in a cookie of this host and in the form (login CSRF). */
function sendStep({ incoming, request }: Visit, status: number, step: Step): void {
  const { page, formToken, scripted } = step;
  sendText(incoming, status, page, [
    ["content-type", "text/html; charset=utf-8"],
    ["content-security-policy", scripted ? passkeyPagePolicy(request.host) : pagePolicy],
    ...setCookies([setCookie(formCookie, formToken, "Strict", 3600)]),
    ...(status === 429 ? ([["retry-after", "60"]] as const) : []),
  ]);
}

function outOfReach({ events }: LoginDeps, { request, incoming }: Visit): void {
  events.linkDown();
  sendError(incoming, 503, isNavigation(request), [["retry-after", "10"]]);
}

function sendJson(
  incoming: Incoming,
  status: number,
  value: unknown,
  extra: HeaderList = [],
): void {
  sendText(incoming, status, JSON.stringify(value), [
    ["content-type", "application/json"],
    ...extra,
  ]);
}

const setCookies = (cookies: readonly string[]): HeaderList =>
  cookies.map((cookie) => ["set-cookie", cookie] as const);

/** Longer than the shortest handle, so that it reads as one. */
const returnMark = "return-path:";

/** As a cookie takes it; undefined for one that is too long to be worth it. */
function returnValue(path: string): string | undefined {
  const value = Buffer.from(returnMark + path).toString("base64url");
  return value.length <= 256 ? value : undefined;
}

function returnPathOf(value: string | undefined): string | null {
  const text = Buffer.from(value ?? "", "base64url").toString();
  return text.startsWith(returnMark) ? text.slice(returnMark.length) : null;
}

type TakeTurn = (clientAddress: string) => boolean;

function turnTaker({ clock, loginsPerMinute }: LoginDeps): TakeTurn {
  const rates = new Map<string, TokenBucket>();
  return (clientAddress) => {
    const key = clientNetwork(clientAddress);
    let rate = rates.get(key);
    if (rate === undefined) {
      rate = new TokenBucket(clock, loginsPerMinute / 60, loginsPerMinute);
      const oldest = rates.size >= rememberedNetworks ? rates.keys().next().value : undefined;
      if (oldest !== undefined) rates.delete(oldest);
      rates.set(key, rate);
    }
    return rate.take();
  };
}
