/** A DNS server on loopback, and a resolver without a network, both answering from a zone object. */

import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { DnsAnswer, DnsRecord, RecordType, Resolver } from "#base/dns";
import { parseIp } from "#base/ip";
import type { Endpoint } from "#base/net";

/**
 * One record, in the shape that the SPF test suite has: `{ MX: [10, "mx.example.org"] }`. A TXT list
 * is several strings of one record. "TIMEOUT": questions for types not listed before it get no
 * answer; "SERVFAIL": they fail.
 */
export type ZoneEntry = Readonly<Record<string, unknown>> | "TIMEOUT" | "SERVFAIL";

/** Names without the last dot; "*.example.org" stands for names that are not listed. */
export type Zone = Readonly<Record<string, readonly ZoneEntry[]>>;

export interface FakeQuery {
  readonly name: string;
  readonly type: string;
  readonly transport: "udp" | "tcp" | "none";
}

export interface FakeDnsOptions {
  /** A free port of 127.0.0.1 when absent. */
  readonly listen?: Endpoint;
  /** Seconds of every answer. */
  readonly ttl?: number;
  /** Sets the AD bit. */
  readonly authenticated?: boolean;
  /** Leaves CNAMEs to the asker, as a server without recursion does. */
  readonly leaveAliases?: boolean;
}

export interface FakeDns extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** Every question that came, in order. */
  readonly queries: readonly FakeQuery[];
}

const typeNames: Readonly<Record<number, string>> = {
  1: "A",
  2: "NS",
  5: "CNAME",
  12: "PTR",
  15: "MX",
  16: "TXT",
  28: "AAAA",
  33: "SRV",
  52: "TLSA",
};

interface Outcome {
  readonly kind: "answer" | "timeout" | "servfail" | "nxdomain";
  /** Aliases passed on the way: owner and target. */
  readonly aliases: readonly (readonly [string, string])[];
  readonly owner: string;
  readonly values: readonly unknown[];
}

export async function startFakeDns(zone: Zone, options: FakeDnsOptions = {}): Promise<FakeDns> {
  const queries: FakeQuery[] = [];
  const reply = (query: Buffer, transport: "udp" | "tcp"): Buffer | undefined => {
    const question = readQuestion(query);
    queries.push({ name: question.name, type: question.type, transport });
    const outcome = lookUp(zone, question.name, question.type, options.leaveAliases === true);
    if (outcome.kind === "timeout") return undefined;
    const whole = writeReply(query, question, outcome, options);
    const limit = transport === "tcp" ? 65_535 : (question.payload ?? 512);
    if (whole.length <= limit) return whole;
    const cut = Buffer.from(whole.subarray(0, question.end));
    cut.writeUInt16BE(cut.readUInt16BE(2) | 0x0200, 2);
    cut.fill(0, 6, 12);
    return cut;
  };
  const { host, port: wishedPort } = options.listen ?? { host: "127.0.0.1", port: 0 };
  const tcp = createServer((socket) => serveTcp(socket, reply));
  tcp.listen(wishedPort, host);
  await once(tcp, "listening");
  const { port } = tcp.address() as { port: number };
  const udp = createSocket("udp4");
  udp.on("message", (message, from) => {
    const answer = reply(message, "udp");
    if (answer !== undefined) udp.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(port, host, resolve));
  return {
    endpoint: { host, port },
    queries,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => udp.close(() => resolve()));
      await new Promise<void>((resolve) => void tcp.close(() => resolve()));
    },
  };
}

/** For pure rooms: answers at once, and counts what it was asked. */
export function zoneResolver(zone: Zone): Resolver & { readonly queries: readonly FakeQuery[] } {
  const queries: FakeQuery[] = [];
  const resolver = {
    queries,
    cached: () => undefined,
    async query(name: string, type: RecordType): Promise<DnsAnswer> {
      queries.push({ name, type, transport: "none" });
      const labels = (name.endsWith(".") ? name.slice(0, -1) : name).split(".");
      const isName = labels.every((label) => label.length > 0 && label.length < 64);
      if (!isName || name.length > 253) return { kind: "none", nxdomain: true };
      const outcome = lookUp(zone, labels.join("."), type, false);
      if (outcome.kind === "timeout") return { kind: "failed", why: "timeout" };
      if (outcome.kind === "servfail") return { kind: "failed", why: "server failure" };
      const records = outcome.values.map((value) => toRecord(type, value));
      if (records.length === 0) return { kind: "none", nxdomain: outcome.kind === "nxdomain" };
      return { kind: "found", records, ttl: 300, authenticated: false };
    },
  };
  return resolver as Resolver & { readonly queries: readonly FakeQuery[] };
}

function lookUp(zone: Zone, name: string, type: string, leaveAliases: boolean): Outcome {
  const aliases: [string, string][] = [];
  for (let owner = name; aliases.length < 12; ) {
    const entries = entriesOf(zone, owner);
    if (entries === undefined) return { kind: "nxdomain", aliases, owner, values: [] };
    const found = valuesOf(entries, type);
    if (typeof found === "string") return { kind: found, aliases, owner, values: [] };
    const alias = found.length > 0 ? undefined : valuesOf(entries, "CNAME")[0];
    if (typeof alias !== "string" || alias.length === 1) {
      return { kind: "answer", aliases, owner, values: found };
    }
    aliases.push([owner, alias]);
    owner = alias;
    if (leaveAliases) return { kind: "answer", aliases, owner, values: [] };
  }
  return { kind: "servfail", aliases, owner: name, values: [] };
}

