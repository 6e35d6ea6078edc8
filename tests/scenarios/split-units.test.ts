import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { freePorts, runCli } from "../kit/installation.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";
import { allowedCalls, Unit, unitToolsMissing, usersOf } from "../kit/unit-launcher.ts";

/** What `systemd-analyze security` gave when this was written (systemd 252), rounded up. */
const ceilings = { "edge-smtp": 1.1, "edge-web": 1.1, hub: 1.2, keyring: 0.3 } as const;
type Name = keyof typeof ceilings;
/** Calls that a filter refuses to a program at work, which does without. */
const refused: Readonly<Record<Name, readonly string[]>> = {
  "edge-smtp": [],
  "edge-web": [],
  hub: [],
  keyring: ["connect"], // asks whether another one serves already; systemd starts one only
};
const names: readonly Name[] = ["keyring", "hub", "edge-smtp", "edge-web"];

let data: string;
let units: string;
let ports: { readonly [Door in (typeof doors)[number]]: number };
const doors = ["smtp", "https", "submission", "imap", "console", "linkSmtp", "linkWeb"] as const;

const unitOf = (name: Name): Unit => new Unit(units, `postern-${name}.service`);

before(async () => {
  data = mkdtempSync(join(tmpdir(), "postern-units-"));
  chmodSync(data, 0o755);
  units = join(data, "units");
  const free = await freePorts(doors.length);
  ports = Object.fromEntries(doors.map((door, at) => [door, free[at] ?? 0])) as typeof ports;
  const listen = doors.map((door) => `${door} = "127.0.0.1:${ports[door]}"`).join("\n");
  writeFileSync(join(data, "postern.toml"), `[site]\ndomain = "us.test"\n[listen]\n${listen}\n`);
  const made = await runCli(data, ["units", "--role", "all", "--out", units]);
  assert.equal(made.code, 0, made.stderr);
});

after(() => rmSync(data, { recursive: true, force: true }));

describe("the units", { skip: unitToolsMissing }, () => {
  test("are understood by systemd, every line", () => {
    const files = readdirSync(units).filter((name) => !name.endsWith(".sysusers"));
    assert.equal(files.length, 9);
    const verified = spawnSync(
      "systemd-analyze",
      ["verify", "--man=no", ...files.map((name) => join(units, name))],
      { encoding: "utf8" },
    );
    assert.equal(verified.stderr.trim(), "");
    assert.equal(verified.status, 0);
  });

  for (const name of names) {
    test(`postern-${name}.service is exposed no more than ${ceilings[name]}`, () => {
      const path = join(units, `postern-${name}.service`);
      const args = ["security", "--offline=true", "--no-pager", path];
      const said = execFileSync("systemd-analyze", args, { encoding: "utf8" });
      const level = Number(/exposure level for \S+: ([\d.]+)/.exec(said)?.[1]);
      assert.ok(level <= ceilings[name], `${level}`);
    });
  }

  test("give no program a capability, and none of the DMZ the way to dial inward", () => {
    for (const name of names) {
      const unit = unitOf(name);
      assert.deepEqual(unit.values("CapabilityBoundingSet"), [""]);
      assert.equal(unit.values("User")[0], `postern-${name}`);
      assert.deepEqual(unit.values("ReadWritePaths").length, 1);
    }
    assert.ok(!allowedCalls(unitOf("edge-web")).has("connect"));
    assert.ok(!allowedCalls(unitOf("keyring")).has("connect"));
    assert.ok(allowedCalls(unitOf("hub")).has("connect"));
  });
});

describe("the programs as services", { skip: unitToolsMissing }, () => {
  const running = new Map<Name, ChildProcess>();
  let log = "";

  after(async () => {
    for (const child of running.values()) if (child.exitCode === null) child.kill("SIGKILL");
  });

  test("four users, sockets from the service manager: mail comes in, and no call is beyond the filters", async (t) => {
    const users = usersOf(readFileSync(join(units, "postern.sysusers"), "utf8"));
    assert.equal(users.size, 4);
    mkdirSync(join(data, "calls"));
    chmodSync(join(data, "calls"), 0o777); // each tracer runs as its program's user
    for (const name of names) {
      const unit = unitOf(name);
      await unit.prepare();
      const child = unit.start(users, join(data, "calls", name));
      child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
      child.stdout?.resume();
      running.set(name, child);
    }
    // The first connection to a socket starts its program.
    for (const door of ["imap", "https"] as const) knock(ports[door]);
    const domain = await untilDone(() => runCli(data, ["domain", "add", "us.test"]));
    assert.equal(domain.code, 0, domain.stderr + log);
    const made = await untilDone(() =>
      runCli(data, ["account", "add", "ana@us.test"], "a long pass phrase\n"),
    );
    assert.equal(made.code, 0, made.stderr + log);
    const octets = plainMessage({ from: "a@localhost", to: "ana@us.test", marker: "units@test" });
    const to = { host: "127.0.0.1", port: ports.smtp };
    const replies: (string | undefined)[] = [];
    while (!replies.at(-1)?.startsWith("250") && replies.length < 40) {
      replies.push(await sendMail(to, { from: "a@localhost", to: ["ana@us.test"], octets }));
      await pause(500);
    }
    assert.match(replies.at(-1) ?? "", /^250 /, `${replies.join("\n")}\n${log}`);
    for (const [name, child] of running) {
      assert.equal(child.exitCode, null, `${name}: ${log}`);
      assert.equal(ownerOf(child.pid ?? 0), users.get(`postern-${name}`));
    }
    for (const child of [...running.values()].reverse()) {
      const gone = once(child, "exit");
      if (child.exitCode === null && child.kill("SIGTERM")) await gone;
    }
    for (const name of names) {
      const { denied, calls } = await deniedCalls(name);
      t.diagnostic(
        `${name}: ${calls} system calls, beyond the filter: ${denied.join(" ") || "none"}`,
      );
      assert.ok(calls > 30);
      assert.deepEqual(denied, refused[name]);
    }
  });

  async function deniedCalls(
    name: Name,
  ): Promise<{ readonly denied: string[]; readonly calls: number }> {
    const counted = (): string => readFileSync(join(data, "calls", name), "utf8");
    // The tracer, which is no child of ours, writes after its program is gone.
    while (!/ total\n/.test(counted())) await pause(20);
    const lines = counted().split("\n").slice(2);
    const used = lines
      .map((line) => line.trim().split(/\s+/).at(-1) ?? "")
      .filter((one) => /^[a-z_0-9]+$/.test(one) && one !== "total");
    const allowed = allowedCalls(unitOf(name));
    return { denied: used.filter((one) => !allowed.has(one)), calls: used.length };
  }
});

function knock(port: number): void {
  spawnSync("curl", ["-sk", "--max-time", "1", `https://127.0.0.1:${port}/`]);
}

async function untilDone<Value extends { readonly code: number }>(
  act: () => Promise<Value>,
): Promise<Value> {
  for (let tries = 0; ; tries += 1) {
    const value = await act();
    if (value.code === 0 || tries > 20) return value;
    await pause(500);
  }
}

function ownerOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^Uid:\t(\d+)/m.exec(status)?.[1]);
}
