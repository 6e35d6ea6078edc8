/** Every static check, one line each; exits 1 when one falls short. */

import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { checkFloors } from "./check-floors.ts";
import { checkReach } from "./check-reach.ts";

const root = dirname(import.meta.dirname);

const checks: Readonly<Record<string, () => string[] | Promise<string[]>>> = {
  floors: () => checkFloors(root),
  reach: () => checkReach(root),
  types: () => command("tsc", "-p", "."),
  "types of the webmail": () => command("tsc", "-p", "web"),
  format: () => command("biome", "check", "--error-on-warnings", "."),
  lint: () => command("oxlint", "--type-aware", "--quiet"),
  "dead code": () => command("knip", "--no-progress"),
};

function command(name: string, ...args: string[]): string[] {
  const options = { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } } as const;
  const { status, stdout, stderr } = spawnSync(`node_modules/.bin/${name}`, args, options);
  return status === 0
    ? []
    : `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
}

let failed = 0;
for (const [name, run] of Object.entries(checks)) {
  const startedAt = performance.now();
  const findings = await run();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.error(`${findings.length === 0 ? "ok  " : "FAIL"}  ${name} (${seconds} s)`);
  for (const finding of findings.slice(0, 60)) console.error(`      ${finding}`);
  if (findings.length > 0) failed += 1;
}
process.exitCode = failed > 0 ? 1 : 0;
