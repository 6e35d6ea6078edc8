/** One program alone, with the settings that `postern up` made, for a service manager. */

import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startFlags } from "#base/fence";
import type { Manifest } from "#contracts/manifest";
import { ExitError, exitCodes } from "../exit.ts";
import { grantsOf } from "./grants.ts";
import type { UpFacts } from "./index.ts";
import { folderOf, layoutOf } from "./layout.ts";

/** Resolves with the program's exit code; signals are passed on. */
export function runOne(name: Manifest["name"], data: string, facts: UpFacts): Promise<number> {
  const folder = folderOf(name, layoutOf(data));
  const settings = join(folder, "settings.json");
  if (!existsSync(settings)) {
    throw new ExitError(exitCodes.cannotOpen, `${settings}: run "postern up" once to make it`);
  }
  const { application, manifests } = facts;
  const grants = grantsOf(name, JSON.parse(readFileSync(settings, "utf8")));
  const flags = startFlags(manifests[name], { application, folder }, grants);
  const program = join(application, `programs/${name}.ts`);
  const child = spawn(process.execPath, [...flags, program, "--settings", settings], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => child.kill(signal));
  }
  return new Promise((resolve) => void child.once("exit", (code) => resolve(code ?? 1)));
}
