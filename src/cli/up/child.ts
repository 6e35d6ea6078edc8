/** One program of the installation: started, watched, started again when it dies. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Clock } from "#base/clock";

export interface ChildPlan {
  readonly name: string;
  readonly flags: readonly string[];
  readonly program: string;
  readonly settingsFile: string;
  /** User and group to run as; our own when absent. */
  readonly uid?: number;
  /** The service manager's folder of credentials, for the one program that may see it. */
  readonly credentials?: string;
  /** Working folder. */
  readonly cwd: string;
  /** Where its log goes, which it would otherwise write to standard error. */
  readonly logFile: string;
  /** A link to wait for before the child counts as ready: what it says on stdout. */
  readonly readyWords: readonly string[];
}

export interface Child {
  readonly name: string;
  pid(): number | undefined;
  readonly restarts: number;
  /** Resolves when every ready word was said since the first start. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

const firstDelayMs = 50;
const triesToStart = 3;
const longestDelayMs = 5000;

/**
 * A child that dies is started again at once, then ever more slowly. It ends by itself when we are
 * gone, because its standard input closes.
 *
 * @param onChange called with every new pid
 */
export function keepRunning(
  plan: ChildPlan,
  clock: Clock,
  onChange: () => void,
  onFatal: (why: string) => void,
): Child {
  let process_: ChildProcess | undefined;
  let stopping = false;
  let delayMs = firstDelayMs;
  let restarts = -1;
  const missing = new Set(plan.readyWords);
  const { promise: ready, resolve: becomeReady } = Promise.withResolvers<void>();

  const start = (): void => {
    restarts += 1;
    const child = launch(plan);
    process_ = child;
    onChange();
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        // It serves again: whatever ends it next is a new event, not the same failure.
        if (line.trim() === plan.readyWords[0]) delayMs = firstDelayMs;
        missing.delete(line.trim());
        if (missing.size === 0) becomeReady();
      });
    }
    child.once("exit", (code, signal) => {
      process_ = undefined;
      if (stopping) return;
      // 78: the settings are wrong, or somebody else has the folder. Starting again mends nothing,
      // nor does it for a program that never once came up.
      if (code === 78 || (missing.size > 0 && restarts >= triesToStart)) {
        return onFatal(`${plan.name} cannot start: ${lastWords(plan.logFile)}`);
      }
      const delayNowMs = delayMs;
      delayMs = Math.min(delayMs * 2, longestDelayMs);
      // Of one that never came up, the last try is told, with its reason.
      if (missing.size === 0) sayEnded(plan.name, code, signal);
      clock.after(delayNowMs, () => {
        if (!stopping) start();
      });
    });
  };
  start();
  return {
    name: plan.name,
    pid: () => process_?.pid,
    get restarts() {
      return restarts;
    },
    ready,
    stop: async () => {
      stopping = true;
      const child = process_;
      if (child === undefined || child.exitCode !== null) return;
      const gone = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
      child.kill("SIGTERM");
      const forced = setTimeout(() => child.kill("SIGKILL"), 35_000);
      await gone;
      clearTimeout(forced);
    },
  };
}

function sayEnded(child: string, code: number | null, signal: string | null): void {
  const line = { level: "warn", program: "up", event: "up.child-ended", child, code, signal };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

function launch(plan: ChildPlan): ChildProcess {
  const args = [...plan.flags, plan.program, "--settings", plan.settingsFile];
  const { NODE_COMPILE_CACHE, TZ, LANG } = process.env;
  const log = openLog(plan.logFile);
  const child = spawn(process.execPath, args, {
    // Nothing of our environment but what Node needs: no NODE_OPTIONS, no secrets.
    env: {
      ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }),
      ...(TZ && { TZ }),
      ...(LANG && { LANG }),
      ...(plan.credentials !== undefined && { CREDENTIALS_DIRECTORY: plan.credentials }),
    },
    stdio: ["pipe", "pipe", log],
    // Its own process group: Ctrl-C at a terminal reaches us alone, and we stop them in order.
    detached: true,
    cwd: plan.cwd,
    ...(plan.uid !== undefined && { uid: plan.uid, gid: plan.uid }),
  });
  closeSync(log);
  return child;
}

/** What a program that ended wrote last, for the one who reads the terminal. */
function lastWords(logFile: string): string {
  const line = readFileSync(logFile, "utf8").trimEnd().split("\n").at(-1) ?? "";
  try {
    const { why } = JSON.parse(line) as { why?: string };
    return why === undefined ? line : inWords(why.split("\n")[0] ?? "");
  } catch {
    return line;
  }
}

function inWords(why: string): string {
  const [, code, at] = /\blisten (EADDRINUSE|EADDRNOTAVAIL|EACCES)\b.* (\S+)$/.exec(why) ?? [];
  if (code === "EADDRINUSE") {
    return `something else listens on ${at}: end it, or write another port into postern.toml`;
  }
  if (code === "EADDRNOTAVAIL") return `${at} is not an address of this machine (postern.toml)`;
  // Of a socket's path the system says the same for a folder that is not there.
  if (code === "EACCES" && at?.startsWith("/")) {
    return `${at}: its folder is not there, or this user may not write there`;
  }
  if (code === "EACCES") return `${at}: ${lowPort(at?.split(":").at(-1) ?? "")}`;
  return why.replace(/^Misconfigured: /, "");
}

/** The edge has no privilege, whoever starts it. */
function lowPort(port: string): string {
  return `ports below 1024 need sysctl -w net.ipv4.ip_unprivileged_port_start=${port}, or the units (docs/deployment.md)`;
}

/** A log beyond this starts anew; the one before is kept. */
const maxLogBytes = 64 * 1024 * 1024;

function openLog(path: string): number {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > maxLogBytes) {
    renameSync(path, `${path}.old`);
  }
  return openSync(path, "a", 0o600);
}
