import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Misconfigured } from "#base/errors";
import { socketLock } from "./lock.ts";

test("socketLock() is held against other processes and goes with a killed one (D13)", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "postern-lock-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = `
    const { socketLock } = await import(${JSON.stringify(import.meta.resolve("./lock.ts"))});
    await socketLock(process.argv[1]);
    console.log("held");
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  await assert.rejects(socketLock(join(folder, ".")), Misconfigured);
  child.kill("SIGKILL");
  await once(child, "exit");
  await using held = await socketLock(folder);
  assert.ok(held);
});
