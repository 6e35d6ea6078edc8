/** What the hub may ask of the process that holds the private keys. A key never leaves it. */

import { Misconfigured } from "#base/errors";

export interface SigningKey {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: "rsa-sha256" | "ed25519-sha256";
  /** SubjectPublicKeyInfo, DER, base64: what a DNS record is made from. */
  readonly publicKey: string;
}

/** How long a signature is good (RFC 6376 §3.5 x=): replay ends after two weeks. */
export const signatureValidMs: number = 14 * 86_400_000;

/** A key that is not destroyed, and what it is for. */
export interface KeptKey extends SigningKey {
  /**
   * pending: made, but its record may not be known yet. active: signs. retiring: signs no more, but
   * its record must stay as long as its signatures are good.
   */
  readonly state: "pending" | "active" | "retiring";
  /** Absent: since it was made. */
  readonly sinceMs?: number;
}

/** A key sealed under a master key. */
export interface WrappedKey {
  /** Id of the master key. */
  readonly master: string;
  readonly wrapped: Buffer;
}

/** Whoever holds the master keys: the keyring, or an offline command that opened their source. */
export interface Master {
  /**
   * Seals a key under the current master key.
   *
   * @param key 32 octets
   * @param purpose 1 to 128 printable ASCII characters; who unwraps must name the same
   * @throws Unavailable when the source of the master key does not answer
   */
  wrapKey(key: Buffer, purpose: string): Promise<WrappedKey>;
  /**
   * The 32 octets, which are the caller's to zero.
   *
   * @throws UnknownMaster when that master key is not there, WrapDamaged when what was wrapped is
   *   not what wrapKey made for that purpose, Unavailable when the source does not answer
   */
  unwrapKey(wrapped: WrappedKey, purpose: string): Promise<Buffer>;
}

/** Ids of the master keys. */
export interface MasterIds {
  /** The one that wraps. */
  readonly current: string;
  /** All that unwrap, the current one among them. */
  readonly held: readonly string[];
}

/** The two public keys of this installation's log, made at its first start. */
export interface LogKeys {
  /** Origin of the log's heads: their first line, and the name in their signatures. */
  readonly name: string;
  /** SubjectPublicKeyInfo, DER (RFC 8410). */
  readonly ed25519: Buffer;
  /** SubjectPublicKeyInfo, DER (RFC 9881). */
  readonly mlDsa65: Buffer;
}

export interface HeadSignatures {
  /** 64 octets (RFC 8032). */
  readonly ed25519: Buffer;
  /** 3309 octets (FIPS 204), context empty. */
  readonly mlDsa65: Buffer;
}

export interface Keyring extends Master, AsyncDisposable {
  /** The active keys of a domain, empty when there is none. */
  dkimKeys(domain: string): Promise<readonly SigningKey[]>;
  /** Makes the keys of a domain unless it has them. */
  makeDkimKeys(domain: string): Promise<readonly SigningKey[]>;
  /** Every key of a domain that is not destroyed. */
  allDkimKeys(domain: string): Promise<readonly KeptKey[]>;
  /** Makes the pending keys of a domain unless it has them, under selectors that it never had. */
  addDkimKeys(domain: string): Promise<readonly KeptKey[]>;
  /**
   * Those sign from now on, and the domain's other keys of the same algorithm retire. A retiring key
   * may come back this way.
   *
   * @throws Denied without such a key
   */
  activateDkimKeys(domain: string, selectors: readonly string[]): Promise<void>;
  /**
   * Destroys keys that do not sign. Nothing happens to those that were destroyed before.
   *
   * @param isForced also those that have retired for less than `signatureValidMs`
   * @throws Denied when one signs, retired too lately, or never was
   */
  retireDkimKeys(domain: string, selectors: readonly string[], isForced: boolean): Promise<void>;
  /**
   * Signs the octets with the key of that domain and selector: RSASSA-PKCS1-v1_5 over their SHA-256,
   * or Ed25519 over their SHA-256 (RFC 8463 §3).
   *
   * @throws Unavailable when the keyring does not answer, Denied when it has no such active key
   */
  dkimSign(domain: string, selector: string, octets: Uint8Array): Promise<Buffer>;

  masterIds(): Promise<MasterIds>;
  /**
   * Makes a new master key, which wraps from now on; the old ones go on unwrapping.
   *
   * @returns its id
   * @throws Denied when the current key comes from a credential, which is never written
   */
  rotateMaster(): Promise<string>;
  /**
   * Destroys a master key: what it wrapped is lost. Nothing happens when there is no such key.
   *
   * @throws Denied when it is the current one, or comes from a credential
   */
  retireMaster(id: string): Promise<void>;

  logKeys(): Promise<LogKeys>;
  /**
   * Signs a head of this installation's log, as `formatHead()` makes it.
   *
   * @throws Denied when the text is anything else, when the size is smaller than one signed before,
   *   or when another root was signed for it
   */
  signHead(text: string): Promise<HeadSignatures>;
  /**
   * Ends the log of that name and begins another, under a new name and with new keys: no witness
   * takes it for the old one. Nothing happens when that log is not the one in use.
   */
  renewLog(name: string): Promise<void>;
}

/** What was wrapped names a master key that the keyring does not hold. */
export class UnknownMaster extends Misconfigured {
  readonly master: string;

  constructor(master: string, message: string) {
    super(message);
    this.master = master;
  }
}

/** The wrapped key was changed, or belongs to another purpose: a copy of it may still be good. */
export class WrapDamaged extends Misconfigured {}
