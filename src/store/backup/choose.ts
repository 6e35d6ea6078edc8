/** Which backup is meant: by its name or a part of it, the newest, or the one that reaches a point. */

import type { Until } from "#store";
import { manifestNames, readManifest } from "./catalogue.ts";
import { manifestTimeMs, openFacts } from "./manifest-octets.ts";
import type { RecoveryPrivateKey } from "./recovery-key.ts";
import type { Target } from "./target.ts";

/**
 * @param wanted begin of a manifest's name, with or without its folder; undefined for the newest
 * @returns undefined when there is none, or more than one
 */
export async function namedBackup(target: Target, wanted?: string): Promise<string | undefined> {
  const names = await manifestNames(target);
  if (wanted === undefined) return names[0];
  const start = wanted.startsWith("manifests/") ? wanted : `manifests/${wanted}`;
  const found = names.filter((name) => name.startsWith(start));
  return found.length === 1 ? found[0] : undefined;
}

/**
 * The oldest backup that reaches as far: of what was destroyed since, it has the most.
 *
 * @returns undefined when none does
 */
export async function backupReaching(
  target: Target,
  own: RecoveryPrivateKey,
  until: Until,
): Promise<string | undefined> {
  let found: string | undefined;
  for (const name of await manifestNames(target)) {
    const does = await reaches(target, own, name, until);
    if (does === false) break;
    if (does === true) found = name;
  }
  return found;
}

/** @returns undefined when it cannot be read */
async function reaches(
  target: Target,
  own: RecoveryPrivateKey,
  name: string,
  until: Until,
): Promise<boolean | undefined> {
  if ("atMs" in until) return (manifestTimeMs(name) ?? 0) >= until.atMs;
  const manifest = await readManifest(target, name);
  const facts = manifest.ok ? openFacts(own.keys, manifest.value) : manifest;
  return facts.ok ? facts.value.position.lsn >= until.lsn : undefined;
}
