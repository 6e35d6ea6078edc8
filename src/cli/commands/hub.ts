/** `postern up` and `postern hub`: programs of this machine, until Ctrl-C. */

import type { Command } from "commander";
import { type UpFacts, up } from "../up/index.ts";
import type { Role } from "../up/roles.ts";
import { dataOf } from "./shared.ts";

export function addUpCommands(program: Command, facts: UpFacts): void {
  program
    .command("up")
    .description("everything on this machine, until Ctrl-C")
    .option("--try", "send one message through it and print its trace")
    .action((options: { try?: boolean }, command: Command) =>
      runRole("all", command, facts, options),
    );
  program
    .command("hub")
    .description("the machine of the inside: hub and keyring, until Ctrl-C")
    .action((_options, command: Command) => runRole("inside", command, facts));
}

export function runRole(
  role: Role,
  command: Command,
  facts: UpFacts,
  options: { try?: boolean } = {},
): Promise<void> {
  const { config } = command.optsWithGlobals<{ config?: string }>();
  const data = dataOf(command);
  return up({ ...options, role, data, ...(config !== undefined && { config }) }, facts);
}
