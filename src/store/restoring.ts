/** A store made again from pages that come from elsewhere, where no store is. */

import { dirname, join } from "node:path";
import { type Disk, type DiskFile, errorCode } from "#base/disk";
import { Full, Misconfigured } from "#base/errors";
import type { Random } from "#base/random";
import type { Master } from "#contracts/keyring";
import { type KeptKeys, KeyFile } from "./key-file.ts";
import { type CheckedBatch, LedgerCheck, type LedgerFault } from "./ledger-check.ts";
import { pageBytes } from "./pages.ts";
import { timeOf } from "./record-time.ts";
import { openFacts, type RecordFacts } from "./records.ts";
import { segmentName } from "./segments.ts";
import { recordOpener } from "./store-keys.ts";

/** Where to stop: behind a record, or before the first that was written later than a moment. */
export type Until = { readonly lsn: number } | { readonly atMs: number };

export interface RestoringParts {
  readonly disk: Disk;
  /** Of the store; it is made when it is not there. */
  readonly directory: string;
  /** Wraps the store's key from now on. */
  readonly master: Master;
  readonly random: Random;
  readonly until?: Until | undefined;
}

/** Where the files end. */
export interface RestoredTo {
  readonly lsn: number;
  readonly generation: number;
  /** When the last records were written, if they say so. */
  readonly atMs?: number | undefined;
}

/**
 * What is written is no store before its keys are there, and those come last: a cut on the way leaves
 * files that no start takes for a store.
 */
export class Restoring {
  readonly #parts: RestoringParts;
  readonly #kept: KeptKeys;
  readonly #keys: ReturnType<typeof recordOpener>;
  readonly #check: LedgerCheck;
  readonly #made: string[] = [];
  #file: DiskFile | undefined;
  #segment = 0;
  #to: RestoredTo = { lsn: 0, generation: 0 };
  /** The last batch that has any. */
  #lastRecords: readonly RecordFacts[] = [];
  #isCut = false;

  private constructor(parts: RestoringParts, kept: KeptKeys) {
    this.#parts = parts;
    this.#kept = kept;
    this.#keys = recordOpener(kept);
    this.#check = new LedgerCheck(kept.storeId);
  }

  /** @throws Misconfigured when something is there already */
  static async begin(parts: RestoringParts, kept: KeptKeys): Promise<Restoring> {
    const { disk, directory } = parts;
    await assertEmpty(disk, directory);
    await disk.makeDirectory(directory);
    await disk.syncDirectory(dirname(directory));
    return new Restoring(parts, kept);
  }

  /** The tree of what has come so far, whether it was written or stood behind the end. */
  get tree(): { readonly size: number; readonly root: Buffer } {
    return this.#check.tree;
  }
  /** Everything wanted is there: what still comes is only checked. */
  get isCut(): boolean {
    return this.#isCut;
  }
  get to(): RestoredTo {
    return this.#to;
  }

  /** @returns what is wrong */
  begin(segment: number, revision: number): LedgerFault | undefined {
    return this.#check.begin(segment, revision);
  }

  /**
   * The next pages, in order.
   *
   * @returns what is wrong, and on which page
   * @throws Full, or a disk's error
   */
  async take(octets: Buffer): Promise<{ what: LedgerFault; page: number } | undefined> {
    const { batches, fault } = this.#check.take(octets);
    for (const batch of batches) if (!this.#isCut) await this.#write(batch);
    return fault;
  }

  /** Nothing more comes. @returns what is wrong */
  end(): LedgerFault | undefined {
    return this.#check.isBetweenBatches ? undefined : "out-of-order";
  }

  /** Makes a store of what is there. Durable when it resolves. */
  async finish(): Promise<RestoredTo> {
    await this.#endSegment();
    const { disk, directory, random, master } = this.#parts;
    await KeyFile.restore({ disk, directory, random }, master, this.#kept);
    return { ...this.#to, atMs: this.#times(this.#lastRecords).at(-1) };
  }

  /** Takes away what was written: it came to nothing. */
  async undo(): Promise<void> {
    const { disk, directory } = this.#parts;
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
    for (const name of this.#made) await disk.remove(join(directory, name));
    await disk.syncDirectory(directory);
  }

  async #write(batch: CheckedBatch): Promise<void> {
    if (this.#isBeyond(batch)) {
      this.#isCut = true;
      return;
    }
    const { segment, firstPage, octets, generation } = batch;
    try {
      if (segment !== this.#segment) await this.#beginSegment(segment);
      await this.#file?.write([octets], firstPage * pageBytes);
    } catch (error) {
      throw asFull(error, this.#parts.directory);
    }
    if (batch.records.length > 0) this.#lastRecords = batch.records;
    this.#to = { lsn: this.#lastRecords.at(-1)?.place.lsn ?? 0, generation };
  }

  #isBeyond({ records }: CheckedBatch): boolean {
    const { until } = this.#parts;
    if (until === undefined) return false;
    if ("lsn" in until) return (records.at(-1)?.place.lsn ?? 0) > until.lsn;
    return this.#times(records).some((time) => time > until.atMs);
  }

  #times(records: readonly RecordFacts[]): number[] {
    return records.flatMap((facts) => {
      const opened = openFacts(facts, this.#keys);
      return (opened && timeOf(opened.record)) ?? [];
    });
  }

  async #beginSegment(segment: number): Promise<void> {
    await this.#endSegment();
    const { disk, directory } = this.#parts;
    const name = `${segmentName(segment)}.new`;
    this.#made.push(name);
    this.#file = await disk.open(join(directory, name), "create");
    this.#segment = segment;
  }

  async #endSegment(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    const { disk, directory } = this.#parts;
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    const name = segmentName(this.#segment);
    this.#made.push(name);
    await disk.rename(join(directory, `${name}.new`), join(directory, name));
    await disk.syncDirectory(directory);
  }
}

async function assertEmpty(disk: Disk, directory: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await disk.list(directory);
  } catch (error) {
    if (errorCode(error) !== "ENOTDIR") throw error;
    throw new Misconfigured(`${directory} is not a folder`);
  }
  if (names.length === 0) return;
  const keys = names.includes("keys") || names.includes("keys.copy");
  const what = keys
    ? "there is a store in it, which a restore never touches: name another folder"
    : "it is not empty: name another folder, or remove what an interrupted restore left there";
  throw new Misconfigured(`${directory}: ${what}`);
}

function asFull(error: unknown, directory: string): unknown {
  const code = errorCode(error);
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new Full(`${directory}: no room for the store`, { cause: error });
}
