/**
 * What becomes of a request: refused, answered by the front, or let in by a publishing rule. Nothing
 * but what is listed exists (default deny), and nothing goes in that two readers could read as two
 * things.
 */

import type { HeaderList } from "#contracts/web";
import type { PublishingRule } from "#model/publishing";
import {
  type CompiledPolicy,
  type CompiledRule,
  findRule,
  withoutPort,
} from "./compiled-policy.ts";
import { checkFields, type FieldFault } from "./fields.ts";
import { ownLocation } from "./location.ts";
import { type FieldOf, fieldIn, mayCause } from "./origin.ts";
import { parseTarget, type Target } from "./target.ts";

/** The head of a request as the transport read it: well framed, otherwise unchecked. */
export interface RequestHead {
  readonly version: "1.1" | "2";
  readonly method: string;
  readonly target: string;
  /** Names in lower case; `:authority` is "host". */
  readonly headers: HeaderList;
  readonly body: number | "chunked";
  /** Server name of the TLS handshake; "" when the client sent none. */
  readonly serverName: string;
}

export interface HeadLimits {
  readonly headerMaxCount: number;
  readonly bodyMaxBytes: number;
}

export type Route =
  /** Answered by the front itself. */
  | { readonly kind: "home" | "login" | "logout" | "icon" | "robots" }
  /** All that its host has. */
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "application"; readonly rule: PublishingRule };

export interface CheckedRequest {
  readonly method: string;
  readonly target: Target;
  /** One of the published ones, in lower case, with its port where the client named it. */
  readonly host: string;
  /** As they came: not yet fit to cross the link. Cookie is one field. */
  readonly headers: HeaderList;
  header(name: string): string | undefined;
  readonly body: number | "chunked";
  /** What a body of unknown length may come to. */
  readonly bodyMaxBytes: number;
  readonly route: Route;
  readonly upgrade?: "websocket";
  /** In force when the request came. */
  readonly policy: CompiledPolicy;
}

export type Judged =
  | { readonly ok: true; readonly request: CheckedRequest }
  | {
      readonly ok: false;
      /** RFC 9110 §15. */
      readonly status: number;
      /** One of few words, for counters and log. */
      readonly why: string;
      /** Goes with 405. */
      readonly allow?: string;
    };

type Refusal = Extract<Judged, { ok: false }>;

/** @param policy undefined, or one of version 0: nothing is published yet */
export function judgeRequest(
  head: RequestHead,
  policy: CompiledPolicy | undefined,
  limits: HeadLimits,
): Judged {
  const fields = checkFields(head.headers, head.version, limits.headerMaxCount);
  if (typeof fields === "string") return refusal(statusOfField[fields] ?? 400, fields);
  if (policy === undefined) return refusal(503, "no-policy");
  const { host, headers, upgrade } = fields;
  const texts = policy.textsOf(host);
  const rules = texts === undefined ? policy.rulesOf(host) : [];
  // RFC 9110 §7.4: the name of the handshake and the name of the request are one name.
  const { serverName } = head;
  if (rules === undefined || (serverName !== "" && serverName.toLowerCase() !== withoutPort(host)))
    return refusal(421, "host");
  const target = parseTarget(head.target);
  if (!target.ok) return refusal(target.fault === "too-long" ? 414 : 400, target.fault);
  if (policy.version === 0) return refusal(503, "no-policy");

  const { method } = head;
  const routed =
    texts === undefined
      ? routeOf(rules, target.value, method)
      : textAt(texts.get(target.value.path), method);
  if ("ok" in routed) return routed;
  const rule = routed.kind === "application" ? routed.rule : ownRule;
  const bodyMaxBytes = rule.bodyMaxBytes ?? limits.bodyMaxBytes;
  const header: FieldOf = (name) => fieldIn(headers, name);
  const fault =
    targetFault(target.value, rule) ??
    bodyFault(method, head.body, bodyMaxBytes) ??
    upgradeFault(head, header, upgrade, rule) ??
    destinationFault(header("destination"), { host, method, rules, routed }) ??
    (mayCause(header, { method, host, upgrade: upgrade !== undefined }, rule)
      ? jsonFault(rule, method, header)
      : refusal(403, "foreign-origin"));
  if (fault !== undefined) return fault;
  return {
    ok: true,
    request: {
      method,
      target: target.value,
      host,
      headers,
      header,
      body: head.body,
      bodyMaxBytes,
      route: routed,
      policy,
      ...(upgrade !== undefined && { upgrade }),
    },
  };
}

const statusOfField: Partial<Record<FieldFault, number>> = {
  "header-count": 431,
  expectation: 417,
};

function refusal(status: number, why: string, allow?: string): Refusal {
  return { ok: false, status, why, ...(allow !== undefined && { allow }) };
}

