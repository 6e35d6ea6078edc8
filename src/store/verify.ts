/** Verification: every page, hash, record and content of the ledger, with what damage would cost. */

import { createHash } from "node:crypto";
import type { Disk } from "#base/disk";
import { systemRandom } from "#base/random";
import type { Master } from "#contracts/keyring";
import type { MessageId } from "#model/mailbox";
import { type AffectedMessage, whereIs } from "./affected.ts";
import { keyedHash } from "./cipher.ts";
import type {
  ContentKeysRecord,
  ContentRecord,
  HolderKeyRecord,
  KeptRecord,
} from "./content-records.ts";
import { Damaged, type DamageKind, type DamagePlace } from "./damage.ts";
import { batchesOf, type RawBatch, recordsIn, type Span, surveyLedger } from "./groups.ts";
import { isHashRight, payloadBytes } from "./pages.ts";
import { partNonce } from "./reader.ts";
import { blobExtent, type Extent, type PlacedRecord, recordHeaderBytes } from "./records.ts";
import { openKeys } from "./recover.ts";
import { keptViews } from "./salvage-views.ts";
import { PageWindow } from "./scan.ts";
import { Segments, segmentName } from "./segments.ts";
import { type ContentSecret, StoreKeys } from "./store-keys.ts";

export interface VerifyReport {
  readonly segments: number;
  readonly pages: number;
  readonly records: number;
  readonly contents: number;
  /** Of those, contents whose keys are destroyed: nobody can read them any more. */
  readonly erased: number;
  readonly messages: number;
  /** Pages that a cut left of a batch nobody was told about. Not damage. */
  readonly tornPages: number;
  readonly damages: readonly DamagePlace[];
}

/** With where the mail is that damage would cost, as far as the index knows. */
export interface NamedReport extends VerifyReport {
  readonly mail: readonly AffectedMessage[];
}

/**
 * Read-only, for the files of a stopped store.
 *
 * @param indexPath where the names come from, when it is there
 */
export async function verifyStore(
  disk: Disk,
  directory: string,
  master: Master,
  indexPath?: string,
): Promise<NamedReport> {
  const segments = new Segments(disk, directory);
  try {
    const file = await openKeys(segments, { disk, directory, random: systemRandom }, master);
    if (file === undefined) return nothing;
    const keys = new StoreKeys(file);
    const report = await verifySegments(segments, keys);
    return { ...report, mail: mailOf(report, keys, indexPath) };
  } finally {
    await segments.close();
  }
}

function mailOf(
  { damages }: VerifyReport,
  keys: StoreKeys,
  indexPath: string | undefined,
): NamedReport["mail"] {
  const messages = damages.flatMap((one) => one.messages);
  if (messages.length === 0) return [];
  const views = indexPath === undefined ? undefined : keptViews(indexPath, keys);
  try {
    if (views !== undefined) return whereIs(views, messages);
  } finally {
    views?.close();
  }
  return [...new Set(messages)].map((message) => ({ message, entries: [] }));
}

const nothing: NamedReport = {
  segments: 0,
  pages: 0,
  records: 0,
  contents: 0,
  erased: 0,
  messages: 0,
  tornPages: 0,
  damages: [],
  mail: [],
};

/** @param until number of the last batch to look at, in a store that is being written */
export async function verifySegments(
  segments: Segments,
  keys: StoreKeys,
  until: number = Number.POSITIVE_INFINITY,
): Promise<VerifyReport> {
  const window = new PageWindow(segments);
  const spans = await surveyLedger(window, segments, until);
  const run = new Verification(segments, keys);
  for (const span of spans) {
    run.faultsOf(span);
    for await (const batch of batchesOf(window, span)) await run.batch(batch);
  }
  await run.settle();
  // Names cost a second reading, which only damage is worth.
  if (run.bad.size > 0) {
    for (const span of spans) {
      for await (const batch of batchesOf(window, span)) run.name(batch);
    }
  }
  return run.report(spans);
}

type KeysOfContent = Pick<ContentRecord, "epoch" | "keys">;

/** A content whose key was not met yet. */
interface Waiting {
  readonly id: string;
  readonly extents: readonly Extent[];
  readonly count: number;
  readonly keys: readonly KeysOfContent[];
}

interface BadPage {
  readonly segment: number;
  readonly page: number;
  readonly what: DamageKind;
  readonly messages: Set<MessageId>;
}

class Verification {
  readonly #segments: Segments;
  readonly #keys: StoreKeys;
  /** Keys of holders, as their records come by. */
  readonly #holders = new Map<string, readonly Buffer[]>();
  readonly #waiting = new Map<string, Waiting>();
  /** Parts of large contents, by sequence number. */
  readonly #parts = new Map<number, Extent>();
  readonly bad = new Map<string, BadPage>();
  /** Contents whose octets lie on bad pages. */
  readonly #hurt = new Map<string, BadPage[]>();
  #pages = 0;
  #records = 0;
  #contents = 0;
  #erased = 0;
  #messages = 0;

