/** The separate verifier as an auditor runs it: a child process that gets files and nothing else. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { application } from "./installation.ts";

const program = join(application, "verifier/postern-verify.mjs");

export interface Verified {
  readonly code: number | null;
  readonly out: string;
}

/** @param node another Node than the one that runs the tests */
export function verify(args: readonly string[], node: string = process.execPath): Verified {
  const { status, stdout, stderr } = spawnSync(node, [program, ...args], { encoding: "utf8" });
  assert.equal(stderr, "", `${args.join(" ")}: ${stdout}`);
  return { code: status, out: stdout };
}

export function holds({ code, out }: Verified, ...what: readonly RegExp[]): void {
  for (const one of what) assert.match(out, one);
  assert.equal(code, 0, out);
}

/** @returns what the verifier says is wrong */
export function refused({ code, out }: Verified, why: RegExp): string {
  assert.match(out, why);
  assert.equal(code, 1, out);
  return /^NOT PROVED\. (.*)/m.exec(out)?.[1] ?? assert.fail(out);
}

/** The machine's own Node, when it has one that the verifier promises to run on. */
export function otherNode(): string | undefined {
  const path = "/usr/bin/node";
  try {
    const version = execFileSync(path, ["-p", "process.versions.node"], { encoding: "utf8" });
    return Number(version.split(".")[0]) >= 20 ? path : undefined;
  } catch {
    return undefined;
  }
}
