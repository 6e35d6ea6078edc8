/** Networks as records name them: their size, their union, and which are too wide (RFC 4632 §3.1). */

import { formatIp, parseIp } from "#base/ip";

export interface Network {
  /** Four or sixteen octets. */
  readonly octets: Uint8Array;
  readonly bits: number;
}

/** "192.0.2.1", "192.0.2.0/24", "2001:db8::/32"; undefined when it is none of these. */
export function parseNetwork(text: string): Network | undefined {
  const [address = "", digits, more] = text.split("/");
  const octets = parseIp(address);
  if (octets === undefined || more !== undefined) return undefined;
  const most = octets.length * 8;
  if (digits === undefined) return { octets, bits: most };
  const bits = /^(?:0|[1-9]\d{0,2})$/.test(digits) ? Number(digits) : most + 1;
  return bits <= most ? { octets, bits } : undefined;
}

/** Without the bits beyond the prefix, and without a prefix that says nothing. */
export function formatNetwork(network: Network): string {
  const { bits } = network;
  const text = formatIp(octetsOf(firstOf(network), network.octets.length));
  return bits === network.octets.length * 8 ? text : `${text}/${bits}`;
}

/** Some address that a person would take from it: not the one that names the network. */
export function sampleOf(network: Network): string {
  const isSingle = network.bits >= network.octets.length * 8 - 1;
  return formatIp(octetsOf(firstOf(network) + (isSingle ? 0n : 1n), network.octets.length));
}

export function holds(network: Network, other: Network): boolean {
  if (network.octets.length !== other.octets.length || network.bits > other.bits) return false;
  return firstOf(network) === firstOf({ ...other, bits: network.bits });
}

/** "1 address", "256 addresses, 192.0.2.0 to 192.0.2.255", "2^64 addresses, ...". */
export function sizeWords(network: Network): string {
  const { octets, bits } = network;
  const free = octets.length * 8 - bits;
  if (free === 0) return "1 address";
  const count = free > 32 ? `2^${free}` : countWords(2n ** BigInt(free));
  const [first, last] = [firstOf(network), lastOf(network)].map((value) =>
    formatIp(octetsOf(value, octets.length)),
  );
  return `${count} addresses, ${first} to ${last}`;
}

/** With commas; beyond a trillion as the next power of two. */
export function countWords(count: bigint): string {
  if (count < 10n ** 12n) return count.toLocaleString("en-US");
  const power = count.toString(2).length - 1;
  return count === 2n ** BigInt(power) ? `2^${power}` : `about 2^${power}`;
}

/** How many addresses of one family the networks hold together; what two of them share counts once. */
export function countAddresses(networks: readonly Network[], octets: 4 | 16): bigint {
  const spans = networks
    .filter((network) => network.octets.length === octets)
    .map((network) => [firstOf(network), lastOf(network)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  let count = 0n;
  let reached = -1n;
  for (const [first, last] of spans) {
    if (last <= reached) continue;
    count += last - (first > reached ? first - 1n : reached);
    reached = last;
  }
  return count;
}

function firstOf({ octets, bits }: Network): bigint {
  const free = BigInt(octets.length * 8 - bits);
  return (numberOf(octets) >> free) << free;
}

function lastOf(network: Network): bigint {
  return firstOf(network) + 2n ** BigInt(network.octets.length * 8 - network.bits) - 1n;
}

function numberOf(octets: Uint8Array): bigint {
  let value = 0n;
  for (const octet of octets) value = (value << 8n) | BigInt(octet);
  return value;
}

function octetsOf(value: bigint, length: number): Uint8Array {
  const octets = new Uint8Array(length);
  for (let at = length - 1, rest = value; at >= 0; at -= 1, rest >>= 8n) {
    octets[at] = Number(rest & 0xffn);
  }
  return octets;
}

/** "bad": a share of the whole Internet. "wide": more than one organisation's servers need. */
export function widthOf({ octets, bits }: Network): "bad" | "wide" | "usual" {
  const [bad, wide] = octets.length === 4 ? [8, 16] : [19, 32];
  return bits <= bad ? "bad" : bits <= wide ? "wide" : "usual";
}

/**
 * Parts of what the large clouds rent out by the hour. Their lists change, so this is a sample: it
 * can warn, and its silence says nothing.
 */
const rented: readonly Network[] = [
  "3.0.0.0/9",
  "18.128.0.0/9",
  "52.0.0.0/10",
  "54.64.0.0/11",
  "34.64.0.0/10",
  "35.184.0.0/13",
  "35.192.0.0/12",
  "13.64.0.0/11",
  "20.33.0.0/16",
  "20.40.0.0/13",
  "40.64.0.0/13",
  "104.40.0.0/13",
  "104.16.0.0/13",
  "172.64.0.0/13",
  "51.68.0.0/16",
  "65.108.0.0/15",
  "95.216.0.0/15",
  "138.68.0.0/16",
  "159.65.0.0/16",
  "167.99.0.0/16",
  "172.104.0.0/15",
  "2600:1f00::/24",
  "2600:1900::/28",
  "2603:1000::/24",
  "2a01:4f8::/29",
].flatMap((text) => parseNetwork(text) ?? []);

/** Is it a range (not some single servers) out of what anybody may rent? */
export function isRented(network: Network): boolean {
  const free = network.octets.length * 8 - network.bits;
  const isRange = network.octets.length === 4 ? free >= 6 : free > 64;
  return isRange && rented.some((one) => holds(one, network));
}
