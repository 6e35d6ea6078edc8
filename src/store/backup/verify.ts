/** Checking a backup where it lies: with the recovery key to the last page, without it by its hashes. */

import type { NoteKey } from "#formats/checkpoint";
import { LedgerCheck } from "#store";
import { readManifest } from "./catalogue.ts";
import type { BackupFault } from "./faults.ts";
import { wipe } from "./kept-keys.ts";
import type { KeysObject, SegmentObject } from "./manifest.ts";
import {
  type OpenBackup,
  openBackup,
  type PageSink,
  pageBytesOf,
  readObject,
  readPages,
} from "./reading.ts";
import type { RecoveryPrivateKey } from "./recovery-key.ts";
import type { Target } from "./target.ts";

export interface VerifyParts {
  readonly target: Target;
  /** Of the manifest. */
  readonly name: string;
  /** Without it nothing is opened. */
  readonly own?: RecoveryPrivateKey | undefined;
  readonly logKeys?: readonly NoteKey[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((doneBytes: number, allBytes: number) => void) | undefined;
}

export interface VerifiedBackup {
  readonly name: string;
  readonly objects: number;
  readonly bytes: number;
  /** What only the recovery key shows. */
  readonly inside?: { readonly records: number; readonly head: OpenBackup["head"] };
  readonly faults: readonly BackupFault[];
}

/** When something is wrong, every object is looked at. @throws what the target throws */
export async function verifyBackup(parts: VerifyParts): Promise<VerifiedBackup> {
  const { target, name, own } = parts;
  const read = await readManifest(target, name);
  if (!read.ok) {
    return { name, objects: 0, bytes: 0, faults: [{ object: name, what: read.fault }] };
  }
  const objects = [read.value.keys, ...read.value.segments];
  const bytes = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const report = { name, objects: objects.length, bytes };
  const looked = own === undefined ? undefined : await lookInside(parts, own);
  if (looked?.faults.length === 0) return { ...report, ...looked };
  const faults = [...(looked?.faults ?? [])];
  for (const one of await compareAll(parts, objects)) {
    if (!faults.some(({ object }) => object === one.object)) faults.push(one);
  }
  return { ...report, faults };
}

async function compareAll(
  { target, signal, onProgress }: VerifyParts,
  objects: readonly (KeysObject | SegmentObject)[],
): Promise<BackupFault[]> {
  const faults: BackupFault[] = [];
  const allBytes = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let doneBytes = 0;
  for (const object of objects) {
    signal?.throwIfAborted();
    const fault = await readObject(target, object, undefined, () => undefined);
    if (fault !== undefined) faults.push(fault);
    doneBytes += object.sizeBytes;
    onProgress?.(doneBytes, allBytes);
  }
  return faults;
}

async function lookInside(
  { target, name, logKeys, signal, onProgress }: VerifyParts,
  own: RecoveryPrivateKey,
): Promise<Pick<VerifiedBackup, "inside" | "faults">> {
  const opened = await openBackup(target, name, own, logKeys);
  if (!opened.ok) return { faults: [opened.fault] };
  const { keys, head } = opened.value;
  try {
    const check = new LedgerCheck(keys.storeId);
    const allBytes = pageBytesOf(opened.value);
    let doneBytes = 0;
    const onRead = (bytes: number): void => {
      doneBytes += bytes;
      onProgress?.(doneBytes, allBytes);
    };
    const fault = await readPages({ target, own }, opened.value, sinkOf(check), { signal, onRead });
    if (fault !== undefined) return { faults: [fault] };
    return { inside: { records: check.tree.size, head }, faults: [] };
  } finally {
    wipe(keys);
  }
}

function sinkOf(check: LedgerCheck): PageSink {
  return {
    begin: (segment, revision) => check.begin(segment, revision),
    take: async (octets) => check.take(octets).fault,
    end: () => (check.isBetweenBatches ? undefined : "out-of-order"),
    get tree() {
      return check.tree;
    },
  };
}
