/** Pages: 8 KiB each, with a header that proves what they hold and the place they belong to. */

import { hash } from "node:crypto";
import { crc32 } from "node:zlib";

/** Not more: above 8 KiB a CRC-32 no longer tells a single flipped bit from two. */
export const pageBytes = 8192;
export const headerBytes = 64;
export const payloadBytes: number = pageBytes - headerBytes;
/** A parity block has a page's header before as many octets as a whole page has. */
export const blockBytes: number = headerBytes + pageBytes;

export const formatVersion = 2;
/** "PST2" */
const magic = 0x5053_5432;
/** "PSTN": version 1, which never left the house. */
const earlierMagic = 0x5053_544e;

/** Offsets in the header; numbers are little-endian. The last two octets are zero. */
const field = {
  magic: 0,
  crc: 4,
  hash: 8,
  version: 24,
  flags: 26,
  page: 28,
  store: 32,
  segment: 40,
  length: 44,
  firstRecord: 46,
  generation: 48,
  revision: 54,
  durable: 56,
} as const;

/** The checksum covers all octets, this field taken as zero; the hash all from `version` on. */
export const crcField: { readonly at: number; readonly bytes: number } = {
  at: field.crc,
  bytes: 4,
};

const storeIdBytes = 8;
const hashBytes = 16;
export const noRecord = 0xffff;

export const firstOfBatch = 1;
export const lastOfBatch = 2;
export const parityBlock = 4;

export interface PageHeader {
  readonly flags: number;
  /** In its segment; of a parity block, its number in the file. */
  readonly page: number;
  readonly segment: number;
  /** Octets of payload; what follows them in the page is zero. */
  readonly length: number;
  /** Where the first record that begins in this page begins, or `noRecord`. */
  readonly firstRecord: number;
  /** Number of the batch; of a parity block, that of the last batch in its segment. */
  readonly generation: number;
  /** How often the segment was compacted. */
  readonly revision: number;
  /** Highest batch that was durable then; of a parity block, how many pages it helps to guard. */
  readonly durable: number;
}

/** A page that was never compacted may leave its revision out. */
export type NewPageHeader = Omit<PageHeader, "revision"> & Partial<Pick<PageHeader, "revision">>;

export type PageFault =
  /** Nothing but zeros. */
  | "empty"
  | "checksum"
  /** Sound, but of another store, segment or place. */
  | "misplaced"
  /** Sound, of a version of the format this program does not know yet. */
  | "future"
  /** Sound, of version 1. */
  | "earlier";

/** Writes the header before a payload that already stands in its place; of a block as well. */
export function sealPage(page: Buffer, storeId: Buffer, header: NewPageHeader): void {
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
  page.writeUInt16LE(header.revision ?? 0, field.revision);
  page.writeUIntLE(header.durable, field.durable, 6);
  page.write(proof(page), field.hash, "latin1");
  page.writeUInt32LE(crc32(page), field.crc);
}

/**
 * Judges a page, or a parity block, by its checksum and its place: what every read does.
 *
 * @param storeId undefined while the store's id is not known yet
 */
export function checkPage(
  page: Buffer,
  storeId: Buffer | undefined,
  segment: number,
  number: number,
): PageHeader | PageFault {
  const stored = page.readUInt32LE(field.crc);
  if (stored === 0 && page.readUInt32LE(field.magic) === 0 && isZero(page)) return "empty";
  if (checksumOf(page) !== stored) return "checksum";
  if (page.readUInt32LE(field.magic) === earlierMagic) return "earlier";
  if (page.readUInt32LE(field.magic) !== magic) return "misplaced";
  const version = page.readUInt16LE(field.version);
  if (version !== formatVersion) return version > formatVersion ? "future" : "misplaced";
  const header = headerOf(page);
  const isOwn = storeId === undefined || storeId.equals(storeIdOf(page));
  const isBlock = (header.flags & parityBlock) !== 0;
  const isRightKind = isBlock === (page.length === blockBytes);
  const isHere = header.segment === segment && header.page === number;
  return isOwn && isRightKind && isHere ? header : "misplaced";
}

/** As `checkPage`, and the hash as well: for whatever is to last (scrub, repair, parity, backup). */
export function provePage(
  page: Buffer,
  storeId: Buffer | undefined,
  segment: number,
  number: number,
): PageHeader | PageFault | "hash" {
  const header = checkPage(page, storeId, segment, number);
  return typeof header === "string" || isHashRight(page) ? header : "hash";
}

/** The second proof, dearer than the checksum: for verification, not for each read. */
export function isHashRight(page: Buffer): boolean {
  return proof(page) === page.toString("latin1", field.hash, field.hash + hashBytes);
}

/** The checksum as it should stand in the page. */
export function checksumOf(page: Buffer): number {
  const stored = page.readUInt32LE(field.crc);
  page.writeUInt32LE(0, field.crc);
  const computed = crc32(page);
  page.writeUInt32LE(stored, field.crc);
  return computed;
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
    revision: page.readUInt16LE(field.revision),
    durable: page.readUIntLE(field.durable, 6),
  };
}

const zeros = Buffer.alloc(blockBytes);

export function isZero(page: Buffer): boolean {
  return page.equals(zeros.subarray(0, page.length));
}

/** An octet to a character: as a Buffer it would take an eighth longer. */
function proof(page: Buffer): string {
  return hash("sha256", page.subarray(field.version), "binary").slice(0, hashBytes);
}
