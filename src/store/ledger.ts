/** The ledger's writer: group commit, one batch in flight, one flush a batch. */

import type { Clock, Timer } from "#base/clock";
import { Full, Unavailable } from "#base/errors";
import { BatchBuilder, type Closing, pagesFor } from "./batch.ts";
import { pageBytes } from "./pages.ts";
import { type Draft, draft, draftBytes, type Place, type PlacedRecord } from "./records.ts";
import type { Position } from "./scan.ts";
import type { Supply } from "./supply.ts";

/** A batch is not gathered beyond this; a single larger commit is a batch of its own. */
const maxBatchBytes = 4 * 1024 * 1024;
/** Records nobody waits for are written after this at the latest. */
const lazyMs = 1000;
/** After this much rest an empty batch proves that the last one was durable. */
const markMs = 1000;
const maxLazy = 1000;
const maxLazyBytes = 4 * 1024 * 1024;

interface Group {
  readonly drafts: readonly Draft[];
  readonly bytes: number;
  /** What admission promised, to be given back. */
  readonly promised: number;
  /** Written although it holds nothing. */
  readonly isMark?: true;
  done(places: readonly Place[]): void;
  fail(error: Error): void;
}

export interface LedgerState {
  readonly storeId: Buffer;
  /** Number of the next batch. */
  readonly generation: number;
  /** Sequence number of the next record. */
  readonly lsn: number;
  readonly closing: Closing;
  /** Told what a flush took, in seconds. */
  readonly onFlush: (seconds: number) => void;
}

/** Records of a durable batch on their way into the views, with the place of the batch. */
export type Apply = (records: readonly PlacedRecord[], at: Position, lsn: number) => void;

export class Ledger {
  readonly failed: Promise<Error>;
  readonly #supply: Supply;
  readonly #clock: Clock;
  readonly #apply: Apply;
  readonly #storeId: Buffer;
  readonly #builder: BatchBuilder;
  readonly #onFlush: (seconds: number) => void;
  #generation: number;
  #lsn: number;
  #pending: Group[] = [];
  #lazy: Draft[] = [];
  #lazyBytes = 0;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;
  /** The last batch holds records, so it is worth a mark. */
  #unmarked = false;
  #failure: Error | undefined;
  #closed = false;
  #fail!: (error: Error) => void;
  flushes = 0;
  #flushedRecords = 0;

