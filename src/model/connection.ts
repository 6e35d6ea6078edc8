/** Who is at the other end of a connection, as far as the transport can tell. */

export interface TlsFacts {
  /** As OpenSSL names it: "TLSv1.3". */
  readonly version: string;
  /** IANA name of the cipher suite. */
  readonly cipher: string;
  /** Key exchange group where it is known. */
  readonly group?: string;
  /** Fingerprint (SHA-256, hex) of the peer's certificate where it proved one. */
  readonly peerCertificate?: string;
  /** What the certificate was held against and stood; absent: it was not checked, or did not stand. */
  readonly proof?: TlsProofKind;
  /** Name that the certificate was good for, where one was asked for. */
  readonly provenName?: string;
}

/** authority: a trusted CA signed it for the name. mta-sts: the same, for a host that the domain's
 * policy lists (RFC 8461 §4). dane: a TLSA record names it (RFC 7672). pin: its key or itself is
 * written in our configuration. */
export type TlsProofKind = "authority" | "mta-sts" | "dane" | "pin";

export interface Connection {
  /** The listener's name in the configuration: "smtp", "submission". */
  readonly listener: string;
  /** IPv4 or IPv6 in text; IPv4-mapped addresses are written as IPv4. */
  readonly clientAddress: string;
  readonly clientPort: number;
  /** What the DNS calls the address, when that name leads back to it; in lower case. */
  readonly reverseName?: string;
  /** Argument of EHLO or HELO, untrusted. */
  readonly helo: string;
  /** True for EHLO, false for HELO (RFC 5321 §3.2). */
  readonly extended: boolean;
  readonly tls?: TlsFacts;
  /** Address of the account that authenticated, on submission; the partner's user name elsewhere. */
  readonly authenticated?: string;
  /** On submission: as the login was when it succeeded. */
  readonly login?: LoginMark;
  /** Name of the inbound connector that it came by. */
  readonly connector?: string;
  /** What of the above came by PROXY protocol instead of the socket. */
  readonly viaProxy?: boolean;
}

/** Who sent the message to us or to the relays that we run or hire. */
export interface Source {
  /** direct: the client itself. relayed: named by the Received field of a relay of ours. unknown:
   * the client is ours, and no field says who gave it the message. */
  readonly kind: "direct" | "relayed" | "unknown";
  /** IPv4 or IPv6 in text; the client's own when unknown. */
  readonly address: string;
  /** Untrusted. */
  readonly helo: string;
  /** Received fields of our relays that were passed. */
  readonly passed: number;
}

/** What a login depends on: it is over once that is otherwise. */
export interface LoginMark {
  /** How often the account had been signed out everywhere, as by a new password. */
  readonly revocations: number;
  /** Id of the one that it was; absent: the account's own. */
  readonly appPassword?: string;
}
