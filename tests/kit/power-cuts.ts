/**
 * Power cuts by seed: a store on a simulated disk is used by several clients at once, loses its
 * power at any operation, also while it recovers, and is held to every answer it gave.
 *
 * `node tests/kit/power-cuts.ts --seeds 10000 [--from N]`; a failing seed says how to replay it.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import type { Clock } from "#base/clock";
import { type DiskFaults, type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { pick, type Random, seededRandom } from "#base/random";
import { type OpenStore, openStore, rebuildIndex, verifyStore } from "#store";
import { fixedMaster } from "../../src/store/fixture.ts";
import { Client } from "./store-client.ts";
import { StoreModel } from "./store-model.ts";

const directory = "/store";
const clients = 4;
const pageBytes = 8192;
/** Every so many seeds the views live in a file and are compared with rebuilt ones. */
const indexFileEvery = 25;

export interface SeedReport {
  /** How many times the power failed or the process died. */
  readonly cuts: number;
  readonly cutsInRecovery: number;
  readonly acknowledged: number;
  readonly operations: number;
}

interface Run {
  readonly random: Random;
  readonly clock: Clock;
  readonly indexPath: string;
  readonly segmentBytes: number;
  readonly inlineBytes: number;
}

/** Time that passes by being asked for, so that a run can be replayed; its timers never run. */
function countingClock(): Clock {
  let ms = 1_800_000_000_000;
  const next = (): number => {
    ms += 1;
    return ms;
  };
  return { nowMs: next, tickMs: next, after: () => ({ cancel: () => undefined }) };
}

/** @throws AssertionError when the store broke a promise */
export async function runSeed(seed: number): Promise<SeedReport> {
  const random = seededRandom(seed);
  const folder =
    seed % indexFileEvery === 0 ? mkdtempSync(join(tmpdir(), "postern-cuts-")) : undefined;
  const run: Run = {
    random,
    clock: countingClock(),
    indexPath: folder === undefined ? ":memory:" : join(folder, "index.db"),
    segmentBytes: (16 + pick(random, 20)) * pageBytes,
    inlineBytes: 3000 + pick(random, 12_000),
  };
  try {
    return await live(run);
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }
}

async function live(run: Run): Promise<SeedReport> {
  const { random } = run;
  const model = new StoreModel(random, clients);
  const report = { cuts: 0, cutsInRecovery: 0, acknowledged: 0, operations: 0 };
  let disk = simulatedDisk(random, cutSoon(random));
  const lives = 2 + pick(random, 2);
  for (let life = 0; life < lives; life += 1) {
    const store = await orCut(disk, open(run, disk));
    if (store === undefined) report.cutsInRecovery += 1;
    else if (
      await orCut(
        disk,
        model.settle(store).then(() => true),
      )
    ) {
      const busy = Array.from({ length: clients }, (_, index) =>
        new Client(store, model, random, index).work(2 + pick(random, 8)),
      );
      const keeping = random.fraction() < 0.4 ? [keepHouse(store)] : [];
      await orCut(disk, Promise.all([...busy, ...keeping]));
      if (random.fraction() < 0.2) await orCut(disk, store[Symbol.asyncDispose]());
    }
    report.cuts += 1;
    report.operations += disk.operations;
    const faults = life + 1 < lives ? cutSoon(random) : {};
    disk = random.fraction() < 0.2 ? disk.kill(faults) : disk.powerCut(faults);
  }
  await lastCheck(run, disk, model);
  return { ...report, acknowledged: model.acknowledged };
}

/** What the store does for itself while others work. */
async function keepHouse(store: OpenStore): Promise<void> {
  await store.erase();
}

/** Early cuts fall into recovery, late ones into work; some lives end without one. */
function cutSoon(random: Random): DiskFaults {
  return { cutAtOperation: 1 + pick(random, random.fraction() < 0.3 ? 40 : 250) };
}

function open(run: Run, disk: SimulatedDisk): Promise<OpenStore> {
  const { clock, random, indexPath, segmentBytes, inlineBytes } = run;
  const reserveBytes = 2 * pageBytes;
  const sizes = { segmentBytes, inlineBytes, reserveBytes };
  return openStore({ master: fixedMaster, disk, clock, random, directory, indexPath, ...sizes });
}

/** The value, or undefined when the power failed first. */
async function orCut<Value>(
  disk: SimulatedDisk,
  work: PromiseLike<Value>,
): Promise<Value | undefined> {
  const value = await Promise.race([work, disk.dead.then(() => undefined)]);
  // Answers given before the cut are still on their way to the clients of the life that ended.
  await new Promise((resolve) => setImmediate(resolve));
  return value;
}

async function lastCheck(run: Run, disk: SimulatedDisk, model: StoreModel): Promise<void> {
  const store = await open(run, disk);
  await model.settle(store);
  await model.readEverything(store);
  await store[Symbol.asyncDispose]();
  const { damages } = await verifyStore(disk, directory, fixedMaster);
  assert.deepEqual(damages, [], "power cuts are not damage");
  if (run.indexPath === ":memory:") return;
  const lived = rowsOf(run.indexPath);
  await rebuildIndex(disk, directory, run.indexPath, fixedMaster);
  assert.deepEqual(rowsOf(run.indexPath), lived, "rebuilt views equal those that lived");
}

/** Every row of every table but the cache. */
export function rowsOf(indexPath: string): Record<string, unknown[]> {
  const db = new DatabaseSync(indexPath, { readOnly: true });
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  const rows: Record<string, unknown[]> = {};
  for (const { name } of tables) {
    if (name === "description") continue;
    rows[String(name)] = db.prepare(`SELECT * FROM ${name} ORDER BY 1`).all();
  }
  db.close();
  return rows;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "1000" },
      from: { type: "string", default: "1" },
    },
  });
  const from = Number(values.from);
  const count = Number(values.seeds);
  const started = performance.now();
  const sum = { cuts: 0, cutsInRecovery: 0, acknowledged: 0, operations: 0 };
  const failed: number[] = [];
  for (let seed = from; seed < from + count; seed += 1) {
    try {
      const report = await runSeed(seed);
      for (const key of Object.keys(sum) as (keyof SeedReport)[]) sum[key] += report[key];
    } catch (error) {
      failed.push(seed);
      console.error(`seed ${seed} failed: node tests/kit/power-cuts.ts --seeds 1 --from ${seed}`);
      console.error(error);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const rate = (count / seconds).toFixed(0);
  console.log(JSON.stringify({ seeds: count, from, ...sum, failed, seconds, rate }));
  process.exitCode = failed.length > 0 ? 1 : 0;
}

if (import.meta.main) await main();
