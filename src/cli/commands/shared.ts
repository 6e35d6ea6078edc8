/** What every command shares: its folder, and one result in two forms. */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { type Config, complete, readConfig } from "../config/read.ts";
import { ExitError, exitCodes, print } from "../exit.ts";
import { layoutOf } from "../up/layout.ts";

/** How long the hub may say nothing while it reads a large store. */
export const longMs = 3_600_000;

/** Folder of the installation that the command line means. */
export function dataOf(command: Command): string {
  const { data } = command.optsWithGlobals<{ data: string }>();
  return resolve(data);
}

/** The configuration of that folder, or of the file that the command line names; else the defaults. */
export function configOf(command: Command): Config {
  const { config } = command.optsWithGlobals<{ config?: string }>();
  const path = config ?? layoutOf(dataOf(command)).config;
  return complete(config !== undefined || existsSync(path) ? readConfig(path) : {});
}

/** A count from the command line. */
export function countOf(text: string, option: string): string {
  if (/^\d{1,6}$/.test(text)) return text;
  throw new ExitError(exitCodes.usage, `${option} "${text}" is not a whole number`);
}

/** With --json the value itself, else the text for people. */
export function output(command: Command, value: unknown, text: () => string): void {
  const { json } = command.optsWithGlobals<{ json?: boolean }>();
  print(json === true ? JSON.stringify(value, null, 2) : text());
}

/** What is half done is taken away on Ctrl-C, too. */
export function untilInterrupted(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => stop.abort(new ExitError(exitCodes.failed, "interrupted")));
  }
  return stop.signal;
}
