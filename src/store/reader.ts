/** From rows of the views to what the ledger holds: records, heads and contents, opened. */

import assert from "node:assert/strict";
import { Unavailable } from "#base/errors";
import { type Cipher, nonceBytes, partSealBytes, sealBytes, unseal } from "./cipher.ts";
import { Damaged } from "./damage.ts";
import { payloadBytes } from "./pages.ts";
import {
  type AcceptedRecord,
  type AppendedRecord,
  type Extent,
  openRegion,
  type RefusedRecord,
} from "./records.ts";
import { type Segments, segmentName } from "./segments.ts";
import type { Row, Views } from "./views.ts";

export type MessageRecord = AcceptedRecord | AppendedRecord | RefusedRecord;

/** What a content's octets lie in. */
interface Parts {
  readonly records: readonly number[];
  readonly bytes: number;
  readonly size: number;
  readonly key: Buffer;
}

export class RecordReader {
  readonly #views: Views;
  readonly #segments: Segments;
  readonly #cipher: Cipher;

  constructor(views: Views, segments: Segments) {
    this.#views = views;
    this.#segments = segments;
    this.#cipher = views.keys.cipher;
  }

  #extentOf(row: Row): Extent {
    const segment = row["segment"] as number;
    const at = this.#views.placeOf(segment, row["seq"] as number, row["json_at"] as number);
    return [segment, at, row["json_bytes"] as number];
  }

  /** The record of a row of `message`. @throws Damaged */
  async record(row: Row): Promise<MessageRecord> {
    const extent = this.#extentOf(row);
    const region = await this.#segments.read(extent, 0, extent[2]);
    const kind = row["status"] as MessageRecord["kind"];
    const record = openRegion(region, kind, row["seq"] as number, this.#views.keys);
    if (record === undefined) throw damagedAt(extent, "record");
    return record as MessageRecord;
  }

  /** Octets [start, end) of the message: head, then content. @throws Damaged */
  async octets(row: Row, start: number, end: number): Promise<Buffer> {
    const headBytes = row["head_bytes"] as number;
    const parts = this.#partsOf(row);
    const reading: Promise<Buffer>[] = [];
    if (start < headBytes)
      reading.push(this.#head(row, parts.key, start, Math.min(end, headBytes)));
    const from = Math.max(start - headBytes, 0);
    const to = Math.min(end - headBytes, parts.size);
    if (from < to) reading.push(...this.#content(parts, from, to));
    const pieces = await Promise.all(reading);
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  }

  async #head(row: Row, key: Buffer, start: number, end: number): Promise<Buffer> {
    const [segment, at, bytes] = this.#extentOf(row);
    const extent: Extent = [segment, at + bytes, (row["head_bytes"] as number) + sealBytes];
    const sealed = await this.#segments.read(extent, 0, extent[2]);
    const head = unseal(this.#cipher, key, sealed);
    if (head === undefined) throw damagedAt(extent, "content");
    return head.subarray(start, end);
  }

  #content(parts: Parts, from: number, to: number): Promise<Buffer>[] {
    const reading: Promise<Buffer>[] = [];
    const first = Math.floor(from / parts.bytes);
    for (let index = first; index * parts.bytes < to; index += 1) {
      const base = index * parts.bytes;
      const length = Math.min(parts.bytes, parts.size - base);
      const within = [Math.max(from - base, 0), Math.min(to - base, length)] as const;
      reading.push(this.#part(parts, index, within));
    }
    return reading;
  }

  async #part(
    { records, key }: Parts,
    index: number,
    [from, to]: readonly [number, number],
  ): Promise<Buffer> {
    const seq = records[index] as number;
    const row = this.#views.get("SELECT * FROM blob WHERE seq = ?", seq);
    if (row === undefined) throw new Unavailable("the octets of the message are gone");
    const { segment, at, bytes } = row as { segment: number; at: number; bytes: number };
    const extent: Extent = [segment, this.#views.placeOf(segment, seq, at), bytes];
    const sealed = await this.#segments.read(extent, 0, bytes);
    const plain = this.#cipher.decrypt(key, partNonce(index), sealed);
    if (plain === undefined) throw damagedAt(extent, "content");
    assert.equal(plain.length, bytes - partSealBytes);
    return plain.subarray(from, to);
  }

  #partsOf(row: Row): Parts {
    const id = row["content"] as Uint8Array;
    const found = this.#views.get("SELECT * FROM content WHERE id = ?", id);
    const secret = found && this.#views.holders.secretOf(Buffer.from(id));
    if (found === undefined || secret === undefined) {
      throw new Unavailable(`message ${row["id"]} was erased`);
    }
    return {
      records: JSON.parse(found["parts"] as string) as number[],
      bytes: found["part_bytes"] as number,
      size: found["size"] as number,
      key: secret.key,
    };
  }
}

/** Each part is sealed under its number: the key is this content's alone. */
export function partNonce(index: number): Buffer {
  const nonce = Buffer.allocUnsafe(nonceBytes).fill(0);
  nonce.writeUInt32LE(index, 0);
  return nonce;
}

function damagedAt([segment, at]: Extent, what: "record" | "content"): Damaged {
  const page = Math.floor(at / payloadBytes);
  return new Damaged({ file: segmentName(segment), page, what, messages: [] });
}
