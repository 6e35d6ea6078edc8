/** Whether a certificate is for one of the names that are asked for (RFC 9525 §6, RFC 8461 §4.1). */

import { isIP } from "node:net";
import { parseIp } from "#base/ip";
import type { CertificateExtensions } from "#formats/x509";

/**
 * Only subject alternative names count, never the common name.
 *
 * @param wanted hosts, addresses, or "*.example.net" for any one name below
 * @returns the wanted one that it is for
 */
export function nameProved(
  names: Pick<CertificateExtensions, "dnsNames" | "ipAddresses">,
  wanted: readonly string[],
): string | undefined {
  return wanted.find((one) => {
    const address = isIP(one) === 0 ? undefined : parseIp(one);
    if (address !== undefined) return names.ipAddresses.includes(address.toString("hex"));
    const host = one.toLowerCase().replace(/\.$/, "");
    return names.dnsNames.some((name) => fits(name, host) || fits(host, name));
  });
}

/** One "*" may stand for the whole left-most label, above two labels at least. */
function fits(pattern: string, name: string): boolean {
  if (pattern === name) return true;
  if (!pattern.startsWith("*.") || pattern.indexOf("*", 1) > 0 || name.includes("*")) return false;
  const base = pattern.slice(1);
  if (base.indexOf(".", 1) < 0 || !name.endsWith(base)) return false;
  const label = name.slice(0, -base.length);
  return label !== "" && !label.includes(".");
}
