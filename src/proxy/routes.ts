/** What the front publishes: everything else does not exist (default deny). */

import type { Target } from "./target.ts";

export type Route =
  | { readonly kind: "home" | "login" | "logout" | "icon" | "robots" }
  /** Answered inside, for a session only. */
  | { readonly kind: "inside"; readonly needsJson: boolean };

type Method = "GET" | "HEAD" | "POST";

interface Rule {
  readonly route: Route;
  readonly methods: readonly Method[];
}

const read: readonly Method[] = ["GET", "HEAD"];

const exact: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["/", { route: { kind: "home" }, methods: read }],
  ["/login", { route: { kind: "login" }, methods: ["GET", "HEAD", "POST"] }],
  ["/logout", { route: { kind: "logout" }, methods: ["POST"] }],
  ["/favicon.ico", { route: { kind: "icon" }, methods: read }],
  ["/robots.txt", { route: { kind: "robots" }, methods: read }],
  ["/mail", { route: { kind: "home" }, methods: read }],
  ["/.well-known/jmap", { route: { kind: "inside", needsJson: false }, methods: read }],
  ["/jmap/session", { route: { kind: "inside", needsJson: false }, methods: read }],
  ["/jmap/api", { route: { kind: "inside", needsJson: true }, methods: ["POST"] }],
  ["/jmap/events", { route: { kind: "inside", needsJson: false }, methods: ["GET"] }],
]);

const below: readonly (readonly [prefix: string, rule: Rule])[] = [
  ["/mail/", { route: { kind: "inside", needsJson: false }, methods: read }],
  ["/jmap/download/", { route: { kind: "inside", needsJson: false }, methods: read }],
  ["/jmap/upload/", { route: { kind: "inside", needsJson: false }, methods: ["POST"] }],
];

export type Routed =
  | { readonly ok: true; readonly route: Route }
  | { readonly ok: false; readonly status: 404 }
  | { readonly ok: false; readonly status: 405; readonly allow: string };

export function routeOf(method: Method, target: Target): Routed {
  const rule =
    exact.get(target.path) ?? below.find(([prefix]) => target.path.startsWith(prefix))?.[1];
  if (rule === undefined) return { ok: false, status: 404 };
  if (!rule.methods.includes(method)) {
    return { ok: false, status: 405, allow: rule.methods.join(", ") };
  }
  return { ok: true, route: rule.route };
}

/** Where a login may lead back to: the application and nothing else (CWE-601). */
const returnPath = /^\/mail\/(?:[A-Za-z0-9_-]+\/)*[A-Za-z0-9_-]*$/;

export function safeReturnPath(text: string | null): string {
  return text !== null && text.length < 256 && returnPath.test(text) ? text : "/mail/";
}
