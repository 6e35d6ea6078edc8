/** What the configuration grants the keyring beyond its own folder: a library, a PIN, credentials. */

import { join } from "node:path";
import { type Grants, noGrants } from "#base/fence";
import type { Manifest } from "#contracts/manifest";
import type { KeyringSettings } from "#keys/custody";

/** Folder that systemd puts a service's credentials in (systemd.exec(5), CREDENTIALS). */
export function credentialsFolder(): string | undefined {
  return process.env["CREDENTIALS_DIRECTORY"];
}

/** @param settings what the program is started with */
export function grantsOf(name: Manifest["name"], settings: unknown): Grants {
  if (name !== "keyring") return noGrants;
  const { token } = (settings as KeyringSettings).master;
  const credentials = credentialsFolder();
  return {
    reads: [
      ...(credentials === undefined ? [] : [join(credentials, "/")]),
      ...(token?.pinFile === undefined ? [] : [token.pinFile]),
    ],
    ffi: token !== undefined,
  };
}
