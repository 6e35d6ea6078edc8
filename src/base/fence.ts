/** The flags that each program is started with: the seat belt around it (docs/decisions/0005). */

import { join } from "node:path";

/** The part of a program's manifest that the flags depend on. */
export interface Fenced {
  readonly name: string;
  /** Rooms above floor 3, as `src/` names them; nothing else of these floors can be read. */
  readonly mayReach: readonly string[];
  /** "permission": Node's permission model too, under which fsync and any spawning are refused. */
  readonly fence: "permission" | "plain";
  /** Loads no SQLite when it reaches no store; the permission model does not hold it. */
  readonly zone: "dmz" | "inside" | "caged";
}

export interface FencePaths {
  /** The program's own code: read only. */
  readonly application: string;
  /** Its state: settings, certificates, snapshot, spool. */
  readonly folder: string;
}

/** What one installation's configuration grants a program beyond its manifest. */
export interface Grants {
  /** Files and folders that may be read. */
  readonly reads: readonly string[];
  /** May load a native library; it is code without a fence (docs/decisions/0013). */
  readonly ffi: boolean;
}

export const noGrants: Grants = { reads: [], ffi: false };

/** Holds for every program: no code from text, no prototype tricks, no debugger by signal. */
const always: readonly string[] = [
  "--disallow-code-generation-from-strings",
  "--disable-proto=throw",
  "--disable-sigusr1",
  "--no-warnings",
  // Buffers of messages hang on young objects: looked at often they are let go of young. With the
  // engine's 16 MiB they pile up outside of the heap until it collects everything (docs/performance.md).
  "--max-semi-space-size=8",
  // Where little is going on, the engine lets the heap grow by a few MiB only, which those buffers
  // fill with a hundred messages: then it stops for a collection of everything each second.
  "--heap-growing-percent=200",
];

/** Programs that run on Node alone and touch no database can do without more. */
const lean: readonly string[] = [
  "--no-addons",
  "--no-experimental-sqlite",
  "--max-old-space-size=256",
  "--secure-heap=1048576",
  "--secure-heap-min=2048",
];

export function startFlags(
  program: Fenced,
  paths: FencePaths,
  grants: Grants = noGrants,
): string[] {
  const flags = [...always];
  if (!grants.ffi) flags.push("--no-experimental-ffi");
  if (program.zone !== "inside") {
    // It is read as an address, of which what follows "#" would be left out.
    const frozen = join(paths.application, "src/base/frozen.ts");
    flags.push(`--import=${frozen.replace(/[%#?]/g, encodeURIComponent)}`, ...lean);
  }
  if (program.fence !== "permission") return flags;
  flags.push("--permission", "--allow-net");
  if (grants.ffi) flags.push("--allow-ffi");
  const folder = join(paths.folder, "/");
  const code = codeOf(program, paths.application);
  for (const path of [...code, ...machineFiles, folder, ...grants.reads]) {
    flags.push(`--allow-fs-read=${path}`);
  }
  flags.push(`--allow-fs-write=${folder}`);
  return flags;
}

/** What a stub resolver needs to know of the machine. */
const machineFiles = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

/** The very files and rooms that the program loads: code of the inside is not even readable. */
function codeOf(program: Fenced, application: string): string[] {
  const floors = ["base", "formats", "model", "contracts"].map((name) => `src/${name}/`);
  const rooms = program.mayReach.flatMap((room) => [`src/${room}/`, `src/${room}.ts`]);
  const files = ["package.json", `programs/${program.name}.ts`, ...floors, ...rooms];
  return files.map((path) => join(application, path));
}
