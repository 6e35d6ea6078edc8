/** The signed policy snapshot that the edge holds: checked, never replaced by an older, kept on disk. */

import { Buffer } from "node:buffer";
import { createHmac, createPublicKey, type KeyObject } from "node:crypto";
import { constants, renameSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { errorCode } from "#base/disk";
import { parseRange } from "#base/ip";
import { accept, type Result, refuse } from "#base/result";
import type { PolicySnapshot } from "#contracts/deposit";
import { parseObject, readSigned, type SignedFault } from "#edge/signed-policy";
import { type IdentityRules, identityRules } from "#identity/checks";
import { type PraMode, praModes } from "#identity/sender-id";
import { type Disposition, dispositions, type SenderRules } from "#model/decision";
import { readInbound } from "./connectors-shape.ts";

export type PolicyFault = SignedFault | "bad-shape" | "older";

/** ask: only the inside can tell. */
export type AddressAnswer = "known" | "ask" | "unknown-user" | "foreign-domain" | "no-policy";

/** About a hundred thousand addresses and more; a larger organisation shares its edges. */
export const maxSnapshotBytes: number = 16 * 1024 * 1024;

export interface PolicyHolder {
  /** The snapshot in force. */
  readonly current: PolicySnapshot | undefined;
  /** The same snapshot's rules of who is believed; of nobody without one. */
  readonly identity: IdentityRules;
  /** Takes what the inside pushed. Resolves with the version in force when it is on disk. */
  take(octets: Buffer): Promise<Result<number, PolicyFault>>;
  address(path: string): AddressAnswer;
}

/**
 * @param file where the snapshot survives a restart
 * @param publicKeyPem Ed25519
 * @throws Error when the key is no key
 */
export async function openPolicy(file: string, publicKeyPem: string): Promise<PolicyHolder> {
  const holder = new Holder(file, createPublicKey(publicKeyPem));
  await holder.load();
  return holder;
}

class Holder implements PolicyHolder {
  current: PolicySnapshot | undefined;
  identity: IdentityRules = { ownRelays: [], trustedSealers: [], praMode: "rfc4407" };
  readonly #file: string;
  readonly #key: KeyObject;
  #recipients: ReadonlySet<string> = new Set();
  #domains: ReadonlySet<string> = new Set();
  #askedDomains: ReadonlySet<string> = new Set();
  #salt: Buffer = Buffer.alloc(0);
  #saving: Promise<unknown> = Promise.resolve();

  constructor(file: string, key: KeyObject) {
    this.#file = file;
    this.#key = key;
  }

  async load(): Promise<void> {
    try {
      const read = this.#read(await readFile(this.#file));
      if (read.ok) this.#use(read.value);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }

  async take(octets: Buffer): Promise<Result<number, PolicyFault>> {
    const read = this.#read(octets);
    if (!read.ok) return read;
    // In force at once; the answer waits for the disk.
    this.#use(read.value);
    this.#saving = this.#saving.catch(() => {}).then(() => saveWhole(this.#file, octets));
    await this.#saving;
    return accept(read.value.version);
  }

  address(path: string): AddressAnswer {
    if (this.current === undefined) return "no-policy";
    const address = path.toLowerCase();
    const at = address.lastIndexOf("@");
    const domain = this.#digest(address.slice(at + 1));
    if (at < 0 || !this.#domains.has(domain)) return "foreign-domain";
    if (this.#recipients.has(this.#digest(address))) return "known";
    const nobody = this.#askedDomains.has(domain) ? "ask" : "unknown-user";
    const plus = address.indexOf("+");
    if (plus < 1 || plus > at) return nobody;
    const folded = address.slice(0, plus) + address.slice(at);
    return this.#recipients.has(this.#digest(folded)) ? "known" : nobody;
  }

  #digest(text: string): string {
    return createHmac("sha256", this.#salt).update(text).digest("base64url");
  }

  #read(octets: Buffer): Result<PolicySnapshot, PolicyFault> {
    const signed = readSigned(octets, this.#key, maxSnapshotBytes);
    if (!signed.ok) return signed;
    const snapshot = parseSnapshot(signed.value);
    if (snapshot === undefined) return refuse("bad-shape");
    if (snapshot.version < (this.current?.version ?? 0)) return refuse("older");
    return accept(snapshot);
  }

  #use(snapshot: PolicySnapshot): void {
    this.current = snapshot;
    this.#recipients = new Set(snapshot.recipients);
    this.#domains = new Set(snapshot.domains);
    this.#askedDomains = new Set(snapshot.askedDomains);
    this.#salt = Buffer.from(snapshot.salt, "base64");
    this.identity = identityRules(snapshot);
  }
}

/** The signature vouches for the author, not for our versions to agree. */
function parseSnapshot(text: string): PolicySnapshot | undefined {
  const value = parseObject(text);
  if (value === undefined) return undefined;
  const {
    version,
    salt,
    recipients,
    domains,
    maxMessageBytes,
    logKeys = [],
    askedDomains = [],
  } = value;
  const { inbound = [] } = value;
  const { ownRelays, trustedSealers, praMode, rules } = value;
  const lists = [recipients, domains, ownRelays, trustedSealers, logKeys, askedDomains];
  const whole =
    Number.isSafeInteger(version) &&
    typeof salt === "string" &&
    isSize(maxMessageBytes) &&
    lists.every(isTextList) &&
    praModes.includes(praMode as PraMode) &&
    isRules(rules) &&
    readInbound(inbound) !== undefined &&
    (ownRelays as readonly string[]).every((range) => parseRange(range) !== undefined);
  if (!whole) return undefined;
  return value as unknown as PolicySnapshot;
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

const expected: Readonly<Record<keyof SenderRules, readonly string[]>> = {
  spf: ["fail", "softfail", "temperror", "permerror"],
  dmarc: ["quarantine", "reject", "temperror"],
  senderId: ["fail", "softfail", "temperror", "permerror"],
};

function isRules(value: unknown): boolean {
  const rules = value as Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
  return Object.entries(expected).every(([check, results]) =>
    results.every((result) => dispositions.includes(rules?.[check]?.[result] as Disposition)),
  );
}

/** O_DSYNC instead of fsync, which the permission model refuses; whole or not at all by renaming. */
export async function saveWhole(file: string, octets: Buffer): Promise<void> {
  const next = `${file}.next`;
  const { O_WRONLY, O_CREAT, O_TRUNC, O_DSYNC } = constants;
  const handle = await open(next, O_WRONLY | O_CREAT | O_TRUNC | O_DSYNC, 0o600);
  try {
    await handle.writeFile(octets);
  } finally {
    await handle.close();
  }
  renameSync(next, file);
}
