/** Frames between hub and keyring, and how the two prove to each other that they share a secret. */

import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { Misconfigured } from "#base/errors";

/** A header section with every field signed stays below (#formats/message reads 256 KiB). */
const frameLimit = 1024 * 1024;

/** As long as the peer has proved nothing. */
const handshakeLimit = 256;

export const nonceLength = 32;

/** Length of the rest, length of the JSON, the JSON, octets. */
export function formatFrame(head: object, body: Uint8Array = new Uint8Array(0)): Buffer {
  const json = Buffer.from(JSON.stringify(head), "utf8");
  const sizes = Buffer.alloc(8);
  sizes.writeUInt32BE(4 + json.length + body.length, 0);
  sizes.writeUInt32BE(json.length, 4);
  return Buffer.concat([sizes, json, body]);
}

export interface Frame {
  /** Untrusted. */
  readonly head: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

/** Puts chunks together to frames; never holds more than one frame and one chunk. */
export class FrameReader {
  /** Octets of the largest frame that is taken: little, until the peer has proved itself. */
  #limit = handshakeLimit;
  #parts: Buffer[] = [];
  #sizeBytes = 0;
  /** Octets that make the parts worth joining. */
  #wanted = 4;

  /** Calls for every frame that is whole. False when the octets are no frames: close then. */
  feed(chunk: Buffer, onFrame: (frame: Frame) => void): boolean {
    this.#parts.push(chunk);
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes < this.#wanted) return true;
    let held = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts);
    this.#wanted = 4;
    while (held.length >= 4) {
      const size = held.readUInt32BE(0);
      if (size < 4 || size > this.#limit) return false;
      if (held.length < 4 + size) {
        this.#wanted = 4 + size;
        break;
      }
      const frame = parseFrame(held.subarray(4, 4 + size));
      if (frame === undefined) return false;
      held = held.subarray(4 + size);
      onFrame(frame);
    }
    this.#parts = held.length > 0 ? [held] : [];
    this.#sizeBytes = held.length;
    return true;
  }

  /** The peer has proved itself. */
  trust(): void {
    this.#limit = frameLimit;
  }
}

function parseFrame(octets: Buffer): Frame | undefined {
  const end = 4 + octets.readUInt32BE(0);
  if (end > octets.length) return undefined;
  try {
    const head: unknown = JSON.parse(octets.toString("utf8", 4, end));
    if (typeof head !== "object" || head === null) return undefined;
    return { head: head as Frame["head"], body: octets.subarray(end) };
  } catch {
    return undefined;
  }
}

/**
 * What only a holder of the secret can say about two fresh nonces. The role is part of it, so that
 * one side's proof never serves as the other's.
 */
export function proofOf(
  secret: Buffer,
  role: "client" | "server",
  nonces: { readonly server: Uint8Array; readonly client: Uint8Array },
): Buffer {
  const mac = createHmac("sha256", secret).update(`postern keyring ${role}\n`);
  return mac.update(nonces.server).update(nonces.client).digest();
}

export function isProof(given: Uint8Array, wanted: Buffer): boolean {
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** The shared secret, hexadecimal in a file that only its owner reads. */
export function readKeyringSecret(path: string): Buffer {
  let text: string;
  try {
    if ((statSync(path).mode & 0o077) !== 0) {
      throw new Misconfigured(`${path} must be readable by its owner only`);
    }
    text = readFileSync(path, "latin1").trim();
  } catch (error) {
    if (error instanceof Misconfigured) throw error;
    throw new Misconfigured(`the keyring's secret ${path} cannot be read`, { cause: error });
  }
  if (!/^(?:[0-9a-f]{2}){32,}$/i.test(text)) {
    throw new Misconfigured(`${path} does not hold 32 octets in hexadecimal`);
  }
  return Buffer.from(text, "hex");
}
