/** The web edge. PURPOSE: HTTPS for people, login form, requests handed to the inside. ZONE: DMZ. */

import { readFileSync } from "node:fs";
import { systemClock } from "#base/clock";
import { Registry } from "#base/measures";
import { runProgram } from "#base/program";
import { systemRandom } from "#base/random";
import type { Manifest } from "#contracts/manifest";
import { openLinks, pushSamples } from "#edge/link";
import { publishTcp } from "#edge/tcp";
import { startEdgeWeb } from "#edge/web";

export const manifest: Manifest = {
  name: "edge-web",
  purpose: "publishes listed paths over HTTPS, shows the login form, and parses no mail",
  zone: "dmz",
  trusts: "the inside that dials it with the pinned certificate; nobody else",
  listens: [
    "https",
    "imaps, pop3s, submissions where published (ciphertext, passed inside)",
    "link (mutual TLS 1.3, dialled by the hub)",
  ],
  dials: [],
  reads: ["its folder"],
  writes: ["its tls files in its folder"],
  secrets: ["TLS key of the web name", "link key"],
  standards: ["RFC 9110", "RFC 9112", "RFC 9113", "RFC 6265", "RFC 6797", "RFC 8446"],
  mayReach: ["edge/certify", "edge/link", "edge/signed-policy", "edge/tcp", "edge/web", "proxy"],
  fence: "permission",
};

const samplesEveryMs = 5_000;

if (import.meta.main) {
  await runProgram(manifest.name, async (settingsFile, log, announce) => {
    const settings = JSON.parse(readFileSync(settingsFile, "utf8"));
    const registry = new Registry();
    const common = { clock: systemClock, log, registry };
    const links = await openLinks(settings.link, { ...common, random: systemRandom });
    const web = await startEdgeWeb(settings, { ...common, links });
    const clients = await publishTcp(settings.tcp, { ...common, links });
    const stopSamples = pushSamples(registry, links, systemClock, samplesEveryMs);
    announce("ready");
    return {
      async [Symbol.asyncDispose]() {
        stopSamples();
        await clients[Symbol.asyncDispose]();
        await web[Symbol.asyncDispose]();
        await links[Symbol.asyncDispose]();
      },
    };
  });
}
