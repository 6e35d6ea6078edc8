/** `postern witness`: what an auditor takes away, and how it is checked. */

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { adminClient } from "../admin-client.ts";
import { say } from "../exit.ts";
import { dataOf, output } from "./shared.ts";

const verifier = fileURLToPath(new URL("../../../verifier/postern-verify.mjs", import.meta.url));

const examples = `
Examples:
  postern witness keys --to keys.json       once; give it to the auditor
  postern witness head --to head.note       the newest head that the witness cosigned
  postern witness prove ID --to proof.json  what happened to one message (ID: postern trace find)
  postern witness verify proof proof.json --log-keys keys.json --message mail.eml
  postern witness verify store COPY --head head.note --log-keys keys.json

An auditor needs verifier/postern-verify.mjs and Node, and nothing else of Postern (docs/witness.md).`;

export function addWitnessCommands(program: Command): void {
  const witness = program
    .command("witness")
    .description("proof that the history was not changed")
    .addHelpText("after", examples);
  witness
    .command("head")
    .description("have the history as it is now signed and cosigned, and show it")
    .option("--to <file>", "write it there")
    .action(async (options: { to?: string }, command: Command) => {
      const head = await adminClient(dataOf(command)).get<{ note: string }>("/witness/head");
      give(command, options.to, head, () => head.note);
    });
  witness
    .command("keys")
    .description("the public keys of the log and of its witness")
    .option("--to <file>", "write them there")
    .action(async (options: { to?: string }, command: Command) => {
      const keys = await adminClient(dataOf(command)).get<object>("/witness/keys");
      give(command, options.to, keys, () => `${JSON.stringify(keys, null, 2)}\n`);
    });
  witness
    .command("prove <message>")
    .description("everything that the history has on a message, to be checked elsewhere")
    .option("--to <file>", "write it there")
    .action(async (message: string, options: { to?: string }, command: Command) => {
      const path = `/witness/proof/${encodeURIComponent(message)}`;
      const proof = await adminClient(dataOf(command)).get<object>(path);
      give(command, options.to, proof, () => `${JSON.stringify(proof)}\n`);
    });
  witness
    .command("renew <log>")
    .description("end the log of that name and begin another: after a restore, see docs/witness.md")
    .action(async (ended: string, _options: object, command: Command) => {
      const client = adminClient(dataOf(command));
      const { log } = await client.send<{ log: string }>("POST", "/witness/renew", { log: ended });
      output(command, { log }, () => log);
      say("Now stop the witness, move its witness.head away, and give the auditor the new keys.");
    });
  witness
    .command("verify")
    .description("run the separate verifier: proof FILE or store DIRECTORY")
    .argument("<arguments...>", "as of verifier/postern-verify.mjs")
    .allowUnknownOption()
    .helpOption(false)
    .action((args: readonly string[]) => {
      const run = spawnSync(process.execPath, [verifier, ...args], { stdio: "inherit" });
      process.exitCode = run.status ?? 1;
    });
}

function give(
  command: Command,
  file: string | undefined,
  value: unknown,
  text: () => string,
): void {
  if (file === undefined) return output(command, value, text);
  writeFileSync(file, text());
  say(`written to ${file}`);
}
