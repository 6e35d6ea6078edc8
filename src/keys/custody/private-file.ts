/** Files of secrets: written whole or not at all, read only when nobody else can read them. */

import { Buffer } from "node:buffer";
import { constants, readFileSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";

/** Never became a file, or was on the way to be none. */
export const unfinished = ".part";

/**
 * The file appears whole or not at all, with a line feed behind the octets. Behind Node's permission
 * fence fsync is refused, so every write itself is synchronous; the line feed after the rename makes
 * the file system write down the file's new name together with it.
 */
export async function writePrivateFile(
  directory: string,
  name: string,
  octets: Buffer,
): Promise<void> {
  const path = join(directory, name);
  const part = `${path}${unfinished}`;
  await rm(part, { force: true });
  await append(part, octets, constants.O_CREAT | constants.O_EXCL);
  await rename(part, path);
  await append(path, Buffer.from("\n"), constants.O_APPEND);
}

async function append(path: string, octets: Buffer, how: number): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_SYNC | how, 0o600);
  try {
    await file.writeFile(octets);
  } finally {
    await file.close();
  }
}

/** @throws Misconfigured when it cannot be read, or others than the owner can read it */
export function readPrivateFile(path: string): Buffer {
  try {
    if ((statSync(path).mode & 0o077) === 0) return readFileSync(path);
  } catch (error) {
    const why = errorCode(error) ?? "error";
    throw new Misconfigured(`${path} cannot be read (${why})`, { cause: error });
  }
  throw new Misconfigured(`${path} must be readable by its owner only`);
}

/** Zeroes the octets on the disk, as far as it writes in place, and removes the file. */
export async function destroyFile(path: string): Promise<void> {
  const part = `${path}${unfinished}`;
  await rename(path, part);
  const file = await open(part, constants.O_WRONLY | constants.O_SYNC);
  try {
    const { size } = await file.stat();
    await file.write(Buffer.alloc(size), 0, size, 0);
  } finally {
    await file.close();
  }
  await rm(part);
}
