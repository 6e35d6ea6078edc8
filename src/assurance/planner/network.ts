/** Addresses and networks of a plan, each in one spelling. */

import { formatIp, isInNetwork, parseIp } from "#base/ip";

/** In the one right spelling; undefined when the text is no address. */
export function normalAddress(text: string): string | undefined {
  const octets = parseIp(text);
  return octets === undefined ? undefined : formatIp(octets);
}

/** "192.0.2.0/24"; undefined unless the text is a network without host bits. A lone address is one. */
export function normalNetwork(text: string): string | undefined {
  const [address = "", bitsText, ...more] = text.split("/");
  const octets = parseIp(address);
  if (octets === undefined || more.length > 0) return undefined;
  const most = octets.length * 8;
  if (bitsText !== undefined && !/^\d{1,3}$/.test(bitsText)) return undefined;
  const bits = bitsText === undefined ? most : Number(bitsText);
  if (bits > most || !hasNoHostBits(octets, bits)) return undefined;
  return `${formatIp(octets)}/${bits}`;
}

function hasNoHostBits(octets: Uint8Array, bits: number): boolean {
  return octets.every((octet, index) => {
    const ours = Math.min(8, Math.max(0, bits - index * 8));
    return (octet & (0xff >> ours)) === 0;
  });
}

/** @param network in the form of normalNetwork() */
export function isWithin(address: string, network: string): boolean {
  const [base = "", bits = ""] = network.split("/");
  const [octets, start] = [parseIp(address), parseIp(base)];
  if (octets === undefined || start === undefined) return false;
  return isInNetwork(octets, start, Number(bits));
}

export function overlaps(one: string, other: string): boolean {
  const [first = "", second = ""] = [one.split("/")[0], other.split("/")[0]];
  return isWithin(first, other) || isWithin(second, one);
}

export type Family = "ip" | "ip6";
export const families: readonly Family[] = ["ip", "ip6"];

/** Of addresses or networks, those of one family. */
export function ofFamily(texts: readonly string[], family: Family): readonly string[] {
  return texts.filter((text) => text.includes(":") === (family === "ip6"));
}
