/**
 * App passwords: made by us for one program each. Nobody can guess 140 random bits, so SHA-256
 * keeps them as well as a slow hash would.
 */

import { hash, timingSafeEqual } from "node:crypto";
import type { Random } from "#base/random";
import type { Factor } from "./factors.ts";

const letters = "abcdefghijklmnopqrstuvwxyz234567";
const groups = 7;
const groupLength = 4;
/** 28 letters of 5 bits. */
const shape = /^[a-z2-7]{4}(?:-[a-z2-7]{4}){6}$/;

/** @returns the password, to be shown once, and what is kept of it */
export function makeAppPassword(random: Random): {
  readonly password: string;
  readonly digest: string;
} {
  const text = [...random.bytes(groups * groupLength)].map((octet) => letters[octet & 31]).join("");
  const password = text.match(/.{4}/g)?.join("-") ?? text;
  return { password, digest: digestOf(password) };
}

/**
 * @param given untrusted; blanks for hyphens, as some programs make them, and capitals are fine
 * @returns the id of the factor that it is
 */
export function findAppPassword(given: string, factors: readonly Factor[]): string | undefined {
  const password = given.trim().toLowerCase().replaceAll(" ", "-");
  if (!shape.test(password)) return undefined;
  const digest = Buffer.from(digestOf(password));
  let found: string | undefined;
  for (const one of factors) {
    if (one.kind === "app-password" && timingSafeEqual(Buffer.from(one.digest), digest))
      found = one.id;
  }
  return found;
}

function digestOf(password: string): string {
  return hash("sha256", `postern app password ${password}`, "base64url");
}
