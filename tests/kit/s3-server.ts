/**
 * A real S3 service on loopback: OpenStack Swift with its S3 interface, one replica in a folder. All
 * its processes are children of the test, without privileges.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePorts } from "./installation.ts";

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly port: number;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Octets of all objects as they lie on its disk, parts of unfinished uploads among them. */
  storedBytes(): number;
}

/** Debian's Python: the one that has Swift's modules. */
const python = "/usr/bin/python3";
const storageServers = ["account", "container", "object"] as const;

/** Why there can be no server here, or false. */
export const noS3Server: string | false =
  existsSync("/usr/bin/swift-proxy-server") &&
  existsSync("/usr/bin/swift-object-server") &&
  existsSync("/usr/bin/memcached")
    ? false
    : "needs the packages swift-proxy swift-account swift-container swift-object memcached";

/** Swift reads its own main file from a fixed place, unless it is told before anything else. */
const runner = `
import os, sys
import swift.common.utils as utils
folder, name = sys.argv[1:3]
utils.SWIFT_CONF_FILE = os.path.join(folder, "swift.conf")
if name == "rings":
    from swift.common.ring import RingBuilder
    for ring, port in zip(("account", "container", "object"), sys.argv[3:]):
        builder = RingBuilder(2, 1, 0)
        builder.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port),
                         "device": "disk", "weight": 1, "meta": ""})
        builder.rebalance()
        builder.get_ring().save(os.path.join(folder, ring + ".ring.gz"))
else:
    from swift.common.wsgi import run_wsgi
    sys.exit(run_wsgi(os.path.join(folder, name + ".conf"), name + "-server"))
`;

export async function startS3Server(): Promise<S3Server> {
  const folder = mkdtempSync(join(tmpdir(), "postern-s3-"));
  const ports = await freePorts(5);
  const [port = 0, cachePort = 0, ...storagePorts] = ports;
  const keys = { accessKeyId: "backup:postern", secretAccessKey: "a-secret+for/tests" };
  writeConfiguration(folder, { port, cachePort, storagePorts, secret: keys.secretAccessKey });
  const runnerPath = join(folder, "run.py");
  execFileSync(python, [runnerPath, folder, "rings", ...storagePorts.map(String)]);
  giveAway(folder);

  const children = ["proxy", ...storageServers].map((name) =>
    unprivileged(python, [runnerPath, folder, name], folder),
  );
  const cache = ["-l", "127.0.0.1", "-p", String(cachePort), "-U", "0", "-m", "16", "-t", "1"];
  children.push(unprivileged("/usr/bin/memcached", cache, folder));
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(ended));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const one of ports) await listening(one, folder);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    region: "us-east-1",
    ...keys,
    storedBytes() {
      const found = execFileSync("find", [
        join(folder, "nodes"),
        "-name",
        "*.data",
        "-printf",
        "%s\n",
      ]);
      return found
        .toString()
        .split("\n")
        .reduce((sum, line) => sum + Number(line), 0);
    },
    [Symbol.asyncDispose]: stop,
  };
}

interface Facts {
  readonly port: number;
  readonly cachePort: number;
  readonly storagePorts: readonly number[];
  readonly secret: string;
}

function writeConfiguration(folder: string, facts: Facts): void {
  mkdirSync(join(folder, "nodes/disk"), { recursive: true });
  const write = (name: string, lines: readonly string[]): void =>
    writeFileSync(join(folder, name), `${lines.join("\n")}\n`);
  write("run.py", [runner]);
  write("swift.conf", ["[swift-hash]", "swift_hash_path_suffix = postern"]);
  const common = (port: number): string[] => [
    "[DEFAULT]",
    "bind_ip = 127.0.0.1",
    `bind_port = ${port}`,
    "workers = 0",
    `swift_dir = ${folder}`,
    "log_level = WARNING",
  ];
  for (const [index, name] of storageServers.entries()) {
    write(`${name}.conf`, [
      ...common(facts.storagePorts[index] ?? 0),
      `devices = ${folder}/nodes`,
      "mount_check = false",
      "fallocate_reserve = 0",
      "[pipeline:main]",
      `pipeline = ${name}-server`,
      `[app:${name}-server]`,
      `use = egg:swift#${name}`,
    ]);
  }
  const filters = {
    catch_errors: [],
    cache: [`memcache_servers = 127.0.0.1:${facts.cachePort}`],
    listing_formats: [],
    bulk: [],
    s3api: ["location = us-east-1", "s3_acl = false"],
    tempauth: [`user_backup_postern = ${facts.secret} .admin`],
    slo: [],
  };
  write("proxy.conf", [
    ...common(facts.port),
    "[pipeline:main]",
    `pipeline = ${Object.keys(filters).join(" ")} proxy-server`,
    "[app:proxy-server]",
    "use = egg:swift#proxy",
    "account_autocreate = true",
    ...Object.entries(filters).flatMap(([name, lines]) => [
      `[filter:${name}]`,
      `use = egg:swift#${name === "cache" ? "memcache" : name}`,
      ...lines,
    ]),
  ]);
}

/** Nobody's, when the test itself has more rights than that. */
function userOf(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (what: string): number =>
    Number(execFileSync("id", [what, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

function giveAway(folder: string): void {
  const user = userOf();
  if (user === undefined) return;
  chmodSync(folder, 0o700);
  for (const path of [folder, join(folder, "nodes"), join(folder, "nodes/disk")]) {
    chownSync(path, user.uid, user.gid);
  }
}

function unprivileged(program: string, args: readonly string[], folder: string): ChildProcess {
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: "/usr/bin:/bin", PYTHONDONTWRITEBYTECODE: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    ...userOf(),
  });
  const keep = (chunk: Buffer): void => writeFileSync(join(folder, "log"), chunk, { flag: "a" });
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

async function listening(port: number, folder: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await pause(100);
  }
  const log = join(folder, "log");
  throw new Error(`Swift does not listen:\n${existsSync(log) ? readFileSync(log, "utf8") : ""}`);
}