  constructor(supply: Supply, clock: Clock, state: LedgerState, apply: Apply) {
    this.#supply = supply;
    this.#clock = clock;
    this.#storeId = state.storeId;
    this.#builder = new BatchBuilder(state.closing);
    this.#onFlush = state.onFlush;
    this.#generation = state.generation;
    this.#lsn = state.lsn;
    this.#apply = apply;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  get durableGeneration(): number {
    return this.#generation - 1;
  }
  get records(): number {
    return this.#lsn - 1;
  }
  /** Resolves when everything submitted before is durable and in the views. */
  settled(): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => resolve();
      if (this.#failure !== undefined) reject(this.#failure);
      else if (this.#running === undefined) resolve();
      else this.#pending.push({ drafts: [], bytes: 0, promised: 0, done, fail: reject });
    });
  }

  get recordsPerFlush(): number {
    return this.flushes === 0 ? 0 : this.#flushedRecords / this.flushes;
  }

  /**
   * Makes room, then has `build` decide what to write, and resolves when that is durable and in
   * the views. What `build` allocates is in the order in which it is written.
   *
   * @param bytes at least about what `build` will return
   * @param bulk whether the reserve is out of bounds
   */
  commit<Value>(
    bytes: number,
    bulk: boolean,
    build: () => { drafts: readonly Draft[]; value: Value },
  ): Promise<Value> {
    const pages = pagesFor(bytes) + 1;
    try {
      this.#assertWorks();
      const wait = this.#supply.admit(pages, bulk);
      if (wait !== undefined) return wait.then(() => this.#submit(pages, build).then(valueOf));
      return this.#submit(pages, build).then(valueOf);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `commit`, for one blob whose place the caller needs. */
  async commitPlaced(one: Draft): Promise<Place> {
    const pages = pagesFor(draftBytes(one)) + 1;
    this.#assertWorks();
    await this.#supply.admit(pages, true);
    const { places } = await this.#submit(pages, () => ({ drafts: [one], value: undefined }));
    return places[0] as Place;
  }

  /** Written with the next batch; lost without a word when there is no room or no time. */
  later(one: Draft): void {
    if (this.#failure !== undefined || this.#closed || this.#lazy.length >= maxLazy) return;
    const bytes = draftBytes(one);
    if (this.#lazyBytes + bytes > maxLazyBytes) return;
    this.#lazyBytes += bytes;
    this.#lazy.push(one);
    if (this.#running === undefined) this.#rest();
  }

  #assertWorks(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new Unavailable("the store is closed");
  }

  #submit<Value>(
    promised: number,
    build: () => { drafts: readonly Draft[]; value: Value },
  ): Promise<{ value: Value; places: readonly Place[] }> {
    let built: { drafts: readonly Draft[]; value: Value };
    try {
      this.#assertWorks(); // it may have failed while room was waited for
      built = build();
    } catch (error) {
      this.#supply.undo(promised);
      return Promise.reject(error);
    }
    const { drafts, value } = built;
    if (drafts.length === 0) {
      this.#supply.undo(promised);
      return Promise.resolve({ value, places: [] });
    }
    let bytes = 0;
    for (const one of drafts) bytes += draftBytes(one);
    return new Promise((resolve, reject) => {
      const done = (places: readonly Place[]) => resolve({ value, places });
      this.#pending.push({ drafts, bytes, promised, done, fail: reject });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#timer?.cancel();
    await Promise.resolve(); // everything that is submitted in this turn goes into the first batch
    while (this.#pending.length > 0) {
      const groups = this.#gather();
      if (groups.every(({ drafts, isMark }) => drafts.length === 0 && isMark !== true)) {
        this.#settle(groups, []);
        continue;
      }
      try {
        await this.#write(groups);
      } catch (error) {
        this.#stop(error, groups);
        return;
      }
    }
    this.#running = undefined;
    if (!this.#closed) this.#rest();
  }

  #gather(): Group[] {
    if (this.#lazy.length > 0) this.#addLazy();
    const groups: Group[] = [];
    let bytes = 0;
    for (const group of this.#pending) {
      if (groups.length > 0 && bytes + group.bytes > maxBatchBytes) break;
      const pages = pagesFor(bytes + group.bytes);
      if (groups.length > 0 && pages > this.#supply.pagesLeft) break;
      groups.push(group);
      bytes += group.bytes;
    }
    this.#pending = this.#pending.slice(groups.length);
    return groups;
  }

  #addLazy(): void {
    const drafts = this.#lazy;
    this.#lazy = [];
    this.#lazyBytes = 0;
    let bytes = 0;
    for (const one of drafts) bytes += draftBytes(one);
    const promised = pagesFor(bytes) + 1;
    if (!this.#supply.tryAdmit(promised, true)) return;
    this.#pending.push({ drafts, bytes, promised, done: ignore, fail: ignore });
  }

  async #write(groups: readonly Group[]): Promise<void> {
    const drafts = groups.length === 1 ? (groups[0] as Group).drafts : groups.flatMap(draftsOf);
    let bytes = 0;
    for (const group of groups) bytes += group.bytes;
    if (pagesFor(bytes) > this.#supply.pagesLeft) await this.#supply.advance();
    const { segment, page: firstPage, file, pagesLeft } = this.#supply;
    if (pagesFor(bytes) > pagesLeft) throw new Full("a commit is larger than a segment");
    const generation = this.#generation;
    const facts = { storeId: this.#storeId, segment, firstPage, generation, firstLsn: this.#lsn };
    const { pages, places, leaves } = this.#builder.build(drafts, facts);
    const beforeMs = this.#clock.tickMs();
    await file.write([pages], firstPage * pageBytes);
    await file.sync();
    this.#onFlush((this.#clock.tickMs() - beforeMs) / 1000);
    this.#generation += 1;
    this.#lsn += drafts.length;
    this.#supply.written(pages);
    this.#unmarked = drafts.length > 0;
    const records = drafts.map((one, index) => ({
      record: one.record,
      place: places[index] as Place,
      leaf: leaves[index] as Buffer,
    }));
    this.#apply(records, { segment, page: firstPage, generation }, this.#lsn);
    if (drafts.length > 0) {
      this.flushes += 1;
      this.#flushedRecords += drafts.length;
    }
    this.#settle(groups, places);
  }

  #settle(groups: readonly Group[], places: readonly Place[]): void {
    let at = 0;
    for (const group of groups) {
      this.#supply.undo(group.promised);
      group.done(places.slice(at, at + group.drafts.length));
      at += group.drafts.length;
    }
  }

  /** After an error of the disk nothing is known about the segment: this process writes no more. */
  #stop(cause: unknown, groups: readonly Group[]): void {
    const error = new Unavailable("the store's disk failed", { cause });
    this.#failure = error;
    for (const group of [...groups, ...this.#pending]) {
      this.#supply.undo(group.promised); // whoever waits for room learns of the failure
      group.fail(error);
    }
    this.#pending = [];
    this.#lazy = [];
    this.#fail(error);
  }

  /** Nothing waits: writes what nobody waits for, then the mark. */
  #rest(): void {
    if (this.#lazy.length === 0 && !this.#unmarked) return;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(this.#lazy.length > 0 ? lazyMs : markMs, () => {
      if (this.#running !== undefined || this.#failure !== undefined || this.#closed) return;
      if (this.#supply.pagesLeft < 2) return;
      const mark = { drafts: [], bytes: 0, promised: 0, isMark: true } as const;
      this.#pending.push({ ...mark, done: ignore, fail: ignore });
      this.#running = this.#run();
    });
  }

  /** Waits for what was submitted, then writes the closing record unless the disk failed. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    while (this.#running !== undefined && this.#failure === undefined) await this.#running;
    if (this.#failure === undefined && (this.#lazy.length > 0 || this.flushes > 0)) {
      await this.#closing().catch(() => undefined);
    }
    await this.#supply.close().catch(() => undefined);
  }

  #closing(): Promise<void> {
    const drafts = [draft({ kind: "closed", atMs: this.#clock.nowMs() })];
    return new Promise((resolve, reject) => {
      const bytes = draftBytes(drafts[0] as Draft);
      const done = () => resolve();
      this.#pending.push({ drafts, bytes, promised: 0, done, fail: reject });
      this.#running = this.#run();
    });
  }
}

const draftsOf = (group: Group): readonly Draft[] => group.drafts;
const valueOf = <Value>({ value }: { value: Value }): Value => value;
const ignore = (): void => undefined;
