/** A bench that is interrupted stops the servers that it started, and says by its exit code that it was. */

import { constants } from "node:os";

const stop = new AbortController();

/** Aborted by the first SIGINT or SIGTERM after `heedInterrupts`; what waits or loops looks at it. */
export const interrupted: AbortSignal = stop.signal;

/**
 * For benches that start servers: others may end where they are. Ctrl-C comes twice, from the terminal
 * and from the program that started us, so what comes after the first changes nothing.
 */
export function heedInterrupts(): void {
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (interrupted.aborted) return;
      console.error(`${name}: the servers that were started are stopped first`);
      process.exitCode = 128 + constants.signals[name];
      stop.abort(new Error(name));
    });
  }
}
