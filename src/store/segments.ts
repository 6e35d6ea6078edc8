/** Segment files: pre-allocated, filled from front to back, read with every checksum verified. */

import { dirname, join } from "node:path";
import { type Disk, type DiskFile, errorCode } from "#base/disk";
import { Full } from "#base/errors";
import { pageError } from "./damage.ts";
import { checkPage, headerBytes, pageBytes, payloadBytes } from "./pages.ts";
import type { Extent } from "./records.ts";
import { readUnits } from "./units.ts";

/** The files of a store that go by number: parity and second copy belong to the segment. */
export type FileKind = "segment" | "parity" | "tail";

const unfinished = ".new";
/** Zeros are written in pieces of this size. */
const fillBytes = 1024 * 1024;
/** Flushed in pieces of this size, so that no commit waits behind a large one. */
const flushBytes = 8 * 1024 * 1024;
const maxOpenFiles = 128;

export function fileName(kind: FileKind, number: number): string {
  return `${kind}-${String(number).padStart(8, "0")}`;
}

export function segmentName(number: number): string {
  return fileName("segment", number);
}

/** Whoever can make a bad page good again. */
export interface PageRepair {
  /**
   * @param revision the page must have, where that is known
   * @returns undefined when nothing is left to make it from
   */
  repairPage(
    segment: number,
    page: number,
    revision?: number,
  ): Promise<{ readonly page: Buffer } | undefined>;
}

export class Segments {
  readonly disk: Disk;
  readonly #directory: string;
  /** For reading, the least recently used first. */
  readonly #files = new Map<number, Promise<DiskFile>>();
  #held: number | undefined;
  storeId: Buffer | undefined;
  /** Without it damage is only told: for checks that may write nothing. */
  repair: PageRepair | undefined;

  constructor(disk: Disk, directory: string) {
    this.disk = disk;
    this.#directory = directory;
  }

