/** What the edge must know to refuse in session, without knowing who our people are. */

import { createHmac, createPrivateKey, sign } from "node:crypto";
import type { PolicySnapshot } from "#contracts/deposit";
import type { Link } from "#contracts/link";

/** The snapshot's own text is signed, so both sides mean the same octets. */
export interface SignedSnapshot {
  readonly snapshot: string;
  readonly signature: string;
}

export interface SnapshotFacts extends Omit<PolicySnapshot, "recipients" | "domains" | "salt"> {
  readonly salt: Buffer;
  readonly addresses: Iterable<string>;
  readonly domains: Iterable<string>;
}

/** @param policyKeyPem Ed25519 private key of the inside; the edge holds its public half */
export function signSnapshot(facts: SnapshotFacts, policyKeyPem: string): SignedSnapshot {
  const { salt, addresses, domains, ...rest } = facts;
  const digest = (text: string): string =>
    createHmac("sha256", salt).update(text.toLowerCase()).digest("base64url");
  const whole: PolicySnapshot = {
    ...rest,
    salt: salt.toString("base64"),
    recipients: Array.from(addresses, digest).sort(),
    domains: Array.from(domains, digest).sort(),
  };
  const snapshot = JSON.stringify(whole);
  const signature = sign(null, Buffer.from(snapshot), createPrivateKey(policyKeyPem));
  return { snapshot, signature: signature.toString("base64") };
}

/** Resolves with the version that the edge now holds. */
export async function pushSnapshot(link: Link, signed: SignedSnapshot): Promise<number> {
  const stream = link.open("policy", {}, {});
  // A snapshot may be larger than a header: it travels as data, held back by the edge's window.
  stream.receive({ data() {}, end() {}, broken() {} });
  const octets = Buffer.from(JSON.stringify(signed));
  for (let at = 0; at < octets.length; at += 65_536) {
    if (!stream.send(octets.subarray(at, at + 65_536))) await stream.drained();
  }
  stream.end();
  const answer = (await stream.answered) as { version?: unknown } | null;
  return typeof answer?.version === "number" ? answer.version : -1;
}
