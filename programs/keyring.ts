/** The keyring. PURPOSE: holds the private keys, signs, wraps. ZONE: inside, caged. */

import { readFileSync } from "node:fs";
import { systemClock } from "#base/clock";
import { runProgram } from "#base/program";
import type { Manifest } from "#contracts/manifest";
import { type KeyringSettings, serveKeyring } from "#keys/custody";

export const manifest: Manifest = {
  name: "keyring",
  purpose:
    "keeps the private keys of the domains and of the log, and the store's master key; signs and wraps with them, never hands one out",
  zone: "caged",
  trusts: "who proves to hold the secret that it shares with the hub",
  listens: ["keyring socket"],
  dials: [],
  reads: ["its folder", "credentials of the service", "PKCS#11 library and PIN, when configured"],
  writes: ["its folder"],
  secrets: ["DKIM keys", "keys of the log", "master key", "secret shared with the hub"],
  standards: ["RFC 6376", "RFC 8301", "RFC 8463", "RFC 8032", "FIPS 204", "PKCS #11 v2.40"],
  mayReach: ["keys"],
  fence: "permission",
};

if (import.meta.main) {
  await runProgram(manifest.name, async (settingsFile, log, announce) => {
    const settings = JSON.parse(readFileSync(settingsFile, "utf8")) as KeyringSettings;
    const credentials = process.env["CREDENTIALS_DIRECTORY"];
    const master = { ...settings.master, ...(credentials !== undefined && { credentials }) };
    const serving = await serveKeyring({ ...settings, master }, { clock: systemClock, log });
    announce("ready");
    return serving;
  });
}
