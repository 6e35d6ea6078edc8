/** Which TLSA records hold for a host, and whether they can be used (RFC 7672 §2.2, RFC 6698). */

import { isIP } from "node:net";
import type { Resolver } from "#base/dns";
import type { TlsaRecord } from "#model/tls-policy";
import type { Hop } from "./hop.ts";

export type DaneFinding =
  /** Nothing signed, or nothing there: as without DANE. */
  | { readonly kind: "none" }
  | {
      readonly kind: "usable" | "unusable";
      /** TLSA base domain (§2.2.3): the server's name in SNI. */
      readonly base: string;
      /** The usable ones, or all where none is. */
      readonly records: readonly TlsaRecord[];
      /** That a certificate may be for (§3.2.2). */
      readonly names: readonly string[];
    }
  /** §2.1.2: the host must not be used now. */
  | { readonly kind: "failed"; readonly name: string; readonly why: string };

const none: DaneFinding = { kind: "none" };
const maxAliases = 8;

type DaneHop = Omit<Hop, "connector" | "requireTls">;

export async function findDane(
  hop: DaneHop,
  port: number,
  resolver: Pick<Resolver, "query">,
): Promise<DaneFinding> {
  const { host, addressAuthenticated: isSigned } = hop;
  // §2.2.2: without a signed name there is nothing to look for; and some servers of unsigned zones
  // do not answer for TLSA at all.
  const mayBeAlias = isSigned || hop.mxAuthenticated || !hop.viaMx;
  if (isIP(host) !== 0 || !mayBeAlias) return none;
  const alias = await followAlias(host, resolver);
  if (alias === "failed") return isSigned ? { kind: "failed", name: host, why: "its CNAME" } : none;
  // §2.2.2: a signed alias of an unsigned host counts itself, its target does not.
  if (!isSigned && alias === undefined) return none;
  const bases = isSigned && alias !== undefined ? [alias, host] : [host];
  for (const base of bases) {
    const name = `_${port}._tcp.${base}`;
    const answer = await resolver.query(name, "TLSA");
    if (answer.kind === "failed") return { kind: "failed", name, why: answer.why };
    if (answer.kind !== "found" || !answer.authenticated) continue;
    const usable = strongest(answer.records.filter(isUsable));
    const names = [...new Set([base, host, ...(mayBeDomain(hop) ? [hop.domain] : [])])];
    return usable.length > 0
      ? { kind: "usable", base, records: usable, names }
      : { kind: "unusable", base, records: answer.records, names };
  }
  return none;
}

/** §3.2.2: the next-hop domain too, where nobody in between could have said another host. */
function mayBeDomain({ viaMx, mxAuthenticated }: DaneHop): boolean {
  return viaMx && mxAuthenticated;
}

/** Where the chain of signed aliases ends; undefined: it is none, or not signed. */
async function followAlias(
  host: string,
  resolver: Pick<Resolver, "query">,
): Promise<string | "failed" | undefined> {
  let name = host;
  for (let hop = 0; hop < maxAliases; hop += 1) {
    const answer = await resolver.query(name, "CNAME");
    if (answer.kind === "failed") return "failed";
    const target = answer.kind === "found" && answer.authenticated ? answer.records[0] : undefined;
    if (target === undefined || target.name === "") break;
    name = target.name;
  }
  return name === host ? undefined : name;
}

const digestDigits: Readonly<Record<number, number>> = { 1: 64, 2: 128 };

/** §3.1: usages 2 and 3; the others are of no use without a person to ask (§3.1.3). */
function isUsable({ usage, selector, matching, data }: TlsaRecord): boolean {
  if (usage !== 2 && usage !== 3) return false;
  if (selector !== 0 && selector !== 1) return false;
  if (!/^(?:[0-9a-f]{2})+$/i.test(data)) return false;
  return matching === 0 || data.length === digestDigits[matching];
}

/** RFC 7671 §9: where the same is said with SHA-512, SHA-256 does not count. */
function strongest(records: readonly TlsaRecord[]): readonly TlsaRecord[] {
  const isSame = (one: TlsaRecord, other: TlsaRecord): boolean =>
    one.usage === other.usage && one.selector === other.selector;
  return records.filter(
    (one) =>
      one.matching !== 1 || !records.some((other) => other.matching === 2 && isSame(one, other)),
  );
}
