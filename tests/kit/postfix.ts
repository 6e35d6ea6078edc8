/** A real Postfix on loopback with a folder of its own: the mail server of somebody else. */

import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePorts } from "./installation.ts";
import type { Peer, PeerOptions } from "./peer.ts";

export interface Postfix extends AsyncDisposable {
  readonly port: number;
  readonly domain: string;
  /** Messages delivered so far, oldest first, as they lie in the maildir. */
  delivered(): string[];
  /** Waits for the next message that holds the text. */
  waitFor(text: string, timeoutMs?: number): Promise<string>;
  log(): string;
}

export interface PostfixParts {
  /** Lines of master.cf. */
  readonly services?: readonly string[];
  /** Address of the name server that it asks, and all that it starts; the machine's when absent. */
  readonly nameServer?: string;
}

/** Only root may start a Postfix. */
export const mayRunPostfix: boolean = process.getuid?.() === 0;

export async function startPostfix(
  domain: string,
  extra = "",
  wishedPort?: number,
  more: PostfixParts = {},
): Promise<Postfix> {
  const folder = mkdtempSync(join(tmpdir(), "postern-postfix-"));
  chmodSync(folder, 0o755);
  const port = wishedPort ?? (await freePorts(1))[0] ?? 0;
  writeConfiguration(folder, port, domain, extra);
  appendFileSync(join(folder, "etc/master.cf"), (more.services ?? []).join("\n"));
  const prefix = more.nameServer === undefined ? [] : askingOnly(more.nameServer, folder);
  const postfix = (verb: string): void => {
    const command = [...prefix, "/usr/sbin/postfix", "-c", join(folder, "etc"), verb];
    execFileSync(command[0] ?? "", command.slice(1), { stdio: "ignore" });
  };
  postfix("start");
  const log = (): string => readFileSync(join(folder, "log"), "utf8");
  await listening(port, log);
  const inbox = join(folder, `mail/${domain}/new`);
  const delivered = (): string[] => {
    try {
      return readdirSync(inbox)
        .sort()
        .map((name) => readFileSync(join(inbox, name), "latin1"));
    } catch {
      return [];
    }
  };
  return {
    port,
    domain,
    delivered,
    log,
    async waitFor(text, timeoutMs = 30_000) {
      const deadlineMs = Date.now() + timeoutMs;
      for (;;) {
        const found = delivered().find((message) => message.includes(text));
        if (found !== undefined) return found;
        if (Date.now() > deadlineMs) throw new Error(`Postfix did not get "${text}":\n${log()}`);
        await pause(100);
      }
    },
    async [Symbol.asyncDispose]() {
      postfix("stop");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One that relays what it is given for other domains. */
export async function startPostfixPeer(options: PeerOptions): Promise<Peer> {
  const { domain, certificate, postern } = options;
  const folder = mkdtempSync(join(tmpdir(), "postern-postfix-peer-"));
  const secrets = join(folder, "tls.pem");
  writeFileSync(secrets, certificate.key + certificate.cert, { mode: 0o600 });
  const postfix = await startPostfix(
    domain,
    `smtpd_tls_chain_files = ${secrets}
smtpd_tls_security_level = may
smtpd_recipient_restrictions = permit_mynetworks, reject
smtputf8_autodetect_classes = all
relayhost = [127.0.0.1]:${postern.port}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = ${postern.name}
smtp_tls_CAfile = ${postern.authorityFile}
minimal_backoff_time = 2s
maximal_backoff_time = 5s
queue_run_delay = 2s
`,
    options.port,
  );
  return {
    ...postfix,
    name: "postfix",
    can: { dsn: true, utf8: true },
    async [Symbol.asyncDispose]() {
      await postfix[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A command before the command: in its mount namespace another resolv.conf lies over the machine's. */
function askingOnly(nameServer: string, folder: string): readonly string[] {
  const file = join(folder, "resolv.conf");
  writeFileSync(file, `nameserver ${nameServer}\n`);
  const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
  return ["unshare", "--mount", "--propagation=private", "sh", "-c", script, file];
}

function writeConfiguration(folder: string, port: number, domain: string, extra: string): void {
  for (const name of ["etc", "spool", "data", "mail", `mail/${domain}`]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  execFileSync("chown", ["postfix", join(folder, "data")]);
  execFileSync("chown", ["-R", "nobody", join(folder, "mail")]);
  const nobody = execFileSync("id", ["-u", "nobody"], { encoding: "utf8" }).trim();
  writeFileSync(
    join(folder, "etc/main.cf"),
    `compatibility_level = 3.6
queue_directory = ${folder}/spool
data_directory = ${folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = mx.${domain}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
virtual_mailbox_domains = ${domain}
virtual_mailbox_base = ${folder}/mail
virtual_mailbox_maps = static:${domain}/
virtual_minimum_uid = 1
virtual_uid_maps = static:${nobody}
virtual_gid_maps = static:${nobody}
alias_maps =
alias_database =
smtpd_recipient_restrictions = reject_unauth_destination
maillog_file = ${folder}/log
maillog_file_prefixes = ${tmpdir()}
${extra}
`,
  );
  const unix = ["cleanup 0 cleanup", "bounce 0 bounce", "defer 0 bounce", "trace 0 bounce"];
  const services = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    "qmgr unix n - n 300 1 qmgr",
    "rewrite unix - - n - - trivial-rewrite",
    "tlsmgr unix - - n 1000? 1 tlsmgr",
    "proxymap unix - - n - - proxymap",
    "smtp unix - - n - - smtp",
    // Without it, each connection that is kept for the next message costs a second.
    "scache unix - - n - 1 scache",
    "virtual unix - n n - - virtual",
    "error unix - - n - - error",
    "retry unix - - n - - error",
    "discard unix - - n - - discard",
    "anvil unix - - n - 1 anvil",
    "postlog unix-dgram n - n - 1 postlogd",
    ...unix.map((line) => {
      const [name, limit, program] = line.split(" ");
      return `${name} unix ${name === "cleanup" ? "n" : "-"} - n - ${limit} ${program}`;
    }),
  ];
  writeFileSync(join(folder, "etc/master.cf"), `${services.join("\n")}\n`);
}

async function listening(port: number, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 150; attempt += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    await pause(100);
  }
  throw new Error(`Postfix does not listen:\n${log()}`);
}
