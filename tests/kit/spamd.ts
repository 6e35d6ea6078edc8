/** A real spamd (SpamAssassin) on loopback and on a Unix socket: no network, no privileges. */

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, startDaemon } from "./rspamd.ts";

export interface Spamd extends Daemon {
  readonly socketPath: string;
}

/** Why there can be none here, or false. */
export const noSpamd: string | false = existsSync("/usr/sbin/spamd")
  ? false
  : "needs the packages spamassassin and spamd";

/** What the packaged rules that need no network are written for. */
const plugins =
  "Check BodyEval HeaderEval HTMLEval MIMEEval MIMEHeader RelayEval ReplaceTags URIEval";

/** @param rules lines of configuration beside SpamAssassin's own rules */
export async function startSpamd(rules = ""): Promise<Spamd> {
  const daemon = await startDaemon("spamd", (folder, port) => {
    const loads = plugins
      .split(" ")
      .map((name) => `loadplugin Mail::SpamAssassin::Plugin::${name}`);
    writeFileSync(join(folder, "init.pre"), `${loads.join("\n")}\n`);
    writeFileSync(join(folder, "local.cf"), `use_bayes 0\n${rules}\n`);
    return [
      "/usr/sbin/spamd",
      "--local", // asks nobody
      "--nouser-config",
      "--max-children=1",
      "--syslog=stderr",
      "--configpath=/usr/share/spamassassin",
      `--siteconfigpath=${folder}`,
      `--pidfile=${folder}/pid`,
      `--listen=${folder}/socket`,
      `--listen=127.0.0.1:${port}`,
    ];
  });
  return { ...daemon, socketPath: join(daemon.folder, "socket") };
}
