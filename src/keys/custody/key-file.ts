/** One private key: made, and put on the disk so that it is there after a power cut. */

import { Buffer } from "node:buffer";
import { generateKeyPair, type KeyObject } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { SigningKey } from "#contracts/keyring";

const makeKeyPair = promisify(generateKeyPair);

/** RFC 8301 §3.2: 2048 bits; longer ones do not fit every DNS path. */
export async function makeKey(algorithm: SigningKey["algorithm"]): Promise<KeyObject> {
  const made =
    algorithm === "rsa-sha256"
      ? await makeKeyPair("rsa", { modulusLength: 2048 })
      : await makeKeyPair("ed25519");
  return made.privateKey;
}

/**
 * The file appears whole or not at all. Behind Node's permission fence fsync is refused, so every
 * write itself is synchronous; the newline after the rename makes the file system write down the
 * file's new name together with it.
 */
export async function writeKeyFile(directory: string, name: string, key: KeyObject): Promise<void> {
  const path = join(directory, name);
  const part = `${path}.part`;
  const pem = key.export({ type: "pkcs8", format: "pem" });
  await rm(part, { force: true });
  await append(part, Buffer.from(pem), constants.O_CREAT | constants.O_EXCL);
  await rename(part, path);
  await append(path, Buffer.from("\n"), constants.O_APPEND);
}

async function append(path: string, octets: Buffer, how: number): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_SYNC | how, 0o600);
  try {
    await file.writeFile(octets);
  } finally {
    await file.close();
  }
}
