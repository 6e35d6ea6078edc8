/** The installation's own certificate authority: P-256 keys and certificates (RFC 5280). */

import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import { Misconfigured } from "#base/errors";
import {
  type CertificateFacts,
  formatCertificate,
  formatPem,
  parseCertificate,
  parsePem,
} from "#formats/x509";

export { acmeParameters, certificateParameters } from "./authority/parameters.ts";

/** A certificate and its key, both PEM; the key as PKCS#8 and secret. */
export interface Credential {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface CertificateWish {
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly uris?: readonly string[];
  readonly usage: "server" | "client" | "both";
  readonly validDays: number;
  readonly nowMs: number;
}

const dayMs = 86_400_000;

/** Valid from a little earlier, for peers whose clock is slow. */
const skewMs = 300_000;

export function createAuthority(wish: {
  readonly name: string;
  readonly validDays: number;
  readonly nowMs: number;
}): Credential {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return certify(publicKey, privateKey, privateKey, {
    commonName: wish.name,
    usage: "authority",
    ...validity(wish),
  });
}

/** @throws Misconfigured when the authority's files are not what `createAuthority` made */
export function issueCertificate(authority: Credential, wish: CertificateWish): Credential {
  const issuer = openAuthority(authority);
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return certify(publicKey, privateKey, issuer.key, {
    issuer: issuer.subject,
    issuerKeyId: issuer.keyId,
    commonName: wish.commonName,
    dnsNames: wish.dnsNames,
    ipAddresses: wish.ipAddresses,
    ...(wish.uris && { uris: wish.uris }),
    usage: wish.usage,
    ...validity(wish),
  });
}

function certify(
  publicKey: KeyObject,
  privateKey: KeyObject,
  signer: KeyObject,
  facts: Omit<CertificateFacts, "serial" | "publicKey">,
): Credential {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // positive, never zero, always sixteen octets
  const der = formatCertificate(
    { ...facts, serial, publicKey: publicKey.export({ type: "spki", format: "der" }) },
    (octets) => sign("sha256", octets, signer),
  );
  return {
    certificatePem: formatPem("CERTIFICATE", der),
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

function openAuthority(authority: Credential): { subject: Buffer; keyId: Buffer; key: KeyObject } {
  const der = parsePem("CERTIFICATE", authority.certificatePem)[0];
  const parts = der === undefined ? undefined : parseCertificate(der);
  if (!parts?.ok || parts.value.subjectKeyId === undefined) {
    throw new Misconfigured("the authority's certificate cannot be read");
  }
  const key = openKey(authority.keyPem);
  return { subject: parts.value.subject, keyId: parts.value.subjectKeyId, key };
}

function openKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Misconfigured("the authority's key cannot be read", { cause: error });
  }
}

function validity(wish: { readonly validDays: number; readonly nowMs: number }): {
  notBeforeMs: number;
  notAfterMs: number;
} {
  return { notBeforeMs: wish.nowMs - skewMs, notAfterMs: wish.nowMs + wish.validDays * dayMs };
}
