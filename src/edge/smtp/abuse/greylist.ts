/** Who tried before (RFC 6647): the first mail of an unknown combination is put off once. */

import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import type { Clock, Timer } from "#base/clock";
import { errorCode } from "#base/disk";
import { clientNetwork, parseIp } from "#base/ip";
import type { Random } from "#base/random";
import { saveWhole } from "../policy.ts";
import { Recent } from "./recent.ts";

export interface GreylistLimits {
  readonly delayMs: number;
  readonly windowMs: number;
  readonly whiteMs: number;
  readonly entries: number;
}

export interface GreylistPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** The file could not be written; what was learned lives in memory alone. */
  onFailed(error: unknown): void;
}

export interface Triplet {
  readonly clientAddress: string;
  /** Domain that SPF vouched for: a large sender tries again from another of its hosts. */
  readonly vouchedBy?: string;
  readonly reversePath: string;
  readonly recipient: string;
}

export interface Greylist extends AsyncDisposable {
  /** @returns 0 when it may pass, or the milliseconds until it may */
  ask(triplet: Triplet): number;
}

/** Seconds since 1970. passedS 0: not yet let through; later the last time that it was. */
interface Entry {
  readonly firstS: number;
  readonly passedS: number;
}

const magic = Buffer.from("postern greylist 1\n", "latin1");
const keyBytes = 32;
const digestBytes = 16;
const recordBytes = digestBytes + 8;
/** What is younger is lost when the machine stops; it costs those senders one more try. */
const saveEveryMs = 60_000;

/** A file that is missing or is no such file is an empty one. */
export async function openGreylist(
  file: string,
  limits: GreylistLimits,
  ports: GreylistPorts,
): Promise<Greylist> {
  const octets = await readFile(file).catch((error: unknown) => {
    if (errorCode(error) !== "ENOENT") ports.onFailed(error);
    return Buffer.alloc(0);
  });
  return new Kept(file, limits, ports, octets);
}

/** The file holds digests under a key of its own: no address, and nothing to compare elsewhere. */
class Kept implements Greylist {
  readonly #file: string;
  readonly #limits: GreylistLimits;
  readonly #ports: GreylistPorts;
  readonly #key: Buffer;
  readonly #entries: Recent<Entry>;
  #timer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(file: string, limits: GreylistLimits, ports: GreylistPorts, octets: Buffer) {
    this.#file = file;
    this.#limits = limits;
    this.#ports = ports;
    this.#entries = new Recent(limits.entries);
    const start = magic.length + keyBytes;
    const isOurs =
      octets.subarray(0, magic.length).equals(magic) &&
      octets.length >= start &&
      (octets.length - start) % recordBytes === 0;
    this.#key = isOurs ? octets.subarray(magic.length, start) : ports.random.bytes(keyBytes);
    if (!isOurs) return;
    for (let at = start; at < octets.length; at += recordBytes) {
      const behind = at + digestBytes;
      const entry = {
        firstS: octets.readUInt32BE(behind),
        passedS: octets.readUInt32BE(behind + 4),
      };
      this.#entries.set(octets.toString("latin1", at, behind), entry);
    }
  }

  ask(triplet: Triplet): number {
    const { delayMs, windowMs, whiteMs } = this.#limits;
    const nowS = Math.floor(this.#ports.clock.nowMs() / 1000);
    const key = this.#digest(triplet);
    const known = this.#entries.get(key);
    const isWhite =
      known !== undefined && known.passedS > 0 && (nowS - known.passedS) * 1000 <= whiteMs;
    const triedMs =
      known === undefined || known.passedS > 0 ? Infinity : (nowS - known.firstS) * 1000;
    const isFresh = !isWhite && (triedMs > windowMs || triedMs < 0);
    const passes = isWhite || (!isFresh && triedMs >= delayMs);
    const firstS = isFresh || known === undefined ? nowS : known.firstS;
    this.#entries.set(key, { firstS, passedS: passes ? nowS : 0 });
    this.#timer ??= this.#ports.clock.after(saveEveryMs, () => void this.#save());
    return passes ? 0 : Math.max(1000, delayMs - (nowS - firstS) * 1000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== undefined) await this.#save();
    await this.#saving;
  }

  #digest({ clientAddress, vouchedBy, reversePath, recipient }: Triplet): string {
    const from = vouchedBy === undefined ? networkOf(clientAddress) : `spf ${vouchedBy}`;
    const text = [from, reversePath, recipient].join("\0").toLowerCase();
    const digest = createHmac("sha256", this.#key).update(text).digest();
    return digest.toString("latin1", 0, digestBytes);
  }

  #save(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const octets = Buffer.alloc(magic.length + keyBytes + this.#entries.size * recordBytes);
    magic.copy(octets);
    this.#key.copy(octets, magic.length);
    let at = magic.length + keyBytes;
    for (const [key, { firstS, passedS }] of this.#entries) {
      octets.write(key, at, "latin1");
      octets.writeUInt32BE(firstS, at + digestBytes);
      octets.writeUInt32BE(passedS, at + digestBytes + 4);
      at += recordBytes;
    }
    const written = this.#saving.then(() => saveWhole(this.#file, octets));
    this.#saving = written.catch((error: unknown) => this.#ports.onFailed(error));
    return this.#saving;
  }
}

/** 24 bits of IPv4, 64 of IPv6: a sender's hosts stand side by side. */
function networkOf(address: string): string {
  if (isIP(address) !== 4) return clientNetwork(address);
  return `${parseIp(address)?.subarray(0, 3).join(".")}.0/24`;
}
