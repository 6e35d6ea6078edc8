/**
 * Connections that say nothing, held by a process of their own: a test can have ten thousand without
 * needing twice as many descriptors itself. Run as a program: PORT NAME COUNT.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { connect } from "node:tls";

/** Another loopback address than tests dial from, so that the crowd is a network of its own. */
const localAddress = "127.0.0.2";
/** Handshakes at once. */
const together = 50;

export interface IdleCrowd extends AsyncDisposable {
  /** How many are open now, as the crowd sees it. */
  open(): Promise<number>;
}

/** Resolves once all handshakes are done. */
export async function idleCrowd(port: number, name: string, count: number): Promise<IdleCrowd> {
  const args = [import.meta.filename, String(port), name, String(count)];
  const child: ChildProcess = spawn(process.execPath, args, {
    stdio: ["pipe", "pipe", "inherit"],
  });
  if (child.stdout === null) throw new Error("no output");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const open = async (): Promise<number> => {
    child.stdin?.write("how many\n");
    const { value } = (await lines.next()) as { value?: string };
    return Number(value ?? 0);
  };
  await lines.next(); // "ready"
  return {
    open,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

async function hold(port: number, servername: string, count: number): Promise<void> {
  let open = 0;
  const dial = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const at = { host: "127.0.0.1", port, servername, localAddress };
      const socket = connect({ ...at, rejectUnauthorized: false }, () => {
        open += 1;
        socket.on("close", () => (open -= 1));
        resolve();
      });
      socket.resume();
      socket.on("error", reject);
    });
  for (let left = count; left > 0; left -= together) {
    await Promise.all(Array.from({ length: Math.min(together, left) }, dial));
  }
  console.log("ready");
  for await (const _asked of createInterface({ input: process.stdin })) console.log(open);
}

if (process.argv[1] === import.meta.filename) {
  const [port = "", name = "", count = ""] = process.argv.slice(2);
  await hold(Number(port), name, Number(count));
}
