/** Walks the import graph of every program and compares it with what its manifest allows. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Manifest } from "#contracts/manifest";
import { floors, insideContracts, insideOnly } from "./house.ts";
import { importsOf } from "./imports.ts";

export interface Reach {
  readonly files: ReadonlySet<string>;
  /** Bare module names with the file that imports them; Node's own apart. */
  readonly thirdParty: ReadonlyMap<string, string>;
  readonly nodeModules: ReadonlySet<string>;
}

/** Files that loading the entry loads; type-only imports are erased and do not count. */
export function reachOf(root: string, entry: string): Reach {
  const files = new Set<string>();
  const thirdParty = new Map<string, string>();
  const nodeModules = new Set<string>();
  const pending = [entry];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const one of importsOf(root, file)) {
      if (one.typeOnly) continue;
      if (one.target !== undefined) pending.push(one.target);
      else if (one.specifier.startsWith("node:")) nodeModules.add(one.specifier);
      else thirdParty.set(one.specifier, file);
    }
  }
  return { files, thirdParty, nodeModules };
}

export async function checkReach(root: string): Promise<string[]> {
  const findings: string[] = [];
  for (const name of readdirSync(join(root, "programs")).sort()) {
    const entry = `programs/${name}`;
    const loaded = (await import(pathToFileURL(join(root, entry)).href)) as { manifest?: Manifest };
    if (loaded.manifest !== undefined) findings.push(...judge(root, entry, loaded.manifest));
  }
  return findings;
}

function judge(root: string, entry: string, manifest: Manifest): string[] {
  const reach = reachOf(root, entry);
  const findings: string[] = [];
  for (const file of reach.files) {
    const [top = "", folder = ""] = file.split("/");
    if (top !== "src") continue;
    const outer = manifest.zone === "dmz";
    if (outer && (insideOnly.includes(folder) || insideContracts.includes(file))) {
      findings.push(`${entry}: reaches ${file}, which belongs to the inside`);
    } else if ((floors[folder] ?? 9) > 3 && !allowed(manifest.mayReach, file)) {
      findings.push(`${entry}: reaches ${file}, which its manifest does not list`);
    }
  }
  if (manifest.zone !== "inside") {
    for (const [module, file] of reach.thirdParty) {
      findings.push(`${entry}: reaches third-party ${module} by ${file}`);
    }
    for (const banned of ["node:sqlite", "node:vm", "node:child_process", "node:worker_threads"]) {
      if (reach.nodeModules.has(banned)) findings.push(`${entry}: reaches ${banned}`);
    }
  }
  return findings;
}

/** `mayReach` lists rooms as their doors name them: "transport/smtp-server", "policy". */
function allowed(mayReach: readonly string[], file: string): boolean {
  return mayReach.some((room) => file === `src/${room}.ts` || file.startsWith(`src/${room}/`));
}
