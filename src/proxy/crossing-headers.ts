/** Which fields of a request may cross to the inside (RFC 9110 §7.6, W4, W5). */

import type { HeaderList } from "#contracts/web";
import { isOurCookie } from "./cookies.ts";
import type { CheckedRequest } from "./judge.ts";

/** All that Postern's own application looks at. */
const forPostern: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "content-type",
  "if-none-match",
  "last-event-id",
]);

/**
 * What no application may take from a client: framing and hop-by-hop fields, who the client is said
 * to be, another path or method than the one that was judged, and names that gateways sign on with.
 */
const neverCrossing: ReadonlySet<string> = new Set([
  ...["connection", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"],
  ...["client-ip", "forwarded", "proxy", "true-client-ip", "via", "x-client-ip"],
  ...["x-cluster-client-ip", "x-host", "x-original-forwarded-for", "x-originating-ip"],
  ...["x-real-ip", "x-real-port", "cf-connecting-ip"],
  ...["front-end-https", "x-original-host", "x-original-uri", "x-original-url", "x-rewrite-url"],
  ...["x-http-method", "x-http-method-override", "x-method-override", "x-middleware-subrequest"],
  ...["x-auth-user", "x-authenticated-user", "x-ssl-client-cert", "x-ssl-client-s-dn"],
  ...["ssl-client-cert", "ssl-client-verify", "x-ssl-client-verify", "x-arr-ssl", "x-arr-log-id"],
]);

/** Families of such names, groups and roles among them; "webobjects" is SOGo's. */
const spokenFor = /^(?:(?:x-)?remote-|x-(?:auth-request|forwarded|webauth|webobjects)-)/;

export function crossingHeaders(request: CheckedRequest): HeaderList {
  const { route, headers } = request;
  if (route.kind !== "application") return [];
  if (route.rule.application === "postern") {
    return headers.filter(([name]) => forPostern.has(name));
  }
  const kept: (readonly [string, string])[] = [];
  for (const field of headers) {
    const [name, value] = field;
    if (neverCrossing.has(name) || spokenFor.test(name)) continue;
    if (name === "cookie") {
      const foreign = withoutOurCookies(value);
      if (foreign !== "") kept.push(["cookie", foreign]);
      continue;
    }
    // Where we ask for a login, credentials are ours; where we do not, they are the application's.
    if (name === "authorization" && route.rule.login !== "none") continue;
    kept.push(field);
  }
  return kept;
}

function withoutOurCookies(cookie: string): string {
  if (!/__host-postern/i.test(cookie)) return cookie;
  const pairs = cookie.split(";").map((pair) => pair.trim());
  return pairs.filter((pair) => pair !== "" && !isOurCookie(pair)).join("; ");
}
