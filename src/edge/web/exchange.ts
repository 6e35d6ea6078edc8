/** One request from its first look to its answer; the only place where the order is decided. */

import type { Clock } from "#base/clock";
import type { WebRefusal, WebRequest } from "#contracts/web";
import type { PublishingRule } from "#model/publishing";
import {
  type CheckedRequest,
  type CompiledPolicy,
  crossingHeaders,
  isNavigation,
  judgeRequest,
  readBasic,
  readCookie,
  safeReturnPath,
  sessionCookie,
  type WebLimits,
} from "#proxy";
import { sendError, sendRedirect, sendText } from "./answers.ts";
import type { WebEvents } from "./events.ts";
import type { Incoming } from "./incoming.ts";
import type { LoginDoor } from "./login.ts";
import { type EdgeLinks, makeRelay, type Relay } from "./relay.ts";

export interface ExchangeDeps {
  readonly links: EdgeLinks;
  readonly clock: Clock;
  readonly events: WebEvents;
  readonly limits: WebLimits;
  readonly policy: () => CompiledPolicy | undefined;
  readonly door: LoginDoor;
}

export interface Exchange {
  handle(incoming: Incoming): void;
  /** Called now and then, for what waits too long. */
  sweep(): void;
}

/** After these nobody can be sure what follows on the connection. */
const doubtful: ReadonlySet<number> = new Set([400, 408, 411, 413, 414, 417, 431, 501, 505]);

/** RFC 7617 §2. Only on rules that ask for it: anywhere else a browser would show its own box. */
const basicChallenge = ["www-authenticate", 'Basic realm="Postern", charset="UTF-8"'] as const;

export function makeExchange(deps: ExchangeDeps): Exchange {
  const { events, clock, limits } = deps;
  const relay = makeRelay({
    links: deps.links,
    clock,
    answerTimeoutMs: limits.answerTimeoutMs,
    onLinkDown: events.linkDown,
    onLinkFull: events.linkFull,
    onRefused: (request, incoming, why) => answerRefusal(deps.door, request, incoming, why),
  });
  return {
    handle(incoming) {
      const startedMs = clock.tickMs();
      const judged = judgeRequest(incoming.head, deps.policy(), limits);
      const refused = judged.ok ? chunkedFault(judged.request) : judged;
      const name = judged.ok && refused === undefined ? nameOf(judged.request) : "refused";
      incoming.onClosed((status) => {
        events.answered(name, status, (clock.tickMs() - startedMs) / 1000);
      });
      if (refused !== undefined) return refuse(events, incoming, refused);
      if (judged.ok) route(deps, relay, judged.request, incoming);
    },
    sweep: () => relay.sweep(),
  };
}

interface Refused {
  readonly status: number;
  readonly why: string;
  readonly allow?: string;
}

/**
 * Only applications that we publish get bodies of unknown length; for everything of ours a length
 * is required (RFC 9112 §6.3), so that no two readers can disagree where a body ends.
 */
function chunkedFault({ body, route }: CheckedRequest): Refused | undefined {
  if (body !== "chunked") return undefined;
  const isForeign = route.kind === "application" && route.rule.application !== "postern";
  return isForeign ? undefined : { status: 411, why: "length-required" };
}

function nameOf({ route }: CheckedRequest): string {
  return route.kind === "application" ? route.rule.application : route.kind;
}

function refuse(events: WebEvents, incoming: Incoming, { status, why, allow }: Refused): void {
  events.refused(why, incoming.head.clientAddress);
  sendError(incoming, status, isNavigation(incoming.head), [
    ...(allow === undefined ? [] : [["allow", allow] as const]),
    ...(status === 503 ? [["retry-after", "10"] as const] : []),
    ...(doubtful.has(status) ? [["connection", "close"] as const] : []),
  ]);
}

function route(
  { door }: ExchangeDeps,
  relay: Relay,
  request: CheckedRequest,
  incoming: Incoming,
): void {
  switch (request.route.kind) {
    case "home":
      return sendRedirect(incoming, "/mail/");
    case "icon":
      return sendText(incoming, 204, "", [["cache-control", "public, max-age=86400"]]);
    case "robots":
      return sendText(incoming, 200, "User-agent: *\nDisallow: /\n", [
        ["content-type", "text/plain; charset=utf-8"],
        ["cache-control", "public, max-age=86400"],
      ]);
    case "text":
      return sendText(incoming, 200, request.route.text, [
        ["content-type", "text/plain; charset=utf-8"],
      ]);
    case "logout":
      return door.logout(request, incoming);
    case "login":
      return door.handle(request, incoming);
    case "application":
      return toApplication(door, relay, { request, incoming, rule: request.route.rule });
  }
}

interface Turn {
  readonly request: CheckedRequest;
  readonly incoming: Incoming;
  readonly rule: PublishingRule;
}

/** Who cannot be anybody yet never crosses the link. */
function toApplication(door: LoginDoor, relay: Relay, turn: Turn): void {
  const { request, incoming, rule } = turn;
  if (rule.login === "none") return relay.pass(request, incoming, askOf(turn, { anonymous: true }));
  const basic = rule.login === "basic" ? readBasic(request.header("authorization")) : undefined;
  if (basic !== undefined) return relay.pass(request, incoming, askOf(turn, { basic }));
  // A page of another origin must not act with a session that it does not know.
  const isCrossOrigin = rule.crossOrigin === true;
  const session = isCrossOrigin ? undefined : readCookie(request.header("cookie"), sessionCookie);
  if (session !== undefined) return relay.pass(request, incoming, askOf(turn, { session }));
  if (rule.login === "basic") return askForBasic(request, incoming);
  door.ask(request, incoming, false);
}

function askOf(
  { request, incoming, rule }: Turn,
  who: Pick<WebRequest, "session" | "basic" | "anonymous">,
): WebRequest {
  const { path, query } = request.target;
  return {
    application: rule.application,
    method: request.method,
    target: query === "" ? path : `${path}?${query}`,
    headers: crossingHeaders(request),
    body: request.body,
    ...who,
    ...(request.upgrade !== undefined && { upgrade: request.upgrade }),
    clientAddress: incoming.head.clientAddress,
    host: request.host,
  };
}

/** The pages to enrol on are Postern's own; where it has none, there is nothing to be had yet. */
function leadToEnrolment(request: CheckedRequest, incoming: Incoming): void {
  const home = safeReturnPath(null, request);
  if (home === "/mail/" && isNavigation(request)) return sendRedirect(incoming, home);
  sendError(incoming, 403, isNavigation(request));
}

function askForBasic(request: CheckedRequest, incoming: Incoming): void {
  sendError(incoming, 401, isNavigation(request), [basicChallenge]);
}

function answerRefusal(
  door: LoginDoor,
  request: CheckedRequest,
  incoming: Incoming,
  why: WebRefusal,
): void {
  const forPeople = isNavigation(request);
  const { route } = request;
  const takesBasic = route.kind === "application" && route.rule.login === "basic";
  switch (why) {
    case "session":
    case "credentials":
      return takesBasic ? askForBasic(request, incoming) : door.ask(request, incoming, true);
    case "slow-down":
      return sendError(incoming, 429, forPeople, [["retry-after", "60"]]);
    case "enrol":
      return leadToEnrolment(request, incoming);
    case "not-allowed":
      return sendError(incoming, 403, forPeople);
    case "not-published":
      return sendError(incoming, 404, forPeople);
    default:
      return sendError(incoming, 502, forPeople);
  }
}
