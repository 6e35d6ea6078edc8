/** The second copy of the segment in use: what parity is for the others, until there is parity. */

import { strict as assert } from "node:assert";
import type { Clock, Timer } from "#base/clock";
import { type DiskFile, errorCode } from "#base/disk";
import type { Log } from "#base/log";
import { checkPage, pageBytes } from "./pages.ts";
import { fileName, type Segments } from "./segments.ts";
import { readUnits } from "./units.ts";

/** With the time that a flush takes, pages are durable here a second later. */
const flushMs = 500;
const retryMs = 10_000;
/** So much is written without waiting for the next flush. */
const writeBytes = 1024 * 1024;
/** So much is flushed at once, so that no commit waits behind more. */
const flushBytes = 8 * 1024 * 1024;
/** Waiting pages lie side by side in memory of this size. */
const pieceBytes = 256 * 1024;
/** Pieces kept for the next batches. */
const maxSpare = 16;
/** Of pages that wait in memory; what goes beyond is read from the segment later. */
const maxHeldBytes = 8 * 1024 * 1024;
const chunkPages = 128;

/**
 * Written behind the segment's back: nobody waits for it, and nothing fails with it. It holds only
 * pages that are durable in the segment, at the same places.
 */
export class TailCopy {
  readonly segment: number;
  readonly #segments: Segments;
  readonly #clock: Clock;
  readonly #log: Log;
  #file: DiskFile | undefined;
  /** Pages in use in the segment. */
  #pages: number;
  /** What waits, from the front; the last piece may have room. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Pieces whose octets are written, so that no commit makes the collector look for more. */
  readonly #spare: Buffer[] = [];
  #unflushedBytes = 0;
  /** Pages written here, not all of them flushed. */
  #written = 0;
  #flushed = 0;
  #isFlushDue = false;
  /** After a failed flush pages that are there may count as clean without being on the disk. */
  #isSuspect = false;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  /** @param pages that the segment holds already: they are checked, and copied where they lack */
  constructor(
    segments: Segments,
    { clock, log }: { readonly clock: Clock; readonly log: Log },
    segment: number,
    pages: number,
  ) {
    this.#segments = segments;
    this.#clock = clock;
    this.#log = log;
    this.segment = segment;
    this.#pages = pages;
    if (pages > 0) this.#flushSoon();
  }

  /** How many pages are durable here, from the first on. */
  get pages(): number {
    return this.#flushed;
  }

  /** Takes pages that have just become durable in the segment; their memory is free afterwards. */
  written(pages: Buffer, firstPage: number): void {
    assert.equal(firstPage, this.#pages);
    this.#pages += pages.length / pageBytes;
    if (this.#isClosed) return;
    const isHeld = this.#written + this.#heldBytes / pageBytes === firstPage;
    if (isHeld && this.#heldBytes + pages.length <= maxHeldBytes) {
      this.#hold(pages);
    }
    if (this.#isSuspect) return;
    if (this.#heldBytes >= writeBytes) void this.#start();
    this.#flushSoon();
  }

  /** Writes and flushes what waits. What must be read for it is left to the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#running;
    const isComplete = this.#written + this.#heldBytes / pageBytes === this.#pages;
    this.#isFlushDue = isComplete && this.#flushed < this.#pages;
    if (this.#isFlushDue) await this.#start();
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
  }

  #hold(pages: Buffer): void {
    for (let at = 0; at < pages.length; ) {
      const from = this.#heldBytes % pieceBytes;
      if (from === 0) this.#held.push(this.#spare.pop() ?? Buffer.allocUnsafeSlow(pieceBytes));
      const taken = pages.copy(this.#held.at(-1) as Buffer, from, at);
      this.#heldBytes += taken;
      at += taken;
    }
  }

  #flushSoon(delayMs: number = flushMs): void {
    this.#timer ??= this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#isFlushDue = true;
      void this.#start();
    });
  }

  #start(): Promise<void> {
    this.#running ??= this.#run()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  async #run(): Promise<void> {
    do {
      this.#file ??= await this.#open();
      await this.#writeHeld(this.#file);
      if (this.#heldBytes === 0) await this.#catchUp(this.#file);
      if (!this.#isFlushDue) continue;
      this.#isFlushDue = false;
      const written = this.#written;
      this.#unflushedBytes = 0;
      await this.#file.sync();
      this.#flushed = written;
      if (this.#isSuspect) this.#log.write("info", "store.copy-restored", this.#name());
      this.#isSuspect = false;
    } while (this.#isFlushDue || this.#heldBytes >= writeBytes);
  }

  async #open(): Promise<DiskFile> {
    const { disk } = this.#segments;
    const path = this.#segments.path(this.segment, "tail");
    try {
      return await disk.open(path, "write");
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
    const file = await disk.open(path, "create");
    await this.#segments.syncDirectory();
    return file;
  }

  async #writeHeld(file: DiskFile): Promise<void> {
    if (this.#held.length === 0) return;
    const held = this.#held;
    const bytes = this.#heldBytes;
    const at = this.#written;
    // What comes meanwhile goes on behind these.
    this.#held = [];
    this.#heldBytes = 0;
    this.#written += bytes / pageBytes;
    const rest = bytes % pieceBytes;
    const full = rest === 0 ? held : held.slice(0, -1);
    const last = rest === 0 ? [] : [(held.at(-1) as Buffer).subarray(0, rest)];
    await file.write([...full, ...last], at * pageBytes);
    this.#spare.push(...held.slice(0, maxSpare - this.#spare.length));
    this.#unflushedBytes += bytes;
    if (this.#unflushedBytes >= flushBytes) this.#isFlushDue = true;
  }

  /** From the segment, what it held when it was opened, or what came too fast. */
  async #catchUp(file: DiskFile): Promise<void> {
    while (this.#written < this.#pages && this.#heldBytes === 0) {
      const first = this.#written;
      const count = Math.min(chunkPages, this.#pages - first);
      const pages = Buffer.allocUnsafe(count * pageBytes);
      const copies = Buffer.allocUnsafe(count * pageBytes);
      await this.#segments.readAll(this.segment, first, pages);
      await readUnits(file, pageBytes, first, copies);
      if (this.#isSuspect || !pages.equals(copies)) {
        await this.#makeSound(first, pages, copies);
        await file.write([pages], first * pageBytes);
      }
      this.#written += count;
    }
  }

  /** A page that is beyond repair may be right here: it stays. */
  async #makeSound(first: number, pages: Buffer, copies: Buffer): Promise<void> {
    for (let at = 0; at < pages.length; at += pageBytes) {
      const number = first + at / pageBytes;
      const page = pages.subarray(at, at + pageBytes);
      const header = checkPage(page, this.#segments.storeId, this.segment, number);
      if (typeof header !== "string") continue;
      const right = await this.#segments.repair?.repairPage(this.segment, number);
      (right?.page ?? copies.subarray(at, at + pageBytes)).copy(page);
    }
  }

  async #fail(error: unknown): Promise<void> {
    if (!this.#isSuspect) {
      this.#log.write("warn", "store.copy-failed", { ...this.#name(), reason: String(error) });
    }
    this.#isSuspect = true;
    this.#held = [];
    this.#heldBytes = 0;
    this.#unflushedBytes = 0;
    this.#written = 0;
    this.#flushed = 0;
    this.#isFlushDue = false;
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
    if (!this.#isClosed) this.#flushSoon(retryMs);
  }

  #name(): { file: string } {
    return { file: fileName("tail", this.segment) };
  }
}
