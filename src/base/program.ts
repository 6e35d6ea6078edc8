/** How every program starts, says that it is ready, and ends. */

import { fstatSync, writeSync } from "node:fs";
import { Misconfigured } from "#base/errors";
import { jsonLog, type Log } from "#base/log";

/** EX_CONFIG: the supervisor does not start such a program again. */
const configurationExit = 78;
/** A drain that takes longer is cut off (catalogue V6). */
const drainMs = 30_000;

/**
 * Runs until SIGTERM, SIGINT, or until the pipe on standard input closes, which is how a child
 * learns that its supervisor is gone. What `start` opens is disposed before the end.
 *
 * @param start gets the file named by --settings, and how to say a ready word on standard output
 */
export async function runProgram(
  name: string,
  start: (
    settingsFile: string,
    log: Log,
    announce: (word: string) => void,
  ) => Promise<AsyncDisposable>,
): Promise<void> {
  const log = jsonLog(name);
  const settingsFile = process.argv[process.argv.indexOf("--settings") + 1];
  if (!process.argv.includes("--settings") || settingsFile === undefined) {
    process.stderr.write(`${name}: --settings FILE is missing\n`);
    process.exit(64);
  }
  // The listeners first: an order to stop that comes while starting counts too.
  const told = untilTold();
  try {
    const running = await start(settingsFile, log, (word) => void writeSync(1, `${word}\n`));
    await told;
    setTimeout(() => process.exit(1), drainMs).unref();
    await running[Symbol.asyncDispose]();
    process.exit(0);
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    writeSync(
      2,
      `${JSON.stringify({ level: "error", program: name, event: "program.failed", why })}\n`,
    );
    process.exit(error instanceof Misconfigured ? configurationExit : 1);
  }
}

function isPipe(fd: number): boolean {
  const facts = fstatSync(fd);
  return facts.isFIFO() || facts.isSocket();
}

function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
    // Under a service manager it is /dev/null, whose end says nothing.
    if (!isPipe(0)) return;
    process.stdin.once("end", () => resolve()).once("error", () => resolve());
    process.stdin.resume();
  });
}
