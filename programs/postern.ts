/** The postern command. PURPOSE: administration and `postern up`. ZONE: inside. */

import { dirname } from "node:path";
import { runCommandLine } from "#cli";
import packageFile from "../package.json" with { type: "json" };
import { manifest as edgeSmtp } from "./edge-smtp.ts";
import { manifest as edgeWeb } from "./edge-web.ts";
import { manifest as hub } from "./hub.ts";
import { manifest as keyring } from "./keyring.ts";

if (import.meta.main) {
  process.exitCode = await runCommandLine(process.argv.slice(2), {
    application: dirname(import.meta.dirname),
    version: packageFile.version,
    manifests: { "edge-smtp": edgeSmtp, "edge-web": edgeWeb, hub, keyring },
  });
}
