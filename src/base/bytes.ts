/** Small things done to octets in more than one room. */

import { Buffer } from "node:buffer";

export const crlf: Buffer = Buffer.from("\r\n");

/** Hexadecimal, lower case. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** A Buffer over the same memory, for its methods. */
export function buffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
