/**
 * What a request may look like before anything is done with it (RFC 9110, RFC 9112): the second
 * look at everything that Node's parser lets through.
 */

import { accept, type Result, refuse } from "#base/result";
import { parseTarget, type Target, type TargetFault } from "./target.ts";

/** The head of a request as the parser read it; header names and values alternate in `rawHeaders`. */
export interface RawHead {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
  /** Server name of the TLS handshake; "" when the client sent none. */
  readonly serverName: string;
}

export interface CheckedHead {
  readonly method: "GET" | "HEAD" | "POST";
  readonly target: Target;
  /** As the client wrote it, one of the published ones, in lower case. */
  readonly host: string;
  /** Every field once, names in lower case. Not yet fit to cross the link. */
  readonly headers: ReadonlyMap<string, string>;
  /** From Content-Length; 0 when there is none. */
  readonly bodyBytes: number;
}

export type HeadFault =
  | TargetFault
  | "version"
  | "method"
  | "header-count"
  | "header-name"
  | "header-value"
  | "repeated-header"
  | "hop-by-hop"
  | "host"
  | "length-required"
  | "bad-length"
  | "body-not-allowed"
  | "body-too-large"
  | "expectation";

export interface HeadLimits {
  readonly headerMaxCount: number;
  readonly bodyMaxBytes: number;
}

const token = /^[A-Za-z0-9!#$%&'*+.^`|~-]+$/; // RFC 9110 §5.6.2 without "_": CGI readers fold it
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const badValue = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Mean something to one hop only (RFC 9110 §7.6.1); a browser sends none of them here. */
const hopByHop = new Set([
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "upgrade",
  "http2-settings",
  "proxy-authorization",
]);

/** @param published host names, lower case, each with or without a port */
export function checkHead(
  head: RawHead,
  published: (host: string) => boolean,
  limits: HeadLimits,
): Result<CheckedHead, HeadFault> {
  if (head.httpVersion !== "1.1") return refuse("version");
  const headers = checkHeaders(head.rawHeaders, limits.headerMaxCount);
  if (!headers.ok) return headers;
  const host = (headers.value.get("host") ?? "").toLowerCase();
  if (!published(host)) return refuse("host");
  // RFC 9110 §7.4: the name of the handshake and the name of the request are one name.
  const name = host.replace(/:\d+$/, "");
  if (head.serverName !== "" && head.serverName.toLowerCase() !== name) return refuse("host");
  const { method } = head;
  if (method !== "GET" && method !== "HEAD" && method !== "POST") return refuse("method");
  const target = parseTarget(head.target);
  if (!target.ok) return target;
  const bodyBytes = checkBody(method, headers.value, limits.bodyMaxBytes);
  if (!bodyBytes.ok) return bodyBytes;
  return accept({
    method,
    target: target.value,
    host,
    headers: headers.value,
    bodyBytes: bodyBytes.value,
  });
}

function checkHeaders(
  raw: readonly string[],
  maxCount: number,
): Result<ReadonlyMap<string, string>, HeadFault> {
  if (raw.length / 2 > maxCount) return refuse("header-count");
  const headers = new Map<string, string>();
  for (let index = 0; index < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    const value = raw[index + 1] ?? "";
    if (!token.test(name)) return refuse("header-name", index);
    if (badValue.test(value)) return refuse("header-value", index);
    if (headers.has(name)) return refuse("repeated-header", index);
    if (hopByHop.has(name)) return refuse("hop-by-hop", index);
    headers.set(name, value);
  }
  const connection = headers.get("connection")?.toLowerCase() ?? "";
  // Naming a field in Connection would ask us to drop it.
  if (!["", "close", "keep-alive"].includes(connection)) return refuse("hop-by-hop");
  return accept(headers);
}

function checkBody(
  method: string,
  headers: ReadonlyMap<string, string>,
  maxBytes: number,
): Result<number, HeadFault> {
  // RFC 9112 §6.3 lets a server insist on a length: so no chunk is ever read, and no two readers
  // can disagree where a body ends.
  if (headers.has("transfer-encoding")) return refuse("length-required");
  const expect = headers.get("expect")?.toLowerCase();
  if (expect !== undefined && expect !== "100-continue") return refuse("expectation");
  const length = headers.get("content-length");
  if (length === undefined) return method === "POST" ? refuse("length-required") : accept(0);
  if (!/^(0|[1-9]\d{0,14})$/.test(length)) return refuse("bad-length");
  const bytes = Number(length);
  if (method !== "POST" && bytes > 0) return refuse("body-not-allowed");
  if (bytes > maxBytes) return refuse("body-too-large");
  return accept(bytes);
}

const statusOfFault: Partial<Record<HeadFault, number>> = {
  version: 505,
  method: 405,
  "header-count": 431,
  host: 421,
  "length-required": 411,
  "body-too-large": 413,
  expectation: 417,
  "too-long": 414,
};

/** RFC 9110 §15; 400 for whatever has no number of its own. */
export function statusOf(fault: HeadFault): number {
  return statusOfFault[fault] ?? 400;
}

/** Fields the inside may see; everything else ends at the edge. */
const crossing = [
  "accept",
  "accept-encoding",
  "accept-language",
  "content-length",
  "content-type",
  "if-none-match",
  "last-event-id",
];

export function crossingHeaders(headers: ReadonlyMap<string, string>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of crossing) {
    const value = headers.get(name);
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
