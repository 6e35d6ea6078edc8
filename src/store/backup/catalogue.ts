/** The backups on a target: their manifests, written, found and read. */

import type { Random } from "#base/random";
import { type Result, refuse } from "#base/result";
import type { Manifest, ManifestFault, SegmentObject } from "./manifest.ts";
import { manifestTimeMs, maxManifestBytes, parseManifest } from "./manifest-octets.ts";
import { gather } from "./octets.ts";
import type { Target } from "./target.ts";

/** Name for an object that is about to be written; it tells when, and no other has it. */
export function newObjectName(
  what: { readonly kind: "keys" } | Pick<SegmentObject, "kind" | "segment" | "firstPage">,
  nowMs: number,
  random: Random,
): string {
  const place = what.kind === "keys" ? "" : `-${what.segment}-${what.firstPage}`;
  const time = String(nowMs).padStart(13, "0");
  return `objects/${time}-${what.kind}${place}-${random.bytes(8).toString("hex")}`;
}

/** When an object of ours was begun, or undefined when the name is none of ours. */
export function objectTimeMs(name: string): number | undefined {
  const time = /^objects\/(\d{13})-(?:keys|segment-\d+-\d+)-[0-9a-f]{16}$/.exec(name)?.[1];
  return time === undefined ? undefined : Number(time);
}

/** Names of all manifests, the newest first. */
export async function manifestNames(target: Target): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name } of target.list("manifests")) {
    if (manifestTimeMs(name) !== undefined) names.push(name);
  }
  return names.sort().reverse();
}

export async function readManifest(
  target: Target,
  name: string,
): Promise<Result<Manifest, ManifestFault | "missing">> {
  const stored = await target.get(name);
  if (stored === undefined) return refuse("missing");
  const octets = await gather(stored, maxManifestBytes);
  return octets === undefined ? refuse("too-long", maxManifestBytes) : parseManifest(name, octets);
}

/** All objects that a manifest names. */
export function objectsOf(manifest: Manifest): readonly { readonly name: string }[] {
  return [manifest.keys, ...manifest.segments];
}
