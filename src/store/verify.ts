/** Verification: every page, hash, record and content of the ledger, with what damage would cost. */

import { createHash, hash } from "node:crypto";
import type { Disk } from "#base/disk";
import type { MessageId } from "#model/mailbox";
import { Damaged, type DamageKind, type DamagePlace } from "./damage.ts";
import { batchesOf, type RawBatch, recordsIn, type Span, surveyLedger } from "./groups.ts";
import { isHashRight, payloadBytes } from "./pages.ts";
import {
  blobExtent,
  type ContentRecord,
  type Extent,
  type PlacedRecord,
  recordHeaderBytes,
} from "./records.ts";
import { findStoreId, PageWindow } from "./scan.ts";
import { Segments, segmentName } from "./segments.ts";

export interface VerifyReport {
  readonly segments: number;
  readonly pages: number;
  readonly records: number;
  readonly contents: number;
  readonly messages: number;
  /** Pages that a cut left of a batch nobody was told about. Not damage. */
  readonly tornPages: number;
  readonly damages: readonly DamagePlace[];
}

/** Read-only, for the files of a stopped store. */
export async function verifyStore(disk: Disk, directory: string): Promise<VerifyReport> {
  const segments = new Segments(disk, directory);
  segments.storeId = await findStoreId(segments);
  try {
    return await verifySegments(segments);
  } finally {
    await segments.close();
  }
}

/** @param until number of the last batch to look at, in a store that is being written */
export async function verifySegments(
  segments: Segments,
  until: number = Number.POSITIVE_INFINITY,
): Promise<VerifyReport> {
  const window = new PageWindow(segments);
  const spans = await surveyLedger(window, segments, until);
  const run = new Verification(segments);
  for (const span of spans) {
    run.faultsOf(span);
    for await (const batch of batchesOf(window, span)) await run.batch(batch);
  }
  // Names cost a second reading, which only damage is worth.
  if (run.bad.size > 0) {
    for (const span of spans) {
      for await (const batch of batchesOf(window, span)) run.name(batch);
    }
  }
  return run.report(spans);
}

interface BadPage {
  readonly segment: number;
  readonly page: number;
  readonly what: DamageKind;
  readonly messages: Set<MessageId>;
}

class Verification {
  readonly #segments: Segments;
  readonly bad = new Map<string, BadPage>();
  /** Contents whose octets lie on bad pages. */
  readonly #hurt = new Map<string, BadPage[]>();
  #pages = 0;
  #records = 0;
  #contents = 0;
  #messages = 0;

  constructor(segments: Segments) {
    this.#segments = segments;
  }

  faultsOf({ segment, faults }: Span): void {
    for (const [page, fault] of faults) {
      const isGone = fault === "empty" || fault === "absent";
      this.#add(segment, page, isGone ? "missing" : fault);
    }
  }

  async batch(batch: RawBatch): Promise<void> {
    this.#pages += batch.pages.length;
    for (const [index, page] of batch.pages.entries()) {
      const isBad = this.bad.has(key(batch.segment, batch.first + index));
      if (!isBad && !isHashRight(page)) this.#add(batch.segment, batch.first + index, "hash");
    }
    const records = recordsIn(batch);
    if (records === undefined) this.#add(batch.segment, batch.first, "record");
    for (const one of records ?? []) await this.#record(one, batch);
  }

  async #record({ record, place }: PlacedRecord, batch: RawBatch): Promise<void> {
    this.#records += 1;
    if (record.kind === "accepted" || record.kind === "appended") this.#messages += 1;
    if (record.kind !== "content") return;
    this.#contents += 1;
    if (!batch.isSound) return;
    const blob = blobExtent(place);
    const from = blob[1] - batch.first * payloadBytes;
    const isRight =
      record.extents === undefined
        ? hash("sha256", batch.payload.subarray(from, from + blob[2])) === record.id
        : await this.#isRight(record, record.extents);
    if (isRight) return;
    const [segment, at] = record.extents?.[0] ?? blob;
    this.#add(segment, Math.floor(at / payloadBytes), "content");
  }

  async #isRight(record: ContentRecord, extents: readonly Extent[]): Promise<boolean> {
    const sum = createHash("sha256");
    try {
      for (const extent of extents) sum.update(await this.#segments.read(extent, 0, extent[2]));
    } catch (error) {
      if (error instanceof Damaged) return true; // the page itself is reported where it stands
      throw error;
    }
    return sum.digest("hex") === record.id;
  }

  /** A content comes before the messages that hold it, so one pass finds them all. */
  name(batch: RawBatch): void {
    for (const { record, place } of recordsIn(batch) ?? []) {
      const start = place.jsonAt - recordHeaderBytes;
      const length = recordHeaderBytes + place.jsonBytes + place.blobBytes;
      const here = this.#badIn([[place.segment, start, length]]);
      if (record.kind === "content") {
        const pages = [...here, ...this.#badIn(record.extents ?? [])];
        if (pages.length > 0) this.#hurt.set(record.id, pages);
      } else if (record.kind === "accepted" || record.kind === "appended") {
        for (const bad of [...here, ...(this.#hurt.get(record.content) ?? [])]) {
          bad.messages.add(record.id);
        }
      }
    }
  }

  #badIn(extents: readonly Extent[]): BadPage[] {
    const found: BadPage[] = [];
    for (const [segment, at, length] of extents) {
      const last = Math.floor((at + Math.max(length, 1) - 1) / payloadBytes);
      for (let page = Math.floor(at / payloadBytes); page <= last; page += 1) {
        const bad = this.bad.get(key(segment, page));
        if (bad !== undefined) found.push(bad);
      }
    }
    return found;
  }

  #add(segment: number, page: number, what: DamageKind): void {
    this.bad.set(key(segment, page), { segment, page, what, messages: new Set() });
  }

  report(spans: readonly Span[]): VerifyReport {
    return {
      segments: spans.length,
      pages: this.#pages,
      records: this.#records,
      contents: this.#contents,
      messages: this.#messages,
      tornPages: spans.reduce((sum, { tornPages }) => sum + tornPages, 0),
      damages: [...this.bad.values()].map(({ segment, page, what, messages }) => ({
        file: segmentName(segment),
        page,
        what,
        messages: [...messages],
      })),
    };
  }
}

function key(segment: number, page: number): string {
  return `${segment}:${page}`;
}
