/** All programs on this machine: each its own process behind its own fence, watched together. */

import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/clock";
import { startFlags } from "#base/fence";
import type { Manifest } from "#contracts/manifest";
import { type Child, type ChildPlan, keepRunning } from "./child.ts";
import { credentialsFolder, grantsOf } from "./grants.ts";
import { folderOf, type Layout } from "./layout.ts";
import { type ProgramName, programsOf, type Role } from "./roles.ts";
import { writePrivate } from "./secrets.ts";
import type { AllSettings } from "./settings.ts";
import { handOver, userOf } from "./users.ts";

export interface Supervisor {
  /** Rejects when a program refuses to start. */
  readonly ready: Promise<void>;
  pids(): Readonly<Record<string, number>>;
  /** Starts the program again, with these settings. */
  renew(name: ProgramName, settings: Partial<AllSettings>): void;
  stop(): Promise<void>;
}

/** What each program says on stdout before it counts as ready. */
const readyWords: Readonly<Record<ProgramName, readonly string[]>> = {
  keyring: ["ready"],
  "edge-smtp": ["ready"],
  "edge-web": ["ready"],
  hub: ["ready", "linked edge-smtp", "linked edge-web"],
};

/** An edge on another machine may be down: the hub does not wait for it. */
function wordsOf(name: ProgramName, role: Role): readonly string[] {
  return role === "all" ? readyWords[name] : ["ready"];
}

export interface Programs {
  readonly role: Role;
  readonly layout: Layout;
  readonly application: string;
  readonly settings: Partial<AllSettings>;
  readonly manifests: Readonly<Record<ProgramName, Manifest>>;
  readonly clock: Clock;
  /** Told after each start or restart of a program. */
  readonly onPids: () => void;
}

/** Starts everything; the programs find each other in whatever order they come up. */
export function superviseAll(programs: Programs): Supervisor {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const children = programsOf[programs.role].map((name) =>
    keepRunning(planOf(name, programs), programs.clock, programs.onPids, (why) =>
      failed.reject(new Error(why)),
    ),
  );
  // When all children are dead at once, only timers are left, and those do not keep us alive.
  const alive = setInterval(() => {}, 2 ** 30);
  const ready = Promise.all(children.map((child) => child.ready)).then(() => undefined);
  return {
    ready: Promise.race([ready, failed.promise]),
    pids: () => pidsOf(children),
    renew(name, settings) {
      writeSettings(name, programs.layout, settings);
      const pid = children.find((child) => child.name === name)?.pid();
      if (pid !== undefined) process.kill(pid, "SIGTERM");
    },
    async stop() {
      // The doors close first, then what they lead to, so that nothing accepted is without a home.
      const order = ["edge-smtp", "edge-web", "hub", "keyring"];
      for (const name of order) await children.find((child) => child.name === name)?.stop();
      clearInterval(alive);
    },
  };
}

function pidsOf(children: readonly Child[]): Record<string, number> {
  return Object.fromEntries(
    children.flatMap((child) => {
      const pid = child.pid();
      return pid === undefined ? [] : [[child.name, pid]];
    }),
  );
}

/** Returns the path of the file. */
export function writeSettings(
  name: ProgramName,
  layout: Layout,
  settings: Partial<AllSettings>,
): string {
  const path = join(folderOf(name, layout), "settings.json");
  writePrivate(path, JSON.stringify(settings[name], null, 2));
  return path;
}

function planOf(name: ProgramName, programs: Programs): ChildPlan {
  const own = folderOf(name, programs.layout);
  const settingsFile = writeSettings(name, programs.layout, programs.settings);
  const { application, manifests, layout } = programs;
  const uid = userOf(name, application, layout.data);
  const grants = grantsOf(name, programs.settings[name]);
  const credentials = name === "keyring" ? credentialsFolder() : undefined;
  if (uid !== undefined) handOver(own, layout.data, uid);
  return {
    name,
    flags: startFlags(manifests[name], { application, folder: own }, grants),
    program: join(application, `programs/${name}.ts`),
    settingsFile,
    cwd: application,
    ...(uid !== undefined && { uid }),
    ...(credentials !== undefined && { credentials }),
    logFile: join(programs.layout.logs, `${name}.log`),
    readyWords: wordsOf(name, programs.role),
  };
}

/** ready.json appears whole or not at all, and only its owner reads it. */
export function writeReady(path: string, facts: object): void {
  const next = `${path}.next`;
  writeFileSync(next, `${JSON.stringify(facts, null, 2)}\n`, { mode: 0o600 });
  chmodSync(next, 0o600);
  renameSync(next, path);
}

export function removeReady(path: string): void {
  rmSync(path, { force: true });
}
