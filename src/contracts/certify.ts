/**
 * Certificates of an edge, managed from the inside: the key is made where it is used and stays
 * there; only a request goes in and a chain comes out. Stream kind certify, hub → edge.
 */

export type CertifyRequest =
  /** What is served now. */
  | { readonly do: "show" }
  /** Makes a new key, kept aside until a chain for it is installed, and a PKCS #10 request. */
  | { readonly do: "request"; readonly names: readonly string[] }
  /** A chain for the key of the last request, or with a key of its own; served from then on. */
  | { readonly do: "install"; readonly chainPem: string; readonly keyPem?: string }
  /**
   * Answers TLS handshakes for ALPN "acme-tls/1" and this name with the certificate of the
   * challenge (RFC 8737 §3) until `withdraw` or ten minutes have passed; edge-web alone.
   */
  | { readonly do: "challenge"; readonly name: string; readonly keyAuthorizationSha256: string }
  | { readonly do: "withdraw"; readonly name: string };

export interface ServedCertificate {
  /** Certificates as sent in the handshake, the leaf first; public. */
  readonly chainPem: string;
}

export type CertifyAnswer =
  | { readonly ok: true; readonly served?: ServedCertificate; readonly requestPem?: string }
  /** For an administrator to read. */
  | { readonly ok: false; readonly why: string };

/** Who seems to sign what an edge on a machine of its own begins with; the key is kept nowhere. */
export const passingAuthorityName = "Postern edge without a certificate";
