/**
 * Loaded into a running edge program beside its own code (node --import), with its very flags: tries
 * to reach what belongs to the inside and prints one JSON line of what it could do.
 */

import { writeSync } from "node:fs";

interface Targets {
  /** Files of the hub and the keyring. */
  readonly files: readonly string[];
  readonly imports: readonly string[];
  /** Unix sockets, with a first message. */
  readonly sockets: readonly string[];
  readonly writable: readonly string[];
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

async function probe(list: Targets): Promise<void> {
  const fs = await import("node:fs/promises");
  for (const file of list.files) await attempt(`read ${file}`, () => fs.readFile(file));
  for (const file of list.writable) await attempt(`write ${file}`, () => fs.writeFile(file, "x"));
  for (const name of list.imports) await attempt(`import ${name}`, () => import(name));
  for (const path of list.sockets) await attempt(`talk to ${path}`, () => unixSocket(path));
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
  setTimeout(() => {
    void probe(targets).then(() => writeSync(1, `probe ${JSON.stringify({ reached, refused })}\n`));
  }, 1000);
}
