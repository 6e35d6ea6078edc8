/** What a server holds a SCRAM login against instead of the secret (RFC 5802 §3). */

import { type Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import { prepareSecret } from "./prepare.ts";
import { keysOf, type ScramHash, type ScramKeys, saltedSecret } from "./scram.ts";

export interface ScramVerifier {
  readonly hash: ScramHash;
  readonly salt: Buffer;
  readonly iterations: number;
  /** One for each secret that is good now: they share salt and iterations, since a server names one. */
  readonly keys: readonly ScramKeys[];
}

/** @param secrets as the administrator wrote them; all are good */
export async function makeScramVerifier(
  hash: ScramHash,
  secrets: readonly string[],
  salt: Buffer,
  iterations: number,
): Promise<Result<ScramVerifier, "bad-secret">> {
  const keys: ScramKeys[] = [];
  for (const [at, secret] of secrets.entries()) {
    const prepared = prepareSecret(secret);
    if (prepared === undefined) return refuse("bad-secret", at);
    keys.push(keysOf(hash, await saltedSecret(hash, prepared, salt, iterations)));
  }
  return accept({ hash, salt, iterations, keys });
}

/**
 * The salt of a name, known or not: the same whenever it is asked, and without `pepper` nobody can
 * tell the two apart (RFC 5802 §9). A verifier of random octets with it stands for an unknown name.
 *
 * @param pepper 32 random octets that the server keeps
 */
export function scramSalt(hash: ScramHash, user: string, pepper: Uint8Array): Buffer {
  return createHmac("sha256", pepper).update(`${hash} ${user}`, "utf8").digest().subarray(0, 16);
}
