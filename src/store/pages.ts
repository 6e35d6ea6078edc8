/** Pages: 8 KiB each, with a header that proves the payload and the place it belongs to. */

import { hash } from "node:crypto";
import { crc32 } from "node:zlib";

/** Not more: above 8 KiB a CRC-32 no longer tells a single flipped bit from two. */
export const pageBytes = 8192;
export const headerBytes = 64;
export const payloadBytes: number = pageBytes - headerBytes;

export const formatVersion = 1;
/** "PSTN" */
const magic = 0x5053_544e;

/** Offsets in the header; numbers are little-endian. */
const field = {
  magic: 0,
  crc: 4,
  version: 8,
  flags: 10,
  page: 12,
  store: 16,
  segment: 24,
  length: 28,
  firstRecord: 30,
  generation: 32,
  durable: 40,
  hash: 48,
} as const;

const storeIdBytes = 8;
const hashBytes = 16;
export const noRecord = 0xffff;

export const firstOfBatch = 1;
export const lastOfBatch = 2;

export interface PageHeader {
  readonly flags: number;
  readonly page: number;
  readonly segment: number;
  /** Octets of payload; what follows them in the page is zero. */
  readonly length: number;
  /** Where the first record that begins in this page begins, or `noRecord`. */
  readonly firstRecord: number;
  /** Number of the batch. */
  readonly generation: number;
  /** Highest batch that was durable when this one was written. */
  readonly durable: number;
}

export type PageFault = "empty" | "checksum" | "misplaced";

/** Writes the header before a payload that already stands in its place. */
export function sealPage(page: Buffer, storeId: Buffer, header: PageHeader): void {
  page.fill(0, 0, headerBytes);
  page.writeUInt32LE(magic, field.magic);
  page.writeUInt16LE(formatVersion, field.version);
  page.writeUInt16LE(header.flags, field.flags);
  page.writeUInt32LE(header.page, field.page);
  storeId.copy(page, field.store, 0, storeIdBytes);
  page.writeUInt32LE(header.segment, field.segment);
  page.writeUInt16LE(header.length, field.length);
  page.writeUInt16LE(header.firstRecord, field.firstRecord);
  page.writeUIntLE(header.generation, field.generation, 6);
  page.writeUIntLE(header.durable, field.durable, 6);
  payloadHash(page).copy(page, field.hash, 0, hashBytes);
  page.writeUInt32LE(crc32(page), field.crc);
}

/** @param storeId undefined while the store's id is not known yet */
export function checkPage(
  page: Buffer,
  storeId: Buffer | undefined,
  segment: number,
  number: number,
): PageHeader | PageFault {
  const stored = page.readUInt32LE(field.crc);
  if (stored === 0 && page.readUInt32LE(field.magic) === 0 && isZero(page)) return "empty";
  page.writeUInt32LE(0, field.crc);
  const computed = crc32(page);
  page.writeUInt32LE(stored, field.crc);
  if (computed !== stored) return "checksum";
  const header = headerOf(page);
  const own =
    page.readUInt32LE(field.magic) === magic &&
    page.readUInt16LE(field.version) === formatVersion &&
    (storeId === undefined || storeId.equals(storeIdOf(page)));
  return own && header.segment === segment && header.page === number ? header : "misplaced";
}

/** The second proof, dearer than the checksum: for verification, not for each read. */
export function isHashRight(page: Buffer): boolean {
  return payloadHash(page).compare(page, field.hash, field.hash + hashBytes, 0, hashBytes) === 0;
}

export function storeIdOf(page: Buffer): Buffer {
  return page.subarray(field.store, field.store + storeIdBytes);
}

export function newStoreId(bytes: (length: number) => Buffer): Buffer {
  return bytes(storeIdBytes);
}

/** Reads the fields of a page without judging them. */
export function headerOf(page: Buffer): PageHeader {
  return {
    flags: page.readUInt16LE(field.flags),
    page: page.readUInt32LE(field.page),
    segment: page.readUInt32LE(field.segment),
    length: Math.min(page.readUInt16LE(field.length), payloadBytes),
    firstRecord: page.readUInt16LE(field.firstRecord),
    generation: page.readUIntLE(field.generation, 6),
    durable: page.readUIntLE(field.durable, 6),
  };
}

const zeros = Buffer.alloc(pageBytes);

export function isZero(page: Buffer): boolean {
  return page.equals(page.length === pageBytes ? zeros : zeros.subarray(0, page.length));
}

function payloadHash(page: Buffer): Buffer {
  return hash("sha256", page.subarray(headerBytes), "buffer");
}
