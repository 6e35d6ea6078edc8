/**
 * The recovery key: the pair that backups are sealed to. Its public part lies with the mail system;
 * its private part is printed and kept elsewhere.
 *
 * The pair is one of X25519 (RFC 7748) and one of ML-KEM-768 (FIPS 203), used as contracts/sealed
 * does. The private part is the X25519 scalar and the ML-KEM seed, 96 octets: short enough to type.
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import { makeSealKeys, type SealPrivateKeys, type SealPublicKeys } from "#contracts/sealed";
import { formatTyped, parseTyped, type TypedFault } from "./typed-text.ts";

export interface RecoveryPublicKey {
  /** First half of a SHA-256 of both public keys, in hexadecimal: the name of the pair. */
  readonly id: string;
  readonly keys: SealPublicKeys;
}

export interface RecoveryPrivateKey {
  readonly id: string;
  readonly keys: SealPrivateKeys;
}

export type RecoveryKeyFault =
  | "too-long"
  /** No text of ours, or one of a later version. */
  | "not-a-recovery-key"
  /** The private part where the public one is wanted, or the other way round. */
  | "other-part"
  /** All lines are sound, but they do not make the key that the text names. */
  | "wrong-id"
  | TypedFault;

const publicTitle = "POSTERN RECOVERY KEY 1 - PUBLIC PART";
const privateTitle = "POSTERN RECOVERY KEY 1 - PRIVATE PART";
const end = "END OF KEY";

const x25519Bytes = 32;
const kemPublicBytes = 1184;
const kemSeedBytes = 64;
/** Our limit: both texts are below 3,000 characters. */
const maxText = 16_384;

/** DER of a PKCS #8 private key in front of its octets (RFC 8410 §7; RFC 9935 §6, the seed form). */
const pkcs8X25519 = Buffer.from("302e020100300506032b656e04220420", "hex");
const pkcs8MlKem768 = Buffer.from("3054020100300b060960864801650304040204428040", "hex");

/** Both parts as texts for files; the private one also for paper. */
export function makeRecoveryKey(): { readonly publicKey: string; readonly privateKey: string } {
  const { publicKeys, privateKeys } = makeSealKeys();
  const id = idOf(publicKeys);
  const ends = (key: string, bytes: number): Buffer => Buffer.from(key, "base64").subarray(-bytes);
  const secret = Buffer.concat([
    ends(privateKeys.x25519, x25519Bytes),
    ends(privateKeys.mlKem768, kemSeedBytes),
  ]);
  const privateKey = privateText(id, secret);
  // PKCS #8 knows longer forms of an ML-KEM key; a key that cannot be read again must not go out.
  assert.ok(parseRecoveryPrivateKey(privateKey).ok);
  return { publicKey: publicText(id, publicKeys), privateKey };
}

function inGroups(id: string): string {
  return (id.match(/.{4}/g) ?? []).join(" ");
}

function publicText(id: string, { x25519, mlKem768 }: SealPublicKeys): string {
  const octets = Buffer.concat([Buffer.from(x25519, "base64"), Buffer.from(mlKem768, "base64")]);
  return [
    publicTitle,
    "Backups are sealed to it. It opens nothing and is no secret.",
    "",
    `Key id: ${inGroups(id)}`,
    "",
    ...(octets.toString("base64").match(/.{1,76}/g) ?? []),
    end,
    "",
  ].join("\n");
}

function privateText(id: string, secret: Buffer): string {
  return [
    privateTitle,
    "Whoever has it can read every backup that is sealed to it; without it none can be restored.",
    "Keep it on paper, apart from the mail system and from the backups.",
    "When typed: upper or lower case, spaces as you like. Each line ends with its own check.",
    "",
    `Key id: ${inGroups(id)}`,
    "",
    ...formatTyped(secret),
    end,
    "",
  ].join("\n");
}

/** @param text what an administrator gives */
export function parseRecoveryPublicKey(text: string): Result<RecoveryPublicKey, RecoveryKeyFault> {
  const found = keyLines(text, publicTitle, privateTitle);
  if (!found.ok) return found;
  const octets = Buffer.from(found.value.lines.join(""), "base64");
  if (octets.length !== x25519Bytes + kemPublicBytes) return refuse("wrong-length", octets.length);
  const keys = {
    x25519: octets.toString("base64", 0, x25519Bytes),
    mlKem768: octets.toString("base64", x25519Bytes),
  };
  const id = idOf(keys);
  return id === found.value.id ? accept({ id, keys }) : refuse("wrong-id");
}

/**
 * @param text what an administrator gives, from a file or typed from paper
 * @returns with a fault of a line, its number (from 1) as `at`
 */
export function parseRecoveryPrivateKey(
  text: string,
): Result<RecoveryPrivateKey, RecoveryKeyFault> {
  const found = keyLines(text, privateTitle, publicTitle);
  if (!found.ok) return found;
  const secret = parseTyped(found.value.lines, x25519Bytes + kemSeedBytes);
  if (!secret.ok) return secret;
  const x25519 = Buffer.concat([pkcs8X25519, secret.value.subarray(0, x25519Bytes)]);
  const mlKem768 = Buffer.concat([pkcs8MlKem768, secret.value.subarray(x25519Bytes)]);
  const keys = { x25519: x25519.toString("base64"), mlKem768: mlKem768.toString("base64") };
  const id = idOf(publicOf(x25519, mlKem768));
  return id === found.value.id ? accept({ id, keys }) : refuse("wrong-id");
}

function publicOf(x25519: Buffer, mlKem768: Buffer): SealPublicKeys {
  const raw = (der: Buffer, bytes: number): string =>
    createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }))
      .export({ type: "spki", format: "der" })
      .subarray(-bytes)
      .toString("base64");
  return { x25519: raw(x25519, x25519Bytes), mlKem768: raw(mlKem768, kemPublicBytes) };
}

function idOf({ x25519, mlKem768 }: SealPublicKeys): string {
  const hash = createHash("sha256").update("postern recovery key 1\n");
  hash.update(Buffer.from(x25519, "base64")).update(Buffer.from(mlKem768, "base64"));
  return hash.digest("hex").slice(0, 32);
}

interface KeyLines {
  readonly id: string;
  readonly lines: readonly string[];
}

/** What stands between the id and the end; the words around it may have been left out in typing. */
function keyLines(
  text: string,
  title: string,
  otherTitle: string,
): Result<KeyLines, RecoveryKeyFault> {
  if (text.length > maxText) return refuse("too-long", maxText);
  const lines = text.split("\n").map((line) => line.trim());
  const has = (wanted: string): boolean =>
    lines.some((line) => line.toUpperCase().replace(/\s+/g, " ") === wanted);
  if (!has(title)) return refuse(has(otherTitle) ? "other-part" : "not-a-recovery-key");
  const idAt = lines.findIndex((line) => /^key id:/i.test(line));
  const endAt = lines.findIndex((line) => line.toUpperCase() === end);
  const id = lines[idAt]?.slice("key id:".length).replace(/\s+/g, "").toLowerCase() ?? "";
  if (!/^[0-9a-f]{32}$/.test(id) || endAt < idAt) return refuse("not-a-recovery-key");
  const inner = lines.slice(idAt + 1, endAt).filter((line) => line !== "");
  return accept({ id, lines: inner });
}
