/** Secrets of connectors: files that are read anew for each login, so that a change needs no restart. */

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import type { ConnectorLogin } from "#model/connector";

/** Ours, in octets: tokens of OAUTHBEARER are the longest. */
const maxSecretBytes = 16_384;

export interface Secret {
  readonly secret: string;
  readonly file: string;
  readonly changedAtMs: number;
  /** Everybody on the machine may read the file. */
  readonly openToAll: boolean;
}

/**
 * In the order of the files. One that is missing or empty is passed over while another is there: the
 * next secret's file may be named before it exists.
 *
 * @throws Misconfigured naming the file when none can be used, or one cannot be read
 */
export function readSecrets({
  secretFiles,
}: Pick<ConnectorLogin, "secretFiles">): readonly Secret[] {
  const secrets = secretFiles.flatMap((file) => readSecret(file) ?? []);
  if (secrets.length > 0) return secrets;
  throw new Misconfigured(`${secretFiles.join(" and ")}: no secret there`);
}

function readSecret(file: string): Secret | undefined {
  const read = readBounded(file);
  if (read === undefined) return undefined;
  const text = read.octets.toString("utf8").replace(/\r?\n$/, "");
  if (text === "") return undefined;
  // A NUL would end the password in PLAIN (RFC 4616 §2), a line end the command.
  if (/[\0-\x1f\x7f\ufffd]/.test(text)) {
    throw new Misconfigured(`${file}: a secret is one line of text`);
  }
  const { changedAtMs, openToAll } = read;
  return { secret: text, file, changedAtMs, openToAll };
}

function readBounded(
  file: string,
): { octets: Buffer; changedAtMs: number; openToAll: boolean } | undefined {
  let descriptor: number | undefined;
  try {
    // A pipe would hold everything up until somebody writes.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, mtimeMs } = fstatSync(descriptor);
    const room = Buffer.alloc(maxSecretBytes + 1);
    const length = readSync(descriptor, room, 0, room.length, 0);
    if (length <= maxSecretBytes) {
      const openToAll = (mode & 0o004) !== 0;
      return { octets: room.subarray(0, length), changedAtMs: Math.floor(mtimeMs), openToAll };
    }
  } catch (error) {
    const code = errorCode(error) ?? "error";
    if (code === "ENOENT") return undefined;
    throw new Misconfigured(`${file}: cannot be read (${code})`, { cause: error });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
  throw new Misconfigured(`${file}: longer than ${maxSecretBytes} octets`);
}
