/**
 * The sealed spool: mail that waits in the DMZ for the inside, in segments of fixed size.
 *
 * Segments are only appended to. One whose messages are all erased is used again under a higher
 * generation. A message is there when all its frames up to the last one are; what a crash tore was
 * never acknowledged, and is not seen again.
 */

import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { Full, Unavailable } from "#base/errors";
import type { SpoolFile } from "./files.ts";
import {
  eraseMark,
  type Frame,
  formatFrame,
  formatSegmentHead,
  frameHeadBytes,
  hasFrameMagic,
  maxFrameBytes,
  paddedBytes,
  parseFrameHead,
  parseSegmentHead,
  sectorBytes,
} from "./frame.ts";

export interface SpoolWriter {
  /**
   * @throws Full when no segment is free, Unavailable when the disk failed
   */
  write(parts: readonly Uint8Array[]): Promise<void>;
  /** Resolves when the whole message is durable. */
  commit(): Promise<void>;
  abort(): void;
}

export interface Spool {
  begin(id: string): SpoolWriter;
  /** Ids of whole messages, oldest first. */
  waiting(): readonly string[];
  read(id: string): AsyncIterable<Buffer>;
  /** Only after the inside has committed it. Resolves when the mark is durable. */
  erase(id: string): Promise<void>;
  /** Room for new frames, roughly. */
  freeBytes(): number;
  close(): Promise<void>;
}

interface Segment {
  readonly file: SpoolFile;
  generation: number;
  /** Where the next frame goes; the file's size when nothing more may. */
  at: number;
  /** Messages, open or waiting, with a frame here. */
  readonly live: Set<string>;
}

interface Piece {
  readonly segment: Segment;
  readonly offset: number;
  readonly frame: Frame;
}

