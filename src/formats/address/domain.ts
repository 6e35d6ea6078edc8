/** Domains and address literals as mail writes them (RFC 5321 §4.1.2, §4.1.3; RFC 5890 for U-labels). */

import { domainToASCII, domainToUnicode } from "node:url";

/** RFC 5321 §4.5.3.1.2, in octets. */
const maxDomain = 255;

const ldhName = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/;
const hyphenAtEdge = /^-|-$|\.-|-\./;
const longLabel = /[^.]{64}/;
const ascii = /^[\0-\x7f]*$/;
/** In a U-label name every ASCII character is still a letter, a digit, a hyphen or a dot. */
const unicodeName = /^[A-Za-z0-9.\u0080-\u{10ffff}-]+$/u;
const hexGroup = /^[0-9a-f]{1,4}$/;
const ipv4 = /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/**
 * A host or mail domain in its one canonical form: lower case, A-labels, no final dot.
 *
 * @param text untrusted
 * @param utf8 whether U-labels may appear (RFC 6531 §3.3)
 * @returns null when it is no domain
 */
export function parseDomain(text: string, utf8 = false): string | null {
  if (text.length === 0 || text.length > maxDomain) return null;
  let name = text.toLowerCase();
  if (!ascii.test(name)) {
    if (!utf8 || !unicodeName.test(name)) return null;
    const encoded = domainToASCII(name);
    // A name that Unicode mapping would turn into another one is refused, so that what a person
    // reads and what DNS is asked stay the same.
    if (encoded === "" || domainToUnicode(encoded) !== name) return null;
    name = encoded;
  }
  if (name.length > maxDomain || !ldhName.test(name)) return null;
  if (hyphenAtEdge.test(name) || longLabel.test(name)) return null;
  return name;
}

/** @returns "[192.0.2.1]" or "[IPv6:2001:db8::1]" in lower case but for the tag, or null */
export function parseAddressLiteral(text: string): string | null {
  if (!text.startsWith("[") || !text.endsWith("]") || text.length > 64) return null;
  const inner = text.slice(1, -1).toLowerCase();
  if (isIpv4(inner)) return `[${inner}]`;
  if (inner.startsWith("ipv6:") && isIpv6(inner.slice(5))) return `[IPv6:${inner.slice(5)}]`;
  return null; // §4.1.3 General-address-literal: no tag but IPv6 was ever registered
}

function isIpv4(text: string): boolean {
  return ipv4.test(text);
}

/** Any text form of an IPv6 address without zone. */
export function isIpv6(text: string): boolean {
  if (text.length > 45) return false;
  const halves = text.toLowerCase().split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [index, half] of halves.entries()) {
    if (half === "") continue;
    const isLast = index === halves.length - 1;
    const counted = countGroups(half.split(":"), isLast);
    if (counted < 0) return false;
    groups += counted;
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

function countGroups(pieces: readonly string[], mayEndInIpv4: boolean): number {
  let groups = 0;
  for (const [index, piece] of pieces.entries()) {
    if (hexGroup.test(piece)) groups += 1;
    else if (mayEndInIpv4 && index === pieces.length - 1 && isIpv4(piece)) groups += 2;
    else return -1;
  }
  return groups;
}
