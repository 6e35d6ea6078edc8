/** A folder of private keys in PKCS#8, one file each: "example.org.2026a.pem" (RFC 6376, RFC 8463). */

import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Misconfigured } from "#base/errors";
import type { KeptKey, SigningKey } from "#contracts/keyring";
import { makeKey, writeKeyFile } from "./key-file.ts";
import { domainOfStates, type KeyStates, readStates, writeStates } from "./key-states.ts";
import { destroyFile, readPrivateFile, unfinished } from "./private-file.ts";

/** A key that is there: what may be told of it, and the secret. */
export interface Held {
  readonly key: SigningKey;
  readonly privateKey: KeyObject;
}

export const algorithms = ["rsa-sha256", "ed25519-sha256"] as const;

/** The selector begins with the year and which key: long enough to read in DNS, free to rotate. */
const letters = { "rsa-sha256": "a", "ed25519-sha256": "e" } as const;

const fileName = /^(.+)\.([a-z0-9]+)\.pem$/;

/** Keys and their states on the disk, with the same in memory; every change is durable first. */
export class KeyFolder {
  readonly #directory: string;
  readonly #held = new Map<string, Map<string, Held>>();
  readonly #states = new Map<string, KeyStates>();

  /** @throws Misconfigured when a file cannot be read, or others than the owner can read it */
  constructor(directory: string) {
    this.#directory = directory;
    for (const name of namesIn(directory)) {
      if (name.endsWith(unfinished)) rmSync(join(directory, name));
      const statesOf = domainOfStates(name);
      if (statesOf !== undefined) this.#states.set(statesOf, readStates(directory, statesOf));
      const [, domain, selector] = fileName.exec(name) ?? [];
      if (domain === undefined || selector === undefined) continue;
      this.#hold(domain, selector, readKey(join(directory, name)));
    }
  }

  get count(): number {
    return [...this.#held.values()].reduce((sum, one) => sum + one.size, 0);
  }

  /** Undefined without such a key, or when it was retired. */
  held(domain: string, selector: string): Held | undefined {
    if (this.states(domain).get(selector)?.state === "retired") return undefined;
    return this.#held.get(domain)?.get(selector);
  }

  /** By selector, without those that are retired. */
  list(domain: string): readonly KeptKey[] {
    const held = [...(this.#held.get(domain)?.values() ?? [])];
    held.sort((one, two) => (one.key.selector < two.key.selector ? -1 : 1));
    return held.flatMap(({ key }) => {
      const { state = "active", sinceMs } = this.states(domain).get(key.selector) ?? {};
      if (state === "retired") return [];
      return [{ ...key, state, ...(sinceMs !== undefined && { sinceMs }) }];
    });
  }

  states(domain: string): KeyStates {
    return this.#states.get(domain) ?? new Map();
  }

  async setStates(domain: string, states: KeyStates): Promise<void> {
    await writeStates(this.#directory, domain, states);
    this.#states.set(domain, states);
  }

  /** A selector that the domain never had. */
  freeSelector(domain: string, algorithm: SigningKey["algorithm"], nowMs: number): string {
    const first = `${new Date(nowMs).getUTCFullYear()}${letters[algorithm]}`;
    const isFree = (selector: string): boolean =>
      !this.states(domain).has(selector) && this.#held.get(domain)?.has(selector) !== true;
    if (isFree(first)) return first;
    for (let nth = 2; ; nth += 1) if (isFree(`${first}${nth}`)) return `${first}${nth}`;
  }

  async make(domain: string, selector: string, algorithm: SigningKey["algorithm"]): Promise<void> {
    const privateKey = await makeKey(algorithm);
    await writeKeyFile(this.#directory, `${domain}.${selector}.pem`, privateKey);
    this.#hold(domain, selector, privateKey);
  }

  /** Nothing happens when it is gone. */
  async destroy(domain: string, selector: string): Promise<void> {
    this.#held.get(domain)?.delete(selector);
    const path = join(this.#directory, `${domain}.${selector}.pem`);
    if (existsSync(path)) await destroyFile(path);
  }

  /** Retired keys whose destruction a power cut interrupted. */
  async destroyRetired(): Promise<void> {
    for (const [domain, states] of this.#states) {
      for (const [selector, { state }] of states) {
        if (state === "retired") await this.destroy(domain, selector);
      }
    }
  }

  #hold(domain: string, selector: string, privateKey: KeyObject): void {
    const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
    const algorithm = privateKey.asymmetricKeyType === "rsa" ? "rsa-sha256" : "ed25519-sha256";
    const key = { domain, selector, algorithm, publicKey: publicKey.toString("base64") } as const;
    const own = this.#held.get(domain) ?? new Map<string, Held>();
    this.#held.set(domain, own.set(selector, { key, privateKey }));
  }
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
