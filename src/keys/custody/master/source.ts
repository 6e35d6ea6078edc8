/** Where master keys come from: each source holds some, wraps and unwraps with them by id. */

import { Buffer } from "node:buffer";

export interface MasterSource {
  /** For people: "the token postern". */
  readonly name: string;
  /** Ids of its keys, the newest first; a source that is open holds at least one. */
  ids(): readonly string[];
  /** @throws Unavailable when the source does not answer */
  wrap(id: string, key: Buffer, purpose: string): Promise<Buffer>;
  /**
   * Undefined when the octets are not what `wrap` made of a key for that purpose.
   *
   * @throws Unavailable when the source does not answer
   */
  unwrap(id: string, wrapped: Buffer, purpose: string): Promise<Buffer | undefined>;
  /**
   * Makes a new key, durable when it resolves with its id.
   *
   * @throws Denied when the source is never written
   */
  make(): Promise<string>;
  /** @throws Denied when the source is never written */
  retire(id: string): Promise<void>;
  close(): Promise<void>;
}

/** Of a master key, and of what it wraps. */
export const keyBytes = 32;
export const nonceBytes = 12;
export const tagBytes = 16;
export const wrappedBytes: number = nonceBytes + keyBytes + tagBytes;

/** Bound to what is wrapped; neither purpose nor id holds a line feed. */
export function boundTo(purpose: string, id: string): Buffer {
  return Buffer.from(`${purpose}\n${id}`, "latin1");
}
