/**
 * The embedded engine as the contract's tests open it, on a disk in memory, with segments so small
 * that there are many.
 *
 * `node tests/contract/embedded.ts --seeds 1000 [--from N] [--operations 120]` compares it with the
 * reference for longer than the suite does; `--replay FILE` does so with the operations a failure
 * printed.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { SimulatedDisk } from "#base/disk-sim";
import { seededRandom } from "#base/random";
import type { OpenStore, StoreOptions } from "#store";
import { newDisk, openOn, stillClock } from "../../src/store/fixture.ts";
import { compareBySeed, findDifference, type Opened } from "./model/compare.ts";
import type { Operation } from "./model/operations.ts";

const pageBytes = 8192;

/** The one place that knows how the engine is opened. */
function openEngine(disk: SimulatedDisk, more: Partial<StoreOptions>): Promise<OpenStore> {
  const sizes = { segmentBytes: 16 * pageBytes, reserveBytes: 2 * pageBytes, inlineBytes: 5000 };
  return openOn(disk, { ...sizes, clock: stillClock(), ...more });
}

/** @returns the way to open fresh stores, whose views lie in a folder that goes with it */
export function embeddedEngine(): { open(): Promise<Opened> } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "postern-contract-"));
  let last = 0;
  const open = async (): Promise<Opened> => {
    last += 1;
    const indexPath = join(folder, `index-${last}.db`);
    let disk = newDisk();
    // One for all its lives: ids must not come again.
    const more = { indexPath, random: seededRandom(last) };
    let store = await openEngine(disk, more);
    const reopen: Opened["reopen"] = async (how) => {
      if (how === "cut") disk = disk.powerCut();
      else {
        await store[Symbol.asyncDispose]();
        disk = disk.kill();
      }
      if (how === "rebuilt") removeIndex(indexPath);
      store = await openEngine(disk, more);
      return store;
    };
    return { store, reopen };
  };
  return { open, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

function removeIndex(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "1000" },
      from: { type: "string", default: "1" },
      operations: { type: "string", default: "120" },
      replay: { type: "string" },
    },
  });
  using engine = embeddedEngine();
  if (values.replay !== undefined) {
    // A printed list is JSON but for its last comma.
    const text = readFileSync(values.replay, "utf8").replace(/,\s*\]\s*$/, "]");
    const found = await findDifference(engine.open, JSON.parse(text) as Operation[]);
    console.log(found?.error.message ?? "no difference");
    process.exitCode = found === undefined ? 0 : 1;
    return;
  }
  const from = Number(values.from);
  const started = performance.now();
  const failed: number[] = [];
  for (let seed = from; seed < from + Number(values.seeds); seed += 1) {
    try {
      await compareBySeed(engine.open, seed, Number(values.operations));
    } catch (error) {
      failed.push(seed);
      console.error((error as Error).message);
    }
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(JSON.stringify({ seeds: Number(values.seeds), from, failed, seconds }));
  process.exitCode = failed.length > 0 ? 1 : 0;
}

if (import.meta.main) await main();
