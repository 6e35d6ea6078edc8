/** The head of an HTTP/1.1 response, read strictly (RFC 9112 §4, §6.3). */

import type { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import {
  type Fields,
  type HeaderList,
  type HeadLimits,
  type HttpFault,
  readFields,
} from "./fields.ts";
import { valueOctet } from "./octets.ts";
import { endOf, isLineEnd, readVersion } from "./request.ts";

export interface ResponseHead {
  /** 100 to 599. */
  readonly status: number;
  readonly headers: HeaderList;
  /** What follows; the answer to HEAD, 1xx, 204 and 304 have nothing, whatever they say. */
  readonly body: number | "chunked" | "until-close";
  /** Whether the connection may be used again once the body is read. */
  readonly keepAlive: boolean;
  /** Of a 101 alone, lower case: what is spoken behind this head (RFC 9110 §15.2.2). */
  readonly upgrade?: string;
}

/**
 * @param head untrusted octets up to and with the blank line; the caller bounds their number
 * @param to the request that it answers
 */
export function readResponseHead(
  head: Buffer,
  to: { readonly method: string },
  limits: HeadLimits,
): Result<ResponseHead, HttpFault> {
  const text = head.toString("latin1");
  const version = readVersion(text, 0);
  if (version === undefined) return refuse("bad-version");
  const status = readStatus(text);
  if (status === 0) return refuse("bad-start-line", 8);
  // The blank behind the code is missing where a server gives no reason; that is read alike.
  const lineEnd = text.charCodeAt(12) === 0x20 ? endOf(text, 12, valueOctet) : 12;
  if (!text.startsWith("\r\n", lineEnd)) {
    const isBare = isLineEnd(text.charCodeAt(lineEnd));
    return refuse(isBare ? "bad-line-end" : "bad-start-line", lineEnd);
  }
  const fields = readFields(text, lineEnd + 2, limits);
  if (!fields.ok) return fields;
  return framed({ method: to.method, version, status }, fields.value);
}

/** Three digits at their only place, the first 1 to 5; 0 for anything else. */
function readStatus(text: string): number {
  if (text.charCodeAt(8) !== 0x20) return 0;
  let status = 0;
  for (let at = 9; at < 12; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return 0;
    status = status * 10 + digit;
  }
  return status >= 100 && status < 600 ? status : 0;
}

function framed(
  line: { readonly method: string; readonly version: "1.0" | "1.1"; readonly status: number },
  fields: Fields,
): Result<ResponseHead, HttpFault> {
  const { status, version } = line;
  const { headers, length, chunked } = fields;
  if (chunked && length >= 0) return refuse("length-and-coding");
  if (chunked && version === "1.0") return refuse("bad-coding");
  const isBare = status < 200 || status === 204;
  const isEmpty = isBare || status === 304 || line.method === "HEAD";
  const body = isEmpty ? 0 : chunked ? "chunked" : length < 0 ? "until-close" : length;
  const keeps = !fields.closes && (version === "1.1" || fields.keepsAlive);
  // RFC 9112 §6.1, RFC 9110 §8.6: these must not announce a body; one that does may well send it.
  const isSuspect = isBare && (chunked || length > 0);
  const upgrades = status === 101 && fields.upgrades && fields.upgradeTo !== "";
  return accept({
    status,
    headers,
    body,
    keepAlive: keeps && body !== "until-close" && !isSuspect,
    ...(upgrades && { upgrade: fields.upgradeTo }),
  });
}
