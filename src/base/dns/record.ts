/** What the DNS may be asked and what it says; plain values that survive JSON. */

/**
 * Data by type. Names are in lower case without the last dot, the root is "."; names with octets
 * that are not printable ASCII never appear.
 */
export interface RecordData {
  readonly A: { readonly address: string };
  readonly AAAA: { readonly address: string };
  /** Exchange "." says that the domain takes no mail (RFC 7505 §3). */
  readonly MX: { readonly preference: number; readonly exchange: string };
  /** The record's strings joined; one character an octet, so anything up to U+00FF. */
  readonly TXT: { readonly text: string };
  readonly PTR: { readonly name: string };
  readonly CNAME: { readonly name: string };
  readonly NS: { readonly name: string };
  readonly SRV: {
    readonly priority: number;
    readonly weight: number;
    readonly port: number;
    readonly target: string;
  };
  /** RFC 6698 §2.1; data in hexadecimal. */
  readonly TLSA: {
    readonly usage: number;
    readonly selector: number;
    readonly matching: number;
    readonly data: string;
  };
}

export type RecordType = keyof RecordData;
export type DnsRecord = RecordData[RecordType];

export type DnsAnswer<Type extends RecordType = RecordType> =
  | {
      readonly kind: "found";
      /** At least one, in the order of the server. */
      readonly records: readonly RecordData[Type][];
      /** Seconds, as it came. */
      readonly ttl: number;
      /** A resolver that we trust verified it by DNSSEC. */
      readonly authenticated: boolean;
    }
  /** The name does not exist, or has nothing of this type. */
  | { readonly kind: "none"; readonly nxdomain: boolean }
  /** Nothing is known; a later try may tell. */
  | { readonly kind: "failed"; readonly why: string };

/** Numbers of the types (IANA DNS parameters). */
export const typeNumber: Readonly<Record<RecordType, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  TLSA: 52,
};

export const soaNumber = 6;
export const optNumber = 41;
