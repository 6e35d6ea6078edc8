/** Scrub: one segment read through every check there is, and what is bad repaired. */

import { type DiskFile, errorCode } from "#base/disk";
import { type DamagePlace, kindOf } from "./damage.ts";
import type { Pace } from "./pace.ts";
import { blockBytes, type PageFault, pageBytes, provePage } from "./pages.ts";
import { ParityFile } from "./parity-file.ts";
import type { Repair, Repaired } from "./repair.ts";
import { type FileKind, fileName, type Segments } from "./segments.ts";
import { readUnits } from "./units.ts";

/** Pages or blocks that are read at a time. */
const stripUnits = 32;

export interface ScrubOptions {
  /** In use; by default what the parity file says. Of the segment in use those that are durable. */
  readonly pages?: number | undefined;
  /** Of these as many as the second copy must hold. */
  readonly copied?: number | undefined;
  readonly pace: Pace;
  readonly signal?: AbortSignal | undefined;
  /** Told what was read since it was told last. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

export interface ScrubResult {
  readonly segment: number;
  readonly pages: number;
  readonly bytes: number;
  readonly repaired: readonly Repaired[];
  /** Beyond repair. */
  readonly damaged: readonly DamagePlace[];
  /** There is parity, and it is of this segment as it is now. */
  readonly hasParity: boolean;
}

/**
 * Checksum, hash and place of every page in use, parity block, and page of the second copy.
 *
 * @param repair undefined: damage is only told
 * @throws the signal's reason, or a disk's error that is not about single places
 */
export async function scrubSegment(
  segments: Segments,
  repair: Repair | undefined,
  segment: number,
  options: ScrubOptions,
): Promise<ScrubResult> {
  await using parity = await ParityFile.open(segments, segment);
  if ((await segments.disk.sizeBytes(segments.path(segment))) === undefined) {
    const place = { file: fileName("segment", segment), page: 0, what: "missing" } as const;
    const damaged = [{ ...place, messages: [] }];
    return { segment, pages: 0, bytes: 0, repaired: [], damaged, hasParity: parity !== undefined };
  }
  const pages = options.pages ?? parity?.facts.pages ?? 0;
  const run = new Run(segments, repair, segment, options);
  const revision = await run.pages(pages);
  const hasParity = parity !== undefined && parity.facts.revision === revision;
  await run.strays(hasParity ? revision : undefined);
  if (hasParity) await run.blocks(parity);
  if (options.copied !== undefined && options.copied > 0) await run.copy(options.copied);
  const { bytes, repaired, damaged } = run;
  return { segment, pages, bytes, repaired, damaged, hasParity };
}

type Fault = PageFault | "hash" | "unreadable";

class Run {
  readonly #segments: Segments;
  readonly #repair: Repair | undefined;
  readonly #segment: number;
  readonly #options: ScrubOptions;
  readonly #memory: Buffer = Buffer.alloc(stripUnits * blockBytes);
  /** Sound pages by their revision: a segment has only one. */
  readonly #byRevision = new Map<number, number[]>();
  bytes = 0;
  readonly repaired: Repaired[] = [];
  readonly damaged: DamagePlace[] = [];

  constructor(
    segments: Segments,
    repair: Repair | undefined,
    segment: number,
    options: ScrubOptions,
  ) {
    this.#segments = segments;
    this.#repair = repair;
    this.#segment = segment;
    this.#options = options;
  }

  /** @returns the revision that most pages have */
  async pages(count: number): Promise<number | undefined> {
    await this.#each("segment", count, {
      read: (first, into) => this.#segments.readAll(this.#segment, first, into),
      judge: (page, number) => {
        const proof = provePage(page, this.#segments.storeId, this.#segment, number);
        if (typeof proof === "string") return proof;
        const others = this.#byRevision.get(proof.revision);
        if (others === undefined) this.#byRevision.set(proof.revision, [number]);
        else others.push(number);
        return undefined;
      },
      mend: (number) => this.#mendPage(number),
    });
    const [most] = [...this.#byRevision].sort(([, one], [, two]) => two.length - one.length);
    if (most !== undefined) this.#byRevision.delete(most[0]);
    return most?.[0];
  }

  /** Pages of another revision are what stood there before the segment was compacted. */
  async strays(revision: number | undefined): Promise<void> {
    for (const number of [...this.#byRevision.values()].flat()) {
      const isMended = revision !== undefined && (await this.#mendPage(number, revision));
      if (!isMended) this.#lose("segment", number, "misplaced");
    }
  }

  blocks(parity: ParityFile): Promise<void> {
    return this.#each("parity", parity.blocks, {
      read: (first, into) => parity.readAll(first, into),
      judge: (block, number) => (parity.isSound(block, number) ? undefined : "checksum"),
      mend: async (number) => {
        if (this.#repair === undefined) return false;
        const repaired = await this.#repair.repairBlock(this.#segment, number);
        this.repaired.push(...repaired);
        const file = fileName("parity", this.#segment);
        if (repaired.some((one) => one.file === file && one.page === number)) return true;
        return (await parity.sound(number)) !== undefined;
      },
    });
  }

  async copy(count: number): Promise<void> {
    const file = await openCopy(this.#segments, this.#segment);
    if (file === undefined) return this.#lose("tail", 0, "empty");
    try {
      await this.#each("tail", count, {
        read: (first, into) => readUnits(file, pageBytes, first, into),
        judge: (page, number) => {
          const proof = provePage(page, this.#segments.storeId, this.#segment, number);
          return typeof proof === "string" ? proof : undefined;
        },
        mend: async (number) => {
          const repaired = await this.#repair?.repairCopy(this.#segment, number);
          this.repaired.push(...(repaired ?? []));
          return repaired !== undefined && repaired.length > 0;
        },
      });
    } finally {
      await file.close();
    }
  }

  async #mendPage(number: number, revision?: number): Promise<boolean> {
    const right = await this.#repair?.repairPage(this.#segment, number, revision);
    this.repaired.push(...(right?.repaired ?? []));
    return right !== undefined;
  }

  #lose(kind: FileKind, page: number, fault: Fault): void {
    const file = fileName(kind, this.#segment);
    this.damaged.push({ file, page, what: kindOf(fault), messages: [] });
  }

  async #each(kind: FileKind, count: number, work: Work): Promise<void> {
    const { signal, pace, onProgress } = this.#options;
    const unitBytes = kind === "parity" ? blockBytes : pageBytes;
    for (let first = 0; first < count; first += stripUnits) {
      signal?.throwIfAborted();
      const bytes = Math.min(stripUnits, count - first) * unitBytes;
      const strip = this.#memory.subarray(0, bytes);
      const unreadable = await work.read(first, strip);
      for (let at = 0; at < bytes; at += unitBytes) {
        const number = first + at / unitBytes;
        const fault = work.judge(strip.subarray(at, at + unitBytes), number);
        if (fault === undefined || (await work.mend(number))) continue;
        this.#lose(kind, number, unreadable.includes(number) ? "unreadable" : fault);
      }
      this.bytes += bytes;
      onProgress?.(bytes);
      await pace.spend(bytes, signal);
    }
  }
}

interface Work {
  read(first: number, into: Buffer): Promise<readonly number[]>;
  /** @returns undefined when it is right */
  judge(unit: Buffer, number: number): Fault | undefined;
  /** @returns whether it is right now */
  mend(number: number): Promise<boolean>;
}

async function openCopy(segments: Segments, segment: number): Promise<DiskFile | undefined> {
  try {
    return await segments.disk.open(segments.path(segment, "tail"), "read");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
