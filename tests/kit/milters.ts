/** Real milters on loopback: opendkim, rspamd's proxy and clamav-milter with a scanner of its own. */

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, startDaemon } from "./rspamd.ts";

/** Why there can be none here, or false. */
export const noOpendkim: string | false = existsSync("/usr/sbin/opendkim")
  ? false
  : "needs the package opendkim";

/** Verifies signatures and says so in Authentication-Results under the name "dkim.test". */
export function startOpendkim(): Promise<Daemon> {
  return startDaemon("opendkim", (folder, port) => {
    const config = join(folder, "opendkim.conf");
    const lines = [
      "Mode v",
      `Socket inet:${port}@127.0.0.1`,
      "Syslog no",
      "Background no",
      "AlwaysAddARHeader yes",
      "AuthservID dkim.test",
      "Nameservers 127.0.0.1",
      "DNSTimeout 1",
      "On-Default accept",
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    return ["/usr/sbin/opendkim", "-f", "-x", config];
  });
}

/** rspamd with its own rules only, spoken to as a milter. */
export function startRspamdMilter(): Promise<Daemon> {
  return startDaemon("rspamd-milter", (folder, port) => {
    const config = join(folder, "rspamd.conf");
    writeFileSync(join(folder, "domains"), "com\nexample\nnet\norg\n");
    writeFileSync(
      config,
      `options {
  pidfile = "${folder}/pid";
  filters = "regexp";
  tempdir = "${folder}";
  cache_file = "${folder}/symbols.cache";
  hs_cache_dir = "${folder}";
  control_socket = "${folder}/control";
  url_tld = "${folder}/domains";
  dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }
}
logging { type = "console"; level = "warning"; }
worker "rspamd_proxy" {
  bind_socket = "127.0.0.1:${port}";
  milter = yes;
  count = 1;
  timeout = 20s;
  upstream "own" { default = yes; self_scan = yes; }
}
lua = "$RULESDIR/rspamd.lua";
.include "$CONFDIR/metrics.conf"
.include "$CONFDIR/actions.conf"
.include "$CONFDIR/groups.conf"
.include "$CONFDIR/composites.conf"
.include "$CONFDIR/modules.d/regexp.conf"
`,
    );
    const own = ["LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR"].map(
      (name) => `--var=${name}=${folder}`,
    );
    return ["/usr/bin/rspamd", "--no-fork", `--config=${config}`, ...own];
  });
}

const sbin = join(import.meta.dirname, "../../node_modules/.peers/usr/sbin");

/** Why there can be none here, or false. */
export const noClamav: string | false = ["clamd", "clamav-milter"].every((name) =>
  existsSync(join(sbin, name)),
)
  ? false
  : "clamav-daemon and clamav-milter are not unpacked";

/** The file that every scanner takes for a virus, so that it can be tried. */
export const eicar = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

/** A scanner that knows that one file, and its milter. */
export async function startClamavMilter(): Promise<Daemon> {
  const clamd = await startDaemon("clamd", (folder, port) => {
    mkdirSync(join(folder, "patterns"));
    // By size and MD5, as clamav's own list has it.
    writeFileSync(
      join(folder, "patterns/test.hdb"),
      "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n",
    );
    const lines = [
      "Foreground yes",
      `DatabaseDirectory ${folder}/patterns`,
      "TCPAddr 127.0.0.1",
      `TCPSocket ${port}`,
      `TemporaryDirectory ${folder}`,
    ];
    writeFileSync(join(folder, "clamd.conf"), `${lines.join("\n")}\n`);
    return [join(sbin, "clamd"), `--config-file=${folder}/clamd.conf`];
  });
  try {
    return await milterBefore(clamd);
  } catch (error) {
    await clamd[Symbol.asyncDispose]();
    throw error;
  }
}

async function milterBefore(clamd: Daemon): Promise<Daemon> {
  const milter = await startDaemon("clamav-milter", (folder, port) => {
    const lines = [
      "Foreground yes",
      `MilterSocket inet:${port}@127.0.0.1`,
      `ClamdSocket tcp:127.0.0.1:${clamd.port}`,
      "OnInfected Reject",
      "RejectMsg found %v",
      "OnFail Defer",
      "AddHeader Replace",
      `TemporaryDirectory ${folder}`,
    ];
    writeFileSync(join(folder, "milter.conf"), `${lines.join("\n")}\n`);
    return [join(sbin, "clamav-milter"), `--config-file=${folder}/milter.conf`];
  });
  return {
    ...milter,
    async [Symbol.asyncDispose]() {
      await milter[Symbol.asyncDispose]();
      await clamd[Symbol.asyncDispose]();
    },
  };
}
