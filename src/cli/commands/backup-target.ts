/** Options that say where backups are, on top of what is configured. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { Misconfigured } from "#base/errors";
import { type NoteKey, parseNoteKey } from "#formats/checkpoint";
import { completeBackupSettings } from "#hub";
import { namedBackup, type Target, targetOf } from "#store/backup";
import { type Config, complete } from "../config/read.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { layoutOf } from "../up/layout.ts";
import { givenConfig } from "../up/prepare.ts";
import { dataOf } from "./shared.ts";

export interface TargetOptions {
  readonly from?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly credentials?: string;
  readonly ca?: string;
}

export function withTarget(command: Command): Command {
  return command
    .option("--from <target>", "folder or s3://BUCKET/PREFIX; without it the configured one")
    .option("--endpoint <url>", "the S3 service")
    .option("--region <name>", "of the bucket")
    .option("--credentials <file>", "with aws_access_key_id and aws_secret_access_key")
    .option("--ca <file>", "the only authorities to believe, PEM");
}

/** @param data folder of the installation whose configuration counts */
export function configOf(command: Command, data: string = dataOf(command)): Config {
  const { config } = command.optsWithGlobals<{ config?: string }>();
  const whole = complete(givenConfig(data, config));
  return { ...whole, backup: completeBackupSettings(whole.backup, layoutOf(data).hub) };
}

/** @throws Misconfigured when neither options nor configuration name one */
export function targetFrom(options: TargetOptions, { backup }: Pick<Config, "backup">): Target {
  const { from, endpoint, region, credentials, ca } = options;
  const target = from === undefined ? backup.target : wholePath(from);
  if (target === "")
    throw new Misconfigured("no target: name one with --from, or set backup.target");
  return targetOf({
    target,
    endpoint: endpoint ?? backup.endpoint,
    region: region ?? backup.region,
    credentialsFile: credentials ?? backup.credentialsFile,
    caFile: ca ?? backup.caFile,
  });
}

/** A folder may be named from where one is. */
export function wholePath(target: string): string {
  return target.startsWith("s3://") ? target : resolve(target);
}

/** @throws ExitError when there is no such backup */
export async function needBackup(target: Target, wanted: string | undefined): Promise<string> {
  const name = await namedBackup(target, wanted);
  if (name !== undefined) return name;
  const what =
    wanted === undefined ? "no backup" : `not one backup whose name begins with ${wanted}`;
  throw new ExitError(exitCodes.cannotOpen, `${target.title}: there is ${what}`);
}

/** The file that "postern witness keys" writes. */
export function logKeysIn(path: string | undefined): readonly NoteKey[] | undefined {
  if (path === undefined) return undefined;
  try {
    const { log } = JSON.parse(readFileSync(path, "utf8")) as { log?: unknown };
    const keys = (log as readonly unknown[]).map((text) => parseNoteKey(String(text)));
    const good = keys.flatMap((key) => (key.ok ? [key.value] : []));
    if (good.length === keys.length && good.length > 0) return good;
  } catch {
    // Not such a file: below.
  }
  throw new ExitError(exitCodes.cannotOpen, `${path}: no file of "postern witness keys"`);
}
