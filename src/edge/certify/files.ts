/**
 * The files of a served certificate: two that belong together, and a key that waits for its chain.
 *
 * Opened with O_DSYNC, because fsync is refused under the permission model: what a rename puts in
 * place is on disk before it. Two files cannot change in one step, so both stand ready as ".new"
 * first; whoever is killed between the two renames finds the second one made at the next start.
 */

import { X509Certificate } from "node:crypto";
import { constants, readFileSync, renameSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import { type Credential, fitsKey } from "./credential.ts";

/** A key for which a certificate was asked. */
export interface WaitingKey {
  readonly names: readonly string[];
  readonly keyPem: string;
}

export interface CertificateFiles {
  readonly current: Credential;
  readonly waiting: WaitingKey | undefined;
  /** @throws Error of the file system: then what was served is served on, here and after a restart */
  install(credential: Credential): Promise<void>;
  /** @throws Error of the file system */
  keepWaiting(waiting: WaitingKey): Promise<void>;
}

/** @throws Misconfigured when certificate and key cannot be read, or do not belong together */
export function openFiles(certFile: string, keyFile: string): CertificateFiles {
  const names = {
    cert: certFile,
    key: keyFile,
    newCert: `${certFile}.new`,
    newKey: `${keyFile}.new`,
    waiting: `${keyFile}.waiting`,
  };
  let current = mended(names);
  let waiting = readWaiting(names.waiting);
  return {
    get current() {
      return current;
    },
    get waiting() {
      return waiting;
    },
    async install(credential) {
      await write(names.newKey, credential.key);
      await write(names.newCert, credential.cert);
      renameSync(names.newKey, names.key);
      renameSync(names.newCert, names.cert);
      current = credential;
      if (waiting?.keyPem !== credential.key) return;
      waiting = undefined;
      rmSync(names.waiting, { force: true });
    },
    async keepWaiting(asked) {
      await write(`${names.waiting}.new`, JSON.stringify(asked));
      renameSync(`${names.waiting}.new`, names.waiting);
      waiting = asked;
    },
  };
}

function mended(names: { cert: string; key: string; newCert: string }): Credential {
  const key = readText(names.key);
  const cert = readText(names.cert);
  if (belong(cert, key)) return { cert, key };
  const newCert = readText(names.newCert, "");
  if (!belong(newCert, key)) {
    throw new Misconfigured(`${names.cert} and ${names.key} do not belong together`);
  }
  renameSync(names.newCert, names.cert);
  return { cert: newCert, key };
}

function belong(cert: string, key: string): boolean {
  try {
    return fitsKey([new X509Certificate(cert)], key, []).ok;
  } catch {
    return false;
  }
}

function readText(path: string, otherwise?: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (otherwise !== undefined && errorCode(error) === "ENOENT") return otherwise;
    throw new Misconfigured(`${path}: cannot be read`, { cause: error });
  }
}

/** A torn or strange file is as good as none: the request can be made again. */
function readWaiting(path: string): WaitingKey | undefined {
  try {
    const { names, keyPem } = JSON.parse(readText(path, "{}")) as Readonly<Record<string, unknown>>;
    if (typeof keyPem !== "string" || !Array.isArray(names)) return undefined;
    return { names: names.map(String), keyPem };
  } catch {
    return undefined;
  }
}

/** Readable for the owner alone. */
async function write(path: string, text: string): Promise<void> {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_DSYNC } = constants;
  await using file = await open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DSYNC, 0o600);
  await file.writeFile(text);
}
