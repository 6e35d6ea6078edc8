/**
 * Sealed messages: what must wait in the DMZ, readable by the inside alone.
 *
 * An ephemeral X25519 key agreement (RFC 7748) and an ML-KEM-768 encapsulation (FIPS 203) are
 * combined by HKDF-SHA-256 (RFC 5869) over both secrets and everything public, so that the seal
 * holds while either of the two does. The content follows in chunks of AES-256-GCM; each nonce
 * holds the chunk's number and whether it is the last, so chunks can be neither reordered nor cut.
 *
 * Layout: "PSL1" · ephemeral X25519 key (32) · ML-KEM ciphertext (1088) · chunks, each its
 * ciphertext (64 KiB, the last one shorter) and tag (16). The plain text is the length of the
 * header (4), the header as JSON, the content, the trailer as JSON and its length (4).
 */

import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { accept, type Result, refuse } from "#base/result";

/** Base64 of the raw public keys, as the policy snapshot carries them. */
export interface SealPublicKeys {
  readonly x25519: string;
  readonly mlKem768: string;
}

/** Base64 of PKCS #8, DER. */
export interface SealPrivateKeys {
  readonly x25519: string;
  readonly mlKem768: string;
}

export type SealFault = "too-short" | "not-sealed" | "wrong-key-or-altered" | "bad-content";

const magic = Buffer.from("PSL1");
const x25519Bytes = 32;
const kemCiphertextBytes = 1088;
const headBytes: number = magic.length + x25519Bytes + kemCiphertextBytes;
const chunkBytes = 64 * 1024;
const tagBytes = 16;
/** Header and trailer as JSON; the same bound as on the link. */
const maxJsonBytes = 256 * 1024;
const empty = Buffer.alloc(0);

/** DER of SubjectPublicKeyInfo in front of a raw key (RFC 8410 §4; RFC 9935 for ML-KEM-768). */
const spkiX25519 = Buffer.from("302a300506032b656e032100", "hex");
const spkiMlKem768 = Buffer.from("308204b2300b0609608648016503040402038204a100", "hex");

export function makeSealKeys(): {
  readonly publicKeys: SealPublicKeys;
  readonly privateKeys: SealPrivateKeys;
} {
  const x25519 = generateKeyPairSync("x25519");
  const mlKem768 = generateKeyPairSync("ml-kem-768");
  const pkcs8 = (key: KeyObject): string =>
    key.export({ type: "pkcs8", format: "der" }).toString("base64");
  return {
    publicKeys: {
      x25519: rawOf(x25519.publicKey, spkiX25519).toString("base64"),
      mlKem768: rawOf(mlKem768.publicKey, spkiMlKem768).toString("base64"),
    },
    privateKeys: { x25519: pkcs8(x25519.privateKey), mlKem768: pkcs8(mlKem768.privateKey) },
  };
}

function rawOf(key: KeyObject, prefix: Buffer): Buffer {
  return key.export({ type: "spki", format: "der" }).subarray(prefix.length);
}

function publicKey(raw: Buffer, prefix: Buffer): KeyObject {
  const key = Buffer.concat([prefix, raw]);
  return createPublicKey({ key, format: "der", type: "spki" });
}

/** Seals while the content streams; memory stays at one chunk. */
export interface Sealer {
  /** @returns what can be written already, in order */
  write(chunk: Uint8Array): Buffer[];
  /** Ends the content. @returns the rest; the sealer is spent. */
  end(trailer: unknown): Buffer[];
}

/**
 * @param header the deposit, sealed like the content: the envelope is nobody's business either
 * @throws Error when the public keys are not keys
 */
export function seal(to: SealPublicKeys, header: unknown): Sealer {
  const ephemeral = generateKeyPairSync("x25519");
  const ephemeralRaw = rawOf(ephemeral.publicKey, spkiX25519);
  const peerRaw = Buffer.from(to.x25519, "base64");
  const kemRaw = Buffer.from(to.mlKem768, "base64");
  const agreed = diffieHellman({
    privateKey: ephemeral.privateKey,
    publicKey: publicKey(peerRaw, spkiX25519),
  });
  const { sharedKey, ciphertext } = encapsulate(publicKey(kemRaw, spkiMlKem768));
  const head = Buffer.concat([magic, ephemeralRaw, ciphertext]);
  const key = combine([agreed, sharedKey], [head, peerRaw, kemRaw]);

  let number = 0;
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let ready: Buffer[] = [head];
  const close = (last: boolean): void => {
    const cipher = createCipheriv("aes-256-gcm", key, nonce(number, last));
    number += 1;
    for (const part of waiting) ready.push(cipher.update(part));
    ready.push(cipher.final(), cipher.getAuthTag());
    waiting = [];
    waitingBytes = 0;
  };
  const push = (chunk: Uint8Array): void => {
    let rest = chunk;
    while (rest.length > 0) {
      // A full chunk is closed only when more comes, so that the last one can say that it is.
      if (waitingBytes === chunkBytes) close(false);
      const now = rest.subarray(0, chunkBytes - waitingBytes);
      waiting.push(now);
      waitingBytes += now.length;
      rest = rest.subarray(now.length);
    }
  };
  const take = (): Buffer[] => {
    const taken = ready;
    ready = [];
    return taken;
  };

  const headerText = jsonOf(header);
  push(lengthOf(headerText));
  push(headerText);
  return {
    write(chunk) {
      push(chunk);
      return take();
    },
    end(trailer) {
      const trailerText = jsonOf(trailer);
      push(trailerText);
      push(lengthOf(trailerText));
      close(true);
      return take();
    },
  };
}

