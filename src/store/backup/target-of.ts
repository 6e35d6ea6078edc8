/** From what an administrator writes to the place where backups are kept. */

import { readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import { folderTarget } from "./folder-target.ts";
import { s3Target } from "./s3/target.ts";
import type { Target } from "./target.ts";

export interface TargetText {
  /** A whole path, or s3://BUCKET/PREFIX. */
  readonly target: string;
  readonly endpoint: string;
  readonly region: string;
  readonly credentialsFile: string;
  readonly caFile: string;
}

/** Our limit for files of a few lines, or of some certificates. */
const maxFileBytes = 1024 * 1024;

/** @throws Misconfigured naming what to set */
export function targetOf(given: TargetText): Target {
  const { target } = given;
  if (target === "") throw new Misconfigured("backup.target is not set");
  const match = /^s3:\/\/([^/]*)\/*(.*?)\/*$/.exec(target);
  if (match === null) {
    if (isAbsolute(target)) return folderTarget(target);
    throw new Misconfigured(`"${target}" is neither the whole path of a folder nor s3://BUCKET`);
  }
  const [, bucket = "", words = ""] = match;
  const { endpoint, region, credentialsFile, caFile } = given;
  if (endpoint === "") throw new Misconfigured("backup.endpoint is not set: the S3 service");
  if (credentialsFile === "") throw new Misconfigured("backup.credentialsFile is not set");
  const ca = caFile === "" ? {} : { ca: textOf(caFile) };
  const prefix = words === "" ? "" : `${words}/`;
  const keys = parseCredentials(textOf(credentialsFile));
  if (keys === undefined) {
    throw new Misconfigured(
      `${credentialsFile}: no lines aws_access_key_id = … and aws_secret_access_key = …`,
    );
  }
  return s3Target({ endpoint, bucket, region, prefix, ...keys, ...ca });
}

/** The form that other programs for S3 use too; sections and other lines are passed over. */
export function parseCredentials(
  text: string,
): { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined {
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    const equals = line.indexOf("=");
    const name = line.slice(0, Math.max(equals, 0)).trim().toLowerCase();
    if (!found.has(name)) found.set(name, line.slice(equals + 1).trim());
  }
  const accessKeyId = found.get("aws_access_key_id") ?? "";
  const secretAccessKey = found.get("aws_secret_access_key") ?? "";
  if (accessKeyId === "" || secretAccessKey === "") return undefined;
  return { accessKeyId, secretAccessKey };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").slice(0, maxFileBytes);
  } catch (cause) {
    throw new Misconfigured(`${path}: cannot be read (${errorCode(cause) ?? "error"})`, { cause });
  }
}
