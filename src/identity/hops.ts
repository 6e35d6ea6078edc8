/**
 * Who sent a message to us or to the relays that we run or hire: SPF and Sender ID judge that host,
 * not our own relay (RFC 7208 §2.5; CAP-56).
 */

import { type IpRange, isInNetwork, parseIp } from "#base/ip";
import { type Header, valueOf } from "#formats/message";
import { parseReceived, type Received } from "#formats/received";
import type { Source } from "#model/connection";

/** Ours: a provider has fewer hops. */
const maxHops = 30;

/** Is that address in one of the ranges? A mapped one counts as IPv4 (RFC 4291 §2.5.5.2). */
export function isOwnRelay(address: string, own: readonly IpRange[]): boolean {
  const client = parseIp(address.replace(/^::ffff:(?=[^:]*$)/i, ""));
  return client !== undefined && own.some(({ octets, bits }) => isInNetwork(client, octets, bits));
}

/**
 * The first host outside the ranges. Each relay puts its Received field on top (RFC 5321 §4.4), so
 * the topmost field is that of the client; as long as a field names one of ours, the next one down
 * was written by one of ours too. What stands below the first stranger is the stranger's own word,
 * and is not looked at.
 *
 * @param own relays that we run and managed providers; what they write is believed
 */
export function findSource(
  header: Header,
  connection: { readonly clientAddress: string; readonly helo: string },
  own: readonly IpRange[],
): Source {
  const client = { address: connection.clientAddress, helo: connection.helo };
  if (!isOwnRelay(client.address, own)) return { kind: "direct", ...client, passed: 0 };
  let passed = 0;
  for (const field of header.fields) {
    if (field.key !== "received") continue;
    if (passed === maxHops) break;
    const hop = parseReceived(valueOf(header, field));
    passed += 1;
    if (hop.address === undefined) {
      if (isInternal(hop)) continue;
      break;
    }
    if (isLoopback(hop.address) || isOwnRelay(hop.address, own)) continue;
    return { kind: "relayed", address: hop.address, helo: hop.helo ?? "", passed };
  }
  return { kind: "unknown", ...client, passed };
}

/**
 * Large providers and qmail write fields without "from" between their own machines. Without a mail
 * protocol it is a program on the relay that wrote the message, and could have put any field below.
 */
function isInternal({ helo, protocol }: Received): boolean {
  return helo === undefined && /^E?SMTP/.test(protocol ?? "");
}

/** A filter on the relay itself. */
function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
