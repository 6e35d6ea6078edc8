/** Header fields that every answer carries, and those that the inside may add. */

import type { HeaderList } from "#contracts/web";
import { foreignCookie } from "./cookies.ts";
import type { CheckedRequest } from "./judge.ts";
import { ownLocation } from "./location.ts";

/** Two years, as preload lists ask (RFC 6797 §6.1). */
const transportSecurity = [
  "strict-transport-security",
  "max-age=63072000; includeSubDomains",
] as const;
const noSniffing = ["x-content-type-options", "nosniff"] as const;

const everywhere: HeaderList = [
  transportSecurity,
  noSniffing,
  ["referrer-policy", "no-referrer"],
  ["cross-origin-opener-policy", "same-origin"],
  ["cross-origin-resource-policy", "same-origin"],
  ["x-frame-options", "SAMEORIGIN"],
  ["x-dns-prefetch-control", "off"],
  [
    "permissions-policy",
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
      "magnetometer=(), microphone=(), midi=(), payment=(), usb=(), browsing-topics=()",
  ],
];

/** For answers that say nothing about their content. */
const closedPolicy: HeaderList[number] = [
  "content-security-policy",
  "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
];
const noStore: HeaderList[number] = ["cache-control", "no-store"];

/** A page or an empty answer of the edge itself; what is given here stands instead of ours. */
export function ownHeaders(extra: HeaderList): HeaderList {
  const standing = [...everywhere, closedPolicy, noStore].filter(
    ([name]) => !extra.some(([given]) => given === name),
  );
  return [...standing, ...extra];
}

/** Fields of Postern's own application that go out; the rest is dropped. */
const fromPostern: ReadonlySet<string> = new Set([
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-security-policy",
  "content-type",
  "etag",
  "location",
  "retry-after",
  "vary",
]);

/**
 * What the inside answered, filtered by the rule that the request met. Framing fields are the
 * transport's and never in here; without a word about caching nothing is stored.
 */
export function relayedHeaders(headers: HeaderList, request: CheckedRequest): HeaderList {
  const { route } = request;
  if (route.kind !== "application" || route.rule.application === "postern") {
    return relayedOwn(headers, request.host);
  }
  return relayedForeign(headers, request, route.rule.crossOrigin === true);
}

function relayedOwn(headers: HeaderList, host: string): HeaderList {
  const kept: (readonly [string, string])[] = [...everywhere];
  let [hasPolicy, hasCaching] = [false, false];
  for (const [name, value] of headers) {
    if (!fromPostern.has(name) || isBroken(value)) continue;
    if (name === "location" && ownLocation(value, host) === undefined) continue;
    hasPolicy ||= name === "content-security-policy";
    hasCaching ||= name === "cache-control";
    kept.push([name, value]);
  }
  if (!hasPolicy) kept.push(closedPolicy);
  if (!hasCaching) kept.push(noStore);
  return kept;
}

/**
 * What an application's answer may not bring: framing, boxes of the browser's own that ask for a
 * password, what speaks for the whole host, and what tells how the inside is built.
 */
const neverOut: ReadonlySet<string> = new Set([
  ...["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer"],
  ...["transfer-encoding", "upgrade", "proxy-authenticate", "proxy-authentication-info"],
  ...["authentication-info", "www-authenticate"],
  ...["alt-svc", "clear-site-data", "expect-ct", "nel", "public-key-pins", "refresh"],
  ...["public-key-pins-report-only", "report-to", "service-worker-allowed", "set-cookie2"],
  ...["strict-transport-security", "x-content-type-options", "x-frame-options"],
  ...["age", "cdn-cache-control", "surrogate-control", "via", "x-accel-expires"],
  ...["server", "x-aspnet-version", "x-powered-by", "x-calculatedbetarget", "x-diaginfo"],
  ...["x-accel-redirect", "x-beserver", "x-feserver", "x-sendfile"],
]);

const token = /^[a-z0-9!#$%&'*+.^`|~_-]+$/;

function relayedForeign(
  headers: HeaderList,
  { host }: CheckedRequest,
  crossOrigin: boolean,
): HeaderList {
  const kept: (readonly [string, string])[] = [transportSecurity, noSniffing];
  const named = connectionNamed(headers);
  const seen = new Set<string>();
  for (const [name, value] of headers) {
    if (neverOut.has(name) || named.has(name) || !token.test(name) || isBroken(value)) continue;
    // Other sites read nothing here, unless the rule is for them (W9).
    if (!crossOrigin && name.startsWith("access-control-")) continue;
    const out = outgoing(name, value, host, crossOrigin);
    if (out === undefined) continue;
    seen.add(name);
    kept.push([name, out]);
  }
  if (!seen.has("cache-control")) kept.push(noStore);
  if (!seen.has("referrer-policy")) kept.push(["referrer-policy", "same-origin"]);
  if (!crossOrigin) {
    // A policy beside the application's own: both hold (CSP 3 §8.1).
    kept.push(["content-security-policy", "frame-ancestors 'self'"]);
    kept.push(["x-frame-options", "SAMEORIGIN"]);
    if (!seen.has("cross-origin-resource-policy")) {
      kept.push(["cross-origin-resource-policy", "same-origin"]);
    }
  }
  return kept;
}

/** @returns undefined for what must not go out */
function outgoing(
  name: string,
  value: string,
  host: string,
  crossOrigin: boolean,
): string | undefined {
  switch (name) {
    case "set-cookie":
      return foreignCookie(value, crossOrigin);
    case "location":
    case "content-location":
      return ownLocation(value, host);
    case "cache-control":
      return crossOrigin ? value : privately(value);
    default:
      return value;
  }
}

/** RFC 9111 §5.2.2.7: whatever may be kept, the browser keeps, and nothing between (W12). */
function privately(value: string): string {
  const directives = value.split(",").map((one) => one.trim());
  const kept = directives.filter(
    (one) => !/^(public|private|s-maxage|proxy-revalidate)\b/i.test(one),
  );
  return kept.some((one) => one.toLowerCase() === "no-store")
    ? "no-store"
    : ["private", ...kept.filter((one) => one !== "")].join(", ");
}

/** Fields that Connection declares to be of one hop (RFC 9110 §7.6.1). */
export function connectionNamed(headers: HeaderList): ReadonlySet<string> {
  let named: Set<string> | undefined;
  for (const [name, value] of headers) {
    if (name !== "connection" || value === "keep-alive" || value === "close") continue;
    named ??= new Set();
    for (const option of value.toLowerCase().split(",")) named.add(option.trim());
  }
  return named ?? none;
}

const none: ReadonlySet<string> = new Set();

/** Characters that would end the field, or that no field has. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const broken = /[\x00-\x08\x0a-\x1f\x7f\u0100-\uffff]/;

function isBroken(value: string): boolean {
  return broken.test(value);
}
