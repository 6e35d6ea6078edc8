/** A real OpenSMTPD on loopback with a folder of its own. */

import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
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
export const noOpenSmtpd: string | false = peerMissing("usr/sbin/smtpd");

export async function startOpenSmtpd(options: PeerOptions): Promise<Peer> {
  const folder = peerFolder("opensmtpd");
  const port = options.port ?? (await freePorts(1))[0] ?? 0;
  mkdirSync(join(folder, "etc"), { recursive: true });
  const secret = { mode: 0o600 };
  writeFileSync(join(folder, "cert.pem"), options.certificate.cert, secret);
  writeFileSync(join(folder, "key.pem"), options.certificate.key, secret);
  writeFileSync(join(folder, "etc/smtpd.conf"), configuration(folder, port, options), secret);
  // It trusts what the machine trusts.
  mkdirSync(join(folder, "etc/ssl/certs"), { recursive: true });
  for (const name of ["cert.pem", "certs/ca-certificates.crt"]) {
    copyFileSync(options.postern.authorityFile, join(folder, "etc/ssl", name));
  }
  const tree = {
    users: ["opensmtpd", "opensmtpq", "_smtpd", "_smtpq"],
    hosts: [`127.0.0.1 ${options.postern.name}`],
    folders: [
      "/var/spool/smtpd root 711",
      "/var/lib/opensmtpd/empty root 755",
      "/var/empty root 755",
      `${folder}/mail nobody 755`,
    ],
  };
  const smtpd = startInTree(folder, tree, ["/usr/sbin/smtpd", "-d"]);
  await portOpens(port, smtpd.program, join(folder, "log")).catch((error: unknown) => {
    throw new Error(smtpd.output(), { cause: error });
  });
  return {
    name: "opensmtpd",
    port,
    domain: options.domain,
    can: { dsn: true, utf8: false },
    delivered: () => messagesIn(join(folder, "mail/new")),
    log: smtpd.output,
    async [Symbol.asyncDispose]() {
      await smtpd.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(folder: string, port: number, { domain, postern }: PeerOptions): string {
  return `pki peer cert "${folder}/cert.pem"
pki peer key "${folder}/key.pem"
listen on 127.0.0.1 port ${port} tls pki peer hostname mx.${domain}
action "inbox" maildir "${folder}/mail" user nobody virtual { "@" = "nobody" }
action "outside" relay helo mx.${domain} host "smtp+tls://${postern.name}:${postern.port}" tls
match from any for domain "${domain}" action "inbox"
match from any for any action "outside"
`;
}
