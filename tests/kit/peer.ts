/** Mail servers of somebody else on loopback, which exchange mail with a Postern (docs/decisions/0032). */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
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

export interface PeerOptions {
  /** It takes mail for this domain, and relays what else it is given to the Postern. */
  readonly domain: string;
  /** PEM; served with STARTTLS. */
  readonly certificate: { readonly cert: string; readonly key: string };
  readonly postern: PosternDoor;
  /** One that was free a moment ago when absent. */
  readonly port?: number;
}

/** Where a peer's own mail goes: over verified TLS or not at all. */
export interface PosternDoor {
  /** Name in its certificate. */
  readonly name: string;
  readonly port: number;
  /** File of the authority's certificate, PEM. */
  readonly authorityFile: string;
}

export interface Peer extends AsyncDisposable {
  readonly name: "postfix" | "exim" | "opensmtpd" | "haraka";
  readonly port: number;
  readonly domain: string;
  /** What it can, by its own documentation. */
  readonly can: { readonly dsn: boolean; readonly utf8: boolean };
  /** Messages delivered so far; one character an octet. */
  delivered(): string[];
  log(): string;
}

const unpacked = join(import.meta.dirname, "../../node_modules/.peers");
export const harakaFolder: string = join(unpacked, "haraka/node_modules");

/** What the measurements stand beside, in a tree of its own. */
export const benchUnpacked: string = join(import.meta.dirname, "../../node_modules/.peers-bench");

/** Why a program of another Debian mail server cannot be started here; else false, for `skip`. */
export function peerMissing(program: string): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync(join(unpacked, program))) return `${program} is not unpacked`;
  return mountFault;
}

export interface Tree {
  /** One for each name. */
  readonly users: readonly string[];
  /** Name and address of hosts; besides localhost. */
  readonly hosts: readonly string[];
  /** Folders that the program wants to find, with their owners: "/var/spool/smtpd root 711". */
  readonly folders: readonly string[];
  /** Where the unpacked files are when they are not those of the tests. */
  readonly unpacked?: string;
  /** Address of the name server that the resolver asks; the machine's when absent. */
  readonly nameServer?: string;
}

const firstUser = 64_001;

/**
 * Starts a program as if its package were installed: in a mount namespace of its own the unpacked
 * files lie over /usr, its users over /etc, and /var is new. When the program is killed, all that it
 * started is.
 */
export function startInTree(
  folder: string,
  tree: Tree,
  command: readonly string[],
): { readonly program: ChildProcess; stop(): Promise<void>; output(): string } {
  const etc = join(folder, "etc");
  mkdirSync(etc, { recursive: true });
  const extra = (line: (name: string, id: number) => string): string =>
    tree.users.map((name, index) => `${line(name, firstUser + index)}\n`).join("");
  const passwd = extra((name, id) => `${name}:x:${id}:${id}::/nonexistent:/usr/sbin/nologin`);
  writeFileSync(join(etc, "passwd"), readFileSync("/etc/passwd", "utf8") + passwd);
  const group = extra((name, id) => `${name}:x:${id}:`);
  writeFileSync(join(etc, "group"), readFileSync("/etc/group", "utf8") + group);
  writeFileSync(join(etc, "hosts"), ["127.0.0.1 localhost", ...tree.hosts, ""].join("\n"));
  if (tree.nameServer !== undefined) {
    writeFileSync(join(etc, "resolv.conf"), `nameserver ${tree.nameServer}\n`);
  }
  const script = join(folder, "start.sh");
  writeFileSync(script, startScript(folder, tree));
  const namespaces = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child"];
  const args = [...namespaces, "--mount-proc", "sh", "-e", script, ...command];
  const program = spawn("unshare", args, { stdio: ["ignore", "pipe", "pipe"] });
  const kill = (): void => void program.kill("SIGKILL");
  process.once("exit", kill);
  let output = "";
  for (const stream of [program.stdout, program.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output = (output + chunk.toString("utf8")).slice(-100_000);
    });
  }
  return {
    program,
    output: () => output,
    async stop() {
      process.off("exit", kill);
      if (program.exitCode !== null || program.signalCode !== null) return;
      kill();
      await once(program, "exit");
    },
  };
}

function startScript(folder: string, { folders, unpacked: above = unpacked }: Tree): string {
  const make = folders.flatMap((line) => {
    const [path, owner, mode] = line.split(" ");
    return [`mkdir -p ${path}`, `chown ${owner} ${path}`, `chmod ${mode} ${path}`];
  });
  return [
    overlay("/usr", join(above, "usr")),
    overlay("/etc", join(folder, "etc")),
    "mount -t tmpfs tmpfs /var",
    "mkdir -p /var/tmp /var/log && ln -s /run /var/run && chmod 1777 /var/tmp",
    ...make,
    // The first process of the namespace takes over orphans, so it stays a shell.
    '"$@"',
    "",
  ].join("\n");
}

function overlay(path: string, above: string): string {
  return `mount -t overlay overlay -o lowerdir=${above}:${path} ${path}`;
}

const mountFault: string | false = findMountFault();

function findMountFault(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  const above = mkdtempSync(join(tmpdir(), "postern-overlay-"));
  try {
    const args = ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec"];
    execFileSync("unshare", [...args, overlay("/usr", above)], { stdio: "ignore" });
    return false;
  } catch {
    return "mount namespaces with overlays cannot be made here";
  } finally {
    rmSync(above, { recursive: true, force: true });
  }
}

/** A folder that programs of any user may pass. */
export function peerFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `postern-${name}-`));
  chmodSync(folder, 0o755);
  return folder;
}

/** What lies in a folder of messages, oldest first where names tell. */
export function messagesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .sort()
    .map((name) => readFileSync(join(folder, name), "latin1"));
}
