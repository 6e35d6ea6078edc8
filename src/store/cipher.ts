/** Sealing octets: AES-256-GCM (NIST SP 800-38D) and hashes under a key, in the forms the store needs. */

import { createCipheriv, createDecipheriv, hash, randomFillSync } from "node:crypto";

export const keyBytes = 32;
export const nonceBytes = 12;
const tagBytes = 16;
/** What sealing adds when the nonce stands before. */
export const sealBytes: number = nonceBytes + tagBytes;
export const partSealBytes: number = tagBytes;

const algorithm = "aes-256-gcm";
const options = { authTagLength: tagBytes } as const;

/** The cipher as an argument, so that its cost can be measured against none. */
export interface Cipher {
  /** In place of the plaintext: the same number of octets, then the tag. */
  encrypt(
    key: Buffer,
    nonce: Uint8Array,
    parts: readonly Uint8Array[],
    about?: Uint8Array,
  ): Buffer[];
  /** @returns undefined when the octets are not what was sealed */
  decrypt(key: Buffer, nonce: Uint8Array, sealed: Buffer, about?: Uint8Array): Buffer | undefined;
}

export const aesGcm: Cipher = {
  encrypt(key, nonce, parts, about) {
    const cipher = createCipheriv(algorithm, key, nonce, options);
    if (about !== undefined) cipher.setAAD(about);
    const sealed = parts.map((part) => cipher.update(part));
    cipher.final();
    sealed.push(cipher.getAuthTag());
    return sealed;
  },
  decrypt(key, nonce, sealed, about) {
    if (sealed.length < tagBytes) return undefined;
    const decipher = createDecipheriv(algorithm, key, nonce, options);
    if (about !== undefined) decipher.setAAD(about);
    decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
    const plain = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return plain;
  },
};

/** Nothing is hidden and nothing proven: what everything costs but the cipher itself. */
export const noCipher: Cipher = {
  encrypt: (_key, _nonce, parts) => [...parts.map(copyOf), Buffer.alloc(tagBytes)],
  decrypt: (_key, _nonce, sealed) => sealed.subarray(0, Math.max(0, sealed.length - tagBytes)),
};

const copyOf = (part: Uint8Array): Buffer => Buffer.from(part);

const noncePool = Buffer.alloc(nonceBytes * 1024);
let nonceAt = noncePool.length;

/** 96 random bits: far below 2^32 records are sealed under one key (SP 800-38D §8.3). */
function freshNonce(): Buffer {
  if (nonceAt === noncePool.length) {
    randomFillSync(noncePool);
    nonceAt = 0;
  }
  nonceAt += nonceBytes;
  return noncePool.subarray(nonceAt - nonceBytes, nonceAt);
}

/** nonce ‖ ciphertext ‖ tag. */
export function seal(cipher: Cipher, key: Buffer, plain: Uint8Array, about?: Uint8Array): Buffer {
  const nonce = freshNonce();
  return Buffer.concat([nonce, ...cipher.encrypt(key, nonce, [plain], about)]);
}

/** @returns undefined when the octets are not what was sealed under this key */
export function unseal(
  cipher: Cipher,
  key: Buffer,
  sealed: Buffer,
  about?: Uint8Array,
): Buffer | undefined {
  if (sealed.length < sealBytes) return undefined;
  const nonce = sealed.subarray(0, nonceBytes);
  return cipher.decrypt(key, nonce, sealed.subarray(nonceBytes), about);
}

/** SHA-256 of a key and what it marks: the key has a fixed length and the result is never extended. */
export function keyedHash(key: Buffer, ...parts: readonly Uint8Array[]): Buffer {
  return hash("sha256", Buffer.concat([key, ...parts]), "buffer");
}

/**
 * What is left of a sealed text when a part of it is damaged: deciphered, but proven by nothing.
 * For naming what is lost.
 */
export function peek(key: Buffer, sealed: Buffer): Buffer {
  const nonce = sealed.subarray(0, nonceBytes);
  const decipher = createDecipheriv(algorithm, key, nonce, options);
  return decipher.update(
    sealed.subarray(nonceBytes, Math.max(nonceBytes, sealed.length - tagBytes)),
  );
}
