/**
 * Writes segments from docs/store-format.md alone, with whatever octets for what is sealed: for whom
 * only the shape of a ledger matters, and who wants to forge one with all its checksums right.
 */

import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { MemoryTree } from "./memory-tree.ts";

export interface TinyRecord {
  readonly kind: number;
  /** Public statement; absent for a record that makes none. */
  readonly statement?: string;
  /** Nonce, ciphertext and tag: at least 28 octets. */
  readonly sealed: Buffer;
  readonly blob: Buffer;
  /** Its place in the order when absent. */
  readonly lsn?: number;
}

export interface TinyLedger {
  /** Sixteen hexadecimal digits. */
  readonly storeId: string;
  readonly batches: readonly (readonly TinyRecord[])[];
  /** Where a segment is left, in pages. */
  readonly segmentPages: number;
}

const pageBytes = 8192;
const headerBytes = 64;
const payloadBytes = pageBytes - headerBytes;

export function commitmentOf({ statement }: TinyRecord): Buffer {
  return statement === undefined ? Buffer.alloc(32) : hash("sha256", statement, "buffer");
}

/** Leaf hash: 00, sequence number, kind, commitment, hash of the sealed octets. */
function leafOf(record: TinyRecord, lsn: number): Buffer {
  const front = Buffer.alloc(11);
  front.writeUIntLE(lsn, 1, 6);
  front.writeUInt16LE(record.kind, 9);
  const sum = hash("sha256", record.sealed, "buffer");
  return hash("sha256", Buffer.concat([front, commitmentOf(record), sum]), "buffer");
}

export function treeOf({ batches }: TinyLedger): MemoryTree {
  const tree = new MemoryTree();
  for (const record of batches.flat()) tree.add(leafOf(record, tree.leaves.length + 1));
  return tree;
}

function octetsOf(record: TinyRecord, lsn: number): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(32 + record.sealed.length, 0);
  header.writeUInt32LE(record.blob.length, 4);
  header.writeUInt16LE(record.kind, 8);
  header.writeUIntLE(lsn, 16, 6);
  return Buffer.concat([header, commitmentOf(record), record.sealed, record.blob]);
}

interface PagePlace {
  readonly storeId: string;
  readonly segment: number;
  readonly page: number;
  readonly generation: number;
  readonly flags: number;
}

function pageOf(payload: Buffer, { storeId, segment, page, generation, flags }: PagePlace): Buffer {
  const octets = Buffer.alloc(pageBytes);
  octets.writeUInt32LE(0x5053_5432, 0);
  octets.writeUInt16LE(2, 24);
  octets.writeUInt16LE(flags, 26);
  octets.writeUInt32LE(page, 28);
  octets.write(storeId, 32, "hex");
  octets.writeUInt32LE(segment, 40);
  octets.writeUInt16LE(payload.length, 44);
  octets.writeUIntLE(generation, 48, 6);
  octets.writeUIntLE(generation - 1, 56, 6);
  payload.copy(octets, headerBytes);
  return sealed(octets);
}

/** Makes hash and checksum right again, whatever was done to a page. */
export function sealed(page: Buffer): Buffer {
  hash("sha256", page.subarray(24), "buffer").copy(page, 8, 0, 16);
  page.writeUInt32LE(0, 4);
  page.writeUInt32LE(crc32(page), 4);
  return page;
}

/** The ledger's segments, in order; each is filled up with zeros. */
export function segmentsOf(ledger: TinyLedger): Buffer[] {
  const { storeId, segmentPages } = ledger;
  const segments: Buffer[][] = [[]];
  let lsn = 0;
  for (const [index, records] of ledger.batches.entries()) {
    const payload = Buffer.concat(
      records.map((record) => {
        lsn += 1;
        return octetsOf(record, record.lsn ?? lsn);
      }),
    );
    const count = Math.max(1, Math.ceil(payload.length / payloadBytes));
    let pages = segments.at(-1) as Buffer[];
    if (pages.length + count > segmentPages) segments.push((pages = []));
    for (let at = 0; at < count; at += 1) {
      const part = payload.subarray(at * payloadBytes, (at + 1) * payloadBytes);
      const flags = (at === 0 ? 1 : 0) | (at === count - 1 ? 2 : 0);
      const place = { storeId, segment: segments.length, generation: index + 1, flags };
      pages.push(pageOf(part, { ...place, page: pages.length }));
    }
  }
  return segments.map((pages) => {
    const zeros = Buffer.alloc((segmentPages - pages.length) * pageBytes);
    return Buffer.concat([...pages, zeros]);
  });
}

export function segmentName(number: number): string {
  return `segment-${String(number).padStart(8, "0")}`;
}

export function writeLedger(directory: string, ledger: TinyLedger): void {
  mkdirSync(directory, { recursive: true });
  for (const [index, octets] of segmentsOf(ledger).entries()) {
    writeFileSync(join(directory, segmentName(index + 1)), octets);
  }
}
