/** Starts a systemd unit where no systemd runs: its users, sockets and commands, not its sandbox. */

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const activator = "/usr/bin/systemd-socket-activate";

export const unitToolsMissing: string | false =
  process.getuid?.() !== 0
    ? "only root may choose users"
    : [activator, "/usr/bin/systemd-analyze", "/usr/bin/setpriv", "/usr/bin/strace"].every(
          existsSync,
        )
      ? false
      : "systemd's tools or strace are not here";

export class Unit {
  readonly text: string;
  readonly #folder: string;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.text = readFileSync(join(folder, name), "utf8");
  }

  values(key: string): string[] {
    return [...this.text.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(
      ([, value]) => value ?? "",
    );
  }

  /** `ExecStartPre=+`: as root. */
  async prepare(): Promise<void> {
    for (const line of this.values("ExecStartPre")) {
      const [program = "", ...args] = line.replace(/^\+/, "").split(" ");
      await run(program, args, { timeout: 60_000 });
    }
  }

  /** @param traced file that is told every system call with its count, when the program has ended */
  start(numbers: ReadonlyMap<string, number>, traced?: string): ChildProcess {
    const id = (name = ""): string => String(numbers.get(name) ?? 65_534);
    const [user, group] = [id(this.values("User")[0]), id(this.values("Group")[0])];
    const more = this.values("SupplementaryGroups").map((name) => id(name));
    const groups = more.length === 0 ? ["--clear-groups"] : ["--groups", more.join(",")];
    const drop = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"];
    const command = [
      ...["setpriv", "--reuid", user, "--regid", group, ...groups, ...drop],
      // The tracer is a grandchild: the program keeps the process id that its sockets are meant for.
      ...(traced === undefined ? [] : ["strace", "-D", "-f", "-c", "-S", "name", "-o", traced]),
      ...(this.values("ExecStart")[0] ?? "").split(" "),
    ];
    const [cwd = "/"] = this.values("WorkingDirectory");
    return spawn("/usr/bin/env", ["-i", ...this.#activation(), ...command], {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  #activation(): string[] {
    const sockets = (this.values("Requires")[0] ?? "").split(" ").filter((one) => one !== "");
    const units = sockets
      .filter((name) => name.endsWith(".socket"))
      .map((name) => new Unit(this.#folder, name));
    if (units.length === 0) return [];
    const listen = units.flatMap((unit) => ["-l", unit.values("ListenStream")[0] ?? ""]);
    const names = units.map((unit) => unit.values("FileDescriptorName")[0]).join(":");
    return [activator, ...listen, `--fdname=${names}`];
  }
}

/** User names of sysusers.d(5) and their numbers. */
export function usersOf(sysusers: string): ReadonlyMap<string, number> {
  const lines = [...sysusers.matchAll(/^u (\S+) (\d+) /gm)];
  return new Map(lines.map(([, name = "", number]) => [name, Number(number)]));
}

/** Every system call that the filters of a unit let through. */
export function allowedCalls(unit: Unit): ReadonlySet<string> {
  const allowed = new Set<string>();
  for (const filter of unit.values("SystemCallFilter")) {
    const isDenial = filter.startsWith("~");
    for (const one of filter.replace("~", "").split(" ").flatMap(callsOf)) {
      if (isDenial) allowed.delete(one);
      else allowed.add(one);
    }
  }
  return allowed;
}

function callsOf(name: string): string[] {
  if (!name.startsWith("@")) return [name];
  const text = execFileSync("systemd-analyze", ["syscall-filter", name], { encoding: "utf8" });
  return text
    .split("\n")
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .flatMap(callsOf);
}
