/** Parameters of MAIL and RCPT: SIZE, BODY, SMTPUTF8, REQUIRETLS, RET, ENVID, AUTH, NOTIFY, ORCPT. */

import { accept, type Result, refuse } from "#base/result";
import type { DsnWishes, Envelope } from "#model/envelope";
import { decodeXtext } from "./xtext.ts";

export type ParameterFault = "syntax" | "unknown-parameter" | "bad-parameter";

export interface MailParameters
  extends Pick<Envelope, "utf8" | "body" | "requireTls" | "dsnReturn" | "envelopeId"> {
  readonly sizeBytes?: number;
}

/** Keyword and value of RFC 5321 §4.1.2 esmtp-param; the value wider for UTF-8 addresses in ORCPT. */
const parameter = / ([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\u0080-\u{10ffff}]+))?/uy;
/** Our limit: more parameters than there are keywords. */
const maxParameters = 16;

type Pairs = ReadonlyMap<string, string | undefined>;

function readPairs(line: string, at: number): Result<Pairs, ParameterFault> {
  const pairs = new Map<string, string | undefined>();
  const end = line.trimEnd().length;
  let position = at;
  while (position < end) {
    parameter.lastIndex = position;
    const found = parameter.exec(line);
    if (found === null) return refuse("syntax", position);
    const keyword = (found[1] ?? "").toUpperCase();
    if (pairs.has(keyword) || pairs.size >= maxParameters) return refuse("bad-parameter", position);
    pairs.set(keyword, found[2]);
    position = parameter.lastIndex;
  }
  return accept(pairs);
}

const none: MailParameters = {};

export function readMailParameters(
  line: string,
  at: number,
): Result<MailParameters, ParameterFault> {
  if (at === line.length) return accept(none);
  const pairs = readPairs(line, at);
  if (!pairs.ok) return pairs;
  const read: { -readonly [Key in keyof MailParameters]: MailParameters[Key] } = {};
  for (const [keyword, value] of pairs.value) {
    const fault = takeMailParameter(read, keyword, value);
    if (fault !== null) return refuse(fault, at);
  }
  return accept(read);
}

function takeMailParameter(
  into: { -readonly [Key in keyof MailParameters]: MailParameters[Key] },
  keyword: string,
  value: string | undefined,
): ParameterFault | null {
  const word = value?.toLowerCase();
  switch (keyword) {
    case "SIZE": // RFC 1870 §4: up to 20 digits
      if (value === undefined || !/^[0-9]{1,20}$/.test(value)) return "bad-parameter";
      into.sizeBytes = Number(value);
      return null;
    case "BODY": // RFC 6152 §2, RFC 3030 §3
      if (word !== "7bit" && word !== "8bitmime" && word !== "binarymime") return "bad-parameter";
      into.body = word;
      return null;
    case "SMTPUTF8": // RFC 6531 §3.4
      if (value !== undefined) return "bad-parameter";
      into.utf8 = true;
      return null;
    case "REQUIRETLS": // RFC 8689 §2
      if (value !== undefined) return "bad-parameter";
      into.requireTls = true;
      return null;
    case "RET": // RFC 3461 §4.3
      if (word !== "full" && word !== "hdrs") return "bad-parameter";
      into.dsnReturn = word === "full" ? "full" : "headers";
      return null;
    case "ENVID": {
      const id = value === undefined || value.length > 100 ? null : decodeXtext(value); // §4.4
      if (id === null) return "bad-parameter";
      into.envelopeId = id;
      return null;
    }
    case "AUTH": // RFC 4954 §5: understood, and like "<>" never believed
      return value === undefined || decodeXtext(value) === null ? "bad-parameter" : null;
    default:
      return "unknown-parameter";
  }
}

const noWishes: DsnWishes = {};

export function readRecipientParameters(
  line: string,
  at: number,
): Result<DsnWishes, ParameterFault> {
  if (at === line.length) return accept(noWishes);
  const pairs = readPairs(line, at);
  if (!pairs.ok) return pairs;
  const wishes: { -readonly [Key in keyof DsnWishes]: DsnWishes[Key] } = {};
  for (const [keyword, value] of pairs.value) {
    if (keyword === "NOTIFY") {
      const notify = parseNotify(value ?? "");
      if (notify === null) return refuse("bad-parameter", at);
      wishes.notify = notify;
    } else if (keyword === "ORCPT") {
      if (value === undefined || !isOriginalRecipient(value)) return refuse("bad-parameter", at);
      wishes.originalRecipient = value;
    } else return refuse("unknown-parameter", at);
  }
  return accept(wishes);
}

/** RFC 3461 §4.1: NEVER stands alone. */
function parseNotify(value: string): NonNullable<DsnWishes["notify"]> | null {
  const words = value.toLowerCase().split(",");
  if (words.length === 1 && words[0] === "never") return ["never"];
  const wishes: ("success" | "failure" | "delay")[] = [];
  for (const word of words) {
    if (word !== "success" && word !== "failure" && word !== "delay") return null;
    if (wishes.includes(word)) return null;
    wishes.push(word);
  }
  return wishes;
}

/** RFC 3461 §4.2, and the utf-8 address type of RFC 6533 §3; 500 characters at most. */
function isOriginalRecipient(value: string): boolean {
  if (value.length > 500) return false;
  const semicolon = value.indexOf(";");
  const type = value.slice(0, Math.max(semicolon, 0)).toLowerCase();
  const address = value.slice(semicolon + 1);
  if (!/^[a-z0-9-]+$/.test(type) || address === "") return false;
  if (type === "utf-8") return /^[!-<>-~\u0080-\u{10ffff}]+$/u.test(address);
  return decodeXtext(address) !== null;
}
