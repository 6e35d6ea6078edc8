/** The head of an HTTP/1.1 request, read strictly (RFC 9112 §3, §6). */

import type { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import {
  type Fields,
  type HeaderList,
  type HeadLimits,
  type HttpFault,
  readFields,
} from "./fields.ts";
import { octetKinds, targetOctet, tokenOctet } from "./octets.ts";

export interface RequestHead {
  readonly method: string;
  /** Visible ASCII; whatever form (RFC 9112 §3.2) it has. */
  readonly target: string;
  readonly version: "1.0" | "1.1";
  readonly headers: HeaderList;
  /** Octets that follow, or "chunked"; 0: none (RFC 9112 §6.3). */
  readonly body: number | "chunked";
  /** Whether another request may follow (RFC 9112 §9.3). */
  readonly keepAlive: boolean;
  /** The client waits for 100 (Continue) before it sends the body. */
  readonly expectsContinue: boolean;
  /** Lower case: what the client asks to speak behind this head; never with a body. */
  readonly upgrade?: string;
}

/**
 * Reads a whole head or refuses it: whatever two readers might frame differently is a fault.
 *
 * @param head untrusted octets up to and with the blank line; the caller bounds their number
 * @returns as fault 400, where `HttpFault` says nothing else
 */
export function readRequestHead(head: Buffer, limits: HeadLimits): Result<RequestHead, HttpFault> {
  const text = head.toString("latin1");
  let at = endOf(text, 0, tokenOctet);
  if (at === 0) return refuse(isLineEnd(text.charCodeAt(0)) ? "bad-line-end" : "bad-start-line");
  if (text.charCodeAt(at) !== 0x20) return refuse("bad-start-line", at);
  const method = text.slice(0, at);
  const targetFrom = at + 1;
  at = endOf(text, targetFrom, targetOctet);
  if (at === targetFrom || text.charCodeAt(at) !== 0x20) return refuse("bad-start-line", at);
  const target = text.slice(targetFrom, at);
  const version = readVersion(text, at + 1);
  if (version === undefined) return refuse("bad-version", at + 1);
  at += 9;
  if (!text.startsWith("\r\n", at)) {
    return refuse(isLineEnd(text.charCodeAt(at)) ? "bad-line-end" : "bad-start-line", at);
  }
  const fields = readFields(text, at + 2, limits);
  if (!fields.ok) return fields;
  return framed({ method, target, version }, fields.value);
}

function framed(
  line: Pick<RequestHead, "method" | "target" | "version">,
  fields: Fields,
): Result<RequestHead, HttpFault> {
  const { headers, length, chunked } = fields;
  const isNewest = line.version === "1.1";
  if (fields.hosts > 1 || (isNewest && fields.hosts === 0)) return refuse("bad-host");
  // RFC 9112 §6.1: such a message might be an attempt at smuggling; no honest client sends one.
  if (chunked && length >= 0) return refuse("length-and-coding");
  if (chunked && !isNewest) return refuse("bad-coding");
  const body = chunked ? "chunked" : Math.max(length, 0);
  const upgrades = isNewest && fields.upgrades && fields.upgradeTo !== "" && body === 0;
  return accept({
    method: line.method,
    target: line.target,
    version: line.version,
    headers,
    body,
    keepAlive: !fields.closes && (isNewest || fields.keepsAlive),
    expectsContinue: fields.continues && isNewest && body !== 0,
    ...(upgrades && { upgrade: fields.upgradeTo }),
  });
}

/** Where the run of octets of a kind ends. */
export function endOf(text: string, from: number, kind: number): number {
  let at = from;
  while (((octetKinds[text.charCodeAt(at)] as number) & kind) !== 0) at += 1;
  return at;
}

export function readVersion(text: string, at: number): "1.0" | "1.1" | undefined {
  if (text.startsWith("HTTP/1.1", at)) return "1.1";
  return text.startsWith("HTTP/1.0", at) ? "1.0" : undefined;
}

export const isLineEnd = (code: number): boolean => code === 0x0a || code === 0x0d;
