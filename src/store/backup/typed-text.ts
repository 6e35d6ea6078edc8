/**
 * Octets as lines that people can print and type: base32 (RFC 4648 §6) in groups of four, each line
 * with its number and a check of its own, so that a slip of the pen is found where it was made.
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";

export type TypedFault =
  /** The line at `at` is not one of ours, or has been mistyped. */
  | "bad-line"
  /** The line at `at` is missing, or stands in another place. */
  | "wrong-line-number"
  /** All lines together hold too much or too little. */
  | "wrong-length";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** 16 characters: four groups. */
const lineBytes = 10;
const checkCharacters = 4;

/** Lines like "03  ABCD EFGH IJKL MNOP  QRST"; the last one may be shorter. */
export function formatTyped(octets: Uint8Array): string[] {
  const lines: string[] = [];
  for (let at = 0; at < octets.length; at += lineBytes) {
    const part = octets.subarray(at, at + lineBytes);
    const groups = base32(part).match(/.{1,4}/g) ?? [];
    const number = lines.length + 1;
    lines.push(`${String(number).padStart(2, "0")}  ${groups.join(" ")}  ${checkOf(number, part)}`);
  }
  return lines;
}

/**
 * @param lines untrusted, without empty ones
 * @returns with a fault of a line, its number from 1 as `at`
 */
export function parseTyped(
  lines: readonly string[],
  lengthBytes: number,
): Result<Buffer, TypedFault> {
  const parts: Buffer[] = [];
  for (const [index, line] of lines.entries()) {
    const number = index + 1;
    const match = /^(\d{1,3})[\s.:]+([A-Za-z0-9\s]{1,60})$/.exec(line);
    if (match === null) return refuse("bad-line", number);
    if (Number(match[1]) !== number) return refuse("wrong-line-number", number);
    const text = asMeant(match[2] ?? "");
    const part = fromBase32(text.slice(0, -checkCharacters));
    if (part === undefined || text.slice(-checkCharacters) !== checkOf(number, part)) {
      return refuse("bad-line", number);
    }
    parts.push(part);
  }
  const octets = Buffer.concat(parts);
  return octets.length === lengthBytes ? accept(octets) : refuse("wrong-length", lines.length);
}

/** 20 bits over the number too, so that lines cannot be swapped. */
function checkOf(number: number, part: Uint8Array): string {
  const digest = createHash("sha256").update(`postern line ${number}\n`).update(part).digest();
  return base32(digest.subarray(0, 5)).slice(0, checkCharacters);
}

/** Three digits are not in the alphabet and look like letters that are. */
function asMeant(text: string): string {
  const upper = text.replace(/\s+/g, "").toUpperCase();
  return upper.replace(/0/g, "O").replace(/1/g, "I").replace(/8/g, "B");
}

function base32(octets: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const octet of octets) {
    held = ((held << 8) | octet) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(held >> bits) & 31];
    }
  }
  return bits > 0 ? text + alphabet[(held << (5 - bits)) & 31] : text;
}

/** Undefined unless it is what `base32` writes. */
function fromBase32(text: string): Buffer | undefined {
  const octets: number[] = [];
  let held = 0;
  let bits = 0;
  for (const character of text) {
    const value = alphabet.indexOf(character);
    if (value < 0) return undefined;
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      octets.push((held >> bits) & 255);
    }
  }
  const octetsRead = Buffer.from(octets);
  return base32(octetsRead) === text ? octetsRead : undefined;
}
