/** DNS messages: the query we send and what we take from a response (RFC 1035 §4, RFC 6891). */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import { readData, readSoaMinimum } from "./data.ts";
import { decodeName } from "./name.ts";
import { type DnsRecord, optNumber, type RecordType, soaNumber, typeNumber } from "./record.ts";

/** Fits every path without fragments (DNS flag day 2020). */
const udpPayload = 1232;
const classIn = 1;
const maxAliases = 16;

export interface Question {
  readonly id: number;
  /** As on the wire. */
  readonly name: Buffer;
  readonly type: RecordType;
}

export interface Response {
  /** RFC 1035 §4.1.1: 0 no error, 1 format error, 2 server failure, 3 name error, 5 refused. */
  readonly rcode: number;
  /** The rest is empty then: ask again by TCP. */
  readonly truncated: boolean;
  readonly authenticated: boolean;
  readonly records: readonly DnsRecord[];
  /** Seconds: the least of the records and aliases. */
  readonly ttl: number;
  /** Where the chain of aliases ended, when there is nothing of the type at its end. */
  readonly alias?: string;
  /** Seconds that "there is none" holds, when the server says so (RFC 2308 §5). */
  readonly negativeTtl?: number;
}

export type ResponseFault =
  | "too-long"
  | "truncated-message"
  | "not-the-answer"
  | "bad-name"
  | "bad-record";

export function formatQuery(question: Question, edns: boolean): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(question.id, 0);
  head.writeUInt16BE(0x0120, 2); // recursion desired; AD: tell us whether you verified (RFC 6840 §5.7)
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(edns ? 1 : 0, 10);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(typeNumber[question.type], 0);
  tail.writeUInt16BE(classIn, 2);
  if (!edns) return Buffer.concat([head, question.name, tail]);
  const opt = Buffer.alloc(11); // RFC 6891 §6.1.2: root name, OPT, payload size, no flags, no options
  opt.writeUInt16BE(optNumber, 1);
  opt.writeUInt16BE(udpPayload, 3);
  return Buffer.concat([head, question.name, tail, opt]);
}

/**
 * Takes the answer to our question; everything that we did not ask for is passed over.
 *
 * @param message untrusted
 */
export function parseResponse(
  message: Buffer,
  question: Question,
): Result<Response, ResponseFault> {
  if (message.length > 0xffff) return refuse("too-long", 0xffff);
  const body = matchQuestion(message, question);
  if (!body.ok) return body;
  const flags = message.readUInt16BE(2);
  const facts = { rcode: flags & 0x0f, authenticated: (flags & 0x20) !== 0 };
  if ((flags & 0x0200) !== 0) {
    return accept({ ...facts, truncated: true, records: [], ttl: 0 });
  }
  const answers = message.readUInt16BE(6);
  const entries = readEntries(message, body.value, answers, answers + message.readUInt16BE(8));
  if (!entries.ok) return entries;
  const answer = followAliases(message, question, entries.value);
  if (!answer.ok) return answer;
  return accept({ ...facts, truncated: false, ...answer.value });
}

/** Where the answer section begins, when the message answers exactly this question. */
function matchQuestion(message: Buffer, question: Question): Result<number, ResponseFault> {
  const end = 12 + question.name.length;
  if (message.length < 12) return refuse("truncated-message", message.length);
  const flags = message.readUInt16BE(2);
  const isResponse = (flags & 0xf800) === 0x8000; // QR set, opcode QUERY
  if (message.readUInt16BE(0) !== question.id || !isResponse) return refuse("not-the-answer", 0);
  if (message.readUInt16BE(4) !== 1 || message.length < end + 4) return refuse("not-the-answer", 4);
  const asked = message.toString("latin1", 12, end).toLowerCase();
  const matches =
    asked === question.name.toString("latin1").toLowerCase() &&
    message.readUInt16BE(end) === typeNumber[question.type] &&
    message.readUInt16BE(end + 2) === classIn;
  return matches ? accept(end + 4) : refuse("not-the-answer", 12);
}

/** One resource record, its data still as octets. */
interface Entry {
  readonly section: "answer" | "authority";
  readonly owner: string;
  readonly type: number;
  readonly ttl: number;
  readonly from: number;
  readonly to: number;
}

function readEntries(
  message: Buffer,
  start: number,
  answers: number,
  count: number,
): Result<readonly Entry[], ResponseFault> {
  const entries: Entry[] = [];
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const owner = decodeName(message, at);
    if (owner === undefined) return refuse("bad-name", at);
    const from = owner.end + 10;
    if (from > message.length) return refuse("truncated-message", at);
    const to = from + message.readUInt16BE(from - 2);
    if (to > message.length) return refuse("truncated-message", at);
    const ttl = message.readUInt32BE(owner.end + 4);
    if (message.readUInt16BE(owner.end + 2) === classIn) {
      entries.push({
        section: index < answers ? "answer" : "authority",
        owner: owner.text,
        type: message.readUInt16BE(owner.end),
        ttl: ttl >= 0x8000_0000 ? 0 : ttl, // RFC 2181 §8
        from,
        to,
      });
    }
    at = to;
  }
  return accept(entries);
}

type Answer = Pick<Response, "records" | "ttl" | "alias" | "negativeTtl">;

/** The records at the end of the chain of aliases that starts at the asked name. */
function followAliases(
  message: Buffer,
  question: Question,
  entries: readonly Entry[],
): Result<Answer, ResponseFault> {
  const wanted = typeNumber[question.type];
  const byOwner = Map.groupBy(
    entries.filter((entry) => entry.section === "answer"),
    (entry) => entry.owner,
  );
  let name = decodeName(question.name, 0)?.text ?? "";
  let ttl = 0x7fff_ffff;
  let followed = 0;
  for (;;) {
    const own = byOwner.get(name) ?? [];
    const records: DnsRecord[] = [];
    for (const entry of own) {
      if (entry.type !== wanted) continue;
      const data = readData(message, question.type, entry.from, entry.to);
      if (data === "bad") return refuse("bad-record", entry.from);
      if (data !== "unusable") records.push(data);
      ttl = Math.min(ttl, entry.ttl);
    }
    if (records.length > 0) return accept({ records, ttl });
    const alias = own.find((entry) => entry.type === typeNumber.CNAME);
    if (alias === undefined || followed === maxAliases) break;
    const target = decodeName(message, alias.from);
    if (target === undefined || target.end > alias.to) return refuse("bad-name", alias.from);
    ttl = Math.min(ttl, alias.ttl);
    name = target.text;
    followed += 1;
  }
  const negativeTtl = readNegativeTtl(message, entries);
  return accept({
    records: [],
    ttl: followed > 0 ? ttl : 0,
    ...(followed > 0 && { alias: name }),
    ...(negativeTtl !== undefined && { negativeTtl }),
  });
}

/** RFC 2308 §5: the lesser of the SOA's own time and its MINIMUM field. */
function readNegativeTtl(message: Buffer, entries: readonly Entry[]): number | undefined {
  const soa = entries.find((one) => one.section === "authority" && one.type === soaNumber);
  if (soa === undefined) return undefined;
  const minimum = readSoaMinimum(message, soa.from, soa.to);
  return minimum === undefined ? undefined : Math.min(soa.ttl, minimum);
}
