/** The mail edge. PURPOSE: takes mail from strangers and hands it to the inside. ZONE: DMZ. */

import { readFileSync } from "node:fs";
import { systemClock } from "#base/clock";
import { Registry } from "#base/measures";
import { runProgram } from "#base/program";
import { systemRandom } from "#base/random";
import type { Manifest } from "#contracts/manifest";
import { startEdgeSmtp } from "#edge/smtp";

export const manifest: Manifest = {
  name: "edge-smtp",
  purpose: "takes mail from strangers, checks it, and answers 250 only when the inside has it",
  zone: "dmz",
  trusts: "the inside that dials it with the pinned certificate; nobody else",
  listens: ["smtp", "link (mutual TLS 1.3, dialled by the hub)"],
  dials: [
    "DNS",
    "port 25 of other mail servers, for the hub",
    "port 443 of MTA-STS policy hosts and of those who take TLS reports, for the hub",
    "other ports of connectors' hosts, for the hub, when configured",
  ],
  reads: ["its folder", "/etc/resolv.conf", "/etc/hosts"],
  writes: [
    "policy.snapshot, greylist, spool, witness.head, witness.keys and its tls files in its folder",
  ],
  secrets: ["TLS key of the MX name", "link key", "keys of the witness"],
  standards: [
    "RFC 5321",
    "RFC 3207",
    "RFC 4954",
    "RFC 8689",
    "RFC 7208",
    "RFC 2034",
    "RFC 3030",
    "RFC 8446",
  ],
  mayReach: ["edge", "identity", "policy", "transport"],
  fence: "permission",
};

if (import.meta.main) {
  await runProgram(manifest.name, async (settingsFile, log, announce) => {
    const settings = JSON.parse(readFileSync(settingsFile, "utf8"));
    const deps = { clock: systemClock, random: systemRandom, log, registry: new Registry() };
    const edge = await startEdgeSmtp(settings, deps);
    log.write("info", "edge.listens", { smtp: edge.smtp.port, link: edge.link.port });
    announce("ready");
    return edge;
  });
}
