/** A real Dovecot on loopback with a folder of its own: mailboxes that are not Postern's. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "./installation.ts";
import { portOpens } from "./port-opens.ts";

export interface MailboxOwner {
  readonly address: string;
  readonly password: string;
}

/** Its LMTP server is a package of its own. */
export const hasDovecotLmtp: boolean =
  process.getuid?.() === 0 && existsSync("/usr/lib/dovecot/lmtp");

export interface Dovecot extends AsyncDisposable {
  readonly imapPort: number;
  /** For owners alone; 0 without that package. */
  readonly lmtpPort: number;
  /** What lies in somebody's inbox, unread, in the order of the file names; an octet a character. */
  delivered(address: string): string[];
  /** Puts a message into somebody's inbox, as a delivery agent would. */
  deliver(address: string, message: string): void;
}

const nobody = 65_534;

/** Only root may start it: its programs change to users of their own. */
export async function startDovecot(owners: readonly MailboxOwner[]): Promise<Dovecot> {
  const folder = mkdtempSync(join(tmpdir(), "postern-dovecot-"));
  chmodSync(folder, 0o755);
  const [imapPort = 0, lmtp = 0] = await freePorts(2);
  const lmtpPort = hasDovecotLmtp ? lmtp : 0;
  for (const { address } of owners) makeMaildir(folder, address);
  const passwords = owners.map(({ address, password }) => `${address}:{PLAIN}${password}::::::\n`);
  writeFileSync(join(folder, "passwd"), passwords.join(""));
  writeFileSync(join(folder, "dovecot.conf"), configuration(folder, imapPort, lmtpPort));
  const dovecot = spawn("/usr/sbin/dovecot", ["-F", "-c", join(folder, "dovecot.conf")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await portOpens(imapPort, dovecot, join(folder, "log"));
  let delivered = 0;
  return {
    imapPort,
    lmtpPort,
    delivered(address) {
      const inbox = join(folder, "mail", address, "Maildir/new");
      const names = readdirSync(inbox).sort();
      return names.map((name) => readFileSync(join(inbox, name), "latin1"));
    },
    deliver(address, message) {
      delivered += 1;
      const name = `${Math.trunc(Date.now() / 1000)}.M${delivered}P1.test`;
      const file = join(folder, "mail", address, "Maildir/new", name);
      writeFileSync(file, message);
      chownSync(file, nobody, nobody);
    },
    async [Symbol.asyncDispose]() {
      if (dovecot.exitCode === null && dovecot.kill("SIGTERM")) await once(dovecot, "exit");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function makeMaildir(folder: string, address: string): void {
  let path = folder;
  for (const part of ["mail", address, "Maildir"]) {
    path = join(path, part);
    mkdirSync(path, { recursive: true });
    if (part !== "mail") chownSync(path, nobody, nobody);
  }
  for (const part of ["cur", "new", "tmp"]) {
    mkdirSync(join(path, part));
    chownSync(join(path, part), nobody, nobody);
  }
}

function configuration(folder: string, imapPort: number, lmtpPort: number): string {
  const lmtp = `service lmtp {
  inet_listener lmtp {
    port = ${lmtpPort}
  }
}
`;
  return `${lmtpPort === 0 ? "" : lmtp}base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
protocols = imap${lmtpPort === 0 ? "" : " lmtp"}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
passdb {
  driver = passwd-file
  args = ${folder}/passwd
}
userdb {
  driver = static
  args = uid=${nobody} gid=${nobody} home=${folder}/mail/%u
}
service imap-login {
  inet_listener imap {
    port = ${imapPort}
  }
  inet_listener imaps {
    port = 0
  }
}
namespace inbox {
  inbox = yes
  mailbox Drafts {
    auto = subscribe
    special_use = \\Drafts
  }
  mailbox Sent {
    auto = subscribe
    special_use = \\Sent
  }
  mailbox Trash {
    auto = subscribe
    special_use = \\Trash
  }
}
`;
}
