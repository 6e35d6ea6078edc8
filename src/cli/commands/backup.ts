/** `postern backup`: made, listed, checked, restored, tried out. */

import type { Command } from "commander";
import {
  faultText,
  manifestNames,
  manifestTimeMs,
  readManifest,
  recoveryPrivateKeyIn,
  type Target,
  type VerifiedBackup,
  verifyBackup,
} from "#store/backup";
import { exitCodes } from "../exit.ts";
import { progressOn } from "../progress.ts";
import { localTime, textTable } from "../table.ts";
import { addCreateCommands } from "./backup-create.ts";
import { addKeyCommand } from "./backup-key.ts";
import { addDrillCommand, addRestoreCommand } from "./backup-restore.ts";
import {
  configOf,
  logKeysIn,
  needBackup,
  type TargetOptions,
  targetFrom,
  withTarget,
} from "./backup-target.ts";
import { output } from "./shared.ts";

const examples = `
Examples:
  postern backup key                            once: make the recovery key, and print it
  postern backup create --to /mnt/backup        while mail comes in
  postern backup list --from /mnt/backup
  postern backup verify --key recovery.key      the newest one, to its last page
  postern backup drill --key recovery.key       does it restore, and how fast?
  postern backup restore --from /mnt/backup --key recovery.key --into data
  postern backup restore --from s3://mail/hub --endpoint https://s3.example.org \\
      --credentials s3.ini --key recovery.key --into data --until 2026-11-21T14:30

NAME is the begin of a backup's name as "list" shows it; without it the newest is meant.
The whole way, from the first key to a machine that burnt: docs/backup.md.`;

export function addBackupCommands(program: Command): void {
  const backup = program
    .command("backup")
    .description("copies that restore, checked while they are made")
    .addHelpText("after", examples);
  addKeyCommand(backup);
  addCreateCommands(backup);
  withTarget(backup.command("list"))
    .description("the backups on a target, the newest first")
    .action(async (options: TargetOptions, command: Command) => {
      const rows = await listed(targetFrom(options, configOf(command)));
      output(command, rows, () => (rows.length === 0 ? "no backups" : listText(rows)));
    });
  withTarget(backup.command("verify [name]"))
    .description("read a backup whole and check it; without the key only lengths and hashes")
    .option("--key <file>", "private part of the recovery key; - reads standard input")
    .option("--log-keys <file>", "of postern witness keys: refuse what the log did not sign")
    .action(async (wanted: string | undefined, options: VerifyOptions, command: Command) => {
      const target = targetFrom(options, configOf(command));
      const own = options.key === undefined ? undefined : recoveryPrivateKeyIn(options.key);
      const name = await needBackup(target, wanted);
      const progress = progressOn(process.stderr, "checked");
      const logKeys = logKeysIn(options.logKeys);
      const parts = { target, name, own, logKeys, onProgress: progress.tell };
      const report = await verifyBackup(parts).finally(progress.end);
      output(command, report, () => verifiedText(report));
      if (report.faults.length > 0) process.exitCode = exitCodes.findings;
    });
  addRestoreCommand(backup);
  addDrillCommand(backup);
}

interface VerifyOptions extends TargetOptions {
  readonly key?: string;
  readonly logKeys?: string;
}

interface Listed {
  readonly name: string;
  readonly createdAtMs: number;
  readonly objects?: number;
  readonly bytes?: number;
  readonly recoveryKey?: string;
  /** Why the manifest cannot be read. */
  readonly fault?: string;
}

async function listed(target: Target): Promise<Listed[]> {
  const rows: Listed[] = [];
  for (const name of await manifestNames(target)) {
    const createdAtMs = manifestTimeMs(name) ?? 0;
    const manifest = await readManifest(target, name);
    if (!manifest.ok) {
      rows.push({ name, createdAtMs, fault: faultText({ object: name, what: manifest.fault }) });
      continue;
    }
    const { keys, segments, recoveryKey } = manifest.value;
    const bytes = [keys, ...segments].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    rows.push({ name, createdAtMs, objects: segments.length + 1, bytes, recoveryKey });
  }
  return rows;
}

function listText(rows: readonly Listed[]): string {
  return textTable(
    rows.map(({ name, createdAtMs, objects, bytes, recoveryKey, fault }) => [
      localTime(createdAtMs),
      shortName(name),
      fault ?? `${((bytes ?? 0) / 1_048_576).toFixed(1)} MiB in ${objects} objects`,
      recoveryKey === undefined ? "" : `key ${recoveryKey.slice(0, 8)}`,
    ]),
  );
}

/** Enough to be told apart by, and to be given back. */
function shortName(name: string): string {
  return name.slice("manifests/".length, "manifests/".length + 13 + 1 + 8);
}

function verifiedText({ name, objects, bytes, inside, faults }: VerifiedBackup): string {
  const signed = { none: "no", "not-asked": "yes, keys not given", signed: "yes, by the log" };
  return [
    name,
    `objects          ${objects}, ${(bytes / 1_048_576).toFixed(1)} MiB`,
    ...(inside === undefined
      ? []
      : [`records          ${inside.records}`, `head signed      ${signed[inside.head]}`]),
    ...faults.map((fault) => `BAD ${faultText(fault)}`),
    ...(faults.length > 0 ? [] : [inside === undefined ? "hashes agree" : "whole and sound"]),
  ].join("\n");
}
