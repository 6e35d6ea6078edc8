/** What the hub may ask of the process that holds the private keys. A key never leaves it. */

export interface SigningKey {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: "rsa-sha256" | "ed25519-sha256";
  /** SubjectPublicKeyInfo, DER, base64: what a DNS record is made from. */
  readonly publicKey: string;
}

export interface Keyring extends AsyncDisposable {
  /** The keys that sign for a domain, empty when there is none. */
  dkimKeys(domain: string): Promise<readonly SigningKey[]>;
  /** Makes the keys of a domain unless it has them. */
  makeDkimKeys(domain: string): Promise<readonly SigningKey[]>;
  /**
   * Signs the octets with the key of that domain and selector: RSASSA-PKCS1-v1_5 over their SHA-256,
   * or Ed25519 over their SHA-256 (RFC 8463 §3).
   *
   * @throws Unavailable when the keyring does not answer, Denied when it has no such key
   */
  dkimSign(domain: string, selector: string, octets: Uint8Array): Promise<Buffer>;
}
