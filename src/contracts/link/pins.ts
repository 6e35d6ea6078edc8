/** Pinned certificates: each end of a link knows the very certificate the other one has. */

import type { TLSSocket } from "node:tls";

/** SHA-256 of a DER certificate, 64 hexadecimal digits in lower case. */
export type Fingerprint = string;

/** @param text as tools print it: with or without colons, any case */
export function parseFingerprint(text: string): Fingerprint | undefined {
  const digits = text.replaceAll(":", "").toLowerCase();
  return /^[0-9a-f]{64}$/.test(digits) ? digits : undefined;
}

/** Common name of the peer's certificate when it is one of the pinned, otherwise nothing. */
export function pinnedName(socket: TLSSocket, pins: readonly Fingerprint[]): string | undefined {
  const certificate = socket.getPeerCertificate();
  const seen = parseFingerprint(certificate.fingerprint256 ?? "");
  if (seen === undefined || !pins.includes(seen)) return undefined;
  const name = certificate.subject?.CN;
  return (Array.isArray(name) ? name[0] : name) ?? "";
}
