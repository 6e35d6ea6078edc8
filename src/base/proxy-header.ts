/** The client's address as a trusted proxy hands it on: PROXY protocol, versions 1 and 2. */

import { Buffer } from "node:buffer";
import { BlockList, isIP } from "node:net";
import { Misconfigured } from "#base/errors";
import type { Endpoint } from "./net.ts";

export type ProxyHeader =
  | { readonly kind: "more" }
  | { readonly kind: "bad" }
  /** Without `from` the proxy speaks for itself (LOCAL, UNKNOWN). */
  | { readonly kind: "read"; readonly end: number; readonly from?: Endpoint };

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const versionOne = Buffer.from("PROXY ");
/** Longest line of version 1 with its CRLF. */
const maxLine = 107;
/** Our limit on version 2 with its extra fields. */
const maxBinary = 2048;
const more: ProxyHeader = { kind: "more" };
const bad: ProxyHeader = { kind: "bad" };

/** @param input untrusted octets from the start of the connection */
export function readProxyHeader(input: Buffer): ProxyHeader {
  if (startsLike(input, signature)) return readBinary(input);
  return startsLike(input, versionOne) ? readText(input) : bad;
}

function startsLike(input: Buffer, start: Buffer): boolean {
  const length = Math.min(input.length, start.length);
  return input.compare(start, 0, length, 0, length) === 0;
}

function readText(input: Buffer): ProxyHeader {
  const end = input.indexOf("\r\n");
  if (end < 0) return input.length > maxLine ? bad : more;
  if (end > maxLine - 2) return bad;
  const words = input.toString("latin1", 0, end).split(" ");
  if (words[1] === "UNKNOWN") return { kind: "read", end: end + 2 };
  const version = words[1] === "TCP4" ? 4 : words[1] === "TCP6" ? 6 : -1;
  const [, , host = "", to = "", port = ""] = words;
  if (words.length !== 6 || isIP(host) !== version || isIP(to) !== version) return bad;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) return bad;
  return { kind: "read", end: end + 2, from: { host, port: Number(port) } };
}

function readBinary(input: Buffer): ProxyHeader {
  if (input.length < 16) return more;
  const command = input[12];
  const family = input[13];
  const length = input.readUInt16BE(14);
  if (length + 16 > maxBinary || (command !== 0x20 && command !== 0x21)) return bad;
  if (input.length < 16 + length) return more;
  const end = 16 + length;
  if (command === 0x20) return { kind: "read", end }; // LOCAL: a health check
  if (family === 0x11) {
    if (length < 12) return bad;
    const host = [...input.subarray(16, 20)].join(".");
    return { kind: "read", end, from: { host, port: input.readUInt16BE(24) } };
  }
  if (family === 0x21) {
    if (length < 36) return bad;
    return { kind: "read", end, from: { host: ipv6At(input, 16), port: input.readUInt16BE(48) } };
  }
  return { kind: "read", end };
}

/** In the shortest form, so that one address has one spelling. */
function ipv6At(input: Buffer, at: number): string {
  const groups = Array.from({ length: 8 }, (_, group) =>
    input.readUInt16BE(at + 2 * group).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/**
 * Whom a PROXY header is believed.
 *
 * @param networks in CIDR notation, or single addresses
 * @throws Misconfigured
 */
export function trustOf(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    const version = isIP(address);
    const width = version === 4 ? 32 : 128;
    const prefix = bits === undefined ? width : Number(bits);
    if (version === 0 || !(Number.isInteger(prefix) && prefix >= 0 && prefix <= width)) {
      throw new Misconfigured(`"${network}" is no network`);
    }
    list.addSubnet(address, prefix, version === 4 ? "ipv4" : "ipv6");
  }
  if (networks.length === 0) return () => false;
  return (address) => {
    const version = isIP(address);
    return version !== 0 && list.check(address, version === 4 ? "ipv4" : "ipv6");
  };
}
