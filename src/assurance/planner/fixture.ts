/** What the programs' manifests say about the network, for tests of this room. */

import type { Manifest } from "#contracts/manifest";

function manifest(
  name: Manifest["name"],
  listens: readonly string[],
  dials: readonly string[],
): Manifest {
  const rest = { purpose: "", trusts: "", reads: [], writes: [], secrets: [], standards: [] };
  const zone = name.startsWith("edge") ? "dmz" : "inside";
  return { name, zone, listens, dials, mayReach: [], fence: "plain", ...rest };
}

export const manifests: readonly Manifest[] = [
  manifest("edge-smtp", ["smtp", "link (mutual TLS)"], ["DNS", "port 25 of other mail servers"]),
  manifest(
    "edge-web",
    ["https", "imaps, pop3s, submissions where published", "link (mutual TLS)"],
    [],
  ),
  manifest(
    "hub",
    ["imap (TLS)", "submission (TLS)", "console (loopback)", "admin socket"],
    ["link of edge-smtp", "link of edge-web", "keyring socket"],
  ),
  manifest("keyring", ["keyring socket"], []),
];
