/**
 * Loaded into a running edge program beside its own code (node --import), with its very flags: tries
 * to reach what belongs to the inside and prints one JSON line of what it could do.
 */

import { writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

interface Targets {
  /** Files of the hub and the keyring. */
  readonly files: readonly string[];
  readonly imports: readonly string[];
  /** Unix sockets, with a first message. */
  readonly sockets: readonly string[];
  readonly writable: readonly string[];
  /** The data folder of the installation, one secret file in it, and the probed program's own. */
  readonly data: string;
  readonly secret: string;
  readonly own: string;
}

const targets = JSON.parse(process.env["PROBE_TARGETS"] ?? "null") as Targets | null;
const reached: string[] = [];
const refused: string[] = [];

async function attempt(what: string, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
    reached.push(what);
  } catch (error) {
    const code = (error as { code?: string }).code ?? (error as Error).name;
    refused.push(`${what}: ${code}`);
  }
}

async function unixSocket(path: string): Promise<void> {
  const { connect } = await import("node:net");
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ path });
    const timer = setTimeout(() => reject(new Error("silence")), 3000);
    socket.on("connect", () => socket.write("GET /accounts HTTP/1.1\r\nHost: hub\r\n\r\n"));
    // Whatever it answers without a proof of the secret must not be an answer to the question.
    socket.on("data", (chunk) => {
      clearTimeout(timer);
      if (/^HTTP\/1\.1 200|dkim|BEGIN/.test(chunk.toString("latin1"))) resolve();
      else reject(new Error("refused by the peer"));
      socket.destroy();
    });
    socket.on("close", () => reject(new Error("closed by the peer")));
    socket.on("error", reject);
  });
}

/** Other doors to the same files, and other ways to run code without the fence. */
async function aroundTheFence({ data, secret, own }: Targets): Promise<void> {
  const fs = await import("node:fs");
  const { createRequire } = await import("node:module");
  const planted = join(data, "hub/planted");
  const link = join(own, "link");
  await attempt("list the data folder", () => fs.promises.readdir(data));
  await attempt("list the hub", () => fs.promises.opendir(join(data, "hub")));
  await attempt("look at a secret", () => fs.promises.stat(secret));
  await attempt("open a secret", () => fs.promises.open(secret));
  await attempt("blob of a secret", async () => (await fs.openAsBlob(secret)).text());
  await attempt("copy a secret", () => fs.promises.copyFile(secret, join(own, "copy")));
  await attempt("symbolic link to a secret", async () => {
    await fs.promises.symlink(secret, link);
    await fs.promises.readFile(link);
  });
  await attempt("hard link to a secret", () => fs.promises.link(secret, join(own, "hard")));
  await attempt("a way up from its own folder", () =>
    fs.promises.readFile(`${own}/../../${secret.slice(data.length + 1)}`),
  );
  await attempt("a secret as octets of a path", () => fs.promises.readFile(Buffer.from(secret)));
  await attempt("a secret as a URL", () => fs.promises.readFile(pathToFileURL(secret)));
  await attempt("a secret as environment", async () => process.loadEnvFile(secret));
  await attempt("a secret as a module", async () => createRequire(import.meta.url)(secret));
  await attempt("watch the hub", async () => fs.watch(join(data, "hub")).close());
  await attempt("remove a secret", () => fs.promises.unlink(secret));
  await attempt("cut a secret", () => fs.promises.truncate(secret, 0));
  await attempt("rights of a secret", () => fs.promises.chmod(secret, 0o666));
  await attempt("move into the hub", () => fs.promises.rename(join(own, "settings.json"), planted));
  await attempt("a folder in the hub", () => fs.promises.mkdir(planted));
  await attempt("a report into the hub", async () => {
    process.report.writeReport(planted);
    if (!fs.existsSync(planted)) throw new Error("nothing was written");
  });
  await attempt("a heap snapshot into the hub", async () =>
    (await import("node:v8")).writeHeapSnapshot(planted),
  );
  await attempt("read /etc/shadow", () => fs.promises.readFile("/etc/shadow"));
  await attempt("read /etc/passwd", () => fs.promises.readFile("/etc/passwd"));
  await attempt("memory of its parent", () => fs.promises.open(`/proc/${process.ppid}/mem`));
  await attempt("environment of its parent", () =>
    fs.promises.readFile(`/proc/${process.ppid}/environ`),
  );
  await attempt("become another program", async () => process.execve?.("/bin/true", ["true"]));
  await attempt("fork", async () => {
    const { fork } = await import("node:child_process");
    fork(import.meta.filename).kill();
  });
  await attempt("a native library", async () =>
    process.dlopen({ exports: {} }, "/lib/x86_64-linux-gnu/libc.so.6"),
  );
  await attempt("evaluate text", async () => {
    // oxlint-disable-next-line no-eval -- the attempt is the point
    (0, eval)("1");
  });
  await attempt("bindings of Node", async () =>
    (process as unknown as { binding(name: string): unknown }).binding("fs"),
  );
  await attempt("WASI", async () => {
    const { WASI } = await import("node:wasi");
    return new WASI({ version: "preview1", preopens: { "/": data } });
  });
}

async function probe(list: Targets): Promise<void> {
  const fs = await import("node:fs/promises");
  for (const file of list.files) await attempt(`read ${file}`, () => fs.readFile(file));
  for (const file of list.writable) await attempt(`write ${file}`, () => fs.writeFile(file, "x"));
  for (const name of list.imports) await attempt(`import ${name}`, () => import(name));
  for (const path of list.sockets) await attempt(`talk to ${path}`, () => unixSocket(path));
  await aroundTheFence(list);
  await attempt("spawn a process", async () => {
    const { execFileSync } = await import("node:child_process");
    execFileSync("/bin/true");
  });
  await attempt("start a worker", async () => {
    const { Worker } = await import("node:worker_threads");
    await new Worker("1", { eval: true }).terminate();
  });
  await attempt("open a database", async () => {
    const { DatabaseSync } = await import("node:sqlite");
    new DatabaseSync("/tmp/probe.sqlite").close();
  });
  await attempt("generate code", async () => {
    // oxlint-disable-next-line no-new-func, typescript/no-implied-eval -- the attempt is the point
    await new Function("return 1")();
  });
  await attempt("load an addon", async () => {
    const { createRequire } = await import("node:module");
    createRequire("/")("./probe.node");
  });
  await attempt("open an inspector", async () => {
    const inspector = await import("node:inspector");
    inspector.open(0);
    inspector.close();
  });
}

if (targets !== null) {
  // The program's own start comes first: the probe looks from a process that serves.
  process.once("SIGUSR2", () => {
    void probe(targets).then(() => writeSync(1, `probe ${JSON.stringify({ reached, refused })}\n`));
  });
}
