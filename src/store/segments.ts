/** Segment files: pre-allocated, filled from front to back, read with every checksum verified. */

import { dirname, join } from "node:path";
import { type Disk, type DiskFile, errorCode } from "#base/disk";
import { Full } from "#base/errors";
import { Damaged } from "./damage.ts";
import { checkPage, headerBytes, pageBytes, payloadBytes } from "./pages.ts";
import type { Extent } from "./records.ts";

const namePattern = /^segment-(\d{8})$/;
const unfinished = ".new";
/** Zeros are written in pieces of this size. */
const fillBytes = 1024 * 1024;
const maxOpenFiles = 128;

export function segmentName(number: number): string {
  return `segment-${String(number).padStart(8, "0")}`;
}

export class Segments {
  readonly #disk: Disk;
  readonly #directory: string;
  /** For reading, the least recently used first. */
  readonly #files = new Map<number, Promise<DiskFile>>();
  storeId: Buffer | undefined;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  path(number: number): string {
    return join(this.#directory, segmentName(number));
  }

  async makeDirectory(): Promise<void> {
    await this.#disk.makeDirectory(this.#directory);
    await this.#disk.syncDirectory(dirname(this.#directory));
  }

  /** Numbers of the segments there are, ascending. */
  async numbers(): Promise<number[]> {
    const names = await this.#disk.list(this.#directory);
    return names.flatMap((name) => {
      const number = namePattern.exec(name)?.[1];
      return number === undefined ? [] : [Number(number)];
    });
  }

  async pages(number: number): Promise<number> {
    return Math.floor(((await this.#disk.sizeBytes(this.path(number))) ?? 0) / pageBytes);
  }

  async sizeBytes(): Promise<number> {
    let sum = 0;
    for (const number of await this.numbers()) {
      sum += (await this.#disk.sizeBytes(this.path(number))) ?? 0;
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
    const free = (await this.#disk.freeBytes?.(this.#directory)) ?? Number.POSITIVE_INFINITY;
    if (free < sizeBytes + minFreeBytes) throw new Full("the disk of the store is nearly full");
    const path = this.path(number) + unfinished;
    await this.#disk.remove(path);
    try {
      const file = await this.#disk.open(path, "create");
      try {
        const zeros = Buffer.alloc(Math.min(fillBytes, sizeBytes));
        for (let at = 0; at < sizeBytes; at += zeros.length) {
          await file.write([zeros.subarray(0, Math.min(zeros.length, sizeBytes - at))], at);
        }
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      await this.#disk.remove(path);
      throw new Full("no room for another segment of the store", { cause: error });
    }
    await this.#disk.rename(path, this.path(number));
    await this.#disk.syncDirectory(this.#directory);
  }

  openForWriting(number: number): Promise<DiskFile> {
    return this.#disk.open(this.path(number), "write");
  }

  /** Gives back the room behind the last page in use. Space only: nobody depends on it. */
  async release(number: number, pages: number): Promise<void> {
    try {
      const file = await this.openForWriting(number);
      try {
        if ((await file.sizeBytes()) > pages * pageBytes) await file.resize(pages * pageBytes);
      } finally {
        await file.close();
      }
    } catch {
      // The segment may be one whose disk fails; it stays as long as it is.
    }
  }

  /** Octets [start, end) of an extent. @throws Damaged */
  async read([segment, at]: Extent, start: number, end: number): Promise<Buffer> {
    const first = Math.floor((at + start) / payloadBytes);
    const last = Math.ceil((at + end) / payloadBytes);
    const raw = Buffer.allocUnsafe((last - first) * pageBytes);
    const file = await this.#reading(segment);
    const there = await file.read(raw, first * pageBytes);
    const octets = Buffer.allocUnsafe(end - start);
    let skip = at + start - first * payloadBytes;
    let filled = 0;
    for (let number = first; number < last; number += 1) {
      const from = (number - first) * pageBytes;
      const page = raw.subarray(from, from + pageBytes);
      const header =
        from + pageBytes > there ? "empty" : checkPage(page, this.storeId, segment, number);
      if (typeof header === "string") {
        const what = header === "empty" ? "missing" : header;
        throw new Damaged({ file: segmentName(segment), page: number, what, messages: [] });
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

  async close(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await (await file).close();
  }

  #reading(number: number): Promise<DiskFile> {
    let file = this.#files.get(number);
    if (file === undefined) {
      file = this.#disk.open(this.path(number), "read").catch((error: unknown) => {
        this.#files.delete(number);
        if (errorCode(error) !== "ENOENT") throw error;
        const place = {
          file: segmentName(number),
          page: 0,
          what: "missing",
          messages: [],
        } as const;
        throw new Damaged(place);
      });
    } else this.#files.delete(number);
    this.#files.set(number, file);
    if (this.#files.size > maxOpenFiles) this.#dropOldest();
    return file;
  }

  #dropOldest(): void {
    for (const [number, file] of this.#files) {
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
