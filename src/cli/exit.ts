/** Exit codes that scripts rely on (DESIGN §6), and the one place where errors become words. */

import { Denied, Misconfigured, Unavailable } from "#base/errors";

export const exitCodes = {
  ok: 0,
  failed: 1,
  findings: 2,
  usage: 64,
  cannotOpen: 66,
  serviceDown: 69,
  tryAgain: 75,
  notPermitted: 77,
  configuration: 78,
} as const;

/** A failure whose exit code the command knows better than the type tells. */
export class ExitError extends Error {
  override readonly name = "ExitError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof ExitError) return error.code;
  if (error instanceof Misconfigured) return exitCodes.configuration;
  if (error instanceof Denied) return exitCodes.notPermitted;
  if (error instanceof Unavailable) return exitCodes.tryAgain;
  return exitCodes.failed;
}

/** Result on stdout, everything else on stderr. */
export function print(text: string): void {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
