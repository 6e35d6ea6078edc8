/** The client's side of SCRAM: three steps, each a value from the last (RFC 5802 §3, §5). */

import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import { decodeOctets } from "./base64.ts";
import { prepareSecret } from "./prepare.ts";
import {
  clientKey,
  digest,
  escapeName,
  hmac,
  isNonce,
  keysOf,
  readAttributes,
  type ScramFault,
  type ScramHash,
  saltedSecret,
  xor,
} from "./scram.ts";

/**
 * none: we cannot bind on this connection ("n"). unoffered: we could, the server does not ("y").
 * A buffer: the tls-exporter value of the connection (RFC 9266 §2).
 */
export type ClientBinding = "none" | "unoffered" | Buffer;

export interface ScramStart {
  /** client-first-message */
  readonly message: string;
  readonly hash: ScramHash;
  readonly nonce: string;
  readonly bare: string;
  /** "c" of the last message: the header and what the connection is bound by, base64. */
  readonly bound: string;
}

/** @param nonce fresh and unguessable, of `scramNonce` */
export function beginScram(
  hash: ScramHash,
  user: string,
  binding: ClientBinding,
  nonce: string,
): Result<ScramStart, "bad-name"> {
  const name = prepareSecret(user);
  if (name === undefined) return refuse("bad-name");
  const flag = binding === "none" ? "n" : binding === "unoffered" ? "y" : "p=tls-exporter";
  const header = `${flag},,`;
  const data = typeof binding === "string" ? Buffer.alloc(0) : binding;
  const bare = `n=${escapeName(name)},r=${nonce}`;
  const bound = Buffer.concat([Buffer.from(header), data]).toString("base64");
  return accept({ message: header + bare, hash, nonce, bare, bound });
}

/**
 * Our limits on what a server may make us compute: fewer iterations than RFC 7677 §4 demands would
 * give the secret away, more than a million are no login but an attack.
 */
const iterationBounds = { min: 4096, max: 1_000_000 } as const;
const maxSalt = 1024;

export interface ScramAnswer {
  /** client-final-message */
  readonly message: string;
  /** What the server has to answer to show that it knows the secret too. */
  readonly signature: Buffer;
}

interface Challenge {
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
}

/** @param serverFirst untrusted, decoded from base64 */
export async function answerScram(
  start: ScramStart,
  serverFirst: string,
  secret: string,
): Promise<Result<ScramAnswer, ScramFault>> {
  const challenge = readChallenge(start, serverFirst);
  if (!challenge.ok) return challenge;
  const prepared = prepareSecret(secret);
  if (prepared === undefined) return refuse("bad-secret");
  const { nonce, salt, iterations } = challenge.value;
  const salted = await saltedSecret(start.hash, prepared, salt, iterations);
  const own = clientKey(start.hash, salted);
  const unproved = `c=${start.bound},r=${nonce}`;
  const exchange = `${start.bare},${serverFirst},${unproved}`;
  const proof = xor(own, hmac(start.hash, digest(start.hash, own), exchange));
  const signature = hmac(start.hash, keysOf(start.hash, salted).serverKey, exchange);
  return accept({ message: `${unproved},p=${proof.toString("base64")}`, signature });
}

function readChallenge({ nonce }: ScramStart, text: string): Result<Challenge, ScramFault> {
  const attributes = readAttributes(text);
  if (attributes === undefined) return refuse("syntax");
  const [first, second, third] = attributes;
  if (first?.[0] === "m") return refuse("unknown-extension");
  if (first?.[0] === "e") return refuse("server-error");
  if (first?.[0] !== "r" || second?.[0] !== "s" || third?.[0] !== "i") return refuse("syntax");
  if (!isNonce(first[1]) || !first[1].startsWith(nonce) || first[1] === nonce) {
    return refuse("bad-nonce");
  }
  const salt = decodeOctets(second[1]);
  if (salt === undefined || salt.length === 0 || salt.length > maxSalt) return refuse("syntax");
  if (!/^[1-9][0-9]{0,9}$/.test(third[1])) return refuse("bad-iterations");
  const iterations = /^[1-9]\d{0,6}$/.test(third[1]) ? Number(third[1]) : 0;
  const { min, max } = iterationBounds;
  if (iterations < min || iterations > max) return refuse("bad-iterations");
  return accept({ nonce: first[1], salt, iterations });
}

/** @param serverFinal untrusted, decoded from base64 */
export function verifyScram(answer: ScramAnswer, serverFinal: string): Result<true, ScramFault> {
  const first = readAttributes(serverFinal)?.[0];
  if (first?.[0] === "e") return refuse("server-error");
  const signature = first?.[0] === "v" ? decodeOctets(first[1]) : undefined;
  if (signature === undefined) return refuse("syntax");
  const { length } = answer.signature;
  const same = signature.length === length && timingSafeEqual(signature, answer.signature);
  return same ? accept(true) : refuse("bad-signature");
}
