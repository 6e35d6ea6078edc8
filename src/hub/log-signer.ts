/** The log's two keys, which the keyring holds: their public halves, and signatures over heads. */

import type { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject } from "node:crypto";
import type { Keyring } from "#contracts/keyring";
import { type NoteKey, type NoteSignature, noteKey } from "#formats/checkpoint";

export interface LogSigner {
  /** First line of every head, and the name of both keys. Another after `renew`, as the keys. */
  readonly origin: string;
  /** Ed25519 and ML-DSA-65. */
  readonly keys: readonly NoteKey[];
  /**
   * Both signatures over the text of a head.
   *
   * @throws Unavailable when the keyring does not answer, Denied when it signed another past before
   */
  sign(text: string): Promise<readonly NoteSignature[]>;
  /**
   * Ends this log and begins another.
   *
   * @throws Unavailable when the keyring does not answer: the log may have ended nevertheless
   */
  renew(): Promise<void>;
}

type LogKeeper = Pick<Keyring, "logKeys" | "signHead" | "renewLog">;

/** @throws Unavailable when the keyring does not answer */
export async function logSigner(keyring: LogKeeper): Promise<LogSigner> {
  let keys = await keysOf(keyring);
  return {
    get origin() {
      return keys.classic.name;
    },
    get keys() {
      return [keys.classic, keys.quantum];
    },
    async sign(text) {
      const { classic, quantum } = keys;
      const made = await keyring.signHead(text);
      return [
        { name: classic.name, keyId: classic.id, signature: made.ed25519 },
        { name: quantum.name, keyId: quantum.id, signature: made.mlDsa65 },
      ];
    },
    async renew() {
      await keyring.renewLog(keys.classic.name);
      keys = await keysOf(keyring);
    },
  };
}

async function keysOf(keyring: LogKeeper): Promise<Record<"classic" | "quantum", NoteKey>> {
  const { name, ed25519, mlDsa65 } = await keyring.logKeys();
  return {
    classic: noteKey(name, "ed25519", publicKeyOf(ed25519)),
    quantum: noteKey(name, "ml-dsa-65", publicKeyOf(mlDsa65)),
  };
}

function publicKeyOf(der: Buffer): KeyObject {
  return createPublicKey({ key: der, format: "der", type: "spki" });
}
