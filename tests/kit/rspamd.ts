/** A real rspamd on loopback with its own rules only: no redis, no network, no privileges. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Endpoint } from "#base/net";
import { freePorts } from "./installation.ts";

export interface Daemon extends AsyncDisposable {
  readonly port: number;
  /** Its own; removed when it stops. */
  readonly folder: string;
}

/** Why there can be none here, or false. */
export const noRspamd: string | false = existsSync("/usr/bin/rspamd")
  ? false
  : "needs the package rspamd";

/**
 * @param lua statements run beside rspamd's rules, to register symbols of the test's own
 * @param dns a name server; with one, rspamd checks SPF, DKIM, DMARC and ARC too
 * @param milter whether it takes a mail server's milter connections too, by "milter.sock" in its folder
 */
export async function startRspamd(lua = "", dns?: Endpoint, milter = false): Promise<Daemon> {
  return startDaemon("rspamd", (folder, port) => {
    const config = join(folder, "rspamd.conf");
    const workers = milter ? milterWorker(folder) : "";
    writeFileSync(config, configuration(folder, port, dns) + workers);
    writeFileSync(join(folder, "rspamd.local.lua"), lua);
    // The whole public suffix list takes rspamd longer to compile than all tests together.
    writeFileSync(join(folder, "domains"), "com\nexample\nnet\norg\n");
    // What the machine's administrator set beside the packaged configuration stays out.
    const own = ["LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR"].map(
      (name) => `--var=${name}=${folder}`,
    );
    return ["/usr/bin/rspamd", "--no-fork", `--config=${config}`, ...own];
  });
}

function milterWorker(folder: string): string {
  return `worker "rspamd_proxy" {
  bind_socket = "${folder}/milter.sock mode=0666";
  milter = yes;
  count = 1;
  upstream "local" { default = yes; self_scan = yes; }
}
`;
}

/** Without a name server nothing answers at its address: a lookup fails at once. */
function configuration(folder: string, port: number, dns: Endpoint | undefined): string {
  const { host, port: dnsPort } = dns ?? { host: "127.0.0.1", port: 1 };
  const timeout = dns === undefined ? "0.1s" : "5s";
  const checks = dns === undefined ? [] : ["spf", "dkim", "dmarc", "arc"];
  const modules = ["regexp", ...checks].map((one) => `.include "$CONFDIR/modules.d/${one}.conf"`);
  if (dns !== undefined) modules.push('modules { path = "$PLUGINSDIR"; }');
  return `options {
  pidfile = "${folder}/pid";
  filters = "${dns === undefined ? "regexp" : "regexp,spf,dkim"}";
  tempdir = "${folder}";
  cache_file = "${folder}/symbols.cache";
  hs_cache_dir = "${folder}";
  control_socket = "${folder}/control";
  url_tld = "${folder}/domains";
  dns { nameserver = ["${host}:${dnsPort}"]; timeout = ${timeout}; retransmits = 1; }
}
logging { type = "console"; level = "warning"; }
worker "normal" { bind_socket = "127.0.0.1:${port}"; count = 1; }
lua = "$RULESDIR/rspamd.lua";
.include "$CONFDIR/metrics.conf"
.include "$CONFDIR/actions.conf"
.include "$CONFDIR/groups.conf"
.include "$CONFDIR/composites.conf"
${modules.join("\n")}
`;
}

/**
 * Starts a daemon in a folder of its own, as nobody when the test is root, and waits until it takes
 * connections. It leads a process group, so its workers end with it.
 *
 * @param prepare writes what it reads into the folder; gives program and arguments
 */
export async function startDaemon(
  name: string,
  prepare: (folder: string, port: number) => readonly string[],
): Promise<Daemon> {
  const folder = mkdtempSync(join(tmpdir(), `postern-${name}-`));
  const [port = 0] = await freePorts(1);
  const [program = "", ...args] = prepare(folder, port);
  const user = nobody();
  chmodSync(folder, 0o755);
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: "/usr/bin:/bin", HOME: folder },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    ...user,
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (log = (log + chunk.toString("utf8")).slice(-20_000)));
  }
  const kill = (): void => killGroup(child);
  process.once("exit", kill);
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return; // the group's number may be somebody else's by now
    isStopped = true;
    process.off("exit", kill);
    if (child.exitCode === null && child.signalCode === null) {
      // The leader waits for its workers, so that none is left to whoever adopts them.
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await Promise.race([exited, pause(5000, undefined, { ref: false })]);
      kill();
      await exited;
    } else kill();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await listening(port, child);
  } catch (error) {
    await stop();
    throw new Error(`${name} does not listen:\n${log}`, { cause: error });
  }
  return { port, folder, [Symbol.asyncDispose]: stop };
}

/** Workers outlive a leader that died, so the whole group is told. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nobody of it lives any more.
  }
}

function nobody(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (what: string): number =>
    Number(execFileSync("id", [what, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("it ended");
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await pause(100);
  }
  throw new Error("nothing after half a minute");
}