/** What a sealed message held. */
export interface Opened {
  /** Untrusted JSON: whoever held the public keys could have made it. */
  readonly header: unknown;
  readonly trailer: unknown;
  /** In order; together the content as sealed. */
  readonly content: readonly Buffer[];
}

/** Opens a whole sealed message, or says why it is none; nothing of an altered one comes out. */
export function openSealed(
  own: SealPrivateKeys,
  sealed: readonly Uint8Array[],
): Result<Opened, SealFault> {
  const all = Buffer.concat(sealed);
  if (all.length < headBytes + tagBytes) return refuse("too-short", all.length);
  if (!all.subarray(0, magic.length).equals(magic)) return refuse("not-sealed");
  const key = keyFor(own, all.subarray(0, headBytes));
  if (key === undefined) return refuse("wrong-key-or-altered", magic.length);

  const chunks: Buffer[] = [];
  for (let at = headBytes, number = 0; at < all.length; number += 1) {
    const end = Math.min(all.length, at + chunkBytes + tagBytes);
    if (end - at < tagBytes) return refuse("too-short", at);
    const iv = nonce(number, end === all.length);
    const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: tagBytes });
    decipher.setAuthTag(all.subarray(end - tagBytes, end));
    const plain = decipher.update(all.subarray(at, end - tagBytes));
    try {
      decipher.final();
    } catch {
      return refuse("wrong-key-or-altered", at);
    }
    chunks.push(plain);
    at = end;
  }
  return split(Buffer.concat(chunks));
}

function keyFor(own: SealPrivateKeys, head: Buffer): Buffer | undefined {
  const keyOf = (text: string): KeyObject =>
    createPrivateKey({ key: Buffer.from(text, "base64"), format: "der", type: "pkcs8" });
  const x25519 = keyOf(own.x25519);
  const mlKem768 = keyOf(own.mlKem768);
  const ephemeral = head.subarray(magic.length, magic.length + x25519Bytes);
  try {
    const agreed = diffieHellman({
      privateKey: x25519,
      publicKey: publicKey(ephemeral, spkiX25519),
    });
    const shared = decapsulate(mlKem768, head.subarray(magic.length + x25519Bytes));
    const peerRaw = rawOf(createPublicKey(x25519), spkiX25519);
    const kemRaw = rawOf(createPublicKey(mlKem768), spkiMlKem768);
    return combine([agreed, shared], [head, peerRaw, kemRaw]);
  } catch {
    return undefined; // an ephemeral key of small order, for one (RFC 7748 §6.1)
  }
}

/** All parts are of fixed length, so their concatenation is unambiguous. */
function combine(secrets: readonly Buffer[], transcript: readonly Buffer[]): Buffer {
  // Node takes at most 1,024 octets of info; the transcript is longer, so it is the salt.
  const salt = Buffer.concat(transcript);
  return Buffer.from(hkdfSync("sha256", Buffer.concat(secrets), salt, "postern sealed 1", 32));
}

/** The key is used for one message only, so counting is enough. */
function nonce(number: number, last: boolean): Buffer {
  const iv = Buffer.alloc(12);
  iv.writeUInt32BE(number, 4);
  iv[11] = last ? 1 : 0;
  return iv;
}

function lengthOf(text: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return length;
}

function jsonOf(value: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(value) ?? "null");
  if (text.length > maxJsonBytes) throw new RangeError("header or trailer too large to seal");
  return text;
}

function split(plain: Buffer): Result<Opened, SealFault> {
  if (plain.length < 8) return refuse("bad-content");
  const headerEnd = 4 + plain.readUInt32BE(0);
  const trailerStart = plain.length - 4 - plain.readUInt32BE(plain.length - 4);
  if (headerEnd > trailerStart || trailerStart < 4) return refuse("bad-content");
  try {
    return accept({
      header: JSON.parse(plain.toString("utf8", 4, headerEnd)),
      trailer: JSON.parse(plain.toString("utf8", trailerStart, plain.length - 4)),
      content: headerEnd < trailerStart ? [plain.subarray(headerEnd, trailerStart)] : [empty],
    });
  } catch {
    return refuse("bad-content");
  }
}
