import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { keepRunning } from "./child.ts";

test("a program is its own process group: Ctrl-C at a terminal does not end it before its turn", async () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-child-"));
  const program = join(folder, "program.mjs");
  writeFileSync(program, 'console.log("ready"); process.stdin.resume();');
  const plan = {
    ...{ name: "keyring", flags: [], program, settingsFile: "none", cwd: folder },
    ...{ logFile: join(folder, "log"), readyWords: ["ready"] },
  } as const;
  const child = keepRunning(plan, systemClock, () => {}, assert.fail);
  try {
    await child.ready;
    const pid = child.pid();
    const [, , group] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    assert.equal(Number(group), pid);
  } finally {
    await child.stop();
    rmSync(folder, { recursive: true });
  }
});

test("a program sees the service manager's credentials only when it is meant to", async () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-child-"));
  const program = join(folder, "program.mjs");
  writeFileSync(
    program,
    'console.log(process.env.CREDENTIALS_DIRECTORY ?? "none"); process.stdin.resume();',
  );
  process.env["CREDENTIALS_DIRECTORY"] = "/run/credentials/test";
  try {
    for (const credentials of ["/run/credentials/test", undefined]) {
      const plan = {
        ...{ name: "keyring", flags: [], program, settingsFile: "none", cwd: folder },
        ...{ logFile: join(folder, "log"), readyWords: [credentials ?? "none"] },
        ...(credentials !== undefined && { credentials }),
      };
      const child = keepRunning(plan, systemClock, () => {}, assert.fail);
      await child.ready;
      await child.stop();
    }
  } finally {
    delete process.env["CREDENTIALS_DIRECTORY"];
    rmSync(folder, { recursive: true });
  }
});

/** What is told of a program whose last line says that. */
async function toldOf(why: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "postern-child-"));
  const program = join(folder, "program.mjs");
  writeFileSync(
    program,
    `console.error('${JSON.stringify({ why }).replace("\\n", "\\\\n")}'); process.exit(78);`,
  );
  try {
    return await new Promise<string>((resolve) => {
      const plan = { name: "edge-smtp", flags: [], program, settingsFile: "none", cwd: folder };
      const more = { logFile: join(folder, "log"), readyWords: ["ready"] };
      keepRunning({ ...plan, ...more }, systemClock, () => {}, resolve);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a port that is taken is told in words, with what to do, and nothing else is written", async () => {
  assert.equal(
    await toldOf("Error: listen EADDRINUSE: address already in use 127.0.0.1:25\n    at Server"),
    "edge-smtp cannot start: something else listens on 127.0.0.1:25: end it, or write another port into postern.toml",
  );
});

test("a port below 1024 is told with what opens it, root or not", async () => {
  assert.equal(
    await toldOf("Error: listen EACCES: permission denied 203.0.113.10:25\n    at Server"),
    "edge-smtp cannot start: 203.0.113.10:25: ports below 1024 need sysctl -w net.ipv4.ip_unprivileged_port_start=25, or the units (docs/deployment.md)",
  );
});

test("a socket whose folder is not there is not told as a port", async () => {
  assert.equal(
    await toldOf("Error: listen EACCES: permission denied /gone/sendmail.sock\n    at Server"),
    "edge-smtp cannot start: /gone/sendmail.sock: its folder is not there, or this user may not write there",
  );
});
