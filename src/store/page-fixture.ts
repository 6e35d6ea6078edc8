/** What the tests of pages share: segments with sound pages on a simulated disk, and ways to spoil them. */

import { setImmediate } from "node:timers/promises";
import type { Clock } from "#base/clock";
import { type DiskFaults, type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import type { Log, LogFields } from "#base/log";
import { type Random, seededRandom } from "#base/random";
import {
  firstOfBatch,
  headerBytes,
  lastOfBatch,
  type NewPageHeader,
  pageBytes,
  payloadBytes,
  sealPage,
} from "./pages.ts";
import { Repair, type Repaired } from "./repair.ts";
import { fileName, Segments } from "./segments.ts";

export const storeId: Buffer = Buffer.from("0123456789abcdef", "hex");
const folder = "/store";
/** Each batch has so many pages. */
const batchPages = 2;

export interface SoundPagesOptions {
  /** Of the first batch. */
  readonly generation?: number;
  readonly firstPage?: number;
  readonly revision?: number;
  readonly random?: Random;
}

/** Sound pages of whole batches. */
export function soundPages(
  segment: number,
  count: number,
  options: SoundPagesOptions = {},
): Buffer {
  const { generation = 1, firstPage = 0, revision = 0, random = seededRandom(segment) } = options;
  const pages = Buffer.alloc(count * pageBytes);
  for (let index = 0; index < count; index += 1) {
    const number = firstPage + index;
    const at = number % batchPages;
    const isLast = at === batchPages - 1 || index === count - 1;
    soundPage(pages.subarray(index * pageBytes, (index + 1) * pageBytes), random, {
      flags: (at === 0 ? firstOfBatch : 0) | (isLast ? lastOfBatch : 0),
      page: number,
      segment,
      length: payloadBytes,
      firstRecord: at === 0 ? 0 : 0xffff,
      generation: generation + Math.floor(index / batchPages),
      revision,
      durable: generation + Math.floor(index / batchPages) - 1,
    });
  }
  return pages;
}

/** Fills a page with noise, as far as its length says, and seals it. */
export function soundPage(page: Buffer, random: Random, header: NewPageHeader): void {
  page.fill(0);
  random.bytes(header.length).copy(page, headerBytes);
  sealPage(page, storeId, header);
}

export interface PageStore {
  readonly disk: SimulatedDisk;
  readonly segments: Segments;
  readonly repair: Repair;
  readonly repaired: Repaired[];
}

/** A folder in which repairs are on. */
export function pageStore(faults: DiskFaults = {}): PageStore {
  return pageStoreOn(simulatedDisk(seededRandom(1), faults));
}

export function pageStoreOn(disk: SimulatedDisk): PageStore {
  const segments = new Segments(disk, folder);
  segments.storeId = storeId;
  const repaired: Repaired[] = [];
  const repair = new Repair(segments, (one) => repaired.push(one));
  segments.repair = repair;
  return { disk, segments, repair, repaired };
}

/** @returns what was written */
export async function putFile(
  { segments }: PageStore,
  kind: "segment" | "tail",
  segment: number,
  pages: Buffer,
): Promise<Buffer> {
  await segments.replace(kind, segment, (file) => file.write([pages], 0));
  return Buffer.from(pages);
}

/** The octets of a file on the disk as they are now, to look at and to spoil. */
export function octetsOf(
  { disk }: PageStore,
  kind: "segment" | "parity" | "tail",
  segment: number,
): Buffer {
  return disk.octets(`${folder}/${fileName(kind, segment)}`);
}

export function pageOf(octets: Buffer, number: number): Buffer {
  return octets.subarray(number * pageBytes, (number + 1) * pageBytes);
}

/** A clock whose timers run when told. */
export function handClock(): Clock & { runTimers(): Promise<void> } {
  let waiting: (() => void)[] = [];
  return {
    nowMs: () => 1_800_000_000_000,
    tickMs: () => 0,
    after(_, run) {
      waiting.push(run);
      return { cancel: () => void (waiting = waiting.filter((one) => one !== run)) };
    },
    async runTimers() {
      const due = waiting;
      waiting = [];
      for (const run of due) run();
      await settled();
    },
  };
}

/** When everything that runs on the simulated disk has come to an end, or waits for a timer. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await setImmediate();
}

export interface Logged {
  readonly event: string;
  readonly fields: LogFields | undefined;
}

export function keptLog(): Log & { readonly lines: Logged[] } {
  const lines: Logged[] = [];
  return { lines, write: (_, event, fields) => void lines.push({ event, fields }) };
}

export function flipBit(octets: Buffer, bit: number): void {
  const at = bit >>> 3;
  octets[at] = (octets[at] ?? 0) ^ (1 << (bit & 7));
}
