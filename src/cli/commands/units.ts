/** `postern units` and `postern prepare`: each program as a systemd service of its own. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { systemClock } from "#base/clock";
import { ExitError, exitCodes, print } from "../exit.ts";
import type { UpFacts } from "../up/index.ts";
import { type ProgramName, programsOf, type Role } from "../up/roles.ts";
import { prepareOne } from "../up/units/prepare-one.ts";
import { unitFiles } from "../up/units/units.ts";
import { configOf, dataOf } from "./shared.ts";

/** What people call the machines. */
const roles: Readonly<Record<string, Role>> = { edge: "edge", hub: "inside", all: "all" };

interface UnitOptions {
  readonly role: string;
  readonly out?: string;
  readonly node: string;
  readonly application: string;
}

export function addUnitsCommand(program: Command, facts: UpFacts): void {
  program
    .command("units")
    .description("systemd units made from the manifests and this configuration")
    .requiredOption("--role <role>", "edge, hub or all")
    .option("--out <folder>", "write them there instead of printing them")
    .option("--node <file>", "Node as the units call it", process.execPath)
    .option("--application <folder>", "Postern as the units call it", facts.application)
    .action((options: UnitOptions, command: Command) => {
      const role = roleOf(options.role);
      const { config } = command.optsWithGlobals<{ config?: string }>();
      const files = unitFiles({
        role,
        manifests: facts.manifests,
        config: configOf(command),
        configFile: resolve(config ?? join(dataOf(command), "postern.toml")),
        data: dataOf(command),
        application: resolve(options.application),
        node: resolve(options.node),
      });
      if (options.out === undefined) {
        print([...files].map(([name, text]) => `# ${name}\n\n${text}`).join("\n"));
        return;
      }
      mkdirSync(options.out, { recursive: true });
      for (const [name, text] of files) writeFileSync(join(options.out, name), text);
      print([...files.keys()].join("\n"));
    });
  program
    .command("prepare <program>")
    .description("what a unit does before it starts its program")
    .requiredOption("--role <role>", "edge, hub or all")
    .action(async (name: string, options: { role: string }, command: Command) => {
      const role = roleOf(options.role);
      const { config } = command.optsWithGlobals<{ config?: string }>();
      const place = { role, data: dataOf(command), ...(config !== undefined && { config }) };
      await prepareOne(programOf(name, role), place, facts, systemClock.nowMs());
    });
}

function roleOf(text: string): Role {
  const role = Object.hasOwn(roles, text) ? roles[text] : undefined;
  if (role !== undefined) return role;
  throw new ExitError(exitCodes.usage, `--role "${text}" is neither edge, hub nor all`);
}

function programOf(text: string, role: Role): ProgramName {
  const name = programsOf[role].find((one) => one === text);
  if (name !== undefined) return name;
  throw new ExitError(exitCodes.usage, `"${text}" is no program of this role`);
}
