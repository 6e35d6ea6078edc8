/** Answers of rspamd (HTTP and JSON) and of spamd (SPAMD, spamd/PROTOCOL), read with distrust. */

import { accept, type Result, refuse } from "#base/result";
import type { SpamFilterFault, SpamScore, SpamSymbol } from "./types.ts";

export type AnswerFault = Extract<
  SpamFilterFault,
  "answer-too-long" | "no-answer" | "refused" | "bad-head" | "wrong-length" | "bad-body"
>;

/** Our limits; honest answers have a few KiB and some dozens of symbols. */
export const maxAnswerBytes = 1_048_576;
const maxHeadBytes = 16_384;
const maxSymbols = 500;
const maxScore = 100_000;

/** A status line and the code that means success. */
interface Protocol {
  readonly statusLine: RegExp;
  readonly success: string;
}

const http: Protocol = { statusLine: /^HTTP\/1\.[01] (\d{3})(?: |$)/, success: "200" };
const spamd: Protocol = { statusLine: /^SPAMD\/\d\.\d (\d{1,3})(?: |$)/, success: "0" };

const blankLine = "\r\n\r\n";
const decimal = /^-?\d{1,9}(?:\.\d{1,9})?$/;
const symbolName = /^[\x21-\x7e]{1,128}$/;
const actionName = /^[\x20-\x7e]{1,64}$/;

/** @param octets untrusted: all that came until the connection ended */
export function parseRspamdAnswer(octets: Buffer): Result<SpamScore, AnswerFault> {
  const read = readAnswer(octets, http);
  if (!read.ok) return read;
  const { body, bodyAt } = read.value;
  const answer = parseJson(body.toString("utf8"));
  if (!isRecord(answer)) return refuse("bad-body", bodyAt);
  const { score, required_score: required, action } = answer;
  const symbols = readSymbols(answer["symbols"] ?? {});
  const isAction = action === undefined || (typeof action === "string" && actionName.test(action));
  if (!isScore(score) || !isScore(required) || required <= 0 || !isAction || !symbols) {
    return refuse("bad-body", bodyAt);
  }
  return accept({ score, required, ...(action !== undefined && { action }), symbols });
}

/** @param octets untrusted: all that came until the connection ended */
export function parseSpamdAnswer(octets: Buffer): Result<SpamScore, AnswerFault> {
  const read = readAnswer(octets, spamd);
  if (!read.ok) return read;
  const { fields, body, bodyAt } = read.value;
  // "True ; 1000.0 / 5.0"
  const [verdict, numbers = "", ...more] = (fields.get("spam") ?? "").split(";");
  const [score, required, ...rest] = numbers.split("/").map(readDecimal);
  const isVerdict = verdict?.trim() === "True" || verdict?.trim() === "False";
  if (!isVerdict || more.length > 0 || rest.length > 0) return refuse("bad-head");
  if (!isScore(score) || !isScore(required) || required <= 0) return refuse("bad-head");

  const names = body.toString("latin1").trim();
  const symbols = names === "" ? [] : names.split(",", maxSymbols).map((name) => ({ name }));
  const isNamed = symbols.every(({ name }) => symbolName.test(name));
  return isNamed ? accept({ score, required, symbols }) : refuse("bad-body", bodyAt);
}

interface Answer {
  /** By name in lower case; a repeated one has its values joined by commas. */
  readonly fields: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly bodyAt: number;
}

function readAnswer(octets: Buffer, protocol: Protocol): Result<Answer, AnswerFault> {
  if (octets.length === 0) return refuse("no-answer");
  if (octets.length > maxAnswerBytes) return refuse("answer-too-long", maxAnswerBytes);
  const start = octets.toString("latin1", 0, maxHeadBytes);
  const end = start.indexOf(blankLine);
  const [first = "", ...lines] = (end < 0 ? start : start.slice(0, end)).split("\r\n");
  const status = protocol.statusLine.exec(first)?.[1];
  if (status === undefined) return refuse("bad-head");
  // Looked at first: spamd says a refusal in this one line, without a blank one.
  if (status !== protocol.success) return refuse("refused");
  if (end < 0) return refuse("bad-head", start.length);

  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) return refuse("bad-head");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  // RFC 9112 §6.1: nobody may send an encoded body to a client of HTTP/1.0.
  if (fields.has("transfer-encoding")) return refuse("bad-head");
  const length = fields.get("content-length") ?? "";
  if (!/^\d{1,9}$/.test(length)) return refuse("bad-head");
  const bodyAt = end + blankLine.length;
  const body = octets.subarray(bodyAt);
  return Number(length) === body.length
    ? accept({ fields, body, bodyAt })
    : refuse("wrong-length", bodyAt);
}

function readSymbols(given: unknown): SpamSymbol[] | undefined {
  if (!isRecord(given)) return undefined;
  const symbols: SpamSymbol[] = [];
  for (const [name, about] of Object.entries(given).slice(0, maxSymbols)) {
    if (!symbolName.test(name) || !isRecord(about) || !isScore(about["score"])) return undefined;
    symbols.push({ name, score: about["score"] });
  }
  return symbols;
}

function readDecimal(text: string): number {
  const trimmed = text.trim();
  return decimal.test(trimmed) ? Number(trimmed) : Number.NaN;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isScore(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= maxScore; // NaN is not
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
