/** CPU time and memory of everything a server started, children that came and went included. */

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { interrupted } from "./interrupt.ts";

const base = "/sys/fs/cgroup";
/** Version 1 keeps one tree per controller, version 2 one for all. */
const isV1 = existsSync(join(base, "cpuacct"));

export interface ControlGroup extends Disposable {
  /** Processes that this process starts from now on belong to the group, until `leave()`. */
  enter(): void;
  leave(): void;
  cpuSeconds(): number;
  anonymousMiB(): number;
}

/** Needs root. @param name one path segment */
export function controlGroup(name: string): ControlGroup {
  const folders = isV1
    ? [join(base, "cpuacct", name), join(base, "memory", name)]
    : [join(base, name)];
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  const home = isV1 ? [join(base, "cpuacct"), join(base, "memory")] : [base];
  const move = (targets: readonly string[]): void => {
    for (const target of targets) writeFileSync(join(target, "cgroup.procs"), String(process.pid));
  };
  const read = (folder: string, file: string): string => readFileSync(join(folder, file), "latin1");
  const [cpu = "", memory = cpu] = folders;
  return {
    enter: () => move(folders),
    leave: () => move(home),
    cpuSeconds: () =>
      isV1
        ? Number(read(cpu, "cpuacct.usage")) / 1e9
        : Number(/usage_usec (\d+)/.exec(read(cpu, "cpu.stat"))?.[1]) / 1e6,
    anonymousMiB: () => {
      const stat = read(memory, "memory.stat");
      return Number((isV1 ? /total_rss (\d+)/ : /anon (\d+)/).exec(stat)?.[1]) / 1_048_576;
    },
    [Symbol.dispose]() {
      for (const folder of folders) {
        try {
          rmdirSync(folder);
        } catch {
          // Somebody is still in it: the next run uses it again.
        }
      }
    },
  };
}

/** Waits until the group has done what it still had to do. */
export async function idle(group: ControlGroup): Promise<void> {
  let before = group.cpuSeconds();
  for (let quiet = 0; quiet < 4; ) {
    await pause(200, undefined, { signal: interrupted });
    const now = group.cpuSeconds();
    quiet = now - before > 0.008 ? 0 : quiet + 1;
    before = now;
  }
}
