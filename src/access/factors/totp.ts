/** Time-based one-time passwords (RFC 6238), as every authenticator app makes them. Pure. */

import { createHmac, timingSafeEqual } from "node:crypto";

/** RFC 6238 §5.2 recommends 30 seconds; apps know no other step for sure. */
const stepMs = 30_000;
const digits = 6;
/** RFC 6238 §5.2: one step of delay at most, here in both directions for clocks that drift. */
const window = [0, -1, 1] as const;

/** RFC 4226 §4 R6 recommends 160 bits. */
export const totpSecretBytes = 20;

export function totpStep(atMs: number): number {
  return Math.floor(atMs / stepMs);
}

/** Six digits for a step (RFC 4226 §5.3 with HMAC-SHA-1, the only one that all apps know). */
export function totpCode(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", secret).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 0x0f;
  const number = mac.readUInt32BE(offset) & 0x7fff_ffff;
  return String(number % 10 ** digits).padStart(digits, "0");
}

/**
 * The step of which this is the code, or undefined. RFC 6238 §5.2: a step does only once, so one at
 * or before `usedStep` is refused.
 *
 * @param code untrusted; blanks between digits, as apps show them, are ignored
 */
export function checkTotp(
  secret: Uint8Array,
  code: string,
  nowMs: number,
  usedStep: number,
): number | undefined {
  const given = Buffer.from(code.slice(0, 32).replaceAll(" ", ""));
  if (given.length !== digits) return undefined;
  let found: number | undefined;
  for (const shift of window) {
    const step = totpStep(nowMs) + shift;
    if (step < 0) continue;
    const fits = timingSafeEqual(Buffer.from(totpCode(secret, step)), given);
    if (fits && step > usedStep) found ??= step;
  }
  return found;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** RFC 4648 §6 without padding, as apps take secrets that are typed. */
export function base32(octets: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const octet of octets) {
    held = (held << 8) | octet;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(held >> bits) & 31];
    }
    held &= 31;
  }
  return bits === 0 ? text : text + alphabet[(held << (5 - bits)) & 31];
}

/** What the QR code of an enrolment says; the parameters are the ones that apps assume anyway. */
export function otpauthUri(secret: Uint8Array, issuer: string, address: string): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(address)}`;
  const query = `secret=${base32(secret)}&issuer=${encodeURIComponent(issuer)}`;
  return `otpauth://totp/${label}?${query}&algorithm=SHA1&digits=${digits}&period=${stepMs / 1000}`;
}
