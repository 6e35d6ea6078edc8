/** Recovery codes: for somebody who lost what makes their codes. Ten, each once, kept as hashes. */

import { hash } from "node:crypto";
import type { Random } from "#base/random";
import { base32 } from "./totp.ts";

export const recoveryCodeCount = 10;

/** 80 random bits: nothing that guessing or a faster hash could reach. */
const codeBytes = 10;

export interface RecoveryCodes {
  /** To be shown once: four groups of four letters and digits. */
  readonly codes: readonly string[];
  readonly digests: readonly string[];
}

export function makeRecoveryCodes(random: Random): RecoveryCodes {
  const codes = Array.from({ length: recoveryCodeCount }, () =>
    inGroups(base32(random.bytes(codeBytes)).toLowerCase()),
  );
  return { codes, digests: codes.map(recoveryDigest) };
}

/** @param code untrusted; case, blanks and hyphens do not matter */
export function recoveryDigest(code: string): string {
  const bare = code.slice(0, 64).replaceAll(/[\s-]/g, "").toLowerCase();
  return hash("sha256", `postern recovery code ${bare}`, "base64url");
}

function inGroups(text: string): string {
  return text.match(/.{4}/g)?.join("-") ?? text;
}