interface Write {
  readonly id: string;
  readonly sequence: number;
  readonly last: boolean;
  readonly body: readonly Uint8Array[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export async function openSpool(files: readonly SpoolFile[]): Promise<Spool> {
  const segments: Segment[] = [];
  const found: Piece[] = [];
  for (const file of files) {
    const segment: Segment = { file, generation: 0, at: file.sizeBytes, live: new Set() };
    found.push(...(await scan(segment)));
    segments.push(segment);
  }
  return new SegmentSpool(segments, whole(found));
}

/** Finds the frames of a segment's present generation, in order. */
async function scan(segment: Segment): Promise<Piece[]> {
  const { file } = segment;
  const head = Buffer.alloc(sectorBytes);
  await file.read(head, 0);
  segment.generation = parseSegmentHead(head);
  if (segment.generation === 0) return [];
  const pieces: Piece[] = [];
  let offset = sectorBytes;
  while (offset + sectorBytes <= file.sizeBytes) {
    await file.read(head, offset);
    const frame = parseFrameHead(head);
    if (frame === undefined || frame.generation !== segment.generation) {
      // A torn head may hide what came after it: nothing is appended behind one.
      segment.at = hasFrameMagic(head) && frame === undefined ? file.sizeBytes : offset;
      return pieces;
    }
    const body = Buffer.alloc(frame.bodyBytes);
    const read = await file.read(body, offset + frameHeadBytes);
    const intact = read === body.length && crc32(body) === frame.bodyCrc;
    if (intact) pieces.push({ segment, offset, frame });
    offset += paddedBytes(frame.bodyBytes);
  }
  segment.at = file.sizeBytes;
  return pieces;
}

/** The messages whose frames are all there and not erased. */
function whole(found: readonly Piece[]): Map<string, readonly Piece[]> {
  const messages = new Map<string, readonly Piece[]>();
  const inOrder = found.toSorted(
    (one, other) => one.segment.generation - other.segment.generation || one.offset - other.offset,
  );
  const parts = new Map<string, Piece[]>();
  for (const piece of inOrder) {
    const { id, sequence, last, erased } = piece.frame;
    if (sequence === 0) parts.set(id, []); // an attempt that was given up may have come before
    const pieces = parts.get(id);
    if (pieces === undefined || pieces.length !== sequence) continue;
    pieces.push(piece);
    if (!last) continue;
    parts.delete(id);
    if (erased) messages.delete(id);
    else messages.set(id, pieces);
  }
  return messages;
}

class SegmentSpool implements Spool {
  readonly #segments: readonly Segment[];
  readonly #waiting: Map<string, readonly Piece[]>;
  readonly #open = new Map<string, Piece[]>();
  #queue: Write[] = [];
  #writing = false;
  #current: Segment | undefined;
  #lastGeneration: number;
  #failed: Error | undefined;

  constructor(segments: readonly Segment[], waiting: Map<string, readonly Piece[]>) {
    this.#segments = segments;
    this.#waiting = waiting;
    this.#lastGeneration = Math.max(0, ...segments.map((segment) => segment.generation));
    for (const [id, pieces] of waiting) {
      for (const piece of pieces) piece.segment.live.add(id);
    }
    this.#current = segments
      .filter((segment) => segment.generation > 0 && segment.at < segment.file.sizeBytes)
      .sort((one, other) => other.generation - one.generation)[0];
  }

  begin(id: string): SpoolWriter {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#open.has(id) || this.#waiting.has(id)) throw new Unavailable("already spooled");
    this.#open.set(id, []);
    let sequence = 0;
    let kept: Uint8Array[] = [];
    let keptBytes = 0;
    const put = (last: boolean): Promise<void> => {
      const body = kept;
      kept = [];
      keptBytes = 0;
      sequence += 1;
      return this.#append(id, sequence - 1, last, body);
    };
    return {
      write: async (parts) => {
        for (const part of parts) {
          if (keptBytes + part.length > maxFrameBytes) await put(false);
          kept.push(part);
          keptBytes += part.length;
        }
      },
      commit: async () => {
        await put(true);
        const pieces = this.#open.get(id);
        if (pieces === undefined) throw new Unavailable("spool: the message was given up");
        this.#open.delete(id);
        this.#waiting.set(id, pieces);
      },
      abort: () => this.#forget(id),
    };
  }

  waiting(): readonly string[] {
    return [...this.#waiting.keys()];
  }

  async *read(id: string): AsyncIterable<Buffer> {
    for (const { segment, offset, frame } of this.#waiting.get(id) ?? []) {
      const body = Buffer.allocUnsafe(frame.bodyBytes);
      await segment.file.read(body, offset + frameHeadBytes);
      if (crc32(body) !== frame.bodyCrc) throw new Unavailable("spool: frame is damaged");
      yield body;
    }
  }

  async erase(id: string): Promise<void> {
    const last = this.#waiting.get(id)?.at(-1);
    if (last === undefined) return;
    await last.segment.file.write([eraseMark.bytes], last.offset + eraseMark.at);
    this.#waiting.delete(id);
    for (const segment of this.#segments) segment.live.delete(id);
  }

  freeBytes(): number {
    let free = 0;
    for (const segment of this.#segments) {
      if (segment === this.#current) free += segment.file.sizeBytes - segment.at;
      else if (segment.live.size === 0) free += segment.file.sizeBytes - sectorBytes;
    }
    return free;
  }

  async close(): Promise<void> {
    this.#failed ??= new Unavailable("spool: closed");
    while (this.#writing) await new Promise(setImmediate);
    for (const segment of this.#segments) await segment.file.close();
  }

  #forget(id: string): void {
    if (!this.#open.delete(id)) return;
    for (const segment of this.#segments) segment.live.delete(id);
  }

  #append(id: string, sequence: number, last: boolean, body: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ id, sequence, last, body, resolve, reject });
      if (!this.#writing) void this.#drain();
    });
  }

  /** One writer; what gathers while a write is under way goes together in the next. */
  async #drain(): Promise<void> {
    this.#writing = true;
    while (this.#queue.length > 0) {
      const batch: Write[] = [];
      try {
        if (this.#failed !== undefined) throw this.#failed;
        await this.#room(bytesOf(this.#queue[0]));
        await this.#writeBatch(batch);
        for (const write of batch) write.resolve();
      } catch (error) {
        // No room is an answer, a failed write is not: what the disk holds now is unknown.
        if (!(error instanceof Full)) {
          this.#failed ??= new Unavailable("spool: disk failed", { cause: error });
        }
        if (batch.length === 0) batch.push(...this.#queue.splice(0, 1));
        for (const write of batch) write.reject(this.#failed ?? (error as Error));
      }
    }
    this.#writing = false;
  }

  /** Afterwards the current segment has room for that many octets. */
  async #room(lengthBytes: number): Promise<void> {
    const current = this.#current;
    if (current !== undefined && current.at + lengthBytes <= current.file.sizeBytes) return;
    const free = this.#segments.find(
      (segment) => segment.live.size === 0 && sectorBytes + lengthBytes <= segment.file.sizeBytes,
    );
    if (free === undefined) throw new Full("spool is full");
    this.#lastGeneration += 1;
    await free.file.write([formatSegmentHead(this.#lastGeneration)], 0);
    free.generation = this.#lastGeneration;
    free.at = sectorBytes;
    this.#current = free;
  }

  async #writeBatch(batch: Write[]): Promise<void> {
    const segment = this.#current;
    if (segment === undefined) return;
    const start = segment.at;
    const parts: Buffer[] = [];
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (segment.at + bytesOf(next) > segment.file.sizeBytes) break;
      this.#queue.shift();
      batch.push(next);
      const bytes = formatFrame({ ...next, generation: segment.generation }, next.body);
      this.#note(segment, next, bytes);
      parts.push(bytes);
      segment.at += bytes.length;
    }
    await segment.file.write(parts, start);
  }

  #note(segment: Segment, write: Write, bytes: Buffer): void {
    const pieces = this.#open.get(write.id);
    const frame = parseFrameHead(bytes);
    // An aborted message leaves its frame as waste; without a last one it is no message.
    if (pieces === undefined || frame === undefined) return;
    pieces.push({ segment, offset: segment.at, frame });
    segment.live.add(write.id);
  }
}

function bytesOf(write: Write | undefined): number {
  return paddedBytes(write?.body.reduce((sum, part) => sum + part.length, 0) ?? 0);
}
