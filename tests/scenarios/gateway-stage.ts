/** A Postern before mail servers that were there already: Postfix, Dovecot and OpenLDAP, all real. */

import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { selfSigned } from "../kit/certificate.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { freePorts, type Installation, startInstallation } from "../kit/installation.ts";
import { type Postfix, startPostfix } from "../kit/postfix.ts";
import { type Slapd, startSlapd } from "../kit/slapd.ts";
import { SmtpSink } from "../kit/smtp-sink.ts";
import { Valve } from "../kit/valve.ts";

export interface Stage extends AsyncDisposable {
  readonly postern: Installation;
  readonly relayPort: number;
  readonly lmtpSocket: string;
  /** Takes mail for mail.test by SMTP, people.test too; sends out through the relay door. */
  readonly postfix: Postfix;
  /** Between the Postern and it. */
  readonly toPostfix: Valve;
  /** Takes mail for store.test by LMTP. */
  readonly dovecot: Dovecot;
  readonly slapd: Slapd;
  readonly toSlapd: Valve;
  /** Everybody outside. */
  readonly outside: SmtpSink;
  readonly listFile: string;
  /** What the peer with the certificate shows. */
  readonly peer: { readonly cert: string; readonly key: string };
}

const secret = "between two servers";

export async function startStage(): Promise<Stage> {
  await using opening = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "postern-gateway-"));
  opening.defer(() => rmSync(folder, { recursive: true, force: true }));
  const ports = await freePorts(9);
  const relayPort = ports[7] ?? 0;
  const site = join(folder, "data/pki/site-ca.pem");
  const postfix = opening.use(await startPostfix("mail.test", insidePostfix(relayPort, site)));
  const toPostfix = opening.use(await Valve.before(postfix.port));
  const dovecot = opening.use(await startDovecot([{ address: "ana@store.test", password: "x" }]));
  const slapd = opening.use(await startSlapd([{ name: "Bo", proxyAddresses: ["bo@people.test"] }]));
  const toSlapd = opening.use(await Valve.before(slapd.port));
  const outside = new SmtpSink();
  const outsidePort = await outside.listen();
  opening.defer(() => outside.close());
  const dns = opening.use(await startDns());
  const peer = selfSigned("site-a.test");
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const listFile = file("list", "ana@store.test\n");
  const data = join(folder, "data");
  const lmtpSocket = join(folder, "lmtp.sock");
  mkdirSync(data);
  writeFileSync(
    join(data, "postern.toml"),
    configuration({
      ...{ ports, dns, lmtpSocket, outsidePort, peer: peer.cert, listFile },
      ...{ mail: toPostfix.port, store: dovecot.lmtpPort, slapd, ldapPort: toSlapd.port },
      secretFile: file("relay-secret", `${secret}\n`),
      ldapSecretFile: file("ldap-secret", slapd.password),
      ldapCaFile: file("ldap-ca.pem", slapd.authorityPem),
    }),
  );
  const postern = opening.use(await startInstallation({ data }));
  const open = opening.move();
  return {
    ...{ postern, relayPort, lmtpSocket, postfix, toPostfix, dovecot, slapd, toSlapd },
    ...{ outside, listFile, peer },
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  };
}

/** Its own people by name; everything else out through the Postern, with a login. */
function insidePostfix(relayPort: number, authority: string): string {
  const names = ["ana", "new", "down", "silent", "garbage", "slow"];
  const people = [...names.map((name) => `${name}@mail.test`), "bo@people.test"];
  const maps = people.map((one) => `${one}=mail.test/`).join(", ");
  return `virtual_mailbox_domains = mail.test, people.test
virtual_mailbox_maps = inline:{ ${maps} }
relayhost = [127.0.0.1]:${relayPort}
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = mail.postern.test
smtp_tls_CAfile = ${authority}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = inline:{ { [127.0.0.1]:${relayPort} = inside:${secret} } }
smtp_sasl_security_options =
minimal_backoff_time = 2s
maximal_backoff_time = 5s
queue_run_delay = 2s
`;
}

function startDns(): Promise<FakeDns> {
  return startFakeDns({
    "outside.test": [{ TXT: "v=spf1 ip4:127.0.0.1 -all" }],
    "forged.test": [{ TXT: "v=spf1 ip4:192.0.2.1 ~all" }],
  });
}

interface Facts {
  readonly ports: readonly number[];
  readonly dns: FakeDns;
  readonly lmtpSocket: string;
  readonly outsidePort: number;
  readonly peer: string;
  readonly listFile: string;
  readonly mail: number;
  readonly store: number;
  readonly slapd: Slapd;
  readonly ldapPort: number;
  readonly secretFile: string;
  readonly ldapSecretFile: string;
  readonly ldapCaFile: string;
}

const doors = ["smtp", "https", "submission", "imap", "console", "linkSmtp", "linkWeb", "relay"];

function configuration(of: Facts): string {
  const listen = doors.map((door, at) => `${door} = "127.0.0.1:${of.ports[at]}"`);
  const { host, port } = of.dns.endpoint;
  return `[listen]
${listen.join("\n")}
lmtp = "${of.lmtpSocket}"
[dns]
servers = ["${host}:${port}"]
[egress]
ports = ["25", "${of.outsidePort}"]
private = true
[queue]
firstRetryS = 2
maxRetryS = 5
[smtp]
maxErrors = 100
[gateway.mail]
domains = ["mail.test"]
[gateway.people]
domains = ["people.test"]
recipients = "ldap"
ldapUrl = "ldap://localhost:${of.ldapPort}"
ldapBase = "${of.slapd.base}"
ldapUser = "${of.slapd.user}"
ldapSecretFile = "${of.ldapSecretFile}"
ldapCaFile = "${of.ldapCaFile}"
[gateway.store]
domains = ["store.test"]
recipients = "list"
listFile = "${of.listFile}"
[gateway.loop]
domains = ["loop.test"]
recipients = "any"
[outbound.mail]
spaces = ["mail.test", "people.test", "loop.test"]
via = "inside"
hosts = ["127.0.0.1:${of.mail}"]
tls = "none"
[outbound.store]
spaces = ["store.test"]
via = "inside"
protocol = "lmtp"
hosts = ["127.0.0.1:${of.store}"]
tls = "none"
[outbound.world]
spaces = ["outside.test"]
hosts = ["127.0.0.1:${of.outsidePort}"]
[inbound.mail]
door = "relay"
networks = ["127.0.0.1"]
user = "inside"
secretFiles = ["${of.secretFile}"]
senderDomains = ["mail.test", "people.test"]
tls = "required"
mayRelay = true
[inbound.site-a]
door = "relay"
certificates = ["${fingerprint(of.peer)}"]
senderDomains = ["site-a.test"]
tls = "required"
`;
}

function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

/** A real client; what it printed, refusals and all. */
export function swaks(...args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile("swaks", args, { timeout: 90_000 }, (_error, stdout, stderr) => {
      resolve(stdout + stderr);
    });
  });
}

export async function until<Value>(
  find: () => Value | undefined | Promise<Value | undefined>,
  what: string,
  timeoutMs = 60_000,
): Promise<Value> {
  for (const deadlineMs = Date.now() + timeoutMs; ; await pause(200)) {
    const found = await find();
    if (found !== undefined) return found;
    if (Date.now() > deadlineMs) throw new Error(`not seen in time: ${what}`);
  }
}
