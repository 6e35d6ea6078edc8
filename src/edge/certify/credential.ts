/** Whether a chain of certificates and a key can be served (RFC 8446 §4.4.2, RFC 5280 §4). */

import { Buffer } from "node:buffer";
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { accept, type Result, refuse } from "#base/result";
import { formatPem, parsePem } from "#formats/x509";

/** What a door serves; both PEM, the leaf first. */
export interface Credential {
  readonly cert: string;
  readonly key: string;
}

/** In the order in which it is looked for. */
const faultTexts = {
  "no-certificate": "there is no certificate in it (PEM, the server's own first)",
  "too-many": "more certificates than any chain has",
  unreadable: "a certificate in it cannot be read",
  "is-authority": "the first certificate is an authority's, not a server's",
  "no-names": "the first certificate carries no names of hosts",
  "not-yet-valid": "the first certificate is not valid yet",
  expired: "the first certificate has expired",
  "weak-key": "the key is weak: RSA below 2048 bits, or of a kind that clients refuse",
  "out-of-order": "each certificate must be followed by the one that signed it",
  "wrong-key": "the certificate is for another key",
  "lacks-name": "the certificate lacks a name of the request",
} as const;
export type ChainFault = keyof typeof faultTexts;

export function chainFaultText(fault: ChainFault): string {
  return faultTexts[fault];
}

/** Ours: longer chains are not seen; the path to a public root has three or four. */
const maxCertificates = 10;
/** A certificate may come from an authority whose clock is a little ahead. */
const skewMs = 300_000;
const curves = ["prime256v1", "secp384r1", "secp521r1"];

/**
 * Reads a chain from the leaf upwards. Whether its end is trusted is not judged here.
 *
 * @param chainPem untrusted
 */
export function checkChain(
  chainPem: string,
  nowMs: number,
): Result<readonly X509Certificate[], ChainFault> {
  const blocks = parsePem("CERTIFICATE", chainPem);
  if (blocks.length === 0) return refuse("no-certificate");
  if (blocks.length > maxCertificates) return refuse("too-many", maxCertificates);
  const chain: X509Certificate[] = [];
  for (const [index, der] of blocks.entries()) {
    const certificate = readCertificate(der);
    if (certificate === undefined) return refuse("unreadable", index);
    chain.push(certificate);
  }
  const [leaf] = chain as [X509Certificate];
  if (leaf.ca) return refuse("is-authority");
  if (!/(?:^|, )(?:DNS|IP Address):/.test(leaf.subjectAltName ?? "")) return refuse("no-names");
  if (leaf.validFromDate.getTime() > nowMs + skewMs) return refuse("not-yet-valid");
  if (leaf.validToDate.getTime() <= nowMs) return refuse("expired");
  if (isWeak(leaf.publicKey)) return refuse("weak-key");
  for (let at = 1; at < chain.length; at += 1) {
    if (!isSignedBy(chain[at - 1], chain[at])) return refuse("out-of-order", at);
  }
  return accept(chain);
}

/** Whether the key belongs to the chain's first certificate, and the names are all in it. */
export function fitsKey(
  chain: readonly X509Certificate[],
  keyPem: string,
  names: readonly string[],
): Result<Credential, ChainFault> {
  const key = readKey(keyPem);
  const [leaf] = chain;
  if (leaf === undefined || key === undefined || !leaf.checkPrivateKey(key)) {
    return refuse("wrong-key");
  }
  const lacking = names.findIndex((name) => !hasName(leaf, name));
  if (lacking >= 0) return refuse("lacks-name", lacking);
  return accept({
    cert: chain.map((one) => formatPem("CERTIFICATE", one.raw)).join(""),
    key: keyPem,
  });
}

/** @param name a host name or an IP address; the common name does not count (RFC 9525) */
export function hasName(certificate: X509Certificate, name: string): boolean {
  return isIP(name) > 0
    ? certificate.checkIP(name) !== undefined
    : certificate.checkHost(name, { subject: "never" }) !== undefined;
}

/** RFC 9325 §4.5 for RSA; of the curves those that every client takes. */
export function isWeak(key: KeyObject): boolean {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa") return modulusLength < 2048;
  return key.asymmetricKeyType !== "ec" || !curves.includes(namedCurve);
}

export function isSignedBy(
  certificate: X509Certificate | undefined,
  issuer: X509Certificate | undefined,
): boolean {
  if (certificate === undefined || issuer === undefined || !issuer.ca) return false;
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false; // a key of a kind that cannot verify
  }
}

export function readCertificate(der: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

function readKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
