/** Field lines of a head, and what they say of its framing (RFC 9112 §5, §6; RFC 9110 §5). */

import { type Result, refuse } from "#base/result";
import { octetKinds, tokenOctet, underscoreOctet, upperOctet, valueOctet } from "./octets.ts";

/** Lower-case names and values without surrounding blanks, in order; a name may come again. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

export type HttpFault =
  /** A bare CR or LF, a missing or early blank line (RFC 9112 §2.2). */
  | "bad-line-end"
  /** The request or status line has another shape (RFC 9112 §3, §4). */
  | "bad-start-line"
  /** Not HTTP/1.0 or HTTP/1.1: 505. */
  | "bad-version"
  /** Not a token and a colon; also a name that only looks like one of framing. */
  | "bad-name"
  | "bad-value"
  /** A line that begins with a blank (obs-fold, RFC 9112 §5.2). */
  | "folded"
  /** 431 */
  | "too-many-headers"
  /** A Content-Length that is a list, comes twice, or is no plain decimal (RFC 9112 §6.3). */
  | "bad-length"
  /** A transfer coding other than "chunked" alone, or one in HTTP/1.0: 501 (RFC 9112 §6.1). */
  | "bad-coding"
  | "length-and-coding"
  /** None in HTTP/1.1, or several (RFC 9112 §3.2). */
  | "bad-host"
  /** An expectation that we do not know: 417 (RFC 9110 §10.1.1). */
  | "bad-expectation";

export interface HeadLimits {
  readonly headerMaxCount: number;
}

/** What the fields say together; `readFields` fills it. */
export interface Fields {
  readonly headers: (readonly [string, string])[];
  hosts: number;
  /** Octets; -1 without Content-Length. */
  length: number;
  chunked: boolean;
  closes: boolean;
  keepsAlive: boolean;
  upgrades: boolean;
  /** Lower case; "" without one. */
  upgradeTo: string;
  continues: boolean;
}

/** Fifteen digits: well below 2^53, and no body of ours comes near. */
const lengthMaxDigits = 15;

/**
 * Reads from the first field line to the blank line, which must end the text.
 *
 * @param text one character per octet
 * @param from where the first field line begins
 */
export function readFields(
  text: string,
  from: number,
  { headerMaxCount }: HeadLimits,
): Result<Fields, HttpFault> {
  const fields = noFields();
  let at = from;
  while (text.charCodeAt(at) !== 0x0d) {
    const nameFrom = at;
    let seen = 0;
    let code = text.charCodeAt(at);
    for (; ((octetKinds[code] as number) & tokenOctet) !== 0; code = text.charCodeAt(at)) {
      seen |= octetKinds[code] as number;
      at += 1;
    }
    // RFC 9112 §5.1: no blank between name and colon.
    if (code !== 0x3a || at === nameFrom) return refuse(nameFault(code, at === nameFrom), at);
    let name = text.slice(nameFrom, at);
    if ((seen & upperOctet) !== 0) name = name.toLowerCase();
    if ((seen & underscoreOctet) !== 0 && isFramingInDisguise(name)) {
      return refuse("bad-name", nameFrom);
    }
    do {
      at += 1;
      code = text.charCodeAt(at);
    } while (code === 0x20 || code === 0x09);
    const valueFrom = at;
    for (; ((octetKinds[code] as number) & valueOctet) !== 0; code = text.charCodeAt(at)) at += 1;
    if (code !== 0x0d) return refuse(code === 0x0a ? "bad-line-end" : "bad-value", at);
    if (text.charCodeAt(at + 1) !== 0x0a) return refuse("bad-line-end", at);
    const value = text.slice(valueFrom, withoutBlanks(text, valueFrom, at));
    if (fields.headers.length >= headerMaxCount) return refuse("too-many-headers", nameFrom);
    const fault = note(fields, name, value);
    if (fault !== undefined) return refuse(fault, nameFrom);
    fields.headers.push([name, value]);
    at += 2;
  }
  if (text.charCodeAt(at + 1) !== 0x0a || at + 2 !== text.length) return refuse("bad-line-end", at);
  return { ok: true, value: fields };
}

function noFields(): Fields {
  return {
    headers: [],
    hosts: 0,
    length: -1,
    chunked: false,
    closes: false,
    keepsAlive: false,
    upgrades: false,
    upgradeTo: "",
    continues: false,
  };
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

function nameFault(code: number, atStart: boolean): HttpFault {
  if (code === 0x0a || Number.isNaN(code)) return "bad-line-end";
  return atStart && isBlank(code) ? "folded" : "bad-name";
}

/** Gateways that fold "_" into "-", or into nothing, would take such a field for the real one. */
function isFramingInDisguise(name: string): boolean {
  const letters = name.replaceAll("_", "").replaceAll("-", "");
  return letters === "transferencoding" || letters === "contentlength";
}

/** The end of a text without the blanks there. */
function withoutBlanks(text: string, from: number, to: number): number {
  let end = to;
  while (end > from && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return end;
}

/** Keeps what a field says of framing and connection. */
function note(fields: Fields, name: string, value: string): HttpFault | undefined {
  switch (name) {
    case "host":
      fields.hosts += 1;
      return undefined;
    case "content-length":
      if (fields.length >= 0) return "bad-length";
      fields.length = readLength(value);
      return fields.length < 0 ? "bad-length" : undefined;
    case "transfer-encoding":
      if (fields.chunked || value.toLowerCase() !== "chunked") return "bad-coding";
      fields.chunked = true;
      return undefined;
    case "connection":
      noteConnection(fields, value);
      return undefined;
    case "upgrade":
      fields.upgradeTo += (fields.upgradeTo === "" ? "" : ", ") + value.toLowerCase();
      return undefined;
    case "expect":
      if (value.toLowerCase() !== "100-continue") return "bad-expectation";
      fields.continues = true;
      return undefined;
    default:
      return undefined;
  }
}

/** A list of options without case (RFC 9110 §7.6.1). */
function noteConnection(fields: Fields, value: string): void {
  for (const word of value.toLowerCase().split(",")) {
    let from = 0;
    while (isBlank(word.charCodeAt(from))) from += 1;
    const option = word.slice(from, withoutBlanks(word, from, word.length));
    if (option === "close") fields.closes = true;
    else if (option === "keep-alive") fields.keepsAlive = true;
    else if (option === "upgrade") fields.upgrades = true;
  }
}

/** Plain decimal without sign, blank, list or leading zero; -1 for anything else. */
function readLength(value: string): number {
  if (value.length === 0 || value.length > lengthMaxDigits) return -1;
  if (value.charCodeAt(0) === 0x30 && value.length > 1) return -1;
  let length = 0;
  for (let at = 0; at < value.length; at += 1) {
    const digit = value.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}
