/** What one hop's TLS has to be, and what it is held against. */

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** One TLSA record as the DNS has it (RFC 6698 §2.1); `data` in hexadecimal. */
export interface TlsaRecord {
  readonly usage: number;
  readonly selector: number;
  readonly matching: number;
  readonly data: string;
}

/** Grounds on which a server's certificate is believed. */
export type TlsProof =
  /** A trusted authority signed it for one of the names ("mx.example.net", "*.example.net"). */
  | {
      readonly kind: "authority" | "mta-sts";
      readonly names: readonly string[];
      /** PEM; absent: those of Node. */
      readonly authorities?: readonly string[];
    }
  /** SHA-256, lower-case hexadecimal, of the certificate or of its SubjectPublicKeyInfo. */
  | { readonly kind: "pin"; readonly sha256: readonly string[] }
  /** Usages 2 and 3 (RFC 7672 §3.1); `names` are for usage 2. */
  | {
      readonly kind: "dane";
      readonly records: readonly TlsaRecord[];
      readonly names: readonly string[];
    };

export interface TlsDemand {
  /**
   * none: in the clear. opportunistic: when offered and whatever the certificate says, else in the
   * clear (RFC 7435). required: TLS, and by the proof where one is given, else not at all.
   */
  readonly level: "none" | "opportunistic" | "required";
  /** Sent as SNI, and what Node holds the certificate against unless the proof says otherwise. */
  readonly serverName: string;
  readonly proof?: TlsProof;
  readonly minVersion: TlsVersion;
  /** Key exchange groups in order of preference, as OpenSSL names them; absent: Node's. */
  readonly groups?: readonly string[];
  /** TLS from the first octet instead of STARTTLS (RFC 8314 §3.3). */
  readonly implicit?: boolean;
  /** PEM, shown to a server that asks. */
  readonly client?: { readonly certificate: string; readonly key: string };
}