function entriesOf(zone: Zone, name: string): readonly ZoneEntry[] | undefined {
  const lower = name.toLowerCase();
  for (const [owner, entries] of Object.entries(zone)) {
    if (owner.toLowerCase() === lower) return entries;
  }
  return zone[`*.${lower.slice(lower.indexOf(".") + 1)}`];
}

/** SPF records stand for TXT where no TXT is listed; TXT "NONE" says that there is none. */
function valuesOf(
  entries: readonly ZoneEntry[],
  type: string,
): readonly unknown[] | "timeout" | "servfail" {
  const values: unknown[] = [];
  const hasText = entries.some((entry) => typeof entry === "object" && "TXT" in entry);
  for (const entry of entries) {
    if (entry === "TIMEOUT" || entry === "SERVFAIL") {
      if (values.length > 0) break;
      return entry === "TIMEOUT" ? "timeout" : "servfail";
    }
    const key = type === "TXT" && !hasText ? "SPF" : type;
    if (typeof entry === "object" && key in entry && entry[key] !== "NONE") values.push(entry[key]);
  }
  return values;
}

function toRecord(type: RecordType, value: unknown): DnsRecord {
  const lower = (text: unknown): string => String(text).toLowerCase();
  switch (type) {
    case "A":
    case "AAAA":
      return { address: String(value) };
    case "MX": {
      const [preference, exchange] = value as [number, string];
      return { preference, exchange: exchange === "" ? "." : lower(exchange) };
    }
    case "TXT":
      return { text: stringsOf(value).map(utf8AsLatin1).join("") };
    case "PTR":
    case "CNAME":
    case "NS":
      return { name: lower(value) };
    case "SRV":
    case "TLSA":
      return value as DnsRecord;
  }
}

function stringsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [String(value)];
}

function utf8AsLatin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function readQuestion(query: Buffer): {
  readonly name: string;
  readonly type: string;
  readonly end: number;
  /** What OPT says, when there is one. */
  readonly payload: number | undefined;
} {
  const labels: string[] = [];
  let at = 12;
  for (let size = query[at] ?? 0; size > 0; size = query[at] ?? 0) {
    labels.push(query.toString("utf8", at + 1, at + 1 + size));
    at += size + 1;
  }
  const end = at + 5;
  const hasOpt = query.readUInt16BE(10) === 1;
  return {
    name: labels.join("."),
    type: typeNames[query.readUInt16BE(at + 1)] ?? "other",
    end,
    payload: hasOpt ? query.readUInt16BE(end + 3) : undefined,
  };
}

function writeReply(
  query: Buffer,
  { end, type }: { readonly end: number; readonly type: string },
  outcome: Outcome,
  options: FakeDnsOptions,
): Buffer {
  const ttl = options.ttl ?? 300;
  const records = [
    ...outcome.aliases.map(([owner, target]) => record(owner, 5, ttl, wireName(target))),
    ...outcome.values.map((value) =>
      record(outcome.owner, numberOf(type), ttl, dataOf(type, value)),
    ),
  ];
  const head = Buffer.from(query.subarray(0, end));
  const rcode = outcome.kind === "nxdomain" ? 3 : outcome.kind === "servfail" ? 2 : 0;
  head.writeUInt16BE(0x8180 | (options.authenticated ? 0x20 : 0) | rcode, 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...records]);
}

function numberOf(type: string): number {
  return Number(Object.entries(typeNames).find(([, name]) => name === type)?.[0] ?? 0);
}

function record(owner: string, type: number, ttl: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([wireName(owner), fixed, data]);
}

function wireName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  const parts = labels.flatMap((label) => {
    const octets = Buffer.from(label, "utf8");
    return [Buffer.from([octets.length]), octets];
  });
  return Buffer.concat([...parts, Buffer.from([0])]);
}

function dataOf(type: string, value: unknown): Buffer {
  switch (type) {
    case "A":
    case "AAAA":
      return parseIp(String(value)) ?? Buffer.alloc(0);
    case "MX": {
      const [preference, exchange] = value as [number, string];
      return Buffer.concat([Buffer.from([preference >> 8, preference & 0xff]), wireName(exchange)]);
    }
    case "TXT":
      return Buffer.concat(stringsOf(value).flatMap(textStrings));
    case "SRV": {
      const { priority, weight, port, target } = value as Record<string, number | string>;
      const numbers = [priority, weight, port].map(Number).flatMap((n) => [n >> 8, n & 0xff]);
      return Buffer.concat([Buffer.from(numbers), wireName(String(target))]);
    }
    case "TLSA": {
      const { usage, selector, matching, data } = value as Record<string, number | string>;
      const numbers = [usage, selector, matching].map(Number);
      return Buffer.concat([Buffer.from(numbers), Buffer.from(String(data), "hex")]);
    }
    default:
      return wireName(String(value));
  }
}

/** Character strings of at most 255 octets. */
function textStrings(text: string): Buffer[] {
  const octets = Buffer.from(text, "utf8");
  const strings: Buffer[] = [];
  for (let at = 0; at === 0 || at < octets.length; at += 255) {
    const piece = octets.subarray(at, at + 255);
    strings.push(Buffer.from([piece.length]), piece);
  }
  return strings;
}

function serveTcp(
  socket: Socket,
  reply: (query: Buffer, transport: "tcp") => Buffer | undefined,
): void {
  let held = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
      const end = 2 + held.readUInt16BE(0);
      const answer = reply(held.subarray(2, end), "tcp");
      held = held.subarray(end);
      if (answer === undefined) continue;
      socket.write(
        Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 0xff]), answer]),
      );
    }
  });
}
