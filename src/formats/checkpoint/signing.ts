/**
 * Who signed a head. It counts as signed by the log only when its Ed25519 and its ML-DSA-65 signature
 * both hold, and as cosigned only when both of the witness do: one broken algorithm breaks nothing.
 */

import { Buffer } from "node:buffer";
import type { KeyObject } from "node:crypto";
import type { SignedHead } from "./head.ts";
import { isSignature, type NoteAlgorithm, type NoteKey, signatureOf } from "./keys.ts";
import type { Note, NoteSignature } from "./note.ts";

const timeBytes = 8;

/** The log's signature over the text of a head. */
export function signHead(text: string, key: NoteKey, privateKey: KeyObject): NoteSignature {
  const signature = signatureOf(Buffer.from(text), privateKey);
  return { name: key.name, keyId: key.id, signature };
}

/** @param timeS seconds since 1970 UTC, by the witness's clock */
export function cosignHead(
  text: string,
  timeS: number,
  key: NoteKey,
  privateKey: KeyObject,
): NoteSignature {
  const time = Buffer.alloc(timeBytes);
  time.writeBigUInt64BE(BigInt(timeS));
  const signature = signatureOf(cosignedText(text, timeS), privateKey);
  return { name: key.name, keyId: key.id, signature: Buffer.concat([time, signature]) };
}

function cosignedText(text: string, timeS: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`);
}

/** @param keys of the log, of one or more generations; those of other names are passed over */
export function isSignedBy(
  { head, text, signatures }: SignedHead,
  keys: readonly NoteKey[],
): boolean {
  const own = keys.filter(({ name }) => name === head.origin);
  const octets = Buffer.from(text);
  const holds = (algorithm: NoteAlgorithm): boolean =>
    own.some(
      (key) =>
        key.algorithm === algorithm &&
        bears(signatures, key, ({ signature }) => isSignature(key, octets, signature)),
    );
  return holds("ed25519") && holds("ml-dsa-65");
}

/**
 * When the witness saw the head, by its own clock, in seconds since 1970 UTC.
 *
 * @param keys both of one witness
 * @returns undefined unless both cosignatures hold and say the same time
 */
export function cosignedAt(note: Note, keys: readonly NoteKey[]): number | undefined {
  const times: number[] = [];
  for (const algorithm of ["ed25519-cosignature", "ml-dsa-65-cosignature"] as const) {
    const key = keys.find((one) => one.algorithm === algorithm);
    if (key === undefined) return undefined;
    const holds = bears(note.signatures, key, ({ signature }) => {
      if (signature.length <= timeBytes) return false;
      const timeS = Number(signature.readBigUInt64BE());
      times.push(timeS);
      const octets = cosignedText(note.text, timeS);
      return Number.isSafeInteger(timeS) && isSignature(key, octets, signature.subarray(timeBytes));
    });
    if (!holds) return undefined;
  }
  // Whoever broke one of the algorithms cannot move the time.
  return new Set(times).size === 1 ? times[0] : undefined;
}

/** The note with one line of each of these keys, and none of others, for which nobody answers. */
export function signedBy({ text, signatures }: Note, keys: readonly NoteKey[]): Note {
  const own = keys.flatMap((key) => signatures.find((one) => isOf(one, key)) ?? []);
  return { text, signatures: own };
}

/** A line of a key that does not hold spoils the others of that key (C2SP signed-note). */
function bears(
  signatures: readonly NoteSignature[],
  key: NoteKey,
  holds: (one: NoteSignature) => boolean,
): boolean {
  const own = signatures.filter((one) => isOf(one, key));
  return own.length > 0 && own.every(holds);
}

function isOf({ name, keyId }: NoteSignature, key: NoteKey): boolean {
  return name === key.name && keyId === key.id;
}
