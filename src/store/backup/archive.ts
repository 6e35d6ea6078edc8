/**
 * Sealed objects: what lies on a target, readable with the recovery key alone.
 *
 * Each object has a random key of its own, wrapped in a sealed box (contracts/sealed), and follows in
 * frames of AES-256-GCM after the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015): the
 * nonce counts the frames and says which is the last, the box and the object's name are authenticated
 * with each. So a frame that is altered, missing, moved or of another object is found, and so is an
 * object that was renamed.
 *
 * Layout: "PSA1" · length of the box (4, big-endian) · box · frames, each its ciphertext (1 MiB, the
 * last one 0 to 1 MiB) and tag (16).
 */

import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import { openSealed, type SealPrivateKeys, type SealPublicKeys, seal } from "#contracts/sealed";
import { OctetReader } from "./octets.ts";
import type { Octets } from "./target.ts";

export type ArchiveFault =
  | "too-short"
  /** Not of this format, or of a later one. */
  | "not-an-archive"
  /** Sealed to another recovery key, or the box was altered. */
  | "wrong-key-or-altered"
  /** A frame was altered, moved or cut off, or the object has another name; `at` is its offset. */
  | "altered";

const magic = Buffer.from("PSA1");
const lengthBytes = 4;
const frameBytes = 1024 * 1024;
const tagBytes = 16;
/** A box of ours has 1,300 octets or less. */
const maxBoxBytes = 2048;

/**
 * Seals while it is read; memory stays at two frames.
 *
 * @param name of the object on the target
 */
export async function* sealArchive(to: SealPublicKeys, name: string, plain: Octets): Octets {
  const key = randomBytes(32);
  const box = Buffer.concat(seal(to, { archive: 1, key: key.toString("base64") }).end(null));
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32BE(box.length);
  const head = Buffer.concat([magic, length, box]);
  yield head;

  const associated = associatedWith(head, name);
  let number = 0;
  for await (const { octets, isLast } of inPieces(plain, frameBytes)) {
    const cipher = createCipheriv("aes-256-gcm", key, nonceOf(number, isLast));
    cipher.setAAD(associated);
    yield cipher.update(octets);
    cipher.final();
    yield cipher.getAuthTag();
    number += 1;
  }
}

/**
 * Opens what `sealArchive` made. Every piece handed on is authentic and in its place; that nothing is
 * missing at the end is known only when this resolves with success.
 *
 * @param sealed untrusted; what it throws is passed on
 * @param take what it throws is passed on
 * @returns how many octets there were
 */
export async function openArchive(
  own: SealPrivateKeys,
  name: string,
  sealed: Octets,
  take: (plain: Buffer) => Promise<void> | void,
): Promise<Result<number, ArchiveFault>> {
  const reader = new OctetReader(sealed);
  try {
    const head = await readHead(reader);
    if (!head.ok) return head;
    const key = keyIn(own, head.value);
    if (key === undefined) return refuse("wrong-key-or-altered", magic.length + lengthBytes);
    const associated = associatedWith(head.value, name);

    let at = head.value.length;
    let plainBytes = 0;
    for (let number = 0; ; number += 1) {
      const frame = await reader.take(frameBytes + tagBytes);
      const isLast = await reader.isAtEnd();
      const plain = openFrame(key, nonceOf(number, isLast), associated, frame);
      if (plain === undefined) return refuse("altered", at);
      await take(plain);
      plainBytes += plain.length;
      at += frame.length;
      if (isLast) return accept(plainBytes);
    }
  } finally {
    await reader.end();
  }
}

async function readHead(reader: OctetReader): Promise<Result<Buffer, ArchiveFault>> {
  const start = await reader.take(magic.length + lengthBytes);
  if (start.length < magic.length + lengthBytes) return refuse("too-short", start.length);
  if (!start.subarray(0, magic.length).equals(magic)) return refuse("not-an-archive");
  const boxBytes = start.readUInt32BE(magic.length);
  if (boxBytes > maxBoxBytes) return refuse("not-an-archive", magic.length);
  const box = await reader.take(boxBytes);
  if (box.length < boxBytes) return refuse("too-short", start.length + box.length);
  return accept(Buffer.concat([start, box]));
}

function keyIn(own: SealPrivateKeys, head: Buffer): Buffer | undefined {
  const opened = openSealed(own, [head.subarray(magic.length + lengthBytes)]);
  if (!opened.ok) return undefined;
  const { archive, key } = (opened.value.header ?? {}) as { archive?: unknown; key?: unknown };
  if (archive !== 1 || typeof key !== "string") return undefined;
  const octets = Buffer.from(key, "base64");
  return octets.length === 32 ? octets : undefined;
}

/** Undefined unless all of it is as it was sealed. */
function openFrame(
  key: Buffer,
  nonce: Buffer,
  associated: Buffer,
  frame: Buffer,
): Buffer | undefined {
  if (frame.length < tagBytes) return undefined;
  const end = frame.length - tagBytes;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(associated);
  decipher.setAuthTag(frame.subarray(end));
  const plain = decipher.update(frame.subarray(0, end));
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}

/** The head is hashed to a fixed length, so that the two parts cannot run into each other. */
function associatedWith(head: Buffer, name: string): Buffer {
  return Buffer.concat([createHash("sha256").update(head).digest(), Buffer.from(name)]);
}

/** The key is used for one object only, so counting is enough. */
function nonceOf(number: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(number, 7);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

/** Pieces of one length; the last one is shorter, or empty when there is nothing at all. */
async function* inPieces(
  source: Octets,
  pieceBytes: number,
): AsyncIterable<{ readonly octets: Buffer; readonly isLast: boolean }> {
  const reader = new OctetReader(source);
  try {
    for (let isLast = false; !isLast; ) {
      const octets = await reader.take(pieceBytes);
      isLast = await reader.isAtEnd();
      yield { octets, isLast };
    }
  } finally {
    await reader.end();
  }
}
