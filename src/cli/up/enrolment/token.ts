/** The token of an enrolment, carried by a person from the inside to the edge. */

import { Buffer } from "node:buffer";
import { hash, timingSafeEqual } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import type { Fingerprint } from "#contracts/link";

export interface EnrolmentToken {
  /** Random octets, shared by the two ends of this one enrolment and nobody else. */
  readonly secret: Buffer;
  /** Of the certificate that the inside will dial with. */
  readonly hubFingerprint: Fingerprint;
  readonly expiresAtMs: number;
}

/** "incomplete": letters are missing or mistyped; a token of another kind is "not-a-token". */
export type TokenFault = "not-a-token" | "incomplete";

const prefix = "postern1.";
export const secretLength = 20;
const fingerprintLength = 32;
const expiryLength = 6;
const checkLength = 4;
const bodyLength = secretLength + fingerprintLength + expiryLength;
const wholeLength = bodyLength + checkLength;
const letters = /^[A-Za-z0-9_-]+$/;

/** 92 characters that no shell treats specially. */
export function formatToken(token: EnrolmentToken): string {
  const expiry = Buffer.alloc(expiryLength);
  expiry.writeUIntBE(Math.floor(token.expiresAtMs / 1000), 0, expiryLength);
  const body = Buffer.concat([token.secret, Buffer.from(token.hubFingerprint, "hex"), expiry]);
  return prefix + Buffer.concat([body, checkOf(body)]).toString("base64url");
}

/** @param text as somebody pasted it */
export function parseToken(text: string): Result<EnrolmentToken, TokenFault> {
  const trimmed = text.length > 400 ? "" : text.trim();
  if (!trimmed.startsWith(prefix)) return refuse("not-a-token", 0);
  const coded = trimmed.slice(prefix.length);
  const octets = letters.test(coded) ? Buffer.from(coded, "base64url") : Buffer.alloc(0);
  // The last letter has bits that no octet takes: with these set it is another letter.
  const isWhole = octets.length === wholeLength && octets.toString("base64url") === coded;
  if (!isWhole) return refuse("incomplete", prefix.length);
  const body = octets.subarray(0, bodyLength);
  if (!timingSafeEqual(checkOf(body), octets.subarray(bodyLength))) {
    return refuse("incomplete", prefix.length);
  }
  const expiryAt = secretLength + fingerprintLength;
  return accept({
    secret: body.subarray(0, secretLength),
    hubFingerprint: body.toString("hex", secretLength, expiryAt),
    expiresAtMs: body.readUIntBE(expiryAt, expiryLength) * 1000,
  });
}

/** Finds slips of the hand; it protects nothing. */
function checkOf(body: Buffer): Buffer {
  return hash("sha256", body, "buffer").subarray(0, checkLength);
}
