/** Addresses as SPF writes and compares them (RFC 7208 §5, §7.3). */

import { formatIp } from "#base/ip";

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
