/** Backups in a folder: of another disk, or of a mount. */

import assert from "node:assert/strict";
import { dirname, isAbsolute, join } from "node:path";
import { type Clock, systemClock } from "#base/clock";
import { type Disk, errorCode, realDisk } from "#base/disk";
import { Full, Misconfigured, Unavailable } from "#base/errors";
import { type Random, systemRandom } from "#base/random";
import { type LinkGuard, refuseLinks } from "./folder-links.ts";
import { type ByteRange, isObjectName, type Octets, type Stored, type Target } from "./target.ts";

const readBytes = 256 * 1024;
/** An object that is being written: a name that `isObjectName` refuses, with the time it began. */
const partName = /^\.[a-z0-9._-]{1,200}\.(\d{13})-[0-9a-f]{16}\.part$/;

export interface FolderOptions {
  readonly disk?: Disk;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Only a disk that is not the machine's own has another. */
  readonly guard?: LinkGuard;
}

/**
 * @param root absolute path of a folder that is there: it is never made, so that a disk which is not
 * mounted is noticed
 * @throws Misconfigured when the path is not absolute
 */
export function folderTarget(root: string, options: FolderOptions = {}): Target {
  if (!isAbsolute(root)) throw new Misconfigured(`backup folder ${root}: give its whole path`);
  return new FolderTarget(root, options);
}

class FolderTarget implements Target {
  readonly title: string;
  readonly #root: string;
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #guard: LinkGuard;
  /** Folders that are known to be there durably. */
  readonly #made = new Set<string>();

  constructor(root: string, options: FolderOptions) {
    this.title = root;
    this.#root = root;
    this.#disk = options.disk ?? realDisk;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#guard = options.guard ?? refuseLinks;
  }

  async put(name: string, content: Octets, sizeBytes?: number): Promise<void> {
    const path = await this.#pathOf(name);
    const folder = dirname(path);
    await this.#makeFolder(folder);
    const part = join(folder, this.#partNameOf(path.slice(folder.length + 1)));
    try {
      const written = await this.#write(part, content);
      assert.ok(sizeBytes === undefined || written === sizeBytes, `${name}: not the length told`);
      await this.#disk.rename(part, path).catch(this.#fail);
    } catch (error) {
      await this.#disk.remove(part).catch(() => undefined); // the first failure is the one to tell
      throw error;
    }
    await this.#sync(folder);
  }

  async get(name: string, range: ByteRange = { offset: 0 }): Promise<Octets | undefined> {
    const path = await this.#pathOf(name);
    try {
      const file = await this.#disk.open(path, "read");
      await file.close(); // a stream that nobody begins to read must hold nothing open
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      return this.#fail(error);
    }
    return this.#read(path, range);
  }

  async *list(folder: string): AsyncIterable<Stored> {
    await this.#guard(this.#root, folder).catch(this.#fail);
    for (const word of await this.#disk.list(join(this.#root, folder)).catch(this.#fail)) {
      const name = `${folder}/${word}`;
      if (!isObjectName(name)) continue;
      const sizeBytes = await this.#disk.sizeBytes(join(this.#root, name)).catch(this.#fail);
      if (sizeBytes !== undefined) yield { name, sizeBytes };
    }
  }

  async remove(name: string): Promise<void> {
    const path = await this.#pathOf(name);
    if ((await this.#disk.sizeBytes(path).catch(this.#fail)) === undefined) return;
    await this.#disk.remove(path).catch(this.#fail);
    await this.#sync(dirname(path));
  }

  async sweep(olderThanMs: number): Promise<number> {
    const beforeMs = this.#clock.nowMs() - olderThanMs;
    let removed = 0;
    await this.#guard(this.#root, "").catch(this.#fail);
    for (const word of await this.#disk.list(this.#root).catch(this.#fail)) {
      if (!isObjectName(word)) continue;
      await this.#guard(this.#root, word).catch(this.#fail);
      const folder = join(this.#root, word);
      const names = await this.#disk.list(folder).catch(noFolder).catch(this.#fail);
      for (const name of names) {
        const beganMs = Number(partName.exec(name)?.[1] ?? Infinity);
        if (beganMs >= beforeMs) continue;
        await this.#disk.remove(join(folder, name)).catch(this.#fail);
        removed += 1;
      }
    }
    return removed;
  }

  async #pathOf(name: string): Promise<string> {
    assert.ok(isObjectName(name), name);
    await this.#guard(this.#root, name).catch(this.#fail);
    return join(this.#root, name);
  }

  #partNameOf(word: string): string {
    const beganMs = String(this.#clock.nowMs()).padStart(13, "0");
    return `.${word}.${beganMs}-${this.#random.bytes(8).toString("hex")}.part`;
  }

  async #write(part: string, content: Octets): Promise<number> {
    const file = await this.#disk.open(part, "create").catch(this.#fail);
    let written = 0;
    try {
      for await (const chunk of content) {
        await file.write([chunk], written).catch(this.#fail);
        written += chunk.length;
      }
      await file.sync().catch(this.#fail);
    } finally {
      await file.close().catch(this.#fail);
    }
    return written;
  }

  async *#read(path: string, { offset, lengthBytes = Infinity }: ByteRange): Octets {
    const file = await this.#disk.open(path, "read").catch(this.#fail);
    try {
      for (let at = offset, left = lengthBytes; left > 0; ) {
        const into = Buffer.allocUnsafe(Math.min(readBytes, left));
        const count = await file.read(into, at).catch(this.#fail);
        if (count > 0) yield into.subarray(0, count);
        if (count < into.length) return;
        at += count;
        left -= count;
      }
    } finally {
      await file.close();
    }
  }

  async #makeFolder(folder: string): Promise<void> {
    if (this.#made.has(folder) || folder === this.#root) return;
    await this.#disk.makeDirectory(folder).catch(this.#fail);
    await this.#sync(dirname(folder));
    this.#made.add(folder);
  }

  async #sync(folder: string): Promise<void> {
    try {
      await this.#disk.syncDirectory(folder);
    } catch (error) {
      // Some network mounts know no flush of a folder; their server has done the rename itself.
      if (!["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(errorCode(error) ?? "")) {
        this.#fail(error);
      }
    }
  }

  readonly #fail = (error: unknown): never => {
    throw targetError(this.#root, error);
  };
}

/** A file that lies beside the folders is nobody's business. */
function noFolder(error: unknown): readonly string[] {
  if (errorCode(error) === "ENOTDIR") return [];
  throw error;
}

const cures: Readonly<Record<string, string>> = {
  ENOENT: "it is not there: mount it, or make it",
  ENOTDIR: "something on its path is not a folder",
  EACCES: "this user may not write there: change its owner or mode",
  EPERM: "this user may not write there: change its owner or mode",
  EROFS: "it is mounted read-only: mount it for writing",
  ELOOP: "there is a symbolic link in it, which is never followed: put the folder itself there",
};

function targetError(root: string, cause: unknown): Error {
  const code = errorCode(cause) ?? "";
  if (code === "") return cause as Error;
  const cure = cures[code];
  if (cure !== undefined) return new Misconfigured(`backup folder ${root}: ${cure}`, { cause });
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new Full(`backup folder ${root} is full: make room, or keep fewer backups`, { cause });
  }
  return new Unavailable(`backup folder ${root} fails (${code})`, { cause });
}
