/** One request from its first look to its answer; the only place where the order is decided. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "#base/clock";
import {
  type CheckedHead,
  checkHead,
  clearCookie,
  crossingHeaders,
  isNavigation,
  isOwnAct,
  mayRead,
  ownHeaders,
  readCookie,
  routeOf,
  safeReturnPath,
  sessionCookie,
  statusOf,
  type WebLimits,
} from "#proxy";
import { sendError, sendRedirect } from "./answers.ts";
import type { WebEvents } from "./events.ts";
import { plainAddress, serverNameOf } from "./listener.ts";
import { loginDoor } from "./login.ts";
import { type EdgeLinks, relay } from "./relay.ts";

export interface ExchangeDeps {
  readonly links: EdgeLinks;
  readonly clock: Clock;
  readonly events: WebEvents;
  readonly limits: WebLimits;
  readonly published: (host: string) => boolean;
}

/** A request that may go on, with all that its route looks at. */
interface Turn {
  readonly head: CheckedHead;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly clientAddress: string;
}

type Exchange = (request: IncomingMessage, response: ServerResponse) => void;

export function makeExchange(deps: ExchangeDeps): Exchange {
  const { events, clock, limits } = deps;
  const handle = router(deps);
  return (request, response) => {
    const clientAddress = plainAddress(request.socket.remoteAddress ?? "");
    const startedMs = clock.tickMs();
    let name = "refused";
    response.once("close", () => {
      events.answered(name, response.statusCode, (clock.tickMs() - startedMs) / 1000);
    });
    const refuse = (status: number, why: string, allow?: string): void => {
      events.refused(why, clientAddress);
      sendError(response, status, isNavigation(headersOf(request)), {
        ...(allow !== undefined && { allow }),
      });
    };
    const head = checkHead(
      {
        method: request.method ?? "",
        target: request.url ?? "",
        httpVersion: request.httpVersion,
        rawHeaders: request.rawHeaders,
        serverName: serverNameOf(request),
      },
      deps.published,
      limits,
    );
    if (!head.ok) return refuse(statusOf(head.fault), head.fault);
    const routed = routeOf(head.value.method, head.value.target);
    if (!routed.ok) {
      const allow = routed.status === 405 ? routed.allow : undefined;
      return refuse(routed.status, routed.status === 405 ? "method" : "no-route", allow);
    }
    name = routed.route.kind;
    const { headers, host } = head.value;
    const own = head.value.method === "POST" ? isOwnAct(headers, host) : mayRead(headers);
    if (!own) return refuse(403, "foreign-origin");
    if (routed.route.kind === "inside" && routed.route.needsJson && !isJson(headers)) {
      return refuse(400, "not-json");
    }
    if (headers.get("expect") !== undefined) response.writeContinue();
    handle(routed.route.kind, { head: head.value, request, response, clientAddress });
  };
}

function router(deps: ExchangeDeps) {
  const { links, clock, events, limits } = deps;
  const { loginsPerMinute, answerTimeoutMs } = limits;
  const door = loginDoor({ links, clock, events, loginsPerMinute });
  return (kind: "home" | "login" | "logout" | "icon" | "robots" | "inside", turn: Turn): void => {
    const { head, request, response, clientAddress } = turn;
    switch (kind) {
      case "home":
        return sendRedirect(response, "/mail/");
      case "icon":
        return sendText(response, 204, "");
      case "robots":
        return sendText(response, 200, "User-agent: *\nDisallow: /\n");
      case "logout":
        return door.logout(head, response);
      case "login":
        if (head.method !== "POST") return door.show(head, response);
        door.submit(head, request, response, clientAddress).catch((error: unknown) => {
          response.destroy();
          throw error;
        });
        return;
      case "inside":
        return toInside({ links, clock, events, answerTimeoutMs }, turn);
    }
  };
}

function toInside(
  deps: Pick<ExchangeDeps, "links" | "clock" | "events"> & { answerTimeoutMs: number },
  { head, request, response, clientAddress }: Turn,
): void {
  const forPeople = isNavigation(head.headers);
  const session = readCookie(head.headers.get("cookie"), sessionCookie);
  // Without a session nothing crosses the link.
  if (session === undefined) return toLogin(head, response, forPeople, false);
  const { path, query } = head.target;
  relay(
    {
      links: deps.links,
      clock: deps.clock,
      answerTimeoutMs: deps.answerTimeoutMs,
      onLinkDown: deps.events.linkDown,
      onSessionGone: (to) => toLogin(head, to, forPeople, true),
    },
    {
      method: head.method,
      target: query === "" ? path : `${path}?${query}`,
      headers: crossingHeaders(head.headers),
      session,
      clientAddress,
      host: head.host,
    },
    { request, response, bodyBytes: head.bodyBytes, forPeople },
  );
}

/** @param gone there was a session, and it is over */
function toLogin(
  head: CheckedHead,
  response: ServerResponse,
  forPeople: boolean,
  gone: boolean,
): void {
  if (!forPeople) {
    const cookies = gone ? { "set-cookie": [clearCookie(sessionCookie)] } : {};
    // No WWW-Authenticate: a browser would answer it with a box of its own.
    return sendError(response, 401, false, cookies);
  }
  const back = new URLSearchParams({ return: safeReturnPath(head.target.path) });
  if (gone) back.set("why", "ended");
  sendRedirect(response, `/login?${back}`, gone ? [clearCookie(sessionCookie)] : []);
}

function isJson(headers: ReadonlyMap<string, string>): boolean {
  const type = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  return type === "application/json";
}

/** For choosing the form of a refusal only: these were not checked. */
function headersOf(request: IncomingMessage): ReadonlyMap<string, string> {
  const one = (name: string): [string, string][] => {
    const value = request.headers[name];
    return typeof value === "string" ? [[name, value]] : [];
  };
  return new Map([...one("sec-fetch-mode"), ...one("accept")]);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  const length: Record<string, string> =
    status === 204 ? {} : { "content-length": String(text.length) };
  response.writeHead(status, {
    ...ownHeaders({ "content-type": "text/plain; charset=utf-8", ...length }),
    "cache-control": "public, max-age=86400",
  });
  response.end(response.req.method === "HEAD" || status === 204 ? undefined : text);
}
