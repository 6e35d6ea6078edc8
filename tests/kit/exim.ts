/** A real Exim on loopback with a folder of its own. */

import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "./installation.ts";
import {
  messagesIn,
  type Peer,
  type PeerOptions,
  peerFolder,
  peerMissing,
  startInTree,
  type Tree,
} from "./peer.ts";
import { portOpens } from "./port-opens.ts";

/** Why there can be none here, or false. */
export const noExim: string | false = peerMissing("usr/sbin/exim4");

export async function startExim(options: PeerOptions): Promise<Peer> {
  const folder = eximFolder();
  const port = options.port ?? (await freePorts(1))[0] ?? 0;
  const file = (name: string): string => join(folder, "etc/exim4", name);
  writeFileSync(file("cert.pem"), options.certificate.cert);
  writeFileSync(file("key.pem"), options.certificate.key);
  // Exim reads it as a user of its own.
  copyFileSync(options.postern.authorityFile, file("authority.pem"));
  chmodSync(file("authority.pem"), 0o644);
  const inbox = join(folder, "mail/new");
  const exim = await runExim(folder, port, {
    text: configuration(folder, options),
    tree: { hosts: [`127.0.0.1 ${options.postern.name}`] },
    // What failed for a passing reason is tried again at once.
    queueRun: "5s",
  });
  return {
    ...exim,
    name: "exim",
    port,
    domain: options.domain,
    can: { dsn: true, utf8: true },
    delivered: () => messagesIn(inbox),
  };
}

/** What is in its "etc/exim4" is the program's /etc/exim4. */
export function eximFolder(): string {
  const folder = peerFolder("exim");
  mkdirSync(join(folder, "etc/exim4"), { recursive: true });
  return folder;
}

export interface RunningExim extends AsyncDisposable {
  log(): string;
}

export interface EximParts {
  /** Its configuration, beside what every one of ours has. */
  readonly text: string;
  readonly tree: Partial<Tree>;
  /** From one run of its queue to the next: "5s". */
  readonly queueRun: string;
}

/** @param folder as eximFolder() gave it; removed when it stops */
export async function runExim(
  folder: string,
  port: number,
  { text, tree: more, queueRun }: EximParts,
): Promise<RunningExim> {
  writeFileSync(join(folder, "etc/exim4/exim4.conf"), settings(folder, port) + text);
  const tree = {
    users: ["Debian-exim"],
    hosts: [],
    folders: [
      "/var/spool/exim4 Debian-exim 750",
      `${folder}/spool Debian-exim 750`,
      `${folder}/mail nobody 755`,
      `${folder}/log Debian-exim 755`,
    ],
    ...more,
  };
  const exim = startInTree(folder, tree, ["/usr/sbin/exim4", "-bdf", `-q${queueRun}`]);
  await portOpens(port, exim.program, join(folder, "log/mainlog"));
  const log = (): string =>
    exim.output() +
    messagesIn(join(folder, "log"))
      .map((text) => text.slice(-20_000))
      .join("");
  return {
    log,
    async [Symbol.asyncDispose]() {
      await exim.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function settings(folder: string, port: number): string {
  return `local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
log_file_path = ${folder}/log/%slog
smtp_accept_max = 200
smtp_accept_max_per_host = 0
smtp_accept_queue_per_connection = 0
rfc1413_query_timeout = 0s
never_users =
trusted_users = root
`;
}

function configuration(folder: string, { domain, postern }: PeerOptions): string {
  return `primary_hostname = mx.${domain}
log_selector = +tls_peerdn +smtp_protocol_error +smtp_syntax_error
tls_advertise_hosts = *
tls_certificate = /etc/exim4/cert.pem
tls_privatekey = /etc/exim4/key.pem
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
acl_smtp_rcpt = accept
acl_smtp_data = accept
remote_max_parallel = 4
queue_run_max = 4
begin acl
begin routers
inside:
  driver = accept
  domains = ${domain}
  transport = inbox
outside:
  driver = manualroute
  route_list = * ${postern.name} byname
  self = send
  transport = verified
begin transports
inbox:
  driver = appendfile
  directory = ${folder}/mail
  maildir_format
  user = nobody
  envelope_to_add
verified:
  driver = smtp
  port = ${postern.port}
  allow_localhost
  hosts_require_tls = *
  tls_verify_certificates = /etc/exim4/authority.pem
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *
  hosts_try_fastopen = !*
begin retry
* * F,1h,5s
begin rewrite
begin authenticators
`;
}
