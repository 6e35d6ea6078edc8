/** What an application is told of a request, and what of its answer goes back (RFC 9110 §7.6). */

import { Buffer } from "node:buffer";
import { isIPv6 } from "node:net";
import type { HeaderList, WebRequest } from "#contracts/web";
import type { ResponseHead } from "#formats/http";
import { connectionNamed, ownLocation } from "#proxy";
import type { PublishedUpstream } from "./settings.ts";

/** Who is signed in, where the application is to know. */
export interface SignedOn {
  readonly name: string;
  readonly password?: string;
}

/** Fields of one connection, which end here on both ways (RFC 9110 §7.6.1). */
const hopByHop: ReadonlySet<string> = new Set([
  ...["connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-authorization"],
  ...["proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
]);

/** Ours alone to set, or nobody's: what says who the client is and what it asked for. */
const oursAlone: ReadonlySet<string> = new Set([
  ...["expect", "forwarded", "host", "proxy", "via", "client-ip", "true-client-ip"],
  ...["x-client-ip", "x-cluster-client-ip", "x-real-ip", "x-original-url", "x-rewrite-url"],
  ...["x-http-method-override", "x-remote-user", "remote-user"],
]);

/** What of a request is the same for all requests to an application. */
export interface HeaderRules {
  readonly application: Pick<PublishedUpstream, "signOn" | "hostHeader">;
  /** For hostHeader "upstream", and in what the application says of itself. */
  readonly host: string;
  /** Lower case; "" where nobody is signed on by it. */
  readonly signOnHeader: string;
}

export function headerRules(application: PublishedUpstream): HeaderRules {
  const { signOn, signOnHeader, upstream } = application;
  return {
    application,
    host: new URL(upstream).host, // without a default port (RFC 9110 §7.2)
    signOnHeader: signOn === "header" ? signOnHeader.toLowerCase() : "",
  };
}

/** These sign a connection on, not a request (RFC 4559 §6); ours are shared by all who ask. */
const ofConnection = /^\s*(?:negotiate|ntlm)\b/i;

/**
 * The fields as they are sent, those of framing among them.
 *
 * @param keepsCredentials whether Authorization is the application's own affair
 */
export function upstreamHeaders(
  ask: WebRequest,
  rules: HeaderRules,
  who: SignedOn | undefined,
  keepsCredentials: boolean,
): HeaderList {
  const { signOn, hostHeader } = rules.application;
  const fields: (readonly [string, string])[] = [
    ["host", hostHeader === "published" ? ask.host : rules.host],
  ];
  for (const field of ask.headers) {
    const [name, value] = field;
    if (hopByHop.has(name) || oursAlone.has(name) || name.startsWith("x-forwarded-")) continue;
    if (name === rules.signOnHeader) continue;
    if (name === "authorization" && (!keepsCredentials || ofConnection.test(value))) continue;
    // No edge of ours sends one on; the whole field goes, whatever else is in it.
    if (name === "cookie" && value.toLowerCase().includes("__host-postern")) continue;
    fields.push(field);
  }
  const address = isIPv6(ask.clientAddress) ? `"[${ask.clientAddress}]"` : ask.clientAddress;
  fields.push(
    ["x-forwarded-for", ask.clientAddress],
    ["x-forwarded-proto", "https"],
    ["x-forwarded-host", ask.host],
    ["forwarded", `for=${address};host="${ask.host}";proto=https`], // RFC 7239 §4
  );
  if (who !== undefined && signOn === "header") {
    fields.push([rules.signOnHeader, Buffer.from(who.name).toString("latin1")]);
  } else if (who !== undefined && signOn === "basic") {
    fields.push(["authorization", basicCredentials(who.name, who.password ?? "")]);
  }
  if (ask.upgrade !== undefined) fields.push(["connection", "upgrade"], ["upgrade", ask.upgrade]);
  else if (ask.body === "chunked") fields.push(["transfer-encoding", "chunked"]);
  else if (ask.body > 0 || ask.method === "POST" || ask.method === "PUT") {
    fields.push(["content-length", String(ask.body)]); // RFC 9110 §8.6: even of none
  }
  return fields;
}

/** RFC 7617 §2, in UTF-8. */
function basicCredentials(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;
}

/** Whether Basic can carry the name (RFC 7617 §2). */
export function fitsBasic(name: string): boolean {
  return !name.includes(":");
}

/**
 * @param upstreamHost as in `HeaderRules`: nobody outside knows that name
 * @param publicComputer nothing of it may stay there
 */
export function answerHeaders(
  head: ResponseHead,
  upstreamHost: string,
  publicComputer: boolean,
): HeaderList {
  const named = connectionNamed(head.headers);
  const fields: (readonly [string, string])[] = [];
  for (const field of head.headers) {
    const [name, value] = field;
    if (hopByHop.has(name) || named.has(name)) continue;
    if (publicComputer && (name === "cache-control" || name === "expires")) continue;
    const leads = name === "location" || name === "content-location";
    // An address under its own name is one of the published host.
    fields.push(leads ? [name, ownLocation(value, upstreamHost) ?? value] : field);
  }
  return publicComputer ? [...fields, ["cache-control", "no-store"]] : fields;
}

/** Whether a browser would save the answer: any disposition but "inline" (RFC 6266 §4.2). */
export function isDownload(headers: HeaderList): boolean {
  return headers.some(
    ([name, value]) => name === "content-disposition" && !/^inline(?:[\t ]*;|[\t ]*$)/i.test(value),
  );
}
