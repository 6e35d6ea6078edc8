/**
 * Keys and certificates of the links. Each certificate signs itself and has no end: it is good
 * because, and as long as, the other end has it in its pins. One way for one machine and for two.
 */

import { generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Misconfigured } from "#base/errors";
import type { Fingerprint } from "#contracts/link";
import { parseFingerprint } from "#contracts/link";
import { formatCertificate, formatPem } from "#formats/x509";
import { writePrivate } from "./secrets.ts";

export interface LinkIdentity {
  readonly certificatePem: string;
  /** PKCS#8; never leaves the machine that made it. */
  readonly keyPem: string;
}

export type LinkEnd = "hub" | "edge-smtp" | "edge-web";

/** A certificate's own start lies back a little, for peers whose clock is slow. */
const skewMs = 300_000;
/** "No well-defined expiration date" (RFC 5280 §4.1.2.5). */
const neverMs = Date.UTC(9999, 11, 31, 23, 59, 59);

export function makeLinkIdentity(end: LinkEnd, nowMs: number): LinkIdentity {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // positive, never zero, always sixteen octets
  const facts = {
    serial,
    commonName: end,
    dnsNames: [end],
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    usage: end === "hub" ? "client" : "server", // the inside dials
    notBeforeMs: nowMs - skewMs,
    notAfterMs: neverMs,
  } as const;
  const der = formatCertificate(facts, (octets) => sign("sha256", octets, privateKey));
  return {
    certificatePem: formatPem("CERTIFICATE", der),
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

/** Names of the files in a program's folder. */
export const linkFileNames = {
  certificate: "link.pem",
  key: "link.key",
  /** Certificates of the other ends; what else is presented is no peer. */
  peers: "link-peers.pem",
} as const;

export function writeLinkIdentity(folder: string, identity: LinkIdentity): void {
  writePrivate(join(folder, linkFileNames.key), identity.keyPem);
  writePrivate(join(folder, linkFileNames.certificate), identity.certificatePem);
}

/** Makes one unless there is one that signs itself; returns its certificate in PEM. */
export function keepLinkIdentity(folder: string, end: LinkEnd, nowMs: number): string {
  const path = join(folder, linkFileNames.certificate);
  if (!existsSync(path) || !signsItself(path)) {
    writeLinkIdentity(folder, makeLinkIdentity(end, nowMs));
  }
  return readFileSync(path, "utf8");
}

export function writeLinkPeers(folder: string, certificates: readonly string[]): void {
  writePrivate(join(folder, linkFileNames.peers), certificates.join(""));
}

function signsItself(path: string): boolean {
  const certificate = new X509Certificate(readFileSync(path));
  return certificate.issuer === certificate.subject;
}

/** @throws Misconfigured when the text is no certificate */
export function fingerprintOf(certificatePem: string): Fingerprint {
  try {
    const pin = parseFingerprint(new X509Certificate(certificatePem).fingerprint256);
    if (pin !== undefined) return pin;
  } catch (error) {
    throw new Misconfigured("a link certificate cannot be read", { cause: error });
  }
  throw new Misconfigured("a link certificate has no fingerprint");
}
