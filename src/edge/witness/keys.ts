/** The witness's own two keys: made at its first start, and never anywhere else. */

import { Buffer } from "node:buffer";
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { constants, renameSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import { type NoteKey, noteKey } from "#formats/checkpoint";

export interface WitnessKey {
  readonly key: NoteKey;
  readonly secret: KeyObject;
}

/** Base64 of PKCS #8, DER. The name is kept too: under another one the keys would be other keys. */
interface Kept {
  readonly name: string;
  readonly ed25519: string;
  readonly mlDsa65: string;
}

/**
 * Reads the keys, or makes them.
 *
 * @param name used when they are made
 * @throws Misconfigured when the file is there and holds no keys
 */
export async function openWitnessKeys(path: string, name: string): Promise<readonly WitnessKey[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return keysOf(await make(path, name));
  try {
    return keysOf(JSON.parse(text) as Kept);
  } catch (error) {
    throw new Misconfigured(`${path}: holds no keys of a witness`, { cause: error });
  }
}

function keysOf({ name, ed25519, mlDsa65 }: Kept): WitnessKey[] {
  const secretOf = (text: string): KeyObject =>
    createPrivateKey({ key: Buffer.from(text, "base64"), format: "der", type: "pkcs8" });
  const [classic, quantum] = [secretOf(ed25519), secretOf(mlDsa65)];
  return [
    { key: noteKey(name, "ed25519-cosignature", classic), secret: classic },
    { key: noteKey(name, "ml-dsa-65-cosignature", quantum), secret: quantum },
  ];
}

async function make(path: string, name: string): Promise<Kept> {
  const pkcs8 = ({ privateKey }: { readonly privateKey: KeyObject }): string =>
    privateKey.export({ type: "pkcs8", format: "der" }).toString("base64");
  const kept: Kept = {
    name,
    ed25519: pkcs8(generateKeyPairSync("ed25519")),
    mlDsa65: pkcs8(generateKeyPairSync("ml-dsa-65")),
  };
  const next = `${path}.next`;
  const { O_WRONLY, O_CREAT, O_TRUNC, O_DSYNC } = constants;
  const handle = await open(next, O_WRONLY | O_CREAT | O_TRUNC | O_DSYNC, 0o600);
  try {
    await handle.writeFile(JSON.stringify(kept));
  } finally {
    await handle.close();
  }
  renameSync(next, path);
  return kept;
}
