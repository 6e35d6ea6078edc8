/** IP addresses as octets and as text (RFC 4291 §2.2, RFC 5952 §4). */

import { Buffer } from "node:buffer";
import { BlockList, isIP } from "node:net";

const decimal = /^(?:0|[1-9]\d{0,2})$/;
const hextet = /^[0-9A-Fa-f]{1,4}$/;

/** Four or sixteen octets; undefined when the text is no address. Zone identifiers are refused. */
export function parseIp(text: string): Buffer | undefined {
  if (text.length > 45) return undefined; // the longest form, with a dotted quad at the end
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Buffer | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const octets = Buffer.allocUnsafe(4);
  for (const [index, part] of parts.entries()) {
    const value = Number(part);
    if (!decimal.test(part) || value > 255) return undefined;
    octets[index] = value;
  }
  return octets;
}

function parseIpv6(text: string): Buffer | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = hextets(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? hextets(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return Buffer.from([...head, ...Array<number>(missing).fill(0), ...tail]);
}

/** Octets of "a:b:c"; only the last part of an address may be a dotted quad. */
function hextets(text: string, last: boolean): number[] | undefined {
  if (text === "") return [];
  const octets: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (last && index === parts.length - 1 && part.includes(".")) {
      const quad = parseIpv4(part);
      if (quad === undefined) return undefined;
      octets.push(...quad);
    } else {
      if (!hextet.test(part)) return undefined;
      const value = Number.parseInt(part, 16);
      octets.push(value >> 8, value & 0xff);
    }
  }
  return octets;
}

/** Are the first bits the same? Different families never match. */
export function isInNetwork(address: Uint8Array, network: Uint8Array, bits: number): boolean {
  if (address.length !== network.length) return false;
  const whole = bits >> 3;
  for (let at = 0; at < whole; at += 1) if (address[at] !== network[at]) return false;
  const rest = bits & 7;
  if (rest === 0) return true;
  return ((address[whole] ?? 0) ^ (network[whole] ?? 0)) >> (8 - rest) === 0;
}

/** Addresses whose first bits are those of the network. */
export interface IpRange {
  /** Four or sixteen. */
  readonly octets: Uint8Array;
  readonly bits: number;
}

/** @param text "192.0.2.0/24", "2001:db8::/32" or one address; undefined when it is none of these */
export function parseRange(text: string): IpRange | undefined {
  const [address = "", digits, more] = text.trim().split("/");
  const octets = parseIp(address);
  if (octets === undefined || more !== undefined) return undefined;
  const most = octets.length * 8;
  if (digits === undefined) return { octets, bits: most };
  const bits = /^(?:0|[1-9]\d{0,2})$/.test(digits) ? Number(digits) : most + 1;
  return bits <= most ? { octets, bits } : undefined;
}

/**
 * What an administrator has to mend in a text that ought to be a network; undefined when nothing is
 * wrong. Bits behind the prefix are a slip: one host was meant, or another network.
 */
export function networkFault(text: string): string | undefined {
  const range = parseRange(text);
  if (range === undefined) return "is not a network, as 192.0.2.0/24";
  const { octets, bits } = range;
  const first = octets.map(
    (octet, at) => octet & (0xff << Math.min(8, Math.max(0, 8 * at + 8 - bits))),
  );
  if (first.every((octet, at) => octet === octets[at])) return undefined;
  return `names a host and a network: write ${formatIp(octets)} or ${formatIp(first)}/${bits}`;
}

/** @param octets four or sixteen; anything else is a bug of the caller */
export function formatIp(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) {
    groups.push(((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0));
  }
  const [from, to] = longestZeros(groups);
  const words = (some: number[]): string => some.map((group) => group.toString(16)).join(":");
  if (to - from < 2) return words(groups); // RFC 5952 §4.2.2: one group is never shortened
  return `${words(groups.slice(0, from))}::${words(groups.slice(to))}`;
}

function longestZeros(groups: readonly number[]): readonly [number, number] {
  let best: readonly [number, number] = [0, 0];
  let from = 0;
  for (let at = 0; at <= groups.length; at += 1) {
    if (groups[at] === 0) continue;
    if (at - from > best[1] - best[0]) best = [from, at];
    from = at + 1;
  }
  return best;
}

/** RFC 6890: what is not the public Internet, and multicast. */
const notPublic = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const) {
  notPublic.addSubnet(network, bits, "ipv4");
}
for (const [network, bits] of [
  ["::", 96],
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["2002::", 16], // 6to4 wraps any IPv4 address
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["2001::", 32], // Teredo wraps any IPv4 address too
  ["::ffff:0:0:0", 96],
  ["ff00::", 8],
] as const) {
  notPublic.addSubnet(network, bits, "ipv6");
}

/** An IPv4 address written as IPv6 (::ffff:a.b.c.d) counts as what it is. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0 || address.includes("%")) return false;
  return !notPublic.check(address, family === 4 ? "ipv4" : "ipv6");
}

/**
 * What counts as one client: an IPv4 address, or the first 64 bits of an IPv6 address, which one
 * host may have to itself (RFC 4291 §2.5.1). An address that is none counts as itself.
 *
 * @returns "192.0.2.1", or "2001:db8:1:2::/64"
 */
export function clientNetwork(address: string): string {
  const plain = plainAddress(address);
  const octets = plain.includes(":") ? parseIp(plain) : undefined;
  return octets === undefined ? plain : `${formatIp(octets.fill(0, 8))}/64`;
}

/** Without a zone; an IPv4 address that came on an IPv6 socket, as IPv4 (RFC 4291 §2.5.5.2). */
export function plainAddress(address: string): string {
  if (!address.includes(":")) return address;
  const percent = address.indexOf("%");
  const plain = percent < 0 ? address : address.slice(0, percent);
  // What is no such address is not parsed: this is asked of each connection.
  if (!/^[0:]+:ffff:/i.test(plain)) return plain;
  const octets = parseIp(plain);
  const isMapped = octets !== undefined && isInNetwork(octets, mapped, 96);
  return isMapped ? formatIp(octets.subarray(12)) : plain;
}

const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0);
