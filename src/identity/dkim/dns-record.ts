/** What the domain's owner publishes so that signatures can be checked (RFC 6376 §3.6, RFC 8463 §4). */

import { Buffer } from "node:buffer";
import type { SigningKey } from "#contracts/keyring";

export interface DkimRecord {
  /** "2026a._domainkey.example.org" */
  readonly name: string;
  /** The whole text. */
  readonly text: string;
  /** The same in strings of at most 255 octets, as a TXT record needs it (RFC 6376 §3.6.2.2). */
  readonly strings: readonly string[];
}

/** Octets before the raw key in an Ed25519 SubjectPublicKeyInfo (RFC 8410 §4). */
const ed25519Prefix = 12;

export function dnsRecord(key: SigningKey): DkimRecord {
  const isEd25519 = key.algorithm === "ed25519-sha256";
  const raw = Buffer.from(key.publicKey, "base64").subarray(isEd25519 ? ed25519Prefix : 0);
  const type = isEd25519 ? "ed25519" : "rsa";
  const text = `v=DKIM1; k=${type}; h=sha256; p=${raw.toString("base64")}`;
  const name = `${key.selector}._domainkey.${key.domain}`;
  return { name, text, strings: text.match(/.{1,255}/g) ?? [] };
}
