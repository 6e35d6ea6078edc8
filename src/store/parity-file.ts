/** The parity file of a segment: blocks P of group 0, 1 …, then Q of group 0, 1 … */

import { setImmediate } from "node:timers/promises";
import { type DiskFile, errorCode } from "#base/disk";
import { correctBit } from "./bit-repair.ts";
import {
  blockBytes,
  headerBytes,
  noRecord,
  pageBytes,
  parityBlock,
  provePage,
  sealPage,
} from "./pages.ts";
import { addMember, addPair, groupsOf, maxMembers, type Words, wordsOf } from "./parity.ts";
import type { Segments } from "./segments.ts";
import { readUnits } from "./units.ts";

/** Groups that are worked on side by side: half a mebibyte of pages at a time. */
const stripGroups = 32;
/** So many blocks, spread over the file, are asked what it guards before it counts as lost. */
const probes = 16;

/** What every block says of the segment that it helps to guard. */
export interface ParityFacts {
  readonly segment: number;
  /** Pages in use. */
  readonly pages: number;
  /** Of the last batch. */
  readonly generation: number;
  readonly revision: number;
}

/** Writes the header of a block whose parity already stands in its place. */
export function sealBlock(
  block: Buffer,
  storeId: Buffer,
  number: number,
  { segment, pages, generation, revision }: ParityFacts,
): void {
  const place = { flags: parityBlock, page: number, segment, generation, revision };
  const rest = { length: pageBytes, firstRecord: noRecord, durable: pages };
  sealPage(block, storeId, { ...place, ...rest });
}

/** The octets of a block that are parity. */
export function parityOf(block: Buffer): Words {
  return wordsOf(block.subarray(headerBytes));
}

/**
 * Writes all blocks, reading every page once and holding few of them.
 *
 * @param read fills memory with right pages from a number on
 */
export async function writeParity(
  file: DiskFile,
  storeId: Buffer,
  facts: ParityFacts,
  read: (first: number, into: Buffer) => Promise<void>,
): Promise<void> {
  const groups = groupsOf(facts.pages);
  const memory = Buffer.alloc(2 * stripGroups * pageBytes);
  for (let first = 0; first < groups; first += stripGroups) {
    const width = Math.min(stripGroups, groups - first);
    const p = blocks(width);
    const q = blocks(width);
    /** The members with one number of all groups of the strip: pages side by side. */
    const row = async (member: number, at: number): Promise<Words[]> => {
      const page = member * groups + first;
      const count = Math.max(0, Math.min(width, facts.pages - page));
      const pages = memory.subarray(at * pageBytes, (at + count) * pageBytes);
      if (count > 0) await read(page, pages);
      return Array.from({ length: count }, (_, index) =>
        wordsOf(pages.subarray(index * pageBytes, (index + 1) * pageBytes)),
      );
    };
    for (let member = 0; member < maxMembers; member += 2) {
      const ones = await row(member, 0);
      const twos = await row(member + 1, stripGroups);
      for (const [at, one] of ones.entries()) {
        const [sums, weighted] = [parityOf(p[at] as Buffer), parityOf(q[at] as Buffer)];
        const two = twos[at];
        if (two === undefined) addMember(sums, weighted, one);
        else addPair(sums, weighted, one, two);
      }
      await setImmediate();
    }
    for (let at = 0; at < width; at += 1) {
      sealBlock(p[at] as Buffer, storeId, first + at, facts);
      sealBlock(q[at] as Buffer, storeId, groups + first + at, facts);
    }
    await file.write(p, first * blockBytes);
    await file.write(q, (groups + first) * blockBytes);
  }
}

function blocks(count: number): Buffer[] {
  return Array.from({ length: count }, () => Buffer.alloc(blockBytes));
}

/** A parity file that is there, and sound enough to say what it guards. */
export class ParityFile implements AsyncDisposable {
  readonly facts: ParityFacts;
  readonly #file: DiskFile;
  readonly #storeId: Buffer | undefined;

  private constructor(file: DiskFile, storeId: Buffer | undefined, facts: ParityFacts) {
    this.#file = file;
    this.#storeId = storeId;
    this.facts = facts;
  }

  /** @returns undefined when there is none, or no block of it is sound */
  static async open(segments: Segments, segment: number): Promise<ParityFile | undefined> {
    const path = segments.path(segment, "parity");
    let file: DiskFile;
    try {
      file = await segments.disk.open(path, "read");
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
    let facts: ParityFacts | undefined;
    try {
      facts = await readFacts(file, segments.storeId, segment);
    } finally {
      if (facts === undefined) await file.close();
    }
    return facts && new ParityFile(file, segments.storeId, facts);
  }

  get blocks(): number {
    return 2 * groupsOf(this.facts.pages);
  }

  /** Blocks as they stand, as `readUnits` does. */
  readAll(first: number, into: Buffer): Promise<readonly number[]> {
    return readUnits(this.#file, blockBytes, first, into);
  }

  /** @returns undefined when it cannot be used, not even with a bit put right */
  async sound(
    number: number,
  ): Promise<{ number: number; octets: Buffer; how: "bit" | undefined } | undefined> {
    const block = Buffer.alloc(blockBytes);
    await this.readAll(number, block);
    if (this.isSound(block, number)) return { number, octets: block, how: undefined };
    const right = correctBit(block, this.#storeId, this.facts.segment, number)?.page;
    if (right === undefined || !this.isSound(right, number)) return undefined;
    return { number, octets: right, how: "bit" };
  }

  isSound(block: Buffer, number: number): boolean {
    const { segment, pages, generation, revision } = this.facts;
    const header = provePage(block, this.#storeId, segment, number);
    return (
      typeof header !== "string" &&
      header.durable === pages &&
      header.generation === generation &&
      header.revision === revision
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}

async function readFacts(
  file: DiskFile,
  storeId: Buffer | undefined,
  segment: number,
): Promise<ParityFacts | undefined> {
  const count = Math.ceil((await file.sizeBytes()) / blockBytes);
  const step = Math.max(1, Math.floor(count / probes));
  const block = Buffer.alloc(blockBytes);
  for (let number = 0; number < count; number += step) {
    await readUnits(file, blockBytes, number, block);
    const header = provePage(block, storeId, segment, number);
    if (typeof header === "string") continue;
    const { durable: pages, generation, revision } = header;
    return { segment, pages, generation, revision };
  }
  return undefined;
}
