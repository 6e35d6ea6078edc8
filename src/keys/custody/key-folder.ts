/** A folder of private keys in PKCS#8, one file each: "example.org.2026a.pem" (RFC 6376, RFC 8463). */

import { createPrivateKey, createPublicKey, hash, type KeyObject, sign } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Misconfigured } from "#base/errors";
import type { SigningKey } from "#contracts/keyring";
import { makeKey, writeKeyFile } from "./key-file.ts";
import { readPrivateFile, unfinished } from "./private-file.ts";

export interface Custody {
  readonly count: number;
  keys(domain: string): readonly SigningKey[];
  /** Makes what is missing; resolves when it is durable. Undefined when no key can have that name. */
  make(domain: string, nowMs: number): Promise<readonly SigningKey[] | undefined>;
  /** Undefined when there is no such key. */
  sign(domain: string, selector: string, octets: Buffer): Promise<Buffer> | undefined;
}

interface Held {
  readonly key: SigningKey;
  readonly privateKey: KeyObject;
}

const algorithms = ["rsa-sha256", "ed25519-sha256"] as const;

/** The selector is the year and which key: long enough to read in DNS, free to rotate. */
const letters = { "rsa-sha256": "a", "ed25519-sha256": "e" } as const;

/** Ours, so that a file name holds it: 255 octets with selector and ending. */
const maxDomain = 230;
const domainName =
  /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const fileName = /^(.+)\.([a-z0-9]+)\.pem$/;

const signLater = promisify(sign);

/** @throws Misconfigured when a key cannot be read, or others than the owner can read it */
export function openCustody(directory: string): Custody {
  const held = readFolder(directory);
  const underWay = new Map<string, Promise<readonly SigningKey[]>>();
  const keys = (domain: string): readonly SigningKey[] =>
    [...(held.get(domain.toLowerCase())?.values() ?? [])].map((one) => one.key);

  const make = async (domain: string, nowMs: number): Promise<readonly SigningKey[]> => {
    const has = keys(domain);
    for (const algorithm of algorithms) {
      if (has.some((key) => key.algorithm === algorithm)) continue;
      const selector = `${new Date(nowMs).getUTCFullYear()}${letters[algorithm]}`;
      const privateKey = await makeKey(algorithm);
      await writeKeyFile(directory, `${domain}.${selector}.pem`, privateKey);
      hold(held, domain, selector, privateKey);
    }
    return keys(domain);
  };

  return {
    get count() {
      return [...held.values()].reduce((sum, one) => sum + one.size, 0);
    },
    keys,
    async make(given, nowMs) {
      const domain = given.toLowerCase();
      if (domain.length > maxDomain || !domainName.test(domain)) return undefined;
      const before = underWay.get(domain);
      if (before !== undefined) return await before;
      const making = make(domain, nowMs).finally(() => underWay.delete(domain));
      underWay.set(domain, making);
      return await making;
    },
    sign(domain, selector, octets) {
      const one = held.get(domain.toLowerCase())?.get(selector);
      if (one === undefined) return undefined;
      return one.key.algorithm === "rsa-sha256"
        ? signLater("sha256", octets, one.privateKey)
        : signLater(null, hash("sha256", octets, "buffer"), one.privateKey); // RFC 8463 §3
    },
  };
}

type Folder = Map<string, Map<string, Held>>;

function hold(folder: Folder, domain: string, selector: string, privateKey: KeyObject): void {
  const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const algorithm = privateKey.asymmetricKeyType === "rsa" ? "rsa-sha256" : "ed25519-sha256";
  const key = { domain, selector, algorithm, publicKey: publicKey.toString("base64") } as const;
  const own = folder.get(domain) ?? new Map<string, Held>();
  folder.set(domain, own.set(selector, { key, privateKey }));
}

function readFolder(directory: string): Folder {
  const folder: Folder = new Map();
  for (const name of namesIn(directory)) {
    const path = join(directory, name);
    if (name.endsWith(unfinished)) rmSync(path);
    const [, domain, selector] = fileName.exec(name) ?? [];
    if (domain === undefined || selector === undefined) continue;
    hold(folder, domain, selector, readKey(path));
  }
  return folder;
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    throw new Misconfigured(`the folder of keys ${directory} cannot be read`, { cause: error });
  }
}

function readKey(path: string): KeyObject {
  const pem = readPrivateFile(path);
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "rsa" || key.asymmetricKeyType === "ed25519") return key;
  } catch (error) {
    throw new Misconfigured(`${path} is not a private key`, { cause: error });
  } finally {
    pem.fill(0);
  }
  throw new Misconfigured(`${path} is neither an RSA nor an Ed25519 key`);
}
