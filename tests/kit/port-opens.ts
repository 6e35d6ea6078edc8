import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** Waits until a program that was just started answers on loopback; throws with what it logged. */
export async function portOpens(port: number, program: ChildProcess, log: string): Promise<void> {
  for (let attempt = 0; attempt < 300 && program.exitCode === null; attempt += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    await pause(50);
  }
  const text = existsSync(log) ? readFileSync(log, "utf8") : "nothing in its log";
  throw new Error(`${program.spawnfile} does not answer on ${port}: ${text}`);
}
