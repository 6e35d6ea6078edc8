/** Whether a TLSA record means a certificate (RFC 6698 §2.1.2-2.1.4). */

import { hash } from "node:crypto";
import { parseCertificate } from "#formats/x509";
import type { TlsaRecord } from "#model/tls-policy";

/** Selector and matching type only; what the usage demands besides is the caller's matter. */
export function matchesTlsa(
  { selector, matching, data }: Omit<TlsaRecord, "usage">,
  certificate: Uint8Array,
): boolean {
  const octets = selected(selector, certificate);
  if (octets === undefined || data === "") return false;
  const wanted = data.toLowerCase();
  switch (matching) {
    case 0:
      return Buffer.from(octets).toString("hex") === wanted;
    case 1:
      return hash("sha256", octets, "hex") === wanted;
    case 2:
      return hash("sha512", octets, "hex") === wanted;
    default:
      return false;
  }
}

/** 0: the whole certificate; 1: its SubjectPublicKeyInfo as it stands there, not as OpenSSL writes it. */
function selected(selector: number, certificate: Uint8Array): Uint8Array | undefined {
  if (selector === 0) return certificate;
  const parts = selector === 1 ? parseCertificate(certificate) : undefined;
  return parts?.ok ? parts.value.publicKey : undefined;
}
