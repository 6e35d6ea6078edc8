/** HTTP/1.1 messages, read without leniency and written so that nothing can be injected (RFC 9112). */

import { Buffer } from "node:buffer";

export { ChunkedReader } from "./chunked.ts";
export type { HeaderList, HeadLimits, HttpFault } from "./fields.ts";
export { type RequestHead, readRequestHead } from "./request.ts";
export { type ResponseHead, readResponseHead } from "./response.ts";
export { statusText } from "./status.ts";
export { chunkEnd, chunkHead, lastChunk, requestHead, responseHead } from "./write.ts";

const blankLine = Buffer.from("\r\n\r\n");

/**
 * Index behind the blank line that ends a head, or -1. A head that ends otherwise never ends: the
 * caller's limit on its length refuses it.
 *
 * @param from where to begin; when octets were added, three before the old end is early enough
 */
export function findHeadEnd(buffer: Buffer, from: number): number {
  const at = buffer.indexOf(blankLine, Math.max(from, 0));
  return at < 0 ? -1 : at + blankLine.length;
}
