/** An installation on two machines, each a data folder with an address of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { application, freePorts, type Ready, runCli } from "./installation.ts";

/** How a program is started: here, or in a network namespace. */
export type Start = (args: readonly string[]) => ChildProcess;

export interface Machine {
  readonly data: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  ready(): Ready;
  /** What its programs have logged. */
  log(): string;
  /** The postern command on its folder. */
  command(...args: string[]): ChildProcess;
  cli(...args: string[]): ReturnType<typeof runCli>;
}

export const startHere: Start = (args) =>
  spawn(process.execPath, args, { cwd: application, stdio: ["ignore", "pipe", "pipe"] });

/** @param role "hub" or "edge", as the command calls it */
export function machine(
  role: "hub" | "edge",
  {
    data,
    config,
    start,
  }: { readonly data: string; readonly config: string; readonly start: Start },
): Machine {
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, "postern.toml"), config);
  const readyFile = join(data, "ready.json");
  let running: ChildProcess | undefined;
  let said = "";
  const command = (...args: string[]): ChildProcess =>
    start([join(application, "programs/postern.ts"), "--data", data, ...args]);
  const log = (): string => {
    const logs = join(data, "logs");
    const names = existsSync(logs) ? readdirSync(logs) : [];
    return said + names.map((name) => readFileSync(join(logs, name), "utf8")).join("");
  };
  return {
    data,
    log,
    command,
    cli: (...args) => runCli(data, args),
    ready: () => JSON.parse(readFileSync(readyFile, "utf8")) as Ready,
    async start() {
      const child = command(role);
      running = child;
      child.stdout?.resume();
      child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const deadlineMs = Date.now() + 60_000;
      while (!existsSync(readyFile)) {
        if (child.exitCode !== null) throw new Error(`${role} ended:\n${log()}`);
        if (Date.now() > deadlineMs) throw new Error(`${role} is not ready:\n${log()}`);
        await pause(50);
      }
    },
    async stop() {
      const child = running;
      running = undefined;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

export interface Split extends AsyncDisposable {
  readonly inside: Machine;
  readonly edge: Machine;
  readonly ports: { readonly linkSmtp: number; readonly linkWeb: number };
}

export const edgeAddress = "127.0.0.2";
export const insideAddress = "127.0.0.3";

/** Both machines with their configuration; neither runs, nor knows the other. */
export async function makeSplit(more: { inside?: string; edge?: string } = {}): Promise<Split> {
  const folder = mkdtempSync(join(tmpdir(), "postern-split-"));
  const [smtp, https, linkSmtp = 0, linkWeb = 0, submission, imap, console_] = await freePorts(7);
  const edge = `[listen]
smtp = "${edgeAddress}:${smtp}"
https = "${edgeAddress}:${https}"
linkSmtp = "${edgeAddress}:${linkSmtp}"
linkWeb = "${edgeAddress}:${linkWeb}"
${more.edge ?? ""}`;
  const inside = `[site]
domain = "us.test"
[listen]
submission = "${insideAddress}:${submission}"
imap = "${insideAddress}:${imap}"
console = "${insideAddress}:${console_}"
${more.inside ?? ""}`;
  const machines = {
    inside: machine("hub", { data: join(folder, "inside"), config: inside, start: startHere }),
    edge: machine("edge", { data: join(folder, "edge"), config: edge, start: startHere }),
  };
  return {
    ...machines,
    ports: { linkSmtp, linkWeb },
    async [Symbol.asyncDispose]() {
      await machines.edge.stop();
      await machines.inside.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

export interface Invited {
  readonly token: string;
  readonly ended: Promise<Ended>;
  readonly child: ChildProcess;
}

/** `postern edge invite` while it waits. */
export async function invite(inside: Machine, ...args: string[]): Promise<Invited> {
  const child = inside.command("edge", "invite", ...args);
  const ended = endOf(child);
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  const first = once(lines, "line").then(([line]) => String(line));
  const token = await Promise.race([first, ended.then(({ stderr }) => `failed: ${stderr}`)]);
  return { token, ended, child };
}

/** `postern edge enrol`, to its end. */
export function enrol(edge: Machine, token: string, ...args: string[]): Promise<Ended> {
  const child = edge.command("edge", "enrol", token, ...args);
  child.stdout?.resume();
  return endOf(child);
}

async function endOf(child: ChildProcess): Promise<Ended> {
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr };
}