/** What holds for pages of the front: as for its own application. */
const ownRule: Pick<
  PublishingRule,
  "login" | "targets" | "bodyMaxBytes" | "crossOrigin" | "ignoreCase" | "webSocket" | "needsJson"
> = { login: "form", targets: "plain" };

type RuleFacts = typeof ownRule;

const readOnly = ["GET", "HEAD"];

/** Pages of the front that no application can take over. */
const ownPages: ReadonlyMap<string, { route: Route; methods: readonly string[] }> = new Map([
  ["/login", { route: { kind: "login" }, methods: ["GET", "HEAD", "POST"] }],
  ["/logout", { route: { kind: "logout" }, methods: ["GET", "HEAD", "POST"] }],
]);

/** Those that give way to an application that is published there. */
const otherPages: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["/", { kind: "home" }],
  ["/mail", { kind: "home" }],
  ["/favicon.ico", { kind: "icon" }],
  ["/robots.txt", { kind: "robots" }],
]);

function routeOf(
  rules: readonly CompiledRule[],
  { path }: Target,
  method: string,
): Route | Refusal {
  const own = ownPages.get(path.startsWith("/login/") ? "/login" : path);
  if (own !== undefined) {
    if (own.methods.includes(method)) return own.route;
    return refusal(405, "method", own.methods.join(", "));
  }
  const found = findRule(rules, path, method);
  const other = otherPages.get(path);
  const taken = found.ok && found.rule.application !== "postern";
  if (other !== undefined && !taken && (found.ok || found.allow === undefined)) {
    return readOnly.includes(method) ? other : refusal(405, "method", readOnly.join(", "));
  }
  if (found.ok) return { kind: "application", rule: found.rule };
  return found.allow === undefined ? refusal(404, "no-route") : refusal(405, "method", found.allow);
}

function textAt(text: string | undefined, method: string): Route | Refusal {
  if (text === undefined) return refusal(404, "no-route");
  return readOnly.includes(method)
    ? { kind: "text", text }
    : refusal(405, "method", readOnly.join(", "));
}

function targetFault(target: Target, rule: RuleFacts): Refusal | undefined {
  if (rule.targets === "plain" && target.notPlain !== undefined) {
    return refusal(target.notPlain === "too-long" ? 414 : 400, target.notPlain);
  }
  // Systems of Windows read "x." and "x " as "x".
  if (rule.ignoreCase === true && target.looseEnd === true) return refusal(400, "dot-segment");
  return undefined;
}

function bodyFault(method: string, body: number | "chunked", most: number): Refusal | undefined {
  if (body === 0) return undefined;
  // A body means nothing there (RFC 9110 §9.3.1), and readers differ in what they do with it.
  if (readOnly.includes(method)) return refusal(400, "body-not-allowed");
  const fits = body === "chunked" || (body > 0 && body <= most);
  return fits ? undefined : refusal(413, "body-too-large");
}

/** 16 octets in Base64. */
const webSocketKey = /^[A-Za-z0-9+/]{22}==$/;

/** RFC 6455 §4.2.1; RFC 8441 is not offered, so it is always HTTP/1.1. */
function upgradeFault(
  head: RequestHead,
  header: FieldOf,
  upgrade: "websocket" | undefined,
  rule: RuleFacts,
): Refusal | undefined {
  if (upgrade === undefined) return undefined;
  const fits =
    rule.webSocket === true &&
    head.version === "1.1" &&
    head.method === "GET" &&
    head.body === 0 &&
    header("sec-websocket-version") === "13" &&
    webSocketKey.test(header("sec-websocket-key") ?? "");
  return fits ? undefined : refusal(400, "upgrade");
}

/** RFC 4918 §10.3: the second address of COPY and MOVE is published by the same application too. */
function destinationFault(
  destination: string | undefined,
  asked: { host: string; method: string; rules: readonly CompiledRule[]; routed: Route },
): Refusal | undefined {
  if (destination === undefined) return undefined;
  const path = ownLocation(destination, asked.host);
  const target = path === undefined ? undefined : parseTarget(path);
  if (target?.ok !== true) return refusal(400, "destination");
  const found = findRule(asked.rules, target.value.path, asked.method);
  const isSame =
    found.ok &&
    asked.routed.kind === "application" &&
    found.rule.application === asked.routed.rule.application;
  return isSame ? undefined : refusal(403, "destination");
}

/** No form of a foreign page can send this type, whatever a browser says of it. */
function jsonFault(rule: RuleFacts, method: string, header: FieldOf): Refusal | undefined {
  if (rule.needsJson !== true || readOnly.includes(method)) return undefined;
  const type = header("content-type")?.split(";")[0]?.trim().toLowerCase();
  return type === "application/json" ? undefined : refusal(400, "not-json");
}
