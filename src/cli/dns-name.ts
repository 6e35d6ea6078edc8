/** Names that the DNS may be asked for: host names, and those that begin with an underscore. */

import { parseDomain } from "#formats/address";
import { ExitError, exitCodes } from "./exit.ts";

/** Lower case, A-labels, no last dot; null when it is no name of at least two labels. */
export function dnsName(text: string): string | null {
  const bare = text.trim().replace(/\.$/, "").toLowerCase();
  const isPlain = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+$/.test(bare);
  if (isPlain) return bare.length <= 253 ? bare : null;
  return bare.includes(".") ? parseDomain(bare, true) : null;
}

/** @throws ExitError when it is none */
export function domainArgument(text: string): string {
  const name = dnsName(text);
  if (name !== null) return name;
  throw new ExitError(exitCodes.usage, `"${text}" is not a domain name`);
}
