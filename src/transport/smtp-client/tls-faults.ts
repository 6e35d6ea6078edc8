/** What goes wrong with TLS, in the words of RFC 8460 §4.3 and in plain ones. */

import type { TlsVersion } from "#model/tls-policy";

/** Result types of RFC 8460 §4.3 that a handshake can end in. */
export type TlsFault =
  | "starttls-not-supported"
  | "certificate-host-mismatch"
  | "certificate-expired"
  | "certificate-not-trusted"
  | "validation-failure";

type Told = readonly [fault: TlsFault, why: string];

/** What OpenSSL calls it, to what it is. */
const chainFaults: Readonly<Record<string, Told>> = {
  CERT_HAS_EXPIRED: ["certificate-expired", "its certificate, or one above it, has expired"],
  CERT_NOT_YET_VALID: ["certificate-expired", "its certificate is not valid yet"],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["certificate-not-trusted", "its certificate signs itself"],
  SELF_SIGNED_CERT_IN_CHAIN: [
    "certificate-not-trusted",
    "its certificate leads to an authority that is not trusted",
  ],
  UNABLE_TO_GET_ISSUER_CERT: ["certificate-not-trusted", "an authority's certificate is missing"],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [
    "certificate-not-trusted",
    "no trusted authority is found above its certificate",
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    "certificate-not-trusted",
    "no trusted authority is found above its certificate; the server may leave out an intermediate",
  ],
};

/** @param code as Node gives it in `authorizationError` */
export function chainFault(code: string): Told {
  const safe = code.replace(/[^A-Za-z0-9_ ]/g, "?").slice(0, 80);
  return (
    chainFaults[code] ?? ["certificate-not-trusted", `its certificate does not stand: ${safe}`]
  );
}

/** From an error of Node's TLS before the handshake was over. */
export function handshakeFault(error: Error & { code?: string }, minVersion: TlsVersion): Told {
  const { code = "", message } = error;
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW/.test(code)) {
    const version = minVersion.replace("v", " ");
    return ["validation-failure", `the server speaks no version from ${version} on`];
  }
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|BAD_RECORD_TYPE/.test(code)) {
    return ["validation-failure", "what the server answered is not TLS"];
  }
  if (/HANDSHAKE_FAILURE|NO_SHARED|NO_SUITABLE|INSUFFICIENT_SECURITY/.test(code)) {
    return ["validation-failure", "the server accepts none of our ciphers, groups or certificates"];
  }
  const raw = message.replace(/[^\x20-\x7e]+/g, " ").slice(0, 200);
  return ["validation-failure", `the TLS handshake broke off: ${raw}`];
}
