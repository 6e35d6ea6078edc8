/** Whether a message's header needs SMTPUTF8 (RFC 6532 §3), seen before it is sent. */

import { Buffer } from "node:buffer";
import type { OutgoingMail } from "./transaction.ts";

/** Our limit; a longer header is taken to need it. */
const maxHeader = 256 * 1024;

export interface Peeked {
  readonly hasUtf8Header: boolean;
  /** The same octets from the start; the given content is used up. */
  readonly content: AsyncIterable<Buffer>;
  /** Lets go of what is not read. */
  close(): Promise<void>;
}

/** @throws what the content throws */
export async function peekHeader({ content }: Pick<OutgoingMail, "content">): Promise<Peeked> {
  const source = Buffer.isBuffer(content) ? only(content) : content;
  const rest = source[Symbol.asyncIterator]();
  const chunks: Buffer[] = [];
  let [size, tail, hasUtf8Header] = [0, "", false];
  while (!hasUtf8Header) {
    const next = await rest.next();
    if (next.done) break;
    chunks.push(next.value);
    size += next.value.length;
    const text = tail + next.value.toString("latin1");
    const end = text.search(/\n\r?\n/);
    hasUtf8Header = /[\x80-\xff]/.test(end < 0 ? text : text.slice(0, end)) || size > maxHeader;
    if (end >= 0) break;
    tail = text.slice(-2);
  }
  return {
    hasUtf8Header,
    content: joined(chunks, rest),
    async close() {
      await rest.return?.();
    },
  };
}

async function* only(chunk: Buffer): AsyncGenerator<Buffer> {
  yield chunk;
}

async function* joined(
  chunks: readonly Buffer[],
  rest: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer> {
  yield* chunks;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}
