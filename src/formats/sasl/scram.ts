/** What both sides of SCRAM share: names, attributes, keys (RFC 5802, RFC 7677). */

import { Buffer } from "node:buffer";
import { createHmac, hash, pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import type { Random } from "#base/random";

export type ScramHash = "sha1" | "sha256" | "sha512";

export interface ScramMechanism {
  readonly hash: ScramHash;
  /** Bound to the TLS connection: the name ends in "-PLUS" (RFC 5802 §4). */
  readonly plus: boolean;
}

export type ScramFault =
  | "syntax"
  /** User name or secret that no server could compare. */
  | "bad-name"
  | "bad-secret"
  | "acts-for-another"
  /** A mandatory extension (RFC 5802 §5.1, "m"). */
  | "unknown-extension"
  | "bad-nonce"
  /** Fewer or more iterations than we compute. */
  | "bad-iterations"
  /** The flag does not fit what was offered, or the binding is of another connection (§6). */
  | "bad-binding"
  | "bad-proof"
  /** The server does not know the secret either. */
  | "bad-signature"
  /** The server says so itself ("e"). */
  | "server-error";

/** Strongest first. */
const hashes: readonly (readonly [name: string, hash: ScramHash])[] = [
  ["SCRAM-SHA-512", "sha512"],
  ["SCRAM-SHA-256", "sha256"],
  ["SCRAM-SHA-1", "sha1"],
];

export function scramMechanism(name: string): ScramMechanism | undefined {
  const plus = name.endsWith("-PLUS");
  const found = hashes.find(([base]) => base === (plus ? name.slice(0, -5) : name));
  return found && { hash: found[1], plus };
}

/** RFC 5802 §5.1: printable, no comma; 144 random bits. */
export function scramNonce(random: Random): string {
  return random.bytes(18).toString("base64");
}

/** Our limits: longer than any honest message. */
export const maxMessage = 4096;
const nonceShape = /^[!-+\--~]{1,512}$/;

export function isNonce(text: string): boolean {
  return nonceShape.test(text);
}

/** RFC 5802 §5.1 saslname: commas and equals signs escaped. */
export function escapeName(name: string): string {
  return name.replaceAll("=", "=3D").replaceAll(",", "=2C");
}

/** @returns undefined when a "=" begins no escape */
export function unescapeName(text: string): string | undefined {
  if (/=(?!2C|3D)/.test(text)) return undefined;
  return text.replaceAll("=2C", ",").replaceAll("=3D", "=");
}

/** Attributes "a=…,b=…" in their order; undefined when one is no attribute. */
export function readAttributes(
  text: string,
): (readonly [letter: string, value: string])[] | undefined {
  if (text.length > maxMessage) return undefined;
  const attributes: (readonly [string, string])[] = [];
  for (const part of text.split(",")) {
    if (!/^[A-Za-z]=/.test(part)) return undefined;
    attributes.push([part.charAt(0), part.slice(2)]);
  }
  return attributes;
}

/** What a server keeps instead of the secret (RFC 5802 §3). */
export interface ScramKeys {
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

const derive = promisify(pbkdf2);
const hashBytes: Readonly<Record<ScramHash, number>> = { sha1: 20, sha256: 32, sha512: 64 };

/** SaltedPassword; off the main thread. @param secret prepared */
export function saltedSecret(
  hashName: ScramHash,
  secret: string,
  salt: Buffer,
  iterations: number,
): Promise<Buffer> {
  return derive(secret, salt, iterations, hashBytes[hashName], hashName);
}

export function clientKey(hashName: ScramHash, salted: Buffer): Buffer {
  return hmac(hashName, salted, "Client Key");
}

export function keysOf(hashName: ScramHash, salted: Buffer): ScramKeys {
  return {
    storedKey: digest(hashName, clientKey(hashName, salted)),
    serverKey: hmac(hashName, salted, "Server Key"),
  };
}

export function hmac(hashName: ScramHash, key: Uint8Array, text: string): Buffer {
  return createHmac(hashName, key).update(text, "utf8").digest();
}

export function digest(hashName: ScramHash, octets: Uint8Array): Buffer {
  return hash(hashName, octets, "buffer");
}

export function xor(one: Buffer, other: Buffer): Buffer {
  return Buffer.from(one.map((octet, at) => octet ^ (other[at] ?? 0)));
}
