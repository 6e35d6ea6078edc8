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
} from "./peer.ts";
import { portOpens } from "./port-opens.ts";

/** Why there can be none here, or false. */
export const noExim: string | false = peerMissing("usr/sbin/exim4");

export async function startExim(options: PeerOptions): Promise<Peer> {
  const folder = peerFolder("exim");
  const port = options.port ?? (await freePorts(1))[0] ?? 0;
  mkdirSync(join(folder, "etc/exim4"), { recursive: true });
  const file = (name: string): string => join(folder, "etc/exim4", name);
  writeFileSync(file("cert.pem"), options.certificate.cert);
  writeFileSync(file("key.pem"), options.certificate.key);
  // Exim reads it as a user of its own.
  copyFileSync(options.postern.authorityFile, file("authority.pem"));
  chmodSync(file("authority.pem"), 0o644);
  writeFileSync(file("exim4.conf"), configuration(folder, port, options));
  const inbox = join(folder, "mail/new");
  const tree = {
    users: ["Debian-exim"],
    hosts: [`127.0.0.1 ${options.postern.name}`],
    folders: [
      "/var/spool/exim4 Debian-exim 750",
      `${folder}/mail nobody 755`,
      `${folder}/log Debian-exim 755`,
    ],
  };
  // A queue run each second tries again what failed for a passing reason.
  const exim = startInTree(folder, tree, ["/usr/sbin/exim4", "-bdf", "-q5s"]);
  await portOpens(port, exim.program, join(folder, "log/mainlog"));
  const log = (): string =>
    exim.output() +
    messagesIn(join(folder, "log"))
      .map((text) => text.slice(-20_000))
      .join("");
  return {
    name: "exim",
    port,
    domain: options.domain,
    can: { dsn: true, utf8: true },
    delivered: () => messagesIn(inbox),
    log,
    async [Symbol.asyncDispose]() {
      await exim.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(folder: string, port: number, { domain, postern }: PeerOptions): string {
  return `primary_hostname = mx.${domain}
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
log_file_path = ${folder}/log/%slog
log_selector = +tls_peerdn +smtp_protocol_error +smtp_syntax_error
tls_advertise_hosts = *
tls_certificate = /etc/exim4/cert.pem
tls_privatekey = /etc/exim4/key.pem
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
acl_smtp_rcpt = accept
acl_smtp_data = accept
smtp_accept_max = 200
smtp_accept_max_per_host = 0
smtp_accept_queue_per_connection = 0
remote_max_parallel = 4
queue_run_max = 4
rfc1413_query_timeout = 0s
never_users =
trusted_users = root
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
