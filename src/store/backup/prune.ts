/** Old backups go; what the others need stays. */

import { accept, type Result, refuse } from "#base/result";
import { manifestNames, objectsOf, objectTimeMs, readManifest } from "./catalogue.ts";
import type { ManifestFault } from "./manifest.ts";
import { manifestTimeMs } from "./manifest-octets.ts";
import type { Target } from "./target.ts";

/** Which backups stay. The newest one always does. */
export interface Keep {
  /** All that are not older than this, counted from the newest: a clock set wrong removes none. */
  readonly days: number;
  /** And this many of the newest. */
  readonly count: number;
}

export interface Pruned {
  readonly kept: number;
  readonly removedManifests: number;
  readonly removedObjects: number;
}

const dayMs = 24 * 60 * 60 * 1000;
/** An object nobody names may belong to a backup that is still being made. */
const graceMs = dayMs;

/**
 * Removes the manifests that are not to be kept, and then the objects that none of the others names.
 * A stop in between leaves objects for the next run. Nothing at all is removed while a manifest that
 * is to be kept cannot be read, since nobody knows what it needs.
 *
 * @returns with a fault, as `at`, which of `manifestNames` it is
 */
export async function prune(
  target: Target,
  keep: Keep,
  nowMs: number,
): Promise<Result<Pruned, ManifestFault | "missing">> {
  const names = await manifestNames(target);
  if (names.length === 0) return accept({ kept: 0, removedManifests: 0, removedObjects: 0 });
  const newestMs = manifestTimeMs(names[0] ?? "") ?? 0;
  const isKept = (name: string, index: number): boolean =>
    index === 0 ||
    index < keep.count ||
    newestMs - (manifestTimeMs(name) ?? 0) <= keep.days * dayMs;
  const kept = names.filter(isKept);
  const old = names.filter((name, index) => !isKept(name, index));

  const needed = new Set<string>();
  for (const [index, name] of kept.entries()) {
    const manifest = await readManifest(target, name);
    if (!manifest.ok) return refuse(manifest.fault, index);
    for (const object of objectsOf(manifest.value)) needed.add(object.name);
  }
  for (const name of old) await target.remove(name);
  const removedObjects = await removeOthers(target, needed, nowMs - graceMs);
  return accept({ kept: kept.length, removedManifests: old.length, removedObjects });
}

/** Names are gathered first: what a list shows while it changes is anybody's guess. */
async function removeOthers(
  target: Target,
  needed: ReadonlySet<string>,
  beforeMs: number,
): Promise<number> {
  const others: string[] = [];
  for await (const { name } of target.list("objects")) {
    if (!needed.has(name) && (objectTimeMs(name) ?? Infinity) < beforeMs) others.push(name);
  }
  for (const name of others) await target.remove(name);
  return others.length;
}
