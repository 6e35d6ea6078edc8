/** What the mail edge must know to refuse in session, without knowing who our people are. */

import { createHmac } from "node:crypto";
import type { PolicySnapshot } from "#contracts/deposit";

type Digested = "recipients" | "domains" | "askedDomains" | "salt";

export interface SnapshotFacts extends Omit<PolicySnapshot, Digested> {
  readonly salt: Buffer;
  readonly addresses: Iterable<string>;
  readonly domains: Iterable<string>;
  readonly askedDomains: Iterable<string>;
}

/** The text that is signed. */
export function snapshotText(facts: SnapshotFacts): string {
  const { salt, addresses, domains, askedDomains, ...rest } = facts;
  const digest = (text: string): string =>
    createHmac("sha256", salt).update(text.toLowerCase()).digest("base64url");
  const whole: PolicySnapshot = {
    ...rest,
    salt: salt.toString("base64"),
    recipients: Array.from(addresses, digest).sort(),
    domains: Array.from(domains, digest).sort(),
    askedDomains: Array.from(askedDomains, digest).sort(),
  };
  return JSON.stringify(whole);
}
