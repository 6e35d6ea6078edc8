/** What may be an address here: narrower than RFC 5321 §4.1.2, no quoted strings and no literals. */

import { parseDomain, parseMailbox } from "#formats/address";

/** Lower case, A-labels (RFC 5890 §2.3.1). */
export function isDomainName(name: string): boolean {
  return parseDomain(name) === name;
}

export function isAddress(address: string): boolean {
  const quoted = address.startsWith('"') || address.endsWith("]");
  return !quoted && parseMailbox(address, true).ok;
}
