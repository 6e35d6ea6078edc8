/** Files as the store and the spool see them: few operations, each with a stated durability. */

import { constants, type PathLike } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";

export interface DiskFile {
  /** Fills `into` from the offset; returns how many bytes there were, fewer only at the end. */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Writes all parts one behind the other. Durable only after `sync()`. */
  write(parts: readonly Uint8Array[], offset: number): Promise<void>;
  /** Everything written before is durable when this resolves. After a rejection nothing is known. */
  sync(): Promise<void>;
  resize(sizeBytes: number): Promise<void>;
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

export interface Disk {
  /** "create" refuses a file that exists. Errors are Node's, with `code` (ENOENT, ENOSPC, EIO …). */
  open(path: string, mode: "read" | "write" | "create"): Promise<DiskFile>;
  /** Names in a directory, sorted; empty when there is none. */
  list(directory: string): Promise<readonly string[]>;
  sizeBytes(path: string): Promise<number | undefined>;
  makeDirectory(path: string): Promise<void>;
  /** Durable only after `syncDirectory()` of both directories. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Room left for this process where the directory lies; absent where nobody can tell. */
  freeBytes?(directory: string): Promise<number>;
}

/** The error's system code, or undefined. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

const flags = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
} as const;

/** The machine's own disk. Files are 0600, directories 0700. */
export const realDisk: Disk = {
  async open(path, mode) {
    return fileOn(await open(path, flags[mode], 0o600));
  },
  async list(directory) {
    try {
      return (await readdir(directory)).sort();
    } catch (error) {
      if (errorCode(error) === "ENOENT") return [];
      throw error;
    }
  },
  async sizeBytes(path) {
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  },
  async makeDirectory(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  async rename(from, to) {
    await rename(from, to);
  },
  async remove(path) {
    await rm(path, { force: true });
  },
  async syncDirectory(path: PathLike) {
    const directory = await open(path, constants.O_RDONLY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
  async freeBytes(directory) {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  },
};

function fileOn(handle: FileHandle): DiskFile {
  return {
    async read(into, offset) {
      let filled = 0;
      while (filled < into.length) {
        const { bytesRead } = await handle.read(
          into,
          filled,
          into.length - filled,
          offset + filled,
        );
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    },
    async write(parts, offset) {
      // IOV_MAX is 1024 on Linux; a short write continues where it stopped.
      let at = offset;
      for (let from = 0; from < parts.length; from += 1024) {
        let pending: Uint8Array[] = parts.slice(from, from + 1024);
        while (pending.length > 0) {
          const { bytesWritten } = await handle.writev(pending, at);
          at += bytesWritten;
          pending = after(pending, bytesWritten);
        }
      }
    },
    sync: () => handle.datasync(),
    resize: (sizeBytes) => handle.truncate(sizeBytes),
    sizeBytes: async () => (await handle.stat()).size,
    close: () => handle.close(),
  };
}

/** What is left of the parts behind the first `count` bytes. */
function after(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  const left: Uint8Array[] = [];
  for (const part of parts) {
    if (skip >= part.length) skip -= part.length;
    else {
      left.push(skip > 0 ? part.subarray(skip) : part);
      skip = 0;
    }
  }
  return left;
}
