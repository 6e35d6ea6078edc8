/** Addresses as SPF writes and compares them (RFC 7208 §5, §7.3). */

import { formatIp } from "#base/ip";

/** Are the first bits the same? Different families never match. */
export function isInNetwork(address: Uint8Array, network: Uint8Array, bits: number): boolean {
  if (address.length !== network.length) return false;
  const whole = bits >> 3;
  for (let at = 0; at < whole; at += 1) if (address[at] !== network[at]) return false;
  const rest = bits & 7;
  if (rest === 0) return true;
  return ((address[whole] ?? 0) ^ (network[whole] ?? 0)) >> (8 - rest) === 0;
}

/** Octets, or for IPv6 nibbles, each a label; "readable" is the usual text form. */
export function dotted(address: Uint8Array, form?: "readable"): string {
  if (form === "readable" || address.length === 4) return formatIp(address);
  return [...address].flatMap((octet) => [octet >> 4, octet & 15].map(hexDigit)).join(".");
}

/** Where the PTR records of an address are (RFC 1035 §3.5, RFC 3596 §2.5). */
export function reverseName(address: Uint8Array): string {
  const labels = dotted(address).split(".").reverse().join(".");
  return `${labels}.${address.length === 4 ? "in-addr" : "ip6"}.arpa`;
}

/** Upper case, as the RFC 7208 test suite has it; names do not care. */
function hexDigit(value: number): string {
  return value.toString(16).toUpperCase();
}
