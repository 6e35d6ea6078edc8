/** Reading pages and blocks from a disk that may refuse some of them. */

import { type DiskFile, errorCode } from "#base/disk";

/**
 * Fills memory with pages or blocks. Zeros stand for what is behind the end of the file, and for
 * what the disk cannot read: the numbers of those are returned.
 */
export async function readUnits(
  file: DiskFile,
  unitBytes: number,
  first: number,
  into: Buffer,
): Promise<readonly number[]> {
  try {
    const there = await file.read(into, first * unitBytes);
    into.fill(0, there - (there % unitBytes));
    return [];
  } catch (error) {
    if (!isUnreadable(error)) throw error;
  }
  const unreadable: number[] = [];
  for (let at = 0; at < into.length; at += unitBytes) {
    const unit = into.subarray(at, at + unitBytes);
    const number = first + at / unitBytes;
    try {
      if ((await file.read(unit, number * unitBytes)) < unitBytes) unit.fill(0);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      unit.fill(0);
      unreadable.push(number);
    }
  }
  return unreadable;
}

/** A medium's error, not one of the file system or of our making. */
export function isUnreadable(error: unknown): boolean {
  const code = errorCode(error);
  return code === "EIO" || code === "ENODATA" || code === "EREMOTEIO";
}
