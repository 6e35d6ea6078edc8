/** The client's name by reverse lookup, confirmed forward: "iprev" (RFC 8601 §3). */

import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { isPublicAddress, parseIp } from "#base/ip";
import { parseDomain } from "#formats/address";

/** Ours: an honest address has one name. */
const maxNames = 3;
const withinMs = 5000;

/**
 * The first of the names that leads back to the address, in lower case; undefined when none does, the
 * DNS is silent, or the address is not of the public Internet. Never rejects, and takes 5 s at most.
 */
export function confirmedName(
  address: string,
  resolver: Pick<Resolver, "query">,
  clock: Clock,
): Promise<string | undefined> {
  const octets = parseIp(address);
  if (octets === undefined || !isPublicAddress(address)) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const timer = clock.after(withinMs, () => resolve(undefined));
    const found = find(octets, resolver).catch(() => undefined);
    void found.then((name) => {
      timer.cancel();
      resolve(name);
    });
  });
}

async function find(
  address: Buffer,
  resolver: Pick<Resolver, "query">,
): Promise<string | undefined> {
  const pointers = await resolver.query(pointerOf(address), "PTR");
  if (pointers.kind !== "found") return undefined;
  const names = pointers.records.slice(0, maxNames).map(({ name }) => name);
  const proper = names.filter((name) => name.includes(".") && parseDomain(name) !== null);
  const confirmed = await Promise.all(
    proper.map((name) => leadsTo(name, address, resolver).catch(() => false)),
  );
  return proper.find((_name, nth) => confirmed[nth]);
}

async function leadsTo(
  name: string,
  address: Buffer,
  resolver: Pick<Resolver, "query">,
): Promise<boolean> {
  const answer = await resolver.query(name, address.length === 4 ? "A" : "AAAA");
  if (answer.kind !== "found") return false;
  return answer.records.some((record) => parseIp(record.address)?.equals(address) === true);
}

/** Where the PTR records of an address are (RFC 1035 §3.5, RFC 3596 §2.5). */
function pointerOf(address: Buffer): string {
  if (address.length === 4) return `${[...address].reverse().join(".")}.in-addr.arpa`;
  return `${address.toString("hex").split("").reverse().join(".")}.ip6.arpa`;
}
