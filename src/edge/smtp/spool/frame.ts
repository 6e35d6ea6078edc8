/** Frames of the spool: pieces of sealed messages, each found again by itself after a crash. */

import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

/** Frames begin at sectors, so that no write touches a sector of an acknowledged one. */
export const sectorBytes = 512;
export const frameHeadBytes = 64;
export const maxFrameBytes: number = 256 * 1024;

const frameMagic = 0x50535046; // "PSPF"
const segmentMagic = 0x50535053; // "PSPS"
const erasedMark = 0x45524153; // "ERAS"
const crcAt = 48;
/** Outside of the head's checksum: written later, alone. */
const markAt = 56;

export interface Frame {
  /** Of the segment when it was written: frames of an earlier use are not taken for new ones. */
  readonly generation: number;
  /** Transaction id, 32 hexadecimal digits. */
  readonly id: string;
  readonly sequence: number;
  /** The last frame of a message: the message is there. */
  readonly last: boolean;
  readonly bodyBytes: number;
  readonly bodyCrc: number;
  readonly erased: boolean;
}

export function paddedBytes(bodyBytes: number): number {
  return Math.ceil((frameHeadBytes + bodyBytes) / sectorBytes) * sectorBytes;
}

/** The whole frame with its padding. */
export function formatFrame(
  frame: Omit<Frame, "erased" | "bodyBytes" | "bodyCrc">,
  body: readonly Uint8Array[],
): Buffer {
  const bodyBytes = body.reduce((sum, part) => sum + part.length, 0);
  const bytes = Buffer.alloc(paddedBytes(bodyBytes));
  let at = frameHeadBytes;
  for (const part of body) {
    bytes.set(part, at);
    at += part.length;
  }
  bytes.writeUInt32BE(frameMagic, 0);
  bytes.writeUInt32BE(frame.generation, 4);
  bytes.writeUInt32BE(frame.sequence, 8);
  bytes.writeUInt32BE(frame.last ? 1 : 0, 12);
  bytes.writeUInt32BE(bodyBytes, 16);
  bytes.writeUInt32BE(crc32(bytes.subarray(frameHeadBytes, at)), 20);
  bytes.write(frame.id, 24, 16, "hex");
  bytes.writeUInt32BE(crc32(bytes.subarray(0, crcAt)), crcAt);
  return bytes;
}

/** What the head says, or nothing when there is no whole head of a frame. */
export function parseFrameHead(head: Buffer): Frame | undefined {
  if (head.length < frameHeadBytes || head.readUInt32BE(0) !== frameMagic) return undefined;
  if (head.readUInt32BE(crcAt) !== crc32(head.subarray(0, crcAt))) return undefined;
  const bodyBytes = head.readUInt32BE(16);
  if (bodyBytes > maxFrameBytes) return undefined;
  return {
    generation: head.readUInt32BE(4),
    sequence: head.readUInt32BE(8),
    last: head.readUInt32BE(12) === 1,
    bodyBytes,
    bodyCrc: head.readUInt32BE(20),
    id: head.toString("hex", 24, 40),
    erased: head.readUInt32BE(markAt) === erasedMark,
  };
}

export function hasFrameMagic(head: Buffer): boolean {
  return head.length >= 4 && head.readUInt32BE(0) === frameMagic;
}

/** Where and what to write over a frame's last head to erase its message. */
export const eraseMark: { readonly at: number; readonly bytes: Buffer } = (() => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(erasedMark);
  return { at: markAt, bytes };
})();

/** First sector of a segment. */
export function formatSegmentHead(generation: number): Buffer {
  const bytes = Buffer.alloc(sectorBytes);
  bytes.writeUInt32BE(segmentMagic, 0);
  bytes.writeUInt32BE(1, 4); // version of the layout
  bytes.writeUInt32BE(generation, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 12)), 12);
  return bytes;
}

/** Generation of a segment; 0 for one that was never used or whose head is torn. */
export function parseSegmentHead(head: Buffer): number {
  if (head.length < 16 || head.readUInt32BE(0) !== segmentMagic) return 0;
  return head.readUInt32BE(12) === crc32(head.subarray(0, 12)) ? head.readUInt32BE(8) : 0;
}
