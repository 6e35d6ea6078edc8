/** Verifier keys of signed notes, and the signatures they check (C2SP signed-note, tlog-cosignature). */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import { parseBase64 } from "./base64.ts";

/**
 * What a key does. The log signs the text of the note; a cosignature adds the time at which the
 * witness saw it. The two keys of a log, or of a witness, count together only.
 */
export type NoteAlgorithm =
  | "ed25519"
  | "ml-dsa-65"
  | "ed25519-cosignature"
  | "ml-dsa-65-cosignature";

interface Rules {
  /** Signature type of C2SP signed-note; ML-DSA-65 has none there, so 0xff and a longer name. */
  readonly type: Buffer;
  readonly keyBytes: number;
  /** Without key id and, for a cosignature, without time. */
  readonly signatureBytes: number;
  /** DER of SubjectPublicKeyInfo before the raw key (RFC 8410 §4; RFC 9881 for ML-DSA-65). */
  readonly spki: Buffer;
}

const ed25519 = {
  keyBytes: 32,
  signatureBytes: 64,
  spki: Buffer.from("302a300506032b6570032100", "hex"),
} as const;
/** FIPS 204 table 2. */
const mlDsa65 = {
  keyBytes: 1952,
  signatureBytes: 3309,
  spki: Buffer.from("308207b2300b0609608648016503040312038207a100", "hex"),
} as const;
const named = (name: string): Buffer => Buffer.from(`\u00ff${name}`, "latin1");

const rulesOf: Readonly<Record<NoteAlgorithm, Rules>> = {
  ed25519: { type: Buffer.of(0x01), ...ed25519 },
  "ml-dsa-65": { type: named("postern/ml-dsa-65/v1"), ...mlDsa65 },
  "ed25519-cosignature": { type: Buffer.of(0x04), ...ed25519 },
  "ml-dsa-65-cosignature": { type: named("postern/ml-dsa-65-cosignature/v1"), ...mlDsa65 },
};
const algorithms = Object.keys(rulesOf) as NoteAlgorithm[];

export interface NoteKey {
  readonly name: string;
  readonly algorithm: NoteAlgorithm;
  /** First four octets of SHA-256 over name, newline, signature type and key; hexadecimal. */
  readonly id: string;
  /** Raw: 32 octets, or 1,952 for ML-DSA-65. */
  readonly publicKey: Buffer;
}

export type NoteKeyFault = "too-long" | "bad-form" | "unknown-type" | "bad-id";

const maxLength = 4096;
/** Narrower than C2SP, which takes any Unicode but spaces and "+". */
export const noteName: RegExp = /^[\x21-\x2a\x2c-\x7e]{1,255}$/;

/** @param key the public half, or the private key that has it */
export function noteKey(name: string, algorithm: NoteAlgorithm, key: KeyObject): NoteKey {
  assert(noteName.test(name));
  const { spki } = rulesOf[algorithm];
  const half = key.type === "public" ? key : createPublicKey(key);
  const der = half.export({ type: "spki", format: "der" });
  assert(der.subarray(0, spki.length).equals(spki), `not a key for ${algorithm}`);
  return keyOf(name, algorithm, der.subarray(spki.length));
}

function keyOf(name: string, algorithm: NoteAlgorithm, publicKey: Buffer): NoteKey {
  const { type } = rulesOf[algorithm];
  const id = hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), type, publicKey]), "hex");
  return { name, algorithm, id: id.slice(0, 8), publicKey };
}

/** One line: NAME+ID+BASE64, the "vkey" of C2SP signed-note. */
export function formatNoteKey({ name, algorithm, id, publicKey }: NoteKey): string {
  return `${name}+${id}+${Buffer.concat([rulesOf[algorithm].type, publicKey]).toString("base64")}`;
}

/** @param text from a settings file or from a witness */
export function parseNoteKey(text: string): Result<NoteKey, NoteKeyFault> {
  if (text.length > maxLength) return refuse("too-long", maxLength);
  const [, name = "", id = "", encoded = ""] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(text) ?? [];
  const octets = parseBase64(encoded);
  if (!noteName.test(name) || octets === undefined) return refuse("bad-form");
  const algorithm = algorithms.find((one) => {
    const { type, keyBytes } = rulesOf[one];
    return octets.length === type.length + keyBytes && octets.indexOf(type) === 0;
  });
  if (algorithm === undefined) return refuse("unknown-type", name.length + id.length + 2);
  const key = keyOf(name, algorithm, octets.subarray(rulesOf[algorithm].type.length));
  return key.id === id ? accept(key) : refuse("bad-id", name.length + 1);
}

/** Whether the octets bear this key's signature. */
export function isSignature(key: NoteKey, octets: Uint8Array, signature: Uint8Array): boolean {
  const { spki, signatureBytes } = rulesOf[key.algorithm];
  if (signature.length !== signatureBytes) return false;
  const der = Buffer.concat([spki, key.publicKey]);
  return verify(
    null,
    octets,
    createPublicKey({ key: der, format: "der", type: "spki" }),
    signature,
  );
}

export function signatureOf(octets: Uint8Array, privateKey: KeyObject): Buffer {
  return sign(null, octets, privateKey);
}
