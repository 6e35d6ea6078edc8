/** The keyring. PURPOSE: holds the private keys and signs. ZONE: inside, caged. */

import { readFileSync } from "node:fs";
import { systemClock } from "#base/clock";
import { runProgram } from "#base/program";
import type { Manifest } from "#contracts/manifest";
import { serveKeyring } from "#keys/custody";

export const manifest: Manifest = {
  name: "keyring",
  purpose: "keeps the private keys of the domains and signs with them; never hands one out",
  zone: "caged",
  trusts: "who proves to hold the secret that it shares with the hub",
  listens: ["keyring socket"],
  dials: [],
  reads: ["its folder"],
  writes: ["its folder"],
  secrets: ["DKIM keys", "secret shared with the hub"],
  standards: ["RFC 6376", "RFC 8301", "RFC 8463"],
  mayReach: ["keys"],
  fence: "permission",
};

if (import.meta.main) {
  await runProgram(manifest.name, async (settingsFile, log, announce) => {
    const settings = JSON.parse(readFileSync(settingsFile, "utf8"));
    const serving = await serveKeyring(settings, { clock: systemClock, log });
    announce("ready");
    return serving;
  });
}
