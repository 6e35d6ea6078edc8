/** Heads and chunks as they are sent; what could carry a second message is a bug of the caller. */

import assert from "node:assert/strict";
import type { HeaderList } from "./fields.ts";
import { isAllOf, targetOctet, tokenOctet } from "./octets.ts";
import { statusText } from "./status.ts";

/** Anything but visible characters, blanks and obs-text: what RFC 9110 §5.5 keeps out of values. */
const unsendable = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * One character per octet: to be written as "latin1". The caller gives the fields of framing.
 *
 * @param target in origin form (RFC 9112 §3.2.1)
 */
export function requestHead(method: string, target: string, headers: HeaderList): string {
  if (!isAllOf(method, tokenOctet)) assert.fail("method is no token");
  if (target.charCodeAt(0) !== 0x2f || !isAllOf(target, targetOctet)) {
    assert.fail("target is not in origin form");
  }
  return `${method} ${target} HTTP/1.1\r\n${fieldLines(headers)}`;
}

/** One character per octet: to be written as "latin1". The caller gives the fields of framing. */
export function responseHead(status: number, headers: HeaderList): string {
  if (!(Number.isInteger(status) && status >= 100 && status < 600)) assert.fail("no such status");
  return `HTTP/1.1 ${status} ${statusText(status)}\r\n${fieldLines(headers)}`;
}

/** With the blank line behind them. */
function fieldLines(headers: HeaderList): string {
  let text = "";
  for (const [name, value] of headers) {
    if (!isAllOf(name, tokenOctet)) assert.fail("name of a header is no token");
    if (unsendable.test(value)) assert.fail(`value of ${name} cannot be sent`);
    text += `${name}: ${value}\r\n`;
  }
  return `${text}\r\n`;
}

/** Goes before the data of a chunk; `chunkEnd` goes behind it. */
export function chunkHead(lengthBytes: number): string {
  if (!(lengthBytes > 0)) assert.fail("a chunk without data would end the body");
  return `${lengthBytes.toString(16)}\r\n`;
}

export const chunkEnd: string = "\r\n";

/** Ends the body, without a trailer. */
export const lastChunk: string = "0\r\n\r\n";
