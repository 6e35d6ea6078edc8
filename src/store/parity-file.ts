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
  const widest = Math.min(stripGroups, groups);
  const memory = Buffer.alloc(2 * widest * pageBytes);
  const slots = Array.from({ length: 2 * widest }, (_, slot) =>
    wordsOf(memory.subarray(slot * pageBytes, (slot + 1) * pageBytes)),
  );
  const [allP, allQ] = [blocks(widest), blocks(widest)];
  const [sums, weighted] = [allP.map(parityOf), allQ.map(parityOf)];
  for (let first = 0; first < groups; first += stripGroups) {
    const width = Math.min(stripGroups, groups - first);
    const p = allP.slice(0, width);
    const q = allQ.slice(0, width);
    for (const block of [...p, ...q]) block.fill(0);
    /** The members with one number of all groups of the strip: pages side by side. */
    const row = async (member: number, at: number): Promise<Words[]> => {
      const page = member * groups + first;
      const count = Math.max(0, Math.min(width, facts.pages - page));
      if (count > 0) await read(page, memory.subarray(at * pageBytes, (at + count) * pageBytes));
      return slots.slice(at, at + count);
    };
    for (let member = 0; member < maxMembers; member += 2) {
      const ones = await row(member, 0);
      const twos = await row(member + 1, widest);
      for (const [at, one] of ones.entries()) {
        const [sum, weightedSum] = [sums[at] as Words, weighted[at] as Words];
        const two = twos[at];
        if (two === undefined) addMember(sum, weightedSum, one);
        else addPair(sum, weightedSum, one, two);
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
