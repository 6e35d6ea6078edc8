/** Password hashes: Argon2id (RFC 9106) in PHC strings. */

import { argon2, timingSafeEqual } from "node:crypto";
import type { Random } from "#base/random";
import { accept, type Result, refuse } from "#base/result";

export interface HashCost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

export interface PasswordHash {
  readonly cost: HashCost;
  readonly salt: Buffer;
  readonly tag: Buffer;
}

/** The expensive function, as an argument so that its work can be counted. */
export type Derive = (
  password: string,
  salt: Buffer,
  cost: HashCost,
  tagBytes: number,
) => Promise<Buffer>;

/** Our limit: what is longer is no password and is not hashed. In UTF-16 units. */
export const maxPasswordLength = 1024;

/** Our limit on what a stored hash may make us spend. */
const maxMemoryKib = 1_048_576;
const maxPasses = 64;

const phc =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** Runs in the thread pool of Node. */
export const deriveArgon2id: Derive = (password, salt, cost, tagBytes) =>
  new Promise((resolve, reject) => {
    const parameters = {
      // One spelling for what looks the same, whatever keyboard it came from (RFC 8265 §4.2.2).
      message: Buffer.from(password.normalize("NFC")),
      nonce: salt,
      parallelism: cost.lanes,
      tagLength: tagBytes,
      memory: cost.memoryKib,
      passes: cost.passes,
    };
    argon2("argon2id", parameters, (error, tag) => (error ? reject(error) : resolve(tag)));
  });

export async function hashPassword(
  password: string,
  cost: HashCost,
  random: Random,
  derive: Derive = deriveArgon2id,
): Promise<string> {
  const salt = random.bytes(16);
  return formatHash({ cost, salt, tag: await derive(password, salt, cost, 32) });
}

export async function isPassword(
  password: string,
  hash: PasswordHash,
  derive: Derive = deriveArgon2id,
): Promise<boolean> {
  return timingSafeEqual(await derive(password, hash.salt, hash.cost, hash.tag.length), hash.tag);
}

export function formatHash({ cost, salt, tag }: PasswordHash): string {
  const word = (bytes: Buffer): string => bytes.toString("base64").replace(/=+$/, "");
  const { memoryKib, passes, lanes } = cost;
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${word(salt)}$${word(tag)}`;
}

/** @param text from the store; a hash that asks for absurd work is refused */
export function parseHash(text: string): Result<PasswordHash, "bad-hash"> {
  const match = phc.exec(text);
  if (match === null) return refuse("bad-hash");
  const [memoryKib, passes, lanes] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const sane = memoryKib >= 8 * lanes && memoryKib <= maxMemoryKib && passes <= maxPasses;
  if (!sane || passes < 1 || lanes < 1) return refuse("bad-hash");
  const salt = Buffer.from(match[4] ?? "", "base64");
  return accept({
    cost: { memoryKib, passes, lanes },
    salt,
    tag: Buffer.from(match[5] ?? "", "base64"),
  });
}

export function isSameCost(one: HashCost, other: HashCost): boolean {
  return (
    one.memoryKib === other.memoryKib && one.passes === other.passes && one.lanes === other.lanes
  );
}
