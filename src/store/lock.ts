/** Keeps a second start off the same directory; the lock goes with its process, however that ends. */

import { createHash } from "node:crypto";
import { mkdir, realpath } from "node:fs/promises";
import { createServer } from "node:net";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";

export type Lock = (directory: string) => Promise<AsyncDisposable>;

/**
 * Listens on a name in the abstract namespace (Linux) or on a named pipe (Windows): the system
 * takes the name away with the process, so nothing stale is left behind by a kill. The name is one
 * machine's and one network namespace's: two containers on one volume are not kept apart by it.
 */
export const socketLock: Lock = async (directory) => {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = await realpath(directory);
  const name = `postern-store-${createHash("sha256").update(path).digest("hex").slice(0, 32)}`;
  const server = createServer((socket) => socket.destroy());
  const address = process.platform === "win32" ? `\\\\.\\pipe\\${name}` : `\0${name}`;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      if (errorCode(error) !== "EADDRINUSE") return reject(error);
      const message = `another process already serves the store in ${directory}`;
      reject(new Misconfigured(message, { cause: error }));
    });
    server.listen(address, resolve);
  });
  server.unref();
  return {
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
};

/** For stores that no other process can reach. */
export const noLock: Lock = async () => ({ [Symbol.asyncDispose]: async () => undefined });
