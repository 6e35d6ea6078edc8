/** Does the key that the domain publishes verify this signature? (RFC 6376 §6.1.3) */

import { hash, verify } from "node:crypto";
import type { Resolver } from "#base/dns";
import { type DkimKey, findKey } from "./key.ts";
import type { Signature } from "./signature.ts";

export interface SignatureOutcome {
  /** "policy": it does, but with a key that nobody should use, or with one too costly to try. */
  readonly result: "pass" | "fail" | "policy" | "temperror" | "permerror";
  readonly why: string;
  /** Flags of the key, where there is one. */
  readonly testing: boolean;
  readonly strict: boolean;
}

/** RFC 8301 §3.2: signatures of weaker keys are not valid. */
const minBits = 1024;

/** @param signed makes the octets that were signed, in canonical form */
export async function checkSignature(
  signature: Signature,
  signed: () => Buffer,
  resolver: Resolver,
): Promise<SignatureOutcome> {
  const found = await findKey(signature, resolver);
  if ("why" in found) return { ...found, testing: false, strict: false };
  const { testing, strict, bits } = found;
  if (!isSigned(found, signed(), signature.value)) {
    return { result: "fail", why: "the signature does not fit", testing, strict };
  }
  const isWeak = found.type === "rsa" && bits < minBits;
  return isWeak
    ? { result: "policy", why: `an RSA key of ${bits} bits is too weak`, testing, strict }
    : { result: "pass", why: "", testing, strict };
}

function isSigned({ type, key }: DkimKey, octets: Buffer, signature: Buffer): boolean {
  try {
    return type === "rsa"
      ? verify("sha256", octets, key, signature)
      : verify(null, hash("sha256", octets, "buffer"), key, signature); // RFC 8463 §3
  } catch {
    return false; // OpenSSL refuses some odd keys and signatures this way
  }
}
