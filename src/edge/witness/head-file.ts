/**
 * The last cosigned head on disk: two places written in turn, the newer one counts. A torn write
 * spoils the place that held the head before last, so the last one is never lost.
 *
 * The file is opened with O_DSYNC, because fsync is refused under the permission model; and it is
 * written in place, because a rename would be durable only with its directory flushed.
 */

import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { constants, renameSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errorCode } from "#base/disk";

/** A head with four signatures has about 10,000 octets. */
const slotBytes = 32 * 1024;
const digestBytes = 32;
/** Digest over all that follows: sequence (8), length (4), text. */
const textAt: number = digestBytes + 12;

interface Slot {
  readonly sequence: number;
  readonly text: string;
}

export interface HeadFile {
  /** What was written last. */
  readonly text: string | undefined;
  /** True when there is a file and nothing of it can be read: what was cosigned is not known. */
  readonly lost: boolean;
  /** Resolves when it is durable. */
  write(text: string): Promise<void>;
  close(): Promise<void>;
}

/** @throws Error of the file system, but for a file that is not there yet */
export async function openHeadFile(path: string): Promise<HeadFile> {
  const handle = await opened(path);
  const slots = handle === undefined ? [] : [await read(handle, 0), await read(handle, 1)];
  return new TwoPlaces(path, handle, slots);
}

class TwoPlaces implements HeadFile {
  text: string | undefined;
  readonly lost: boolean;
  readonly #path: string;
  #handle: FileHandle | undefined;
  #sequence: number;

  constructor(path: string, handle: FileHandle | undefined, slots: readonly (Slot | undefined)[]) {
    const [newest] = slots
      .filter((slot) => slot !== undefined)
      .toSorted((one, other) => other.sequence - one.sequence);
    this.#path = path;
    this.#handle = handle;
    this.text = newest?.text;
    this.lost = handle !== undefined && newest === undefined;
    this.#sequence = newest?.sequence ?? 0;
  }

  async write(text: string): Promise<void> {
    const sequence = this.#sequence + 1;
    const slot = formatSlot({ sequence, text });
    if (this.#handle === undefined) this.#handle = await this.#make(slot);
    else await writeAt(this.#handle, slot, (sequence % 2) * slotBytes);
    this.#sequence = sequence;
    this.text = text;
  }

  /** The first head: under its name only when whole. */
  async #make(slot: Buffer): Promise<FileHandle> {
    const next = `${this.#path}.next`;
    const { O_RDWR, O_CREAT, O_TRUNC, O_DSYNC } = constants;
    const handle = await open(next, O_RDWR | O_CREAT | O_TRUNC | O_DSYNC, 0o600);
    await writeAt(handle, Buffer.concat([Buffer.alloc(slotBytes), slot]), 0);
    renameSync(next, this.#path);
    return handle;
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

async function opened(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDWR | constants.O_DSYNC);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function writeAt(handle: FileHandle, octets: Buffer, at: number): Promise<void> {
  for (let done = 0; done < octets.length; ) {
    const { bytesWritten } = await handle.write(octets, done, octets.length - done, at + done);
    done += bytesWritten;
  }
}

async function read(handle: FileHandle, index: number): Promise<Slot | undefined> {
  const slot = Buffer.alloc(slotBytes);
  await handle.read(slot, 0, slotBytes, index * slotBytes);
  const digest = hash("sha256", slot.subarray(digestBytes), "buffer");
  if (!digest.equals(slot.subarray(0, digestBytes))) return undefined;
  const sequence = Number(slot.readBigUInt64BE(digestBytes));
  const textBytes = slot.readUInt32BE(digestBytes + 8);
  return { sequence, text: slot.toString("utf8", textAt, textAt + textBytes) };
}

function formatSlot({ sequence, text }: Slot): Buffer {
  const octets = Buffer.from(text);
  if (textAt + octets.length > slotBytes) throw new RangeError("head is too long to be kept");
  const slot = Buffer.alloc(slotBytes);
  slot.writeBigUInt64BE(BigInt(sequence), digestBytes);
  slot.writeUInt32BE(octets.length, digestBytes + 8);
  slot.set(octets, textAt);
  slot.set(hash("sha256", slot.subarray(digestBytes), "buffer"));
  return slot;
}
