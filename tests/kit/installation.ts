/** A whole installation in a temporary folder on free ports, started as an administrator would. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Endpoint } from "#base/net";

export const application: string = dirname(dirname(import.meta.dirname));

export interface Ready {
  readonly version: string;
  readonly pids: Readonly<Record<"edge-smtp" | "edge-web" | "hub" | "keyring", number>>;
  readonly smtp: Endpoint;
  readonly submission: Endpoint;
  readonly imap: Endpoint;
  readonly https: { readonly url: string };
  readonly console: { readonly url: string; readonly token: string };
  readonly ca: string;
  readonly domain: string;
  readonly accounts: readonly { readonly address: string; readonly password: string }[];
  readonly storeDir: string;
  readonly edgeDir: string;
}

export interface Installation extends AsyncDisposable {
  readonly data: string;
  /** ready.json as it is now: pids change when a program is started again. */
  ready(): Ready;
  readonly supervisor: ChildProcess;
  /** What the programs wrote to stderr so far. */
  log(): string;
  /** Runs the postern command on this installation. */
  cli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  stop(): Promise<number | null>;
}

export interface InstallationOptions {
  /** More sections of postern.toml. */
  readonly config?: string;
  /** More doors of its [listen]. */
  readonly listen?: Readonly<Record<string, string>>;
  /** An existing folder to start on. */
  readonly data?: string;
  readonly args?: readonly string[];
}

const doors = ["smtp", "https", "submission", "imap", "console", "linkSmtp", "linkWeb"] as const;

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    ports.push(typeof address === "object" && address !== null ? address.port : 0);
  }
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

export async function startInstallation(options: InstallationOptions = {}): Promise<Installation> {
  const data = options.data ?? mkdtempSync(join(tmpdir(), "postern-"));
  const configFile = join(data, "postern.toml");
  if (!existsSync(configFile)) {
    const ports = await freePorts(doors.length);
    const listen = doors.map((door, index) => `${door} = "127.0.0.1:${ports[index]}"`);
    for (const [door, at] of Object.entries(options.listen ?? {})) listen.push(`${door} = "${at}"`);
    const config = `[listen]\n${listen.join("\n")}\n\n${options.config ?? ""}\n`;
    writeFileSync(configFile, config);
  }
  const args = ["programs/postern.ts", "up", "--data", data, ...(options.args ?? [])];
  const supervisor = spawn(process.execPath, args, {
    cwd: application,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  supervisor.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString("utf8");
  });
  supervisor.stdout.resume();
  const readyFile = join(data, "ready.json");
  await untilReady(supervisor, readyFile, () => log + programLogs(data));
  const stop = async (): Promise<number | null> => {
    if (supervisor.exitCode !== null || supervisor.signalCode !== null) return supervisor.exitCode;
    supervisor.kill("SIGTERM");
    await once(supervisor, "exit");
    return supervisor.exitCode;
  };
  return {
    data,
    supervisor,
    ready: () => JSON.parse(readFileSync(readyFile, "utf8")) as Ready,
    log: () => log + programLogs(data),
    cli: (...commandArgs) => runCli(data, commandArgs),
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      if (options.data === undefined) rmSync(data, { recursive: true, force: true });
    },
  };
}

function programLogs(data: string): string {
  const folder = join(data, "logs");
  if (!existsSync(folder)) return "";
  return readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), "utf8"))
    .join("");
}

async function untilReady(child: ChildProcess, file: string, log: () => string): Promise<void> {
  const deadlineMs = Date.now() + 60_000;
  while (!existsSync(file)) {
    if (child.exitCode !== null)
      throw new Error(`postern up ended with ${child.exitCode}:\n${log()}`);
    if (Date.now() > deadlineMs) {
      child.kill("SIGTERM");
      throw new Error(`postern up is not ready after a minute:\n${log()}`);
    }
    await pause(50);
  }
}

export function runCli(
  data: string,
  args: readonly string[],
  input?: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const all = [join(application, "programs/postern.ts"), "--data", data, ...args];
    const child = execFile(process.execPath, all, { timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, stdout, stderr });
    });
    child.stdin?.end(input ?? "");
  });
}
