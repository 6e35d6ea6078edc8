/** The keys that sign the heads of the store's log, and the last head that they signed. */

import { Buffer } from "node:buffer";
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Denied, Misconfigured } from "#base/errors";
import type { HeadSignatures, LogKeys } from "#contracts/keyring";
import { parseHead } from "#formats/checkpoint";
import { readPrivateFile, writePrivateFile } from "../private-file.ts";

export interface LogSigner {
  readonly keys: LogKeys;
  /** @throws Denied when it is no head of this log, or goes back behind one signed before */
  sign(text: Buffer): Promise<HeadSignatures>;
}

/** What is kept beside the keys. */
interface Signed {
  readonly origin: string;
  readonly size: number;
  /** Empty as long as nothing was signed. */
  readonly root: string;
}

const signedFile = "signed.json";
const algorithms = ["ed25519", "ml-dsa-65"] as const;

const makeKeyPair = promisify(generateKeyPair);
const signLater = promisify(sign);

/**
 * @param hostname begins the origin of a log that is made now
 * @throws Misconfigured when a key cannot be read, or others than its owner can read it
 */
export async function openLog(directory: string, hostname: string): Promise<LogSigner> {
  let last = await readSigned(directory, hostname);
  const ed25519 = await keyIn(directory, "ed25519", last);
  const mlDsa65 = await keyIn(directory, "ml-dsa-65", last);
  let recording: Promise<unknown> = Promise.resolve();

  /** A size that is not on the disk is not signed. */
  const record = async (next: Signed): Promise<void> => {
    if (next.size < last.size) {
      throw new Denied(`a head of size ${last.size} was signed: ${next.size} is a step back`);
    }
    if (next.size > last.size || last.root === "") {
      await writeSigned(directory, next);
      last = next;
    } else if (next.root !== last.root) {
      throw new Denied(`another root was signed for size ${next.size}`);
    }
  };

  return {
    keys: { name: last.origin, ed25519: spkiOf(ed25519), mlDsa65: spkiOf(mlDsa65) },
    async sign(text) {
      const head = parseHead(text.toString("latin1"));
      if (!head.ok || head.value.origin !== last.origin) {
        throw new Denied(`not a head of ${last.origin}`);
      }
      const { origin, size } = head.value;
      const root = head.value.root.toString("base64");
      const recorded = recording.then(() => record({ origin, size, root }));
      recording = recorded.catch(() => undefined);
      await recorded;
      const [one, other] = await Promise.all([
        signLater(null, text, ed25519),
        signLater(null, text, mlDsa65),
      ]);
      return { ed25519: one, mlDsa65: other };
    },
  };
}

/** It is written first of all: keys without it belong to a log whose last size was lost. */
async function readSigned(directory: string, hostname: string): Promise<Signed> {
  const path = join(directory, signedFile);
  if (!existsSync(path)) {
    if (algorithms.some((algorithm) => existsSync(join(directory, `${algorithm}.pem`)))) {
      throw new Misconfigured(`${path} is missing: put back a copy of it. ${begin(directory)}`);
    }
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // So that no two installations have one origin, whatever their hosts are called.
    const origin = `${hostname}/${randomBytes(4).toString("hex")}`;
    await writeSigned(directory, { origin, size: 0, root: "" });
  }
  const signed = parseSigned(readPrivateFile(path).toString("latin1"));
  if (signed !== undefined) return signed;
  throw new Misconfigured(`${path} is damaged: put back a copy of it. ${begin(directory)}`);
}

function begin(directory: string): string {
  return `Moving ${directory} away begins a new log, which witnesses do not take for the old one`;
}

async function writeSigned(directory: string, signed: Signed): Promise<void> {
  await writePrivateFile(directory, signedFile, Buffer.from(JSON.stringify(signed)));
}

function parseSigned(text: string): Signed | undefined {
  try {
    const { origin, size, root } = JSON.parse(text) as Partial<Record<string, unknown>>;
    if (typeof origin !== "string" || typeof root !== "string") return undefined;
    return Number.isSafeInteger(size) ? { origin, size: Number(size), root } : undefined;
  } catch {
    return undefined;
  }
}

async function keyIn(
  directory: string,
  algorithm: (typeof algorithms)[number],
  last: Signed,
): Promise<KeyObject> {
  const path = join(directory, `${algorithm}.pem`);
  if (!existsSync(path)) {
    if (last.root !== "") {
      throw new Misconfigured(`${path} is missing: put back a copy of it. ${begin(directory)}`);
    }
    await writePrivateFile(directory, `${algorithm}.pem`, await makePem(algorithm));
  }
  const pem = readPrivateFile(path);
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === algorithm) return key;
  } catch (error) {
    throw new Misconfigured(`${path} is not a private key`, { cause: error });
  } finally {
    pem.fill(0);
  }
  throw new Misconfigured(`${path} is not of ${algorithm}`);
}

async function makePem(algorithm: (typeof algorithms)[number]): Promise<Buffer> {
  const { privateKey } =
    algorithm === "ed25519" ? await makeKeyPair("ed25519") : await makeKeyPair("ml-dsa-65");
  return Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" }));
}

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}
