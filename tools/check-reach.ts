/** Walks the import graph of every program and compares it with what its manifest allows. */

import { existsSync, readdirSync } from "node:fs";
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
  /** Imports that lead to no file: the program does not start. */
  readonly missing: readonly string[];
}

/** Files that loading the entry loads; type-only imports are erased and do not count. */
export function reachOf(root: string, entry: string): Reach {
  const files = new Set<string>();
  const thirdParty = new Map<string, string>();
  const nodeModules = new Set<string>();
  const missing: string[] = [];
  const pending = [entry];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const one of importsOf(root, file)) {
      if (one.typeOnly) continue;
      if (one.target !== undefined) {
        if (existsSync(join(root, one.target))) pending.push(one.target);
        else missing.push(`${file}:${one.line}: ${one.specifier} leads to no file`);
      } else if (one.specifier.startsWith("node:")) nodeModules.add(one.specifier);
      else thirdParty.set(one.specifier, file);
    }
  }
  return { files, thirdParty, nodeModules, missing };
}

export async function checkReach(root: string): Promise<string[]> {
  const findings: string[] = [];
  for (const name of readdirSync(join(root, "programs")).sort()) {
    const entry = `programs/${name}`;
    const reach = reachOf(root, entry);
    findings.push(...reach.missing.map((one) => `${entry}: ${one}`));
    if (reach.missing.length > 0) continue;
    const loaded = (await import(pathToFileURL(join(root, entry)).href)) as { manifest?: Manifest };
    if (loaded.manifest !== undefined) findings.push(...judge(entry, reach, loaded.manifest));
  }
  return findings;
}

function judge(entry: string, reach: Reach, manifest: Manifest): string[] {
  const findings: string[] = [];
  for (const file of reach.files) {
    const [top = "", folder = ""] = file.split("/");
    if (top !== "src") continue;
    const outer = manifest.zone === "dmz";
    if (
      outer &&
      (insideOnly.includes(folder) || insideContracts.some((path) => file.startsWith(path)))
    ) {
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
