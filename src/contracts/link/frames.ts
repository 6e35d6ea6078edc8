/** Frames of the link: length (4 octets), type (1), stream (4), payload; all numbers big-endian. */

import { Buffer } from "node:buffer";

export const frameTypes = {
  open: 1,
  answer: 2,
  data: 3,
  end: 4,
  reset: 5,
  window: 6,
  ping: 7,
  pong: 8,
  hello: 9,
} as const;
export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

export const frameHeadBytes = 9;

/** Greatest header, answer or trailer, as JSON. What may be larger travels as data. */
export const maxJsonBytes: number = 256 * 1024;

/** Payload lengths that each type may have, data apart: the window bounds it. */
const lengths: Readonly<Record<number, readonly [number, number]>> = {
  [frameTypes.open]: [1, maxJsonBytes + 1],
  [frameTypes.answer]: [1, maxJsonBytes],
  [frameTypes.end]: [0, maxJsonBytes],
  [frameTypes.reset]: [0, 1024],
  [frameTypes.window]: [4, 4],
  [frameTypes.ping]: [8, 8],
  [frameTypes.pong]: [8, 8],
  [frameTypes.hello]: [2, 4096],
};

const empty = Buffer.alloc(0);

/** Takes what the reader found. A returned string is a violation: the reader stops for good. */
export interface FrameSink {
  /** A whole frame of any type but data. The payload is valid only during the call. */
  frame(type: number, stream: number, payload: Buffer): string | undefined;
  /** A data frame begins. */
  dataBegins(stream: number, lengthBytes: number): string | undefined;
  /** A part of its payload, passed on as it came from the socket. */
  data(stream: number, chunk: Buffer): string | undefined;
}

/** Cuts a sequence of octets into frames; holds at most one frame that is not data. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #head = Buffer.alloc(frameHeadBytes);
  #headFilled = 0;
  #type = 0;
  #stream = 0;
  /** Octets of the payload still to come; -1 while the head is being read. */
  #left = -1;
  /** A frame that comes in pieces is gathered here. */
  #whole = empty;
  #filled = 0;
  #fault: string | undefined;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @returns what the peer did wrong, or undefined */
  push(chunk: Buffer): string | undefined {
    let at = 0;
    while (at < chunk.length && this.#fault === undefined) {
      at = this.#left < 0 ? this.#readHead(chunk, at) : this.#readPayload(chunk, at);
    }
    return this.#fault;
  }

  #readHead(chunk: Buffer, from: number): number {
    let head = chunk;
    let at = from;
    let next = from + frameHeadBytes;
    if (this.#headFilled > 0 || next > chunk.length) {
      next = from + Math.min(frameHeadBytes - this.#headFilled, chunk.length - from);
      this.#headFilled += chunk.copy(this.#head, this.#headFilled, from, next);
      if (this.#headFilled < frameHeadBytes) return next;
      head = this.#head;
      at = 0;
    }
    this.#headFilled = 0;
    this.#begin(head.readUInt32BE(at), head[at + 4] ?? 0, head.readUInt32BE(at + 5));
    return next;
  }

  #begin(length: number, type: number, stream: number): void {
    this.#type = type;
    this.#stream = stream;
    this.#left = length;
    if (type === frameTypes.data) {
      if (length === 0) this.#fault = "empty data frame";
      else this.#fault = this.#sink.dataBegins(stream, length);
      return;
    }
    const allowed = lengths[type];
    if (allowed === undefined) this.#fault = `unknown frame type ${type}`;
    else if (length < allowed[0] || length > allowed[1]) this.#fault = "frame of a wrong length";
    else if (length === 0) this.#finish(empty);
  }

  #readPayload(chunk: Buffer, from: number): number {
    const next = Math.min(chunk.length, from + this.#left);
    const part = chunk.subarray(from, next);
    this.#left -= part.length;
    if (this.#type === frameTypes.data) {
      if (this.#left === 0) this.#left = -1;
      this.#fault = this.#sink.data(this.#stream, part);
    } else if (this.#left === 0 && this.#filled === 0) this.#finish(part);
    else {
      if (this.#filled === 0) this.#whole = Buffer.allocUnsafe(part.length + this.#left);
      this.#filled += part.copy(this.#whole, this.#filled);
      if (this.#left === 0) this.#finish(this.#whole);
    }
    return next;
  }

  #finish(payload: Buffer): void {
    this.#left = -1;
    this.#filled = 0;
    this.#whole = empty;
    this.#fault = this.#sink.frame(this.#type, this.#stream, payload);
  }
}

export function frameHead(type: FrameType, stream: number, lengthBytes: number): Buffer {
  const head = Buffer.allocUnsafe(frameHeadBytes);
  head.writeUInt32BE(lengthBytes, 0);
  head[4] = type;
  head.writeUInt32BE(stream, 5);
  return head;
}

/** A frame whose payload is text, behind an optional octet (the number of the kind). */
export function textFrame(type: FrameType, stream: number, text: string, lead?: number): Buffer {
  const textBytes = Buffer.byteLength(text);
  const leadBytes = lead === undefined ? 0 : 1;
  const frame = Buffer.allocUnsafe(frameHeadBytes + leadBytes + textBytes);
  frame.writeUInt32BE(leadBytes + textBytes, 0);
  frame[4] = type;
  frame.writeUInt32BE(stream, 5);
  if (lead !== undefined) frame[frameHeadBytes] = lead;
  frame.write(text, frameHeadBytes + leadBytes, "utf8");
  return frame;
}
