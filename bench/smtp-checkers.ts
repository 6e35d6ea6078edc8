/**
 * Other mail servers that prove the sender, as Postern does, and keep nothing of the mail. Each adds an
 * Authentication-Results field, and refuses what does not pass: a look-up that failed would otherwise
 * look like a cheap check.
 */

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Endpoint } from "#base/net";
import { eximFolder, runExim } from "../tests/kit/exim.ts";
import { runHaraka } from "../tests/kit/haraka.ts";
import { freePorts } from "../tests/kit/installation.ts";
import { benchUnpacked, peerFolder, startInTree } from "../tests/kit/peer.ts";
import { startPostfix } from "../tests/kit/postfix.ts";
import { type Door, discarding, manner, milters, recipient } from "./smtp-postfix.ts";
import type { Sink } from "./smtp-relays.ts";

const domain = "sink.example";
const hostname = `mx.${domain}`;
const mailauth = join(import.meta.dirname, "../node_modules/mailauth");

/**
 * SPF, DKIM, ARC and DMARC by mailauth, in two workers.
 *
 * @param sink with one, mail is queued on the disk before the 250, and delivered there
 */
export async function startHaraka(
  stack: AsyncDisposableStack,
  dns: Endpoint,
  sink?: Sink,
): Promise<Door> {
  const [port = 0] = await freePorts(1);
  const files = {
    "config/smtp.ini": `listen=127.0.0.1:${port}\nnodes=2\n`,
    "config/log.ini": "level=notice\n",
    "config/me": `${hostname}\n`,
    "config/plugins": "checking\n",
    "config/outbound.ini": "local_mx_ok=true\n",
    "plugins/checking.js": checkingPlugin(dns) + (sink === undefined ? discard : relayTo(sink)),
  };
  stack.use(await runHaraka(port, { files, balancers: "127.0.0.0/8" }));
  return { port, recipient, manner };
}

function checkingPlugin({ host, port }: Endpoint): string {
  return `const { Resolver } = require("node:dns").promises;
const { authenticate } = require(${JSON.stringify(mailauth)});
const dns = new Resolver();
dns.setServers(["${host}:${port}"]);
exports.hook_rcpt = (next) => next(OK);
exports.hook_data_post = (next, connection) => {
  const { transaction } = connection;
  const options = {
    ip: connection.remote.ip,
    helo: connection.hello.host,
    sender: transaction.mail_from.address,
    mta: "${hostname}",
    trustReceived: false,
    disableBimi: true,
    resolver: (name, type) => dns.resolve(name, type),
  };
  transaction.message_stream.get_data((octets) => {
    authenticate(octets, options).then(({ headers, spf, dkim, dmarc }) => {
      const text = headers.slice(headers.indexOf("Authentication-Results:") + 23).trim();
      transaction.add_leading_header("Authentication-Results", text);
      const all = [spf, dkim.results[0], dmarc].map((one) => one.status.result);
      if (all.every((one) => one === "pass")) next();
      else next(DENY, "checks say " + all);
    }, (error) => next(DENYSOFT, error.message));
  });
};
`;
}

const discard = "exports.hook_queue = (next) => next(OK);\n";

function relayTo({ port }: Sink): string {
  const next = JSON.stringify({ priority: 0, exchange: "127.0.0.1", port });
  return `exports.hook_data = (next, connection) => {
  connection.relaying = true;
  next();
};
exports.hook_get_mx = (next) => next(OK, ${next});
`;
}

/** SPF and DKIM by Exim itself; Debian builds it without DMARC. */
export async function startEximAuth(stack: AsyncDisposableStack, dns: Endpoint): Promise<Door> {
  const [port = 0] = await freePorts(1);
  const folder = eximFolder();
  // As installed, it would queue in memory: /var is new and no disk.
  const text = `spool_directory = ${folder}/spool
primary_hostname = ${hostname}
hosts_proxy = 127.0.0.0/8
acl_smtp_rcpt = recipient
acl_smtp_dkim = signature
acl_smtp_data = content
smtp_connect_backlog = 500
tls_advertise_hosts =
split_spool_directory
begin acl
recipient:
  deny !spf = pass
  accept
signature:
  deny !dkim_status = pass
  accept
content:
  warn add_header = :at_start:\${authresults {${hostname}}}
  accept
begin routers
nowhere:
  driver = redirect
  data = :blackhole:
begin transports
begin retry
begin rewrite
begin authenticators
`;
  const tree = { unpacked: benchUnpacked, nameServer: dns.host };
  stack.use(await runExim(folder, port, { text, tree, queueRun: "1h" }));
  return { port, recipient, manner };
}

/** SPF by policyd-spf, DKIM by opendkim, DMARC by opendmarc from what these two say. */
export async function startPostfixOpendkim(
  stack: AsyncDisposableStack,
  dns: Endpoint,
): Promise<Door> {
  const refused = ["BadSignature", "DNSError", "InternalError", "KeyNotFound", "NoSignature"];
  const opendkim = await startMilter(stack, dns, "opendkim", [
    "Mode v",
    "AlwaysAddARHeader yes",
    // Its resolver does not read resolv.conf.
    `Nameservers ${dns.host}`,
    ...refused.map((one) => `On-${one} reject`),
  ]);
  const opendmarc = await startMilter(stack, dns, "opendmarc", ["RejectFailures yes"]);
  const folder = peerFolder("policyd-spf");
  stack.defer(() => rmSync(folder, { recursive: true }));
  const policyFile = join(folder, "policyd-spf.conf");
  writeFileSync(policyFile, "debugLevel = 0\nMail_From_reject = SPF_Not_Pass\n");
  const extra = [
    ...discarding,
    ...milters(opendkim, opendmarc),
    "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/policyd-spf",
    "policyd-spf_time_limit = 3600",
  ];
  const program = `spawn user=nobody argv=/usr/bin/policyd-spf ${policyFile}`;
  const services = [`policyd-spf unix - n n - 0 ${program}`];
  const parts = { services, nameServer: dns.host };
  const { port } = stack.use(await startPostfix(domain, extra.join("\n"), undefined, parts));
  return { port, recipient, manner };
}

/** One of the OpenDKIM project; gives its socket. */
async function startMilter(
  stack: AsyncDisposableStack,
  dns: Endpoint,
  name: string,
  settings: readonly string[],
): Promise<string> {
  const folder = peerFolder(name);
  stack.defer(() => rmSync(folder, { recursive: true }));
  const [file, socket] = [join(folder, "milter.conf"), join(folder, "run/milter.sock")];
  const common = [`AuthservID ${hostname}`, `Socket local:${socket}`, "UMask 0", "Syslog no"];
  writeFileSync(file, `${[...common, "UserID nobody", ...settings].join("\n")}\n`);
  const tree = {
    ...{ users: [], hosts: [], folders: [`${folder}/run nobody 755`] },
    ...{ unpacked: benchUnpacked, nameServer: dns.host },
  };
  const configured = name === "opendkim" ? "-x" : "-c";
  const milter = startInTree(folder, tree, [`/usr/sbin/${name}`, "-f", configured, file]);
  stack.defer(() => milter.stop());
  for (let tries = 0; !existsSync(socket); tries += 1) {
    if (tries > 100) throw new Error(`${name} makes no socket: ${milter.output()}`);
    await pause(100);
  }
  return socket;
}
