/** The hub. PURPOSE: mailboxes, queue, policy, sessions. ZONE: inside. */

import { readFileSync } from "node:fs";
import { runProgram } from "#base/program";
import type { Manifest } from "#contracts/manifest";
import { startHub } from "#hub";

export const manifest: Manifest = {
  name: "hub",
  purpose: "keeps mail and people, decides, and dials the edges",
  zone: "inside",
  trusts: "the keyring; an edge only as far as its deposits can be checked",
  listens: [
    "imap (TLS)",
    "submission (TLS)",
    "relay (STARTTLS), when configured",
    "lmtp, when configured",
    "local socket for sendmail, when configured",
    "console (loopback)",
    "admin socket",
  ],
  dials: [
    "link of edge-smtp",
    "link of edge-web",
    "keyring socket",
    "hosts of outbound connectors that stand inside, when configured",
    "milters, when configured",
    "the S3 service of the backups, when configured",
    "an ACME server that stands inside, when configured",
    "an OpenID Connect provider that stands inside, when configured",
    "a mail server that stands inside (SMTP or LMTP), when configured",
    "a directory that stands inside (LDAP), when configured",
  ],
  reads: [
    "its folder",
    "the built webmail",
    "backup folder and credentials, when configured",
    "certificates and secrets of connectors, when configured",
  ],
  writes: ["its folder", "backup folder, when configured"],
  secrets: ["link key", "policy key", "seal keys", "TLS key of the inside name"],
  standards: [
    "RFC 9051",
    "RFC 3501",
    "RFC 6409",
    "RFC 8314",
    "RFC 8620",
    "RFC 8621",
    "RFC 8555",
    "RFC 6238",
    "RFC 5321",
    "RFC 9990",
    "RFC 9991",
  ],
  mayReach: [
    "access",
    "assurance",
    "directory",
    "edge/certify",
    "edge/link",
    "hub",
    "identity/arc",
    "identity/author",
    "identity/checks",
    "identity/dkim",
    "identity/dmarc",
    "identity/hops",
    "identity/sender",
    "identity/sender-id",
    "identity/spf",
    "policy",
    "proxy",
    "store",
    "transport",
  ],
  fence: "plain",
};

if (import.meta.main) {
  await runProgram(manifest.name, async (settingsFile, log, announce) => {
    const hub = await startHub(JSON.parse(readFileSync(settingsFile, "utf8")), log, announce);
    void hub.failed.then((error) => {
      // Nothing after a failed flush can be trusted: the next start reads what is really there.
      log.write("error", "hub.store-failed", { why: error.message });
      process.abort();
    });
    return hub;
  });
}
