/** The backup that a new one goes on from: the last one that this very history made. */

import { Misconfigured } from "#base/errors";
import type { BackupActs, BackupSource } from "#store";
import { manifestNames, readManifest } from "./catalogue.ts";
import type { Manifest, SegmentObject } from "./manifest.ts";
import { manifestTimeMs } from "./manifest-octets.ts";
import type { Target } from "./target.ts";

export interface Previous {
  /** Of its manifest, if there is one to go on from. */
  readonly name?: string;
  /** Objects that can be used again. */
  readonly segments: readonly SegmentObject[];
  /** The latest time that a manifest on the target bears; 0 without any. */
  readonly newestMs: number;
}

/**
 * @param recoveryKey what is sealed to another key cannot be used again
 * @throws Misconfigured when the target holds the backups of another store
 */
export async function previousBackup(
  target: Target,
  source: Pick<BackupSource, "storeId"> & Pick<BackupActs, "hasMade">,
  recoveryKey: string,
): Promise<Previous> {
  const names = await manifestNames(target);
  const newestMs = manifestTimeMs(names[0] ?? "") ?? 0;
  const storeId = source.storeId.toString("hex");
  for (const name of names) {
    const manifest = await readManifest(target, name);
    if (!manifest.ok) continue; // verify and prune tell
    if (manifest.value.storeId !== storeId) {
      throw new Misconfigured(
        `${target.title} holds the backups of another store (${manifest.value.storeId}): name another place`,
      );
    }
    if (manifest.value.recoveryKey !== recoveryKey || !source.hasMade(name)) continue;
    return { name, segments: await stillThere(target, manifest.value), newestMs };
  }
  return { segments: [], newestMs };
}

/** Without the segments of which something is gone: they are copied again. */
async function stillThere(target: Target, { segments }: Manifest): Promise<SegmentObject[]> {
  const sizes = new Map<string, number>();
  for await (const { name, sizeBytes } of target.list("objects")) sizes.set(name, sizeBytes);
  const gone = new Set<number>();
  for (const { name, sizeBytes, segment } of segments) {
    if (sizes.get(name) !== sizeBytes) gone.add(segment);
  }
  return segments.filter(({ segment }) => !gone.has(segment));
}
