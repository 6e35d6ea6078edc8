/** A certificate that signs itself, made anew for each run. */

import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { parseFingerprint } from "#contracts/link";
import { formatCertificate, formatPem } from "#formats/x509";

const dayMs = 86_400_000;

/** Fit for both ends of a connection, and its own authority to whoever trusts it. */
export function selfSigned(
  name: string,
  days = 1,
): { readonly key: string; readonly cert: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const nowMs = Date.now();
  const facts = {
    serial: Buffer.concat([Buffer.of(1), randomBytes(15)]),
    commonName: name,
    dnsNames: [name],
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    usage: "both",
    notBeforeMs: nowMs - dayMs,
    notAfterMs: nowMs + days * dayMs,
  } as const;
  const der = formatCertificate(facts, (octets) => sign("sha256", octets, privateKey));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: formatPem("CERTIFICATE", der),
  };
}

/** Certificate and key in one. */
export function pemOf(name: string): string {
  const { key, cert } = selfSigned(name);
  return cert + key;
}

/** One end of a link: its certificate and key, and what the other end pins. */
export interface Party {
  readonly pem: string;
  readonly pin: string;
}

export function party(name: string): Party {
  const pem = pemOf(name);
  const pin = parseFingerprint(new X509Certificate(pem).fingerprint256);
  assert.ok(pin);
  return { pem, pin };
}
