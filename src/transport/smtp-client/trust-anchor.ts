/** Chains that end in a trust anchor of the DNS instead of an authority of ours (RFC 7672 §3.1.2). */

import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { readExtensions } from "#formats/x509";
import type { TlsaRecord } from "#model/tls-policy";
import type { TlsFault } from "./tls-faults.ts";
import { matchesTlsa } from "./tlsa.ts";

export type ChainFault = { readonly fault: TlsFault; readonly why: string };

const notTrusted = (why: string): ChainFault => ({ fault: "certificate-not-trusted", why });

/**
 * @param chain as the server showed it, its own certificate first
 * @param records of usage 2
 * @returns undefined when it leads to one of the anchors; names are not looked at here
 */
export function anchorFault(
  chain: readonly X509Certificate[],
  records: readonly TlsaRecord[],
  nowMs: number,
): ChainFault | undefined {
  let last = notTrusted("none of its certificates is the trust anchor of a TLSA record");
  for (const record of records) {
    // The anchor stands above the server's own certificate, which usage 3 is for.
    const at = chain.findIndex((one, index) => index > 0 && matchesTlsa(record, one.raw));
    const path = at > 0 ? chain.slice(0, at + 1) : undefined;
    const fault = path ? pathFault(path, nowMs) : absentAnchorFault(chain, record, nowMs);
    if (fault === undefined) return undefined;
    if (fault !== "no-anchor") last = fault;
  }
  return last;
}

/** RFC 7671 §5.2.1 and §5.2.3: a whole certificate or key in the DNS need not be shown. */
function absentAnchorFault(
  chain: readonly X509Certificate[],
  record: TlsaRecord,
  nowMs: number,
): ChainFault | "no-anchor" | undefined {
  const anchor = record.matching === 0 ? readAnchor(record) : undefined;
  if (anchor === undefined) return "no-anchor";
  const isCertificate = anchor instanceof X509Certificate;
  const key = isCertificate ? anchor.publicKey : anchor;
  const at = chain.findIndex((one) => isSignedBy(one, key));
  if (at < 0) return "no-anchor";
  const path = chain.slice(0, at + 1);
  return pathFault(isCertificate ? [...path, anchor] : path, nowMs);
}

function readAnchor({ selector, data }: TlsaRecord): X509Certificate | KeyObject | undefined {
  const octets = Buffer.from(data, "hex");
  try {
    return selector === 0
      ? new X509Certificate(octets)
      : createPublicKey({ key: octets, format: "der", type: "spki" });
  } catch {
    return undefined; // OpenSSL cannot read what the DNS holds: it is no anchor
  }
}

/** Each signed by the next, all in their time, and each of them allowed to (RFC 5280 §6.1.3-6.1.4). */
function pathFault(path: readonly X509Certificate[], nowMs: number): ChainFault | undefined {
  for (const [index, one] of path.entries()) {
    if (nowMs < one.validFromDate.getTime() || nowMs > one.validToDate.getTime()) {
      const why = "its certificate, or one above it, has expired or is not valid yet";
      return { fault: "certificate-expired", why };
    }
    const read = readExtensions(one.raw);
    if (!read.ok) return notTrusted("a certificate of its chain cannot be read");
    const { isAuthority, maySign, mayServe, hasUnjudged, maxPath } = read.value;
    if (hasUnjudged)
      return notTrusted("a certificate of its chain has limits that we do not judge");
    if (!mayServe) return notTrusted("a certificate of its chain is not for servers");
    if (index > 0 && !(isAuthority && maySign)) {
      return notTrusted("a certificate of its chain was signed by one that may not sign");
    }
    if (index > 1 && index - 1 > (maxPath ?? index)) {
      return notTrusted("its chain is longer than an authority in it allows");
    }
    const above = path[index + 1];
    if (above && !isIssuedBy(one, above)) {
      return notTrusted("a certificate of its chain was not signed by the next one");
    }
  }
  return undefined;
}

/** By name, key identifier and signature. */
export function isIssuedBy(below: X509Certificate, above: X509Certificate): boolean {
  return below.checkIssued(above) && isSignedBy(below, above.publicKey);
}

function isSignedBy(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.verify(key);
  } catch {
    return false; // a key of another kind than the signature
  }
}
