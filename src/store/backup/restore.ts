/** A store made from a backup, in an empty place, checked while it is written. */

import { dirname } from "node:path";
import { Full, Misconfigured } from "#base/errors";
import type { NoteKey } from "#formats/checkpoint";
import { type RestoredTo, Restoring, type RestoringParts } from "#store";
import { type BackupOutcome, unusable } from "./faults.ts";
import { wipe } from "./kept-keys.ts";
import { type OpenBackup, openBackup, pageBytesOf, readPages } from "./reading.ts";
import type { RecoveryPrivateKey } from "./recovery-key.ts";
import type { Target } from "./target.ts";

export interface RestoreParts extends RestoringParts {
  readonly target: Target;
  /** Of the manifest. */
  readonly name: string;
  readonly own: RecoveryPrivateKey;
  /** Keys of the log that must have signed the backup's head. */
  readonly logKeys?: readonly NoteKey[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((doneBytes: number, allBytes: number) => void) | undefined;
}

export interface Restored {
  readonly name: string;
  readonly to: RestoredTo;
  /** The last record that the backup holds, and the root of the tree up to it, hexadecimal. */
  readonly of: { readonly lsn: number; readonly root: string };
  readonly bytes: number;
  readonly head: OpenBackup["head"];
  /**
   * Whether all of the backup makes the history that its manifest ends with. False only when something
   * behind the chosen end is damaged: each page before it is sound all the same.
   */
  readonly isHistoryProven: boolean;
}

/**
 * On a fault what was written is taken away again, and after a cut there is no store either.
 *
 * @throws Misconfigured when the folder is not empty, or the backup holds nothing as old as `until`
 * @throws Full, what the target or the disk throws, or the signal's reason
 */
export async function restoreBackup(parts: RestoreParts): Promise<BackupOutcome<Restored>> {
  const { target, name, own, logKeys } = parts;
  const opened = await openBackup(target, name, own, logKeys);
  if (!opened.ok) return opened;
  const allBytes = pageBytesOf(opened.value);
  await assertRoom(parts, allBytes);
  const restoring = await Restoring.begin(parts, opened.value.keys);
  try {
    const outcome = await fill(parts, opened.value, { restoring, allBytes });
    if (!outcome.ok) await restoring.undo();
    return outcome;
  } catch (error) {
    await restoring.undo().catch(() => undefined);
    throw error;
  } finally {
    wipe(opened.value.keys);
  }
}

async function fill(
  parts: RestoreParts,
  backup: OpenBackup,
  { restoring, allBytes }: { readonly restoring: Restoring; readonly allBytes: number },
): Promise<BackupOutcome<Restored>> {
  const { name, signal, onProgress } = parts;
  let bytes = 0;
  const onRead = (count: number): void => {
    bytes += count;
    onProgress?.(bytes, allBytes);
  };
  const fault = await readPages(parts, backup, restoring, { signal, onRead });
  if (fault !== undefined && !restoring.isCut) return unusable(fault);
  if (restoring.to.generation === 0) {
    throw new Misconfigured(`${name}: nothing in it is as old as that`);
  }
  const to = await restoring.finish();
  const { facts, head } = backup;
  const isHistoryProven = fault === undefined;
  const of = { lsn: facts.position.lsn, root: facts.root };
  const value = { name, to, of, bytes, head, isHistoryProven };
  return { ok: true, value };
}

/** Told before it is half full. */
async function assertRoom({ disk, directory }: RestoreParts, bytes: number): Promise<void> {
  const parent = dirname(directory);
  const free = (await disk.freeBytes?.(parent).catch(() => undefined)) ?? Infinity;
  if (free >= bytes) return;
  const mib = (count: number): number => Math.ceil(count / 1_048_576);
  throw new Full(`${parent}: ${mib(bytes)} MiB are needed and ${mib(free)} MiB are free`);
}