  constructor(segments: Segments, keys: StoreKeys) {
    this.#segments = segments;
    this.#keys = keys;
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
    const records = recordsIn(batch, this.#keys);
    if (records === undefined) this.#add(batch.segment, batch.first, "record");
    for (const one of records ?? []) await this.#record(one, batch);
  }

  async #record({ record, place, isHollow }: PlacedRecord, batch: RawBatch): Promise<void> {
    this.#records += 1;
    if (record.kind === "accepted" || record.kind === "appended") this.#messages += 1;
    if (record.kind === "holder-key") this.#holderKey(record);
    if (record.kind === "content-part" && isHollow !== true) {
      this.#parts.set(place.lsn, blobExtent(place));
    }
    if (record.kind === "kept" || record.kind === "content-keys") await this.#moreKeys(record);
    if (record.kind !== "content") return;
    this.#contents += 1;
    if (!batch.isSound) return;
    if (isHollow === true) {
      this.#erased += 1;
      return;
    }
    const content = { id: record.id, extents: this.#extentsOf(record, blobExtent(place)) };
    await this.#judge({ ...content, count: record.parts?.records.length ?? 1, keys: [record] });
  }

  /** Its key may be sealed in a later record only, or under a holder's key that comes later. */
  async #judge(content: Waiting): Promise<void> {
    const secret = this.#secretOf(content.keys);
    if (secret === undefined) {
      this.#waiting.set(content.id, content);
      return;
    }
    this.#waiting.delete(content.id);
    if (await this.#isRight(content, secret)) return;
    const [segment, at] = content.extents[0] as Extent;
    this.#add(segment, Math.floor(at / payloadBytes), "content");
  }

  async #moreKeys(record: KeptRecord | ContentKeysRecord): Promise<void> {
    const waiting = this.#waiting.get(record.id);
    if (waiting === undefined) return;
    await this.#judge({ ...waiting, keys: [...waiting.keys, record] });
  }

  /** What still waits when everything was read has no key any more. */
  async settle(): Promise<void> {
    for (const content of [...this.#waiting.values()]) await this.#judge(content);
    this.#erased += this.#waiting.size;
  }

  #holderKey({ holder, epoch, sealed }: HolderKeyRecord): void {
    const key = this.#keys.openHolderKey(epoch, holder, sealed);
    // An account that was removed and made again has another key.
    if (key !== undefined) this.#holders.set(holder, [...(this.#holders.get(holder) ?? []), key]);
  }

  #secretOf(records: readonly KeysOfContent[]): ContentSecret | undefined {
    for (const { epoch, keys } of records) {
      for (const [holder, sealed] of keys) {
        for (const key of this.#holders.get(holder) ?? []) {
          const secret = this.#keys.openContentKey(epoch, key, sealed);
          if (secret !== undefined) return secret;
        }
      }
    }
    return undefined;
  }

  /** Where its octets lie, as far as they are there. */
  #extentsOf({ parts }: ContentRecord, blob: Extent): Extent[] {
    if (parts === undefined) return [blob];
    return parts.records.map((lsn) => this.#parts.get(lsn)).filter((one) => one !== undefined);
  }

  async #isRight({ id, extents, count }: Waiting, { key, sum }: ContentSecret): Promise<boolean> {
    if (extents.length < count) return true; // hollow, or on a bad page
    const found = createHash("sha256");
    for (const [index, extent] of extents.entries()) {
      const sealed = await this.#segments.read(extent, 0, extent[2]).catch(unlessDamaged);
      if (sealed === undefined) return true; // the page itself is reported where it stands
      const plain = this.#keys.cipher.decrypt(key, partNonce(index), sealed);
      if (plain === undefined) return false;
      found.update(plain);
    }
    return sum.equals(found.digest()) && keyedHash(key, sum).toString("hex") === id;
  }

  /** A content comes before the messages that hold it, so one pass finds them all. */
  name(batch: RawBatch): void {
    for (const { record, place } of recordsIn(batch, this.#keys) ?? []) {
      const start = place.jsonAt - recordHeaderBytes;
      const length = recordHeaderBytes + place.jsonBytes + place.blobBytes;
      const here = this.#badIn([[place.segment, start, length]]);
      if (record.kind === "content") {
        const extents = record.keys === undefined ? [] : this.#extentsOf(record, blobExtent(place));
        const pages = [...here, ...this.#badIn(extents)];
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
      erased: this.#erased,
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

function unlessDamaged(error: unknown): undefined {
  if (!(error instanceof Damaged)) throw error;
}

function key(segment: number, page: number): string {
  return `${segment}:${page}`;
}
