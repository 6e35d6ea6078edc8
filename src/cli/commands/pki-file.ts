/** A PEM file that the command line names. */

import { readFileSync } from "node:fs";
import { errorCode } from "#base/disk";
import { ExitError, exitCodes } from "../exit.ts";

/** @throws ExitError when it cannot be read */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = errorCode(error) ?? "error";
    throw new ExitError(exitCodes.cannotOpen, `${path}: cannot be read (${code})`);
  }
}
