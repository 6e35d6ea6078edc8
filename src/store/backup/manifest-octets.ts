/** Manifests as the octets of an object on the target. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import { openSealed, type SealPrivateKeys, type SealPublicKeys, seal } from "#contracts/sealed";
import type { Facts, FactsFault, Manifest, ManifestFault } from "./manifest.ts";
import { readFacts, readManifestShape } from "./manifest-shape.ts";

/** Ours: enough for 100,000 objects, 6 TB. */
export const maxManifestBytes: number = 32 * 1024 * 1024;

const manifestName = /^manifests\/(\d{13})-([0-9a-f]{64})\.json$/;

/** When the manifest of this name was made, or undefined when it is no name of a manifest. */
export function manifestTimeMs(name: string): number | undefined {
  const match = manifestName.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** @returns name and octets for the target */
export function formatManifest(
  to: SealPublicKeys,
  open: Omit<Manifest, "format" | "sealed">,
  facts: Facts,
): { readonly name: string; readonly octets: Buffer } {
  const sealed = Buffer.concat(seal(to, facts).end(null)).toString("base64");
  const manifest: Manifest = { format: 1, ...open, sealed };
  const octets = Buffer.from(JSON.stringify(manifest));
  const time = String(open.createdAtMs).padStart(13, "0");
  return { name: `manifests/${time}-${sha256Of(octets)}.json`, octets };
}

/** @param octets untrusted, as they came from the target under that name */
export function parseManifest(name: string, octets: Uint8Array): Result<Manifest, ManifestFault> {
  if (octets.length > maxManifestBytes) return refuse("too-long", maxManifestBytes);
  const match = manifestName.exec(name);
  if (match === null) return refuse("bad-name");
  if (sha256Of(octets) !== match[2]) return refuse("wrong-hash");
  const parsed = parsedJson(octets);
  if (parsed === undefined) return refuse("not-json");
  const manifest = readManifestShape(parsed);
  if (manifest.ok && manifest.value.createdAtMs !== Number(match[1])) return refuse("bad-name");
  return manifest;
}

/** What the manifest keeps for the holder of the recovery key. */
export function openFacts(own: SealPrivateKeys, manifest: Manifest): Result<Facts, FactsFault> {
  const opened = openSealed(own, [Buffer.from(manifest.sealed, "base64")]);
  if (!opened.ok) return refuse("wrong-key-or-altered", opened.at);
  const facts = readFacts(opened.value.header);
  if (facts === undefined) return refuse("bad-shape");
  const { segment, page } = facts.position;
  const last = manifest.segments.at(-1);
  const isEnd = last?.segment === segment && last.firstPage + last.pages === page;
  return isEnd ? accept(facts) : refuse("other-position");
}

function parsedJson(octets: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(octets));
  } catch {
    return undefined;
  }
}

function sha256Of(octets: Uint8Array): string {
  return createHash("sha256").update(octets).digest("hex");
}
