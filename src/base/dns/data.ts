/** Record data, type by type (RFC 1035 §3.3, RFC 3596 §2.2, RFC 2782, RFC 6698 §2.1). */

import type { Buffer } from "node:buffer";
import { formatIp } from "#base/ip";
import { decodeName } from "./name.ts";
import type { DnsRecord, RecordType } from "./record.ts";

/** "bad": the octets are not of that type. "unusable": sound, but with a name that no text holds. */
type Reading<Data> = Data | "bad" | "unusable";

/** @param from first octet of the data in the message, `to` the one behind the last */
export function readData(
  message: Buffer,
  type: RecordType,
  from: number,
  to: number,
): Reading<DnsRecord> {
  switch (type) {
    case "A":
      return to - from === 4 ? { address: formatIp(message.subarray(from, to)) } : "bad";
    case "AAAA":
      return to - from === 16 ? { address: formatIp(message.subarray(from, to)) } : "bad";
    case "MX":
      return withName(message, from + 2, to, (exchange) => ({
        preference: message.readUInt16BE(from),
        exchange,
      }));
    case "PTR":
    case "CNAME":
    case "NS":
      return withName(message, from, to, (name) => ({ name }));
    case "TXT":
      return readText(message, from, to);
    case "SRV":
      return withName(message, from + 6, to, (target) => ({
        priority: message.readUInt16BE(from),
        weight: message.readUInt16BE(from + 2),
        port: message.readUInt16BE(from + 4),
        target,
      }));
    case "TLSA":
      if (to - from < 4) return "bad";
      return {
        usage: message.readUInt8(from),
        selector: message.readUInt8(from + 1),
        matching: message.readUInt8(from + 2),
        data: message.toString("hex", from + 3, to),
      };
  }
}

function withName<Data>(
  message: Buffer,
  from: number,
  to: number,
  make: (name: string) => Data,
): Reading<Data> {
  const name = from < to ? decodeName(message, from) : undefined;
  if (name === undefined || name.end !== to) return "bad";
  return name.text.includes("\\") ? "unusable" : make(name.text);
}

function readText(message: Buffer, from: number, to: number): Reading<{ readonly text: string }> {
  let text = "";
  for (let at = from; at < to; ) {
    const end = at + 1 + (message[at] ?? 0);
    if (end > to) return "bad";
    text += message.toString("latin1", at + 1, end);
    at = end;
  }
  return { text };
}

/** The last of the five numbers that follow the two names of a SOA (RFC 1035 §3.3.13). */
export function readSoaMinimum(message: Buffer, from: number, to: number): number | undefined {
  const primary = decodeName(message, from);
  const mailbox = primary === undefined ? undefined : decodeName(message, primary.end);
  return mailbox?.end === to - 20 ? message.readUInt32BE(to - 4) : undefined;
}
