/** `postern backup key`: the pair that backups are sealed to. */

import { existsSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { makeRecoveryKey, parseRecoveryPublicKey } from "#store/backup";
import { ExitError, exitCodes, print, say } from "../exit.ts";
import { layoutOf } from "../up/layout.ts";
import { folder } from "../up/secrets.ts";
import { configOf } from "./backup-target.ts";
import { dataOf } from "./shared.ts";

interface KeyOptions {
  readonly to?: string;
  readonly replace?: boolean;
}

export function addKeyCommand(backup: Command): void {
  backup
    .command("key")
    .description("make the recovery key; its private part is shown once and kept nowhere")
    .option("--to <file>", "write the private part there instead of showing it")
    .option("--replace", "make another although there is one")
    .action((options: KeyOptions, command: Command) => {
      const { hub } = layoutOf(dataOf(command));
      const { recoveryKey } = configOf(command).backup;
      if (existsSync(recoveryKey) && options.replace !== true) {
        throw new ExitError(
          exitCodes.failed,
          `${recoveryKey}: there is one; with --replace backups are sealed to another from now on`,
        );
      }
      const { publicKey, privateKey } = makeRecoveryKey();
      const parsed = parseRecoveryPublicKey(publicKey);
      const id = parsed.ok ? parsed.value.id : "";
      // The private part first: a public one whose other half nobody has must never lie there.
      if (options.to !== undefined) writeNew(options.to, privateKey);
      folder(hub);
      writeFileSync(recoveryKey, publicKey, { mode: 0o644, flush: true });
      show(command, { id, publicKey: recoveryKey }, { privateKey, file: options.to });
    });
}

function show(
  command: Command,
  made: { readonly id: string; readonly publicKey: string },
  { privateKey, file }: { readonly privateKey: string; readonly file: string | undefined },
): void {
  const { json } = command.optsWithGlobals<{ json?: boolean }>();
  const secret = file === undefined ? { privateKey } : { file };
  if (json === true) print(JSON.stringify({ ...made, ...secret }, null, 2));
  else print(file === undefined ? privateKey : `the private part is in ${file}`);
  say(
    [
      "",
      `The public part is in ${made.publicKey}: backups are sealed to it from now on.`,
      file === undefined
        ? "The private part stands above, and nowhere else: print it now, or write it down."
        : `Print ${file}, keep it elsewhere, and remove it from this machine.`,
      "Without it no backup can be restored, and nobody can make it again.",
      "Whoever has it and a backup can read all mail.",
    ].join("\n"),
  );
}

function writeNew(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: "wx", flush: true });
  } catch (cause) {
    throw new ExitError(exitCodes.cannotOpen, `${path}: ${(cause as Error).message}`);
  }
}
