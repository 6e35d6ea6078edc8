/** Streams of octets: read in counted pieces, and measured on their way. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { buffer } from "#base/bytes";
import type { Octets } from "./target.ts";

/** Reads a stream by lengths of the reader's choice. Holds at most what was asked for and one piece. */
export class OctetReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);
  #isDone = false;

  constructor(source: Octets) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** That many octets; fewer only at the end. */
  async take(lengthBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = lengthBytes; missing > 0; ) {
      if (await this.isAtEnd()) break;
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#held.length === 0 && !this.#isDone) {
      const { value, done } = await this.#source.next();
      if (done === true) this.#isDone = true;
      else this.#held = buffer(value);
    }
    return this.#held.length === 0;
  }

  /** Lets the source go, read to its end or not. */
  async end(): Promise<void> {
    if (this.#isDone) return;
    this.#isDone = true;
    await this.#source.return?.();
  }
}

export interface Measure {
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** Counts and hashes what passes; `measure()` is right when the stream has been read to its end. */
export function measured(source: Octets): { readonly octets: Octets; measure(): Measure } {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  return {
    octets: (async function* () {
      for await (const chunk of source) {
        hash.update(chunk);
        sizeBytes += chunk.length;
        yield chunk;
      }
    })(),
    measure: () => ({ sizeBytes, sha256: hash.copy().digest("hex") }),
  };
}

/** What is in memory already, as a stream. */
export async function* octetsOf(...chunks: readonly Uint8Array[]): Octets {
  yield* chunks;
}

/** A whole small object, or undefined when it is larger than the limit. */
export async function gather(source: Octets, maxBytes: number): Promise<Buffer | undefined> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of source) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) return undefined;
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}
