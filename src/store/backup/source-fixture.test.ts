/** The files of a stopped store as a backup's source, for tests that damage them first. */

import assert from "node:assert/strict";
import type { SimulatedDisk } from "#base/disk-sim";
import { silentLog } from "#base/log";
import { seededRandom } from "#base/random";
import { backupSource } from "../backup-source.ts";
import { directory, fixedMaster } from "../fixture.ts";
import { Maintenance } from "../maintenance.ts";
import { catchUp, openKeys } from "../recover.ts";
import { Repair } from "../repair.ts";
import { firstGeneration, pagesInUse, sealSegment } from "../seal.ts";
import { Segments } from "../segments.ts";
import { StoreKeys } from "../store-keys.ts";
import type { CreateParts } from "./create.ts";

/** Its views are made first, its left segments sealed; then `work` damages what it likes. */
export async function sourceOf(
  disk: SimulatedDisk,
  work: (segments: Segments) => Promise<void> | void,
): Promise<CreateParts["source"]> {
  const segments = new Segments(disk, directory);
  const parts = { disk, directory, random: seededRandom(3) };
  const file = await openKeys(segments, parts, fixedMaster);
  assert.ok(file !== undefined, "there is a store");
  const keys = new StoreKeys(file);
  const { views, history } = await catchUp(segments, ":memory:", { keys, log: silentLog });
  await sealLeft(segments);
  segments.repair = new Repair(segments, () => undefined);
  await work(segments);
  const maintenance = new Maintenance();
  return {
    ...backupSource({ segments, views, history, keys: file, maintenance }),
    hasMade: () => false,
  };
}

/** All but the last, where that has not been done. */
async function sealLeft(segments: Segments): Promise<void> {
  const done = await segments.numbers("parity");
  for (const segment of await segments.numbers()) {
    if (done.includes(segment)) continue;
    const isLast = !(await segments.numbers()).includes(segment + 1);
    const limit = isLast ? undefined : await firstGeneration(segments, segment + 1);
    if (limit === undefined) return;
    await sealSegment(segments, segment, await pagesInUse(segments, segment, limit));
  }
}
