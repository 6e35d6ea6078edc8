/** Where the store's master key is, from the configuration; for the keyring and for offline commands. */

import { isAbsolute, join } from "node:path";
import { Misconfigured } from "#base/errors";
import type { MasterSettings, TokenSettings } from "#keys/custody";
import type { Config } from "../config/read.ts";
import { credentialsFolder } from "./grants.ts";
import type { Layout } from "./layout.ts";

/** @throws Misconfigured when what is set does not make a source */
export function masterSettingsOf(layout: Layout, { keyring }: Config): MasterSettings {
  const token = tokenSettings(keyring);
  const source = keyring.master as MasterSettings["source"];
  if (source === "pkcs11" && token === undefined) {
    throw new Misconfigured('keyring.master is "pkcs11": set keyring.tokenModule too');
  }
  return {
    source,
    directory: join(layout.keyring, "master"),
    ...(token !== undefined && { token }),
  };
}

/** The same for a command that opens the source itself while the keyring is stopped. */
export function ownMasterSettings(layout: Layout, config: Config): MasterSettings {
  const credentials = credentialsFolder();
  const settings = masterSettingsOf(layout, config);
  return { ...settings, ...(credentials !== undefined && { credentials }) };
}

const keyLabel = /^[A-Za-z0-9._-]{1,64}$/;
const variable = /^[A-Za-z_][A-Za-z0-9_]*=/;

function tokenSettings(keyring: Config["keyring"]): TokenSettings | undefined {
  const { tokenModule, tokenLabel, tokenKey, tokenPinFile, tokenEnvironment } = keyring;
  if (tokenModule === "") return undefined;
  for (const [name, path] of Object.entries({ tokenModule, tokenPinFile })) {
    if (path !== "" && !isAbsolute(path)) {
      throw new Misconfigured(`keyring.${name}: ${path} is not an absolute path`);
    }
  }
  if (tokenLabel === "") throw new Misconfigured("keyring.tokenLabel is missing");
  if (!keyLabel.test(tokenKey)) {
    throw new Misconfigured("keyring.tokenKey: letters, digits, dot, underscore and hyphen only");
  }
  if (!tokenEnvironment.every((one) => variable.test(one))) {
    throw new Misconfigured("keyring.tokenEnvironment: each must be NAME=VALUE");
  }
  return {
    module: tokenModule,
    label: tokenLabel,
    key: tokenKey,
    ...(tokenPinFile !== "" && { pinFile: tokenPinFile }),
    environment: tokenEnvironment,
  };
}
