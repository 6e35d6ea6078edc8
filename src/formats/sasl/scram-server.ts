/** The server's side of SCRAM: three steps, each a value from the last (RFC 5802 §3, §5). */

import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import { decodeOctets } from "./base64.ts";
import { prepareSecret } from "./prepare.ts";
import {
  digest,
  hmac,
  isNonce,
  maxMessage,
  readAttributes,
  type ScramFault,
  type ScramHash,
  type ScramKeys,
  type ScramMechanism,
  unescapeName,
  xor,
} from "./scram.ts";
import type { ScramVerifier } from "./scram-verifier.ts";

export interface ScramFirst {
  /** Prepared; to be looked up. */
  readonly user: string;
  readonly nonce: string;
  /** "n": cannot bind. "y": could, and believes that we cannot. Else the type of binding (§5.1). */
  readonly flag: string;
  /** gs2-header as written. */
  readonly header: string;
  readonly bare: string;
}

const header = /^(n|y|p=([A-Za-z0-9.-]{1,64})),(?:a=([^,]{1,1024}))?,/;

/** @param message untrusted, decoded from base64 */
export function readScramFirst(message: string): Result<ScramFirst, ScramFault> {
  const found = message.length > maxMessage ? null : header.exec(message);
  if (found === null) return refuse("syntax");
  const bare = message.slice(found[0].length);
  const attributes = readAttributes(bare);
  const [first, second] = attributes ?? [];
  if (first?.[0] === "m") return refuse("unknown-extension");
  if (first?.[0] !== "n" || second?.[0] !== "r") return refuse("syntax");
  if (!isNonce(second[1])) return refuse("bad-nonce");
  const user = nameOf(first[1]);
  if (user === undefined) return refuse("bad-name");
  if (found[3] !== undefined && nameOf(found[3]) !== user) return refuse("acts-for-another");
  return accept({
    user,
    nonce: second[1],
    flag: found[2] ?? (found[1] as string),
    header: found[0],
    bare,
  });
}

function nameOf(text: string): string | undefined {
  const name = unescapeName(text);
  return name === undefined ? undefined : prepareSecret(name);
}

export interface ScramOffer {
  /** server-first-message */
  readonly message: string;
  readonly hash: ScramHash;
  readonly nonce: string;
  readonly bare: string;
  /** What "c" of the answer has to decode to. */
  readonly bound: Buffer;
  readonly keys: readonly ScramKeys[];
}

/** What the connection and the offers in EHLO were. */
export interface ScramTerms {
  readonly mechanism: ScramMechanism;
  /** A mechanism with -PLUS was offered on this connection. */
  readonly plusOffered: boolean;
  /** The tls-exporter value of the connection (RFC 9266 §2); absent: it has none. */
  readonly exporter?: Buffer;
  /** Fresh and unguessable, of `scramNonce`. */
  readonly nonce: string;
}

/** @param verifier of the same hash; a mock one for a user who is unknown */
export function offerScram(
  first: ScramFirst,
  verifier: ScramVerifier,
  terms: ScramTerms,
): Result<ScramOffer, "bad-binding"> {
  const { mechanism, plusOffered, exporter } = terms;
  const binds = first.flag !== "n" && first.flag !== "y";
  if (mechanism.plus !== binds) return refuse("bad-binding");
  if (binds && (first.flag !== "tls-exporter" || exporter === undefined)) {
    return refuse("bad-binding");
  }
  // §6: somebody on the way took our offer of -PLUS out.
  if (first.flag === "y" && plusOffered) return refuse("bad-binding");
  const nonce = first.nonce + terms.nonce;
  const { salt, iterations, keys, hash } = verifier;
  return accept({
    message: `r=${nonce},s=${salt.toString("base64")},i=${iterations}`,
    hash,
    nonce,
    bare: first.bare,
    bound: Buffer.concat([Buffer.from(first.header), ...(binds && exporter ? [exporter] : [])]),
    keys,
  });
}

/**
 * @param clientFinal untrusted, decoded from base64
 * @returns server-final-message, to be sent before the success, and which of the secrets it was
 */
export function judgeScram(
  offer: ScramOffer,
  clientFinal: string,
): Result<{ readonly message: string; readonly secret: number }, ScramFault> {
  const attributes = readAttributes(clientFinal);
  const last = attributes?.at(-1);
  const [bound, nonce] = attributes ?? [];
  if (bound?.[0] !== "c" || nonce?.[0] !== "r" || last?.[0] !== "p") return refuse("syntax");
  if (nonce[1] !== offer.nonce) return refuse("bad-nonce");
  if (decodeOctets(bound[1])?.equals(offer.bound) !== true) return refuse("bad-binding");
  const proof = decodeOctets(last[1]);
  const { length } = digest(offer.hash, offer.bound);
  if (proof?.length !== length) return refuse("syntax");
  const unproved = clientFinal.slice(0, clientFinal.lastIndexOf(",p="));
  const exchange = `${offer.bare},${offer.message},${unproved}`;
  const secret = matching(offer, exchange, proof);
  const keys = offer.keys[secret];
  if (keys === undefined) return refuse("bad-proof");
  const signature = hmac(offer.hash, keys.serverKey, exchange);
  return accept({ message: `v=${signature.toString("base64")}`, secret });
}

/** All are tried, and never fewer than two: the time tells neither whether one fits nor how many are good. */
function matching({ hash, keys }: ScramOffer, exchange: string, proof: Buffer): number {
  let found = -1;
  for (let at = 0; at < Math.max(2, keys.length); at += 1) {
    const { storedKey } = keys[at] ?? keys[0] ?? {};
    if (storedKey === undefined) return -1;
    const own = xor(proof, hmac(hash, storedKey, exchange));
    const same = timingSafeEqual(digest(hash, own), storedKey);
    if (same && at < keys.length) found = at;
  }
  return found;
}
