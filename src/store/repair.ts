/** Bad pages made good: by their checksum, from the second copy, or from parity. */

import { pageError } from "./damage.ts";
import { findPage, isSwapped, type Mended, mendAlone, mendGroup } from "./mend.ts";
import { pageBytes } from "./pages.ts";
import { groupsOf } from "./parity.ts";
import { ParityFile } from "./parity-file.ts";
import {
  type FileKind,
  fileName,
  type PageRepair,
  type Segments,
  segmentName,
} from "./segments.ts";
import { readUnits } from "./units.ts";

export interface Repaired {
  /** Name of the file in the store's directory. */
  readonly file: string;
  /** Page in it, or block of a parity file. */
  readonly page: number;
  readonly how: "bit" | "copy" | "parity";
  /** Whether it is durable; if not, only this reader was helped, and the next one must be again. */
  readonly isWritten: boolean;
}

/**
 * One repair at a time, so that two readers of a bad page are helped by the same one. What is
 * repaired is written back and flushed; what cannot be repaired is left as it is.
 */
export class Repair implements PageRepair {
  readonly #segments: Segments;
  readonly #onRepair: (repaired: Repaired) => void;
  #last: Promise<unknown> = Promise.resolve();

  /** @param onRepair for the log, and the count of the device: a rising one is a failing disk */
  constructor(segments: Segments, onRepair: (repaired: Repaired) => void) {
    this.#segments = segments;
    this.#onRepair = onRepair;
  }

  /** Runs when no repair is under way, for whoever puts another file under a segment's name. */
  pause<Value>(work: () => Promise<Value>): Promise<Value> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    return run;
  }

  /**
   * Reads a page again, and repairs it unless it is right now.
   *
   * @param revision the page must have, where that is known
   * @returns the page, and what was repaired on the way; undefined when it is beyond repair
   */
  repairPage(
    segment: number,
    number: number,
    revision?: number,
  ): Promise<{ readonly page: Buffer; readonly repaired: readonly Repaired[] } | undefined> {
    return this.pause(async () => {
      const found = await findPage(this.#segments, "segment", segment, number);
      if (found?.proof === "misplaced" && (await isSwapped(this.#segments, segment)))
        return undefined;
      const alone = await mendAlone(this.#segments, segment, number, revision);
      if (alone !== undefined) {
        return { page: alone.octets, repaired: await this.#writeAll("segment", segment, [alone]) };
      }
      await using parity = await ParityFile.open(this.#segments, segment);
      if (found === undefined || parity === undefined || number >= parity.facts.pages)
        return undefined;
      const group = await mendGroup(this.#segments, parity, number % groupsOf(parity.facts.pages));
      const page = group?.pages.find((one) => one.number === number)?.octets;
      return page && { page, repaired: await this.#writeGroup(segment, group) };
    });
  }

  /** Puts a block of a parity file right, by its bit or from the group. */
  repairBlock(segment: number, block: number): Promise<readonly Repaired[]> {
    return this.pause(async () => {
      await using parity = await ParityFile.open(this.#segments, segment);
      if (parity === undefined) return [];
      const group = block % groupsOf(parity.facts.pages);
      return this.#writeGroup(segment, await mendGroup(this.#segments, parity, group));
    });
  }

  /** Puts a page of the second copy right, from the segment. */
  repairCopy(segment: number, number: number): Promise<readonly Repaired[]> {
    return this.pause(async () => {
      const right = await mendAlone(this.#segments, segment, number);
      if (right === undefined) return [];
      const repaired = await this.#writeAll("segment", segment, [right]);
      const copy = await findPage(this.#segments, "tail", segment, number);
      if (copy === undefined || copy.page.equals(right.octets)) return repaired;
      return [...repaired, ...(await this.#writeAll("tail", segment, [{ ...right, how: "copy" }]))];
    });
  }

  /**
   * Makes a segment file that is gone again, from its second copy.
   *
   * @returns false when there is nothing to make it from
   */
  restoreSegment(segment: number): Promise<boolean> {
    return this.pause(async () => {
      const pages = await this.#segments.pages(segment, "tail");
      if (pages === 0 || (await this.#segments.numbers()).includes(segment)) return false;
      const from = await this.#segments.disk.open(this.#segments.path(segment, "tail"), "read");
      try {
        await this.#segments.replace("segment", segment, async (file) => {
          const page = Buffer.alloc(pageBytes);
          for (let number = 0; number < pages; number += 1) {
            await readUnits(from, pageBytes, number, page);
            await file.write([page], number * pageBytes);
          }
        });
      } finally {
        await from.close();
      }
      const file = fileName("segment", segment);
      this.#onRepair({ file, page: 0, how: "copy", isWritten: true });
      return true;
    });
  }

  async #writeGroup(
    segment: number,
    group: { readonly pages: readonly Mended[]; readonly blocks: readonly Mended[] } | undefined,
  ): Promise<Repaired[]> {
    if (group === undefined) return [];
    const pages = await this.#writeAll("segment", segment, group.pages);
    return [...pages, ...(await this.#writeAll("parity", segment, group.blocks))];
  }

  async #writeAll(kind: FileKind, segment: number, mended: readonly Mended[]): Promise<Repaired[]> {
    const repaired: Repaired[] = [];
    for (const { number, octets, how } of mended) {
      if (how === undefined) continue;
      const isWritten = await this.#write(kind, segment, number, octets);
      const one = { file: fileName(kind, segment), page: number, how, isWritten };
      this.#onRepair(one);
      repaired.push(one);
    }
    return repaired;
  }

  /** The same octets to the same place: a cut on the way leaves a page as bad as it was. */
  async #write(kind: FileKind, segment: number, number: number, octets: Buffer): Promise<boolean> {
    try {
      const file = await this.#segments.disk.open(this.#segments.path(segment, kind), "write");
      try {
        await file.write([octets], number * octets.length);
        await file.sync();
      } finally {
        await file.close();
      }
      return true;
    } catch {
      return false; // a disk that is read-only or full still lets the page be read
    }
  }
}

/**
 * Brings back segment files that are gone, as far as their second copies go: what guards a segment proves
 * that there was one.
 *
 * @param repair undefined: they are only told
 * @throws Damaged for the first that stays away
 */
export async function restoreLost(segments: Segments, repair: Repair | undefined): Promise<void> {
  const there = new Set(await segments.numbers());
  const guards = [...(await segments.numbers("tail")), ...(await segments.numbers("parity"))];
  for (const segment of new Set(guards)) {
    if (there.has(segment)) continue;
    const isBack = await repair?.restoreSegment(segment);
    if (isBack !== true) throw pageError(segmentName(segment), 0, "empty");
  }
}
