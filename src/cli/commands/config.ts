/** `postern config`: test, show, describe, diff and schema of the configuration file. */

import { existsSync } from "node:fs";
import type { Command } from "commander";
import { Misconfigured } from "#base/errors";
import { configSchema, describeConfig, flatten, nonDefaults } from "../config/describe.ts";
import { type Config, complete, inFile, readConfig } from "../config/read.ts";
import { ExitError, exitCodes, print, say } from "../exit.ts";
import { textTable } from "../table.ts";
import { checkFiles } from "../up/check-files.ts";
import { layoutOf } from "../up/layout.ts";
import { checkTogether } from "../up/prepare.ts";
import { dataOf, output } from "./shared.ts";

export function addConfigCommands(program: Command): void {
  const config = program.command("config").description("the configuration file postern.toml");
  config
    .command("test [file]")
    .description("check a file, and the files that it names, without starting anything")
    .action((file: string | undefined, _options, command: Command) => testFile(file, command));
  config
    .command("show [file]")
    .description("every parameter in force")
    .option("--non-default", "only those that differ from their defaults")
    .action((file: string | undefined, options: { nonDefault?: boolean }, command: Command) => {
      const whole = load(file, command);
      const rows = options.nonDefault === true ? nonDefaults(whole) : flatten(whole);
      output(command, Object.fromEntries(rows.map(({ key, value }) => [key, value])), () =>
        textTable(rows.map(({ key, value }) => [key, JSON.stringify(value)])),
      );
    });
  config
    .command("diff [file]")
    .description("what the file changes, beside the defaults")
    .action((file: string | undefined, _options, command: Command) => {
      const rows = nonDefaults(load(file, command));
      output(command, rows, () =>
        rows.length === 0
          ? "everything is at its default"
          : textTable(
              rows.map((row) => [
                row.key,
                JSON.stringify(row.value),
                `default ${JSON.stringify(row.default)}`,
              ]),
            ),
      );
    });
  config
    .command("describe")
    .description("a commented file with every parameter")
    .action((_options, command: Command) => output(command, configSchema(), describeConfig));
  config
    .command("schema")
    .description("JSON Schema of the file, for editors")
    .action(() => print(JSON.stringify(configSchema(), null, 2)));
}

function testFile(file: string | undefined, command: Command): void {
  const path = fileOf(file, command);
  if (!existsSync(path)) {
    throw new ExitError(
      exitCodes.cannotOpen,
      `${path}: no such file (without one everything is at its default)`,
    );
  }
  const given = readConfig(path);
  const data = dataOf(command);
  let found: readonly Misconfigured[];
  try {
    found = checkFiles(layoutOf(data), checkTogether(data, given));
  } catch (error) {
    throw error instanceof Misconfigured ? inFile(path, error) : error;
  }
  const notes = found.map((note) => inFile(path, note).message);
  for (const note of notes) say(note);
  output(command, { file: path, ok: true, notes }, () => `${path}: ok`);
}

function fileOf(file: string | undefined, command: Command): string {
  const { config } = command.optsWithGlobals<{ config?: string }>();
  return file ?? config ?? layoutOf(dataOf(command)).config;
}

/** Without a file everything is at its default; a file that was named must be there. */
function load(file: string | undefined, command: Command): Config {
  const path = fileOf(file, command);
  const named = file ?? command.optsWithGlobals<{ config?: string }>().config;
  return complete(named === undefined && !existsSync(path) ? {} : readConfig(path));
}
