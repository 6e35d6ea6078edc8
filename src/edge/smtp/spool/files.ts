/** The spool's files: made and filled by the parent, opened by the edge with O_DSYNC. */

import { Buffer } from "node:buffer";
import { constants } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Disk } from "#base/disk";

/** A segment. What `write` resolved for is durable: the file was opened so. */
export interface SpoolFile {
  readonly sizeBytes: number;
  read(into: Buffer, offset: number): Promise<number>;
  write(parts: readonly Uint8Array[], offset: number): Promise<void>;
  close(): Promise<void>;
}

const nameOf = (index: number): string => `segment-${String(index).padStart(4, "0")}.spool`;

/**
 * Makes the segments that are missing, full of zeros and durable. The edge cannot do it: under the
 * permission model fsync is refused, and a file that grows while it is written needs one.
 */
export async function prepareSpool(
  disk: Disk,
  directory: string,
  segments: number,
  segmentBytes: number,
): Promise<void> {
  await disk.makeDirectory(directory);
  const zeros = Buffer.alloc(1024 * 1024);
  for (let index = 0; index < segments; index += 1) {
    const path = join(directory, nameOf(index));
    if ((await disk.sizeBytes(path)) !== undefined) continue;
    // Under its own name only when whole: a crash here must not leave a short segment.
    const unfinished = `${path}.new`;
    await disk.remove(unfinished);
    const file = await disk.open(unfinished, "create");
    try {
      for (let at = 0; at < segmentBytes; at += zeros.length) {
        await file.write([zeros.subarray(0, Math.min(zeros.length, segmentBytes - at))], at);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(unfinished, path);
  }
  await disk.syncDirectory(directory);
}

export async function openSpoolFiles(directory: string): Promise<SpoolFile[]> {
  const names = (await readdir(directory)).filter((name) => /^segment-\d{4}\.spool$/.test(name));
  const files: SpoolFile[] = [];
  for (const name of names.sort()) {
    const flags = constants.O_RDWR | constants.O_DSYNC;
    files.push(await fileOn(await open(join(directory, name), flags)));
  }
  return files;
}

async function fileOn(handle: FileHandle): Promise<SpoolFile> {
  const { size } = await handle.stat();
  return {
    sizeBytes: size,
    async read(into, offset) {
      let filled = 0;
      while (filled < into.length) {
        const left = into.length - filled;
        const { bytesRead } = await handle.read(into, filled, left, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    },
    async write(parts, offset) {
      let left = Buffer.concat(parts);
      for (let at = offset; left.length > 0; ) {
        const { bytesWritten } = await handle.write(left, 0, left.length, at);
        at += bytesWritten;
        left = left.subarray(bytesWritten);
      }
    },
    close: () => handle.close(),
  };
}
