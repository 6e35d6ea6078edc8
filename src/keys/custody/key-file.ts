/** One private key of a domain: made, and put on the disk so that it is there after a power cut. */

import { Buffer } from "node:buffer";
import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import type { SigningKey } from "#contracts/keyring";
import { writePrivateFile } from "./private-file.ts";

const makeKeyPair = promisify(generateKeyPair);

/** RFC 8301 §3.2: 2048 bits; longer ones do not fit every DNS path. */
export async function makeKey(algorithm: SigningKey["algorithm"]): Promise<KeyObject> {
  const made =
    algorithm === "rsa-sha256"
      ? await makeKeyPair("rsa", { modulusLength: 2048 })
      : await makeKeyPair("ed25519");
  return made.privateKey;
}

export async function writeKeyFile(directory: string, name: string, key: KeyObject): Promise<void> {
  const pem = Buffer.from(key.export({ type: "pkcs8", format: "pem" }));
  await writePrivateFile(directory, name, pem);
  pem.fill(0);
}
