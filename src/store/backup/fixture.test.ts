/** What the tests of this room share: a store under load, a target, and a recovery key. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { systemClock } from "#base/clock";
import { type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { seededRandom, systemRandom } from "#base/random";
import { type OpenStore, Pace } from "#store";
import { directory, fixedMaster } from "../fixture.ts";
import { type Created, type CreateParts, createBackup } from "./create.ts";
import type { Sandbox } from "./drill.ts";
import type { BackupOutcome } from "./faults.ts";
import { type FolderOptions, folderTarget } from "./folder-target.ts";
import {
  makeRecoveryKey,
  parseRecoveryPrivateKey,
  parseRecoveryPublicKey,
  type RecoveryPrivateKey,
  type RecoveryPublicKey,
} from "./recovery-key.ts";
import { type Restored, type RestoreParts, restoreBackup } from "./restore.ts";
import type { Target } from "./target.ts";

export interface RecoveryPair {
  readonly to: RecoveryPublicKey;
  readonly own: RecoveryPrivateKey;
}

export function recoveryPair(): RecoveryPair {
  const texts = makeRecoveryKey();
  const to = parseRecoveryPublicKey(texts.publicKey);
  const own = parseRecoveryPrivateKey(texts.privateKey);
  assert.ok(to.ok && own.ok);
  return { to: to.value, own: own.value };
}

export const pair: RecoveryPair = recoveryPair();

export interface MemoryTarget {
  readonly target: Target;
  readonly disk: SimulatedDisk;
}

/** A folder on a disk of its own. */
export function memoryTarget(
  disk: SimulatedDisk = simulatedDisk(seededRandom(77)),
  options: Omit<FolderOptions, "disk"> = {},
): MemoryTarget {
  const guard = async (): Promise<void> => undefined;
  return { disk, target: folderTarget("/mount", { disk, guard, ...options }) };
}

/** Makes a backup, and has the store remember it as the hub does. */
export async function backUp(
  store: OpenStore,
  target: Target,
  more: Partial<CreateParts> = {},
): Promise<Created> {
  const parts = { clock: systemClock, random: systemRandom, pace: new Pace(systemClock) };
  const created = await createBackup({
    source: store.backup,
    target,
    to: pair.to,
    ...parts,
    ...more,
  });
  await store.backup.write({
    kind: "backed-up",
    by: "test",
    atMs: created.atMs,
    ok: true,
    target: target.title,
    seconds: 0,
    backup: created.name,
    lsn: created.lsn,
  });
  return created;
}

/** A restore to the place where the fixtures of the store look, on a disk of its own by default. */
export async function tryRestore(
  target: Target,
  name: string,
  more: Partial<RestoreParts> & { readonly disk?: SimulatedDisk } = {},
): Promise<{ disk: SimulatedDisk; outcome: BackupOutcome<Restored> }> {
  const disk = more.disk ?? simulatedDisk(seededRandom(5));
  const into = { directory, master: fixedMaster, random: seededRandom(6), ...more, disk };
  return { disk, outcome: await restoreBackup({ target, name, own: pair.own, ...into }) };
}

export async function restoredTo(...args: Parameters<typeof tryRestore>): Promise<SimulatedDisk> {
  const { disk, outcome } = await tryRestore(...args);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return disk;
}

export function memorySandbox(): Sandbox & { isRemoved(): boolean } {
  const indexPath = join(mkdtempSync(join(tmpdir(), "postern-drill-")), "index.sqlite");
  let isRemoved = false;
  return {
    disk: simulatedDisk(seededRandom(8)),
    directory: "/drill",
    indexPath,
    isRemoved: () => isRemoved,
    async remove() {
      isRemoved = true;
      rmSync(dirname(indexPath), { recursive: true });
    },
  };
}
