/** `postern backup restore` and `drill`: both need the private part of the recovery key. */

import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import { realDisk } from "#base/disk";
import { systemRandom } from "#base/random";
import { openMaster } from "#keys/custody";
import { socketLock, type Until } from "#store";
import {
  backupReaching,
  type Drilled,
  drillBackup,
  faultText,
  type RecoveryPrivateKey,
  type Restored,
  recoveryPrivateKeyIn,
  restoreBackup,
  sandboxIn,
  type Target,
} from "#store/backup";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes, say } from "../exit.ts";
import { progressOn } from "../progress.ts";
import { localTime } from "../table.ts";
import { layoutOf } from "../up/layout.ts";
import { ownMasterSettings } from "../up/master.ts";
import { folder } from "../up/secrets.ts";
import {
  configOf,
  logKeysIn,
  needBackup,
  type TargetOptions,
  targetFrom,
  withTarget,
} from "./backup-target.ts";
import { countOf, dataOf, output, untilInterrupted } from "./shared.ts";

interface RestoreOptions extends TargetOptions {
  readonly key: string;
  readonly into: string;
  readonly until?: string;
  readonly logKeys?: string;
}

export function addRestoreCommand(backup: Command): void {
  withTarget(backup.command("restore [name]"))
    .description("make a store from a backup, in a folder that has none")
    .requiredOption("--key <file>", "private part of the recovery key; - reads standard input")
    .requiredOption("--into <folder>", "data folder of the new installation, as of postern up")
    .option("--until <point>", "number of a record, or a time as 2026-11-21T14:30")
    .option("--log-keys <file>", "of postern witness keys: refuse what the log did not sign")
    .action(async (wanted: string | undefined, options: RestoreOptions, command: Command) => {
      const data = resolve(options.into);
      const config = configOf(command, data);
      const target = targetFrom(options, config);
      const own = recoveryPrivateKeyIn(options.key);
      const until = options.until === undefined ? undefined : untilOf(options.until);
      const name = await chosen(target, own, { wanted, until });
      const layout = layoutOf(data);
      folder(layout.store);
      await using _lock = await socketLock(layout.store);
      await using master = await openMaster(ownMasterSettings(layout, config), (id, source) =>
        say(`master key ${id} made in ${source}`),
      );
      const progress = progressOn(process.stderr, "restored");
      const into = { disk: realDisk, directory: layout.store, master, random: systemRandom };
      const restored = await restoreBackup({
        ...{ target, name, own, until, ...into, onProgress: progress.tell },
        signal: untilInterrupted(),
        logKeys: logKeysIn(options.logKeys),
      }).finally(progress.end);
      if (!restored.ok) throw new ExitError(exitCodes.failed, faultText(restored.fault));
      output(command, restored.value, () => restoredText(restored.value, layout.store));
      say(whatElse(data));
    });
}

/** @throws ExitError when it is neither */
function untilOf(text: string): Until {
  if (/^\d{1,15}$/.test(text)) return { lsn: Number(text) };
  const atMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(atMs)) return { atMs };
  throw new ExitError(exitCodes.usage, `--until "${text}" is neither a record nor a time`);
}

async function chosen(
  target: Target,
  own: RecoveryPrivateKey,
  { wanted, until }: { wanted: string | undefined; until: Until | undefined },
): Promise<string> {
  if (wanted !== undefined || until === undefined) return needBackup(target, wanted);
  const name = await backupReaching(target, own, until);
  if (name !== undefined) return name;
  throw new ExitError(exitCodes.cannotOpen, `${target.title}: no backup reaches as far as that`);
}

function restoredText({ name, to, of, head, isHistoryProven }: Restored, store: string): string {
  const { lsn, atMs } = to;
  const when = atMs === undefined ? "" : `, written ${localTime(atMs)}`;
  const signed = {
    none: "The backup has no signed head.",
    "not-asked": "The backup's head is signed; by whom was not checked (--log-keys).",
    signed: "The backup's head is signed by the log.",
  }[head];
  return [
    `${store} holds ${name}`,
    `up to record ${lsn} of ${of.lsn}${when}`,
    signed,
    ...(isHistoryProven ? [] : ["What follows that point in the backup is damaged."]),
  ].join("\n");
}

function whatElse(data: string): string {
  const has = (path: string, text: string): string[] => (existsSync(path) ? [] : [text]);
  const { config, keyring, hub, pki } = layoutOf(data);
  return [
    "",
    "Only the store is restored: mailboxes, mail, accounts with their passwords, and the queue.",
    "Before it is started, bring from the old machine what you have of it:",
    ...has(config, `  ${config}  the configuration; without it a demonstration starts`),
    ...has(
      `${keyring}/keys`,
      `  ${keyring}/keys  keys of DKIM; without them publish: postern dns show`,
    ),
    ...has(`${keyring}/log`, `  ${keyring}/log  keys of the log; without them a new log begins`),
    ...has(pki, `  ${pki}, tls.pem and tls.key of hub and edge  else certificates are made anew`),
    ...has(
      `${hub}/recovery.pub`,
      `  ${hub}/recovery.pub  else make a new recovery key for backups`,
    ),
    "Mail that waited in the queue may have left already: look at it before (postern queue list).",
    `Then: postern up --data ${data}`,
    "The history goes back behind what the witness saw: postern witness renew (docs/witness.md).",
  ].join("\n");
}

interface DrillOptions extends TargetOptions {
  readonly key: string;
  readonly sandbox?: string;
  readonly messages: string;
  readonly logKeys?: string;
}

export function addDrillCommand(backup: Command): void {
  withTarget(backup.command("drill [name]"))
    .description("restore a backup on the side, read mail from it, and say how long that took")
    .requiredOption("--key <file>", "private part of the recovery key; - reads standard input")
    .option("--sandbox <folder>", "where there is room for the store; removed afterwards")
    .option("--messages <count>", "so many are read and compared", "1000")
    .option("--log-keys <file>", "of postern witness keys: refuse what the log did not sign")
    .action(async (wanted: string | undefined, options: DrillOptions, command: Command) => {
      const data = dataOf(command);
      const target = targetFrom(options, configOf(command));
      const own = recoveryPrivateKeyIn(options.key);
      const name = await needBackup(target, wanted);
      const where = options.sandbox ?? (existsSync(data) ? data : tmpdir());
      const progress = progressOn(process.stderr, "restored");
      const drilled = await drillBackup({
        ...{ target, name, own, random: systemRandom, onProgress: progress.tell },
        sandbox: sandboxIn(resolve(where)),
        signal: untilInterrupted(),
        messages: Number(countOf(options.messages, "--messages")),
        logKeys: logKeysIn(options.logKeys),
        onStep: (step) => {
          if (step === "rebuild") progress.end();
        },
      }).finally(progress.end);
      await remember(data, drilled);
      output(command, drilled, () => drilledText(drilled));
      if (!drilled.ok) process.exitCode = exitCodes.findings;
    });
}

/** By the hub, in the ledger. */
async function remember(data: string, drilled: Drilled): Promise<void> {
  try {
    await adminClient(data).send("POST", "/backup/drilled", drilled);
  } catch (error) {
    say(`The drill is not written down: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function drilledText({ ok, backup, seconds, messages, lsn, reason }: Drilled): string {
  const times = `restored in ${seconds.restore} s, views made in ${seconds.rebuild} s, mail read in ${seconds.read} s`;
  return [
    backup,
    ok ? `passed: ${messages} messages are as they were, up to record ${lsn}` : `FAILED: ${reason}`,
    times,
  ].join("\n");
}
