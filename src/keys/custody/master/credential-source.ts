/** Master keys that the service manager hands over at the start: $CREDENTIALS_DIRECTORY/postern-master. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "#base/disk";
import { Denied, Misconfigured } from "#base/errors";
import { type Secret, secretsIn, useOf } from "./secret.ts";
import type { MasterSource } from "./source.ts";

const credential = "postern-master";

export function hasCredential(directory: string | undefined): directory is string {
  return directory !== undefined && existsSync(join(directory, credential));
}

/**
 * The first key wraps; further lines are older keys that still unwrap.
 *
 * @throws Misconfigured when there is none, or it is no key
 */
export function openCredential(directory: string | undefined): MasterSource {
  const secrets = readCredential(directory);
  const never = async (): Promise<never> => {
    throw new Denied(
      `the credential ${credential} is never written: put the new key on its first line, leave the old one on the second, and restart`,
    );
  };
  return {
    name: `the credential ${credential}`,
    ...useOf(() => secrets),
    make: never,
    retire: never,
    close: async () => {},
  };
}

function readCredential(directory: string | undefined): readonly Secret[] {
  const secrets = secretsIn(readCredentialFile(directory, credential));
  if (secrets !== undefined) return secrets;
  throw new Misconfigured(
    `the credential ${credential} is not 32 octets, raw or in hexadecimal or base64`,
  );
}

/** @throws Misconfigured when the service manager handed over no such credential */
export function readCredentialFile(directory: string | undefined, name: string): Buffer {
  if (directory === undefined) {
    throw new Misconfigured(
      `the credential ${name} is not there: no $CREDENTIALS_DIRECTORY (LoadCredential= of the service)`,
    );
  }
  const path = join(directory, name);
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Misconfigured(
      `the credential ${path} cannot be read (${errorCode(error) ?? "error"})`,
      { cause: error },
    );
  }
}
