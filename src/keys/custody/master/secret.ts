/** A master key in memory: AES-256-GCM under a key derived from it (RFC 5869, SP 800-38D). */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import {
  boundTo,
  keyBytes,
  type MasterSource,
  nonceBytes,
  tagBytes,
  wrappedBytes,
} from "./source.ts";

export interface Secret {
  /** Says nothing about the key, and is another one for another key. */
  readonly id: string;
  readonly key: KeyObject;
}

/** @param octets 32; zeroed */
export function secretFrom(octets: Buffer): Secret {
  const derive = (use: string, length: number): Buffer =>
    Buffer.from(hkdfSync("sha256", octets, "", `postern master ${use}`, length));
  const id = derive("id", 8).toString("hex");
  const wrapping = derive("wrap", keyBytes);
  octets.fill(0);
  const key = createSecretKey(wrapping);
  wrapping.fill(0);
  return { id, key };
}

/** What sources do that have their keys in memory. */
export function useOf(
  secrets: () => readonly Secret[],
): Pick<MasterSource, "ids" | "wrap" | "unwrap"> {
  const secretOf = (id: string): Secret => {
    const secret = secrets().find((one) => one.id === id);
    assert.ok(secret !== undefined);
    return secret;
  };
  return {
    ids: () => secrets().map(({ id }) => id),
    wrap: async (id, key, purpose) => wrapUnder(secretOf(id), key, purpose),
    unwrap: async (id, wrapped, purpose) => unwrapUnder(secretOf(id), wrapped, purpose),
  };
}

/** Nonce, ciphertext, tag. */
function wrapUnder({ id, key }: Secret, plain: Buffer, purpose: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(boundTo(purpose, id));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function unwrapUnder({ id, key }: Secret, wrapped: Buffer, purpose: string): Buffer | undefined {
  if (wrapped.length !== wrappedBytes) return undefined;
  const nonce = wrapped.subarray(0, nonceBytes);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(boundTo(purpose, id)).setAuthTag(wrapped.subarray(-tagBytes));
  const plain = decipher.update(wrapped.subarray(nonceBytes, -tagBytes));
  try {
    decipher.final();
    return plain;
  } catch {
    plain.fill(0);
    return undefined;
  }
}

const hex = /^[0-9a-fA-F]{64}$/;
const base64 = /^[A-Za-z0-9+/]{43}=$/;
const lineFeed = 10;

/**
 * Keys of a file or a credential: 32 octets raw with or without a line feed behind them, or lines of
 * 32 octets each in hexadecimal or base64. Undefined when it is neither.
 */
export function secretsIn(octets: Buffer): readonly Secret[] | undefined {
  const isRaw = octets.length === keyBytes;
  if (isRaw || (octets.length === keyBytes + 1 && octets[keyBytes] === lineFeed)) {
    return [secretFrom(octets.subarray(0, keyBytes))];
  }
  const lines = octets.toString("latin1").trim().split(/\s+/);
  octets.fill(0);
  const keys = lines.map((line) => {
    if (hex.test(line)) return Buffer.from(line, "hex");
    return base64.test(line) ? Buffer.from(line, "base64") : undefined;
  });
  return keys.every((key) => key !== undefined) ? keys.map(secretFrom) : undefined;
}