  path(number: number, kind: FileKind = "segment"): string {
    return join(this.#directory, fileName(kind, number));
  }

  async makeDirectory(): Promise<void> {
    await this.disk.makeDirectory(this.#directory);
    await this.disk.syncDirectory(dirname(this.#directory));
  }

  /** Numbers of the files there are, ascending. */
  async numbers(kind: FileKind = "segment"): Promise<number[]> {
    const pattern = new RegExp(`^${kind}-(\\d{8})$`);
    const names = await this.disk.list(this.#directory);
    return names.flatMap((name) => {
      const number = pattern.exec(name)?.[1];
      return number === undefined ? [] : [Number(number)];
    });
  }

  async pages(number: number, kind: FileKind = "segment"): Promise<number> {
    return Math.floor(((await this.disk.sizeBytes(this.path(number, kind))) ?? 0) / pageBytes);
  }

  async sizeBytes(): Promise<number> {
    let sum = 0;
    for (const kind of ["segment", "parity", "tail"] as const) {
      for (const number of await this.numbers(kind)) {
        sum += (await this.disk.sizeBytes(this.path(number, kind))) ?? 0;
      }
    }
    return sum;
  }

  /**
   * Makes a segment whose every octet has its place on the disk, so that a commit changes no
   * metadata and cannot run out of room.
   *
   * @throws Full when there is no room; nothing is left behind then
   */
  async prepare(number: number, sizeBytes: number, minFreeBytes: number): Promise<void> {
    const free = (await this.disk.freeBytes?.(this.#directory)) ?? Number.POSITIVE_INFINITY;
    if (free < sizeBytes + minFreeBytes) throw new Full("the disk of the store is nearly full");
    try {
      await this.replace("segment", number, async (file) => {
        const zeros = Buffer.alloc(Math.min(fillBytes, sizeBytes));
        for (let at = 0; at < sizeBytes; at += zeros.length) {
          if (at > 0 && at % flushBytes === 0) await file.sync();
          await file.write([zeros.subarray(0, Math.min(zeros.length, sizeBytes - at))], at);
        }
      });
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      throw new Full("no room for another segment of the store", { cause: error });
    }
  }

  /** Makes a file that stands under its name whole and durable, or not at all. */
  async replace(
    kind: FileKind,
    number: number,
    fill: (file: DiskFile) => Promise<void>,
  ): Promise<void> {
    const path = this.path(number, kind) + unfinished;
    await this.disk.remove(path);
    try {
      const file = await this.disk.open(path, "create");
      try {
        await fill(file);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isNoRoom(error)) await this.disk.remove(path);
      throw error;
    }
    await this.disk.rename(path, this.path(number, kind));
    await this.syncDirectory();
  }

  async remove(kind: "parity" | "tail", number: number): Promise<void> {
    await this.disk.remove(this.path(number, kind));
    await this.syncDirectory();
  }

  /** Names of files are durable after this. */
  syncDirectory(): Promise<void> {
    return this.disk.syncDirectory(this.#directory);
  }

  openForWriting(number: number): Promise<DiskFile> {
    return this.disk.open(this.path(number), "write");
  }

  /** Gives back the room behind the last page in use. Space only: nobody depends on it. */
  async release(number: number, pages: number): Promise<void> {
    for (const kind of ["tail", "segment"] as const) {
      try {
        const file = await this.disk.open(this.path(number, kind), "write");
        try {
          if ((await file.sizeBytes()) > pages * pageBytes) await file.resize(pages * pageBytes);
        } finally {
          await file.close();
        }
      } catch {
        // The segment may be one whose disk fails; it stays as long as it is.
      }
    }
  }

  /** Octets [start, end) of an extent; what is bad on the way is repaired. @throws Damaged */
  async read([segment, at]: Extent, start: number, end: number): Promise<Buffer> {
    const first = Math.floor((at + start) / payloadBytes);
    const last = Math.ceil((at + end) / payloadBytes);
    const raw = Buffer.allocUnsafe((last - first) * pageBytes);
    const unreadable = await this.readAll(segment, first, raw);
    const octets = Buffer.allocUnsafe(end - start);
    let skip = at + start - first * payloadBytes;
    let filled = 0;
    for (let number = first; number < last; number += 1) {
      const from = (number - first) * pageBytes;
      const page = raw.subarray(from, from + pageBytes);
      const header = checkPage(page, this.storeId, segment, number);
      if (typeof header === "string") {
        const right = await this.repair?.repairPage(segment, number);
        const fault = unreadable.includes(number) ? "unreadable" : header;
        if (right === undefined) throw pageError(segmentName(segment), number, fault);
        right.page.copy(page);
      }
      const stop = Math.min(skip + octets.length - filled, payloadBytes);
      filled += page.copy(octets, filled, headerBytes + skip, headerBytes + stop);
      skip = 0;
    }
    return octets;
  }

  /** Whole pages as they are, fewer at the end of the file. */
  async readPages(segment: number, first: number, into: Buffer): Promise<number> {
    const file = await this.#reading(segment);
    return Math.floor((await file.read(into, first * pageBytes)) / pageBytes);
  }

  /** As many pages as there is room for, as `readUnits`. */
  async readAll(segment: number, first: number, into: Buffer): Promise<readonly number[]> {
    return readUnits(await this.#reading(segment), pageBytes, first, into);
  }

  /** Until it is reopened, readers have this segment's file at hand without waiting. */
  async hold(number: number): Promise<void> {
    this.#held = number;
    await this.#reading(number);
  }

  /** After another file was, or was not, put under the segment's name. */
  async reopen(number: number): Promise<void> {
    if (this.#held === number) this.#held = undefined;
    const file = this.#files.get(number);
    this.#files.delete(number);
    await (await file)?.close();
  }

  async close(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await (await file).close();
  }

  #reading(number: number): Promise<DiskFile> {
    let file = this.#files.get(number);
    if (file === undefined) {
      file = this.disk.open(this.path(number), "read").catch((error: unknown) => {
        this.#files.delete(number);
        throw errorCode(error) === "ENOENT" ? pageError(segmentName(number), 0, "empty") : error;
      });
    } else this.#files.delete(number);
    this.#files.set(number, file);
    if (this.#files.size > maxOpenFiles) this.#dropOldest();
    return file;
  }

  #dropOldest(): void {
    for (const [number, file] of this.#files) {
      if (number === this.#held) continue;
      this.#files.delete(number);
      // A read that still uses it has its own time to end: FileHandle.close() waits for it.
      file.then((open) => open.close()).catch(() => undefined);
      return;
    }
  }
}

function isNoRoom(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}
