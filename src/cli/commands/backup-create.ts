/** `postern backup create` and `prune`: by the hub when it runs, else on the stopped files. */

import type { Command } from "commander";
import { Unavailable } from "#base/errors";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { backupEvents, startBackups } from "#hub";
import { openMaster } from "#keys/custody";
import { DamagedMail, openStore } from "#store";
import type { Created, Pruned } from "#store/backup";
import { adminClient } from "../admin-client.ts";
import { say } from "../exit.ts";
import { progressOn } from "../progress.ts";
import { layoutOf } from "../up/layout.ts";
import { ownMasterSettings } from "../up/master.ts";
import { configOf, wholePath } from "./backup-target.ts";
import { dataOf, output, untilInterrupted } from "./shared.ts";
import { isRunning, partsOf } from "./stopped-store.ts";

/** A target may take long over one piece. */
const silenceMs = 3_600_000;

type Backups = ReturnType<typeof startBackups>;

export function addCreateCommands(backup: Command): void {
  backup
    .command("create")
    .description("make a backup; what the last one has is not copied again")
    .option("--to <target>", "another folder or s3://BUCKET/PREFIX than the configured one")
    .action(async (options: { to?: string }, command: Command) => {
      const to = options.to === undefined ? undefined : wholePath(options.to);
      const progress = progressOn(process.stderr, "copied");
      try {
        const created = (await isRunning(command))
          ? await createInHub(command, to, progress.tell)
          : await stopped(command, (backups) =>
              backups.create("command line", {
                to,
                onProgress: progress.tell,
                signal: untilInterrupted(),
              }),
            );
        progress.end();
        output(command, created, () => createdText(created));
      } catch (error) {
        progress.end();
        if (error instanceof DamagedMail) sayWhose(error.named);
        throw error;
      }
    });
  backup
    .command("prune")
    .description("remove the backups that need not be kept (backup.keepDays, backup.keepCount)")
    .action(async (_options, command: Command) => {
      const pruned = (await isRunning(command))
        ? await adminClient(dataOf(command), silenceMs).send<Pruned>("POST", "/backup/prune")
        : await stopped(command, (backups) => backups.prune());
      output(command, pruned, () => {
        const { removedManifests, removedObjects, kept } = pruned;
        return `${removedManifests} backups and ${removedObjects} objects removed, ${kept} kept`;
      });
    });
}

async function createInHub(
  command: Command,
  to: string | undefined,
  tell: (done: number, all: number) => void,
): Promise<Created> {
  const wish = to === undefined ? {} : { to };
  return adminClient(dataOf(command), silenceMs).lines<Created>("/backup/create", wish, (line) => {
    if (line.done !== undefined && line.of !== undefined) tell(line.done, line.of);
    if (line.damage !== undefined) sayWhose(line.damage.named);
  });
}

function sayWhose(named: readonly string[]): void {
  say(
    named.length === 0 ? "\nNo message is on that page." : "\nMessages that cannot be read whole:",
  );
  for (const line of named) say(`  ${line}`);
}

/** Opens the store as the hub would. */
async function stopped<Value>(
  command: Command,
  work: (backups: Backups) => Promise<Value>,
): Promise<Value> {
  const layout = layoutOf(dataOf(command));
  const config = configOf(command);
  await using master = await openMaster(ownMasterSettings(layout, config));
  const parts = partsOf(command, master);
  const { clock, random } = parts;
  await using store = await openStore(parts);
  await using backups = startBackups({
    clock,
    random,
    store,
    // The keyring is stopped, and it alone has the keys of the log.
    signer: { origin: "", keys: [], sign: () => Promise.reject(new Unavailable("no keyring")) },
    events: backupEvents(silentLog, new Registry()),
    settings: config.backup,
  });
  return await work(backups);
}

function createdText(created: Created): string {
  const { name, lsn, newObjects, newBytes, objects, repairedPages, isSigned } = created;
  const mib = (newBytes / 1_048_576).toFixed(1);
  const repaired = repairedPages === 0 ? "" : `, ${repairedPages} pages of the store repaired`;
  const signed = isSigned ? "" : "\nIts head is not signed: the keyring did not take part.";
  return `${name}\nup to record ${lsn}; ${newObjects} of ${objects} objects new, ${mib} MiB${repaired}${signed}`;
}
