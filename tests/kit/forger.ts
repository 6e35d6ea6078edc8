/**
 * Whoever owns the machine, at a stopped store: has all its keys, writes any record, lays out any
 * ledger with every seal, hash and checksum right, and leaves a store that opens without complaint.
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realDisk } from "#base/disk";
import { systemRandom } from "#base/random";
import { PageLayout } from "../../src/store/batch.ts";
import { fixedMaster } from "../../src/store/fixture.ts";
import { batchesOf, surveyLedger } from "../../src/store/groups.ts";
import { KeyFile } from "../../src/store/key-file.ts";
import { pageBytes, payloadBytes } from "../../src/store/pages.ts";
import {
  draft,
  type LedgerRecord,
  leafOfFacts,
  openFacts,
  type RecordFacts,
  readFacts,
  recordFront,
} from "../../src/store/records.ts";
import { openKeys } from "../../src/store/recover.ts";
import { PageWindow } from "../../src/store/scan.ts";
import { Segments, segmentName } from "../../src/store/segments.ts";
import { commitmentOf } from "../../src/store/statement.ts";
import { StoreKeys } from "../../src/store/store-keys.ts";
import { MemoryTree } from "./memory-tree.ts";

/** One record as it stands in the ledger, and what it says to who has the keys. */
export interface OwnedRecord {
  readonly lsn: number;
  readonly record: LedgerRecord;
  readonly header: Buffer;
  /** Commitment and sealed JSON. */
  readonly region: Buffer;
  readonly blob: Buffer;
}

export interface OwnedStore {
  readonly storeId: Buffer;
  readonly keys: StoreKeys;
  /** Where a segment is left. */
  readonly segmentPages: number;
  readonly batches: readonly (readonly OwnedRecord[])[];
}

export async function ownStore(directory: string): Promise<OwnedStore> {
  const segments = new Segments(realDisk, directory);
  try {
    const place = { disk: realDisk, directory, random: systemRandom };
    const file = await openKeys(segments, place, fixedMaster);
    assert.ok(file !== undefined, "there is a store");
    const keys = new StoreKeys(file);
    const batches: OwnedRecord[][] = [];
    const window = new PageWindow(segments);
    for (const span of await surveyLedger(window, segments, Number.POSITIVE_INFINITY)) {
      for await (const { segment, payload, first } of batchesOf(window, span)) {
        batches.push([...recordsOf({ segment, payload, base: first * payloadBytes }, keys)]);
      }
    }
    const segmentPages = statSync(join(directory, segmentName(1))).size / pageBytes;
    return { storeId: file.storeId, keys, segmentPages, batches };
  } finally {
    await segments.close();
  }
}

function* recordsOf(
  stretch: { readonly segment: number; readonly payload: Buffer; readonly base: number },
  keys: StoreKeys,
): Generator<OwnedRecord> {
  const { payload } = stretch;
  for (let at = 0; at < payload.length; ) {
    const facts: RecordFacts = readFacts(stretch, at) ?? assert.fail("no record");
    const opened = openFacts(facts, keys) ?? assert.fail("a seal does not fit");
    const blobAt = facts.end - facts.place.blobBytes;
    yield {
      lsn: facts.place.lsn,
      record: opened.record,
      header: Buffer.from(payload.subarray(at, blobAt - facts.region.length)),
      region: Buffer.from(facts.region),
      blob: Buffer.from(payload.subarray(blobAt, facts.end)),
    };
    at = facts.end;
  }
}

/** A record closed anew under the store's keys: statement, commitment and seal are all its own. */
export function closed(
  keys: StoreKeys,
  { record, lsn, blob }: Pick<OwnedRecord, "record" | "lsn" | "blob">,
): OwnedRecord {
  const commitment = commitmentOf(keys, record, lsn);
  const { header, sealed } = recordFront(draft(record, [blob]), lsn, keys, commitment);
  return { lsn, record, header, region: Buffer.concat([commitment, sealed]), blob };
}

/** Other records in the same batches, numbered from 1; what changed its number is closed anew. */
export function withRecords(store: OwnedStore, records: readonly OwnedRecord[]): OwnedStore {
  const numbered = records.map((one, index) =>
    one.lsn === index + 1 ? one : closed(store.keys, { ...one, lsn: index + 1 }),
  );
  let at = 0;
  const batches = store.batches.map((batch) => {
    at += batch.length;
    return numbered.slice(at - batch.length, at);
  });
  if (at < numbered.length) batches.push(numbered.slice(at));
  return { ...store, batches };
}

/** The same store under another id, in its keys, records and pages. */
export async function renamed(
  store: OwnedStore,
  directory: string,
  storeId: Buffer,
): Promise<OwnedStore> {
  const place = { disk: realDisk, directory, random: systemRandom };
  const kept = { ...store.keys.file.kept(), storeId };
  const keys = new StoreKeys(await KeyFile.restore(place, fixedMaster, kept));
  const batches = store.batches.map((batch) => batch.map((one) => closed(keys, one)));
  return { ...store, storeId, keys, batches };
}

/** Puts a ledger in the place of what lies in a copy of the store's folder, and nothing beside it. */
export function layDown(directory: string, store: OwnedStore): void {
  for (const name of readdirSync(directory)) {
    if (!name.startsWith("keys")) rmSync(join(directory, name));
  }
  for (const [index, pages] of laidOut(store).entries()) {
    const octets = Buffer.alloc(store.segmentPages * pageBytes);
    Buffer.concat(pages).copy(octets);
    writeFileSync(join(directory, segmentName(index + 1)), octets);
  }
}

function laidOut({ storeId, segmentPages, batches }: OwnedStore): Buffer[][] {
  const layout = new PageLayout();
  const segments: Buffer[][] = [[]];
  let used = 0;
  for (const [index, batch] of batches.entries()) {
    const formed = batch.map(({ header, region, blob }) => [header, region, blob]);
    const pagesAt = (segment: number, firstPage: number): Buffer =>
      Buffer.from(layout.layOut(formed, { storeId, segment, firstPage, generation: index + 1 }));
    let pages = pagesAt(segments.length, used);
    if (used + pages.length / pageBytes > segmentPages) {
      segments.push([]);
      used = 0;
      pages = pagesAt(segments.length, used);
    }
    segments.at(-1)?.push(pages);
    used += pages.length / pageBytes;
  }
  return segments;
}

export function recordsIn({ batches }: OwnedStore): readonly OwnedRecord[] {
  return batches.flat();
}

/** What the history of these records would be. */
export function treeOf(store: OwnedStore): MemoryTree {
  const tree = new MemoryTree();
  for (const { header, region } of recordsIn(store)) {
    const payload = Buffer.concat([header, region]);
    payload.writeUInt32LE(0, 4); // the blob is no part of the leaf
    const facts = readFacts({ segment: 1, payload, base: 0 }, 0) ?? assert.fail("no record");
    tree.add(leafOfFacts(facts));
  }
  return tree;
}
