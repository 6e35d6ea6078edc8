/** What must hold before anything lands: the static checks, then every test. */

import { spawnSync } from "node:child_process";
import { dirname } from "node:path";

const root = dirname(import.meta.dirname);
// Tests that want root or a browser say so themselves; two at a time suits two cores.
const tests = ["--test", "--test-concurrency=2", "--test-timeout=300000"];
const where = process.argv.slice(2);
const globs =
  where.length > 0 ? where : ["src/**/*.test.ts", "tools/**/*.test.ts", "tests/**/*.test.ts"];

const steps = [["tools/check.ts"], [...tests, ...globs]];
for (const args of where.length > 0 ? steps.slice(1) : steps) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
