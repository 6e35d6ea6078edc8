/** A real Dovecot on loopback that takes mail by LMTP and keeps passwords for a Postfix. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MailboxOwner } from "./dovecot.ts";
import { freePorts } from "./installation.ts";
import { portOpens } from "./port-opens.ts";

export interface DovecotMail extends AsyncDisposable {
  readonly lmtpPort: number;
  /** For Postfix: smtpd_sasl_type = dovecot, smtpd_sasl_path = inet:127.0.0.1:… */
  readonly authPort: number;
  delivered(address: string): string[];
  /** Nothing more can be delivered there. */
  close(address: string): void;
}

const nobody = 65_534;

/** Only root may start it: its programs change to users of their own. */
export async function startDovecotMail(owners: readonly MailboxOwner[]): Promise<DovecotMail> {
  const folder = mkdtempSync(join(tmpdir(), "postern-dovecot-mail-"));
  chmodSync(folder, 0o755);
  const [lmtpPort = 0, authPort = 0] = await freePorts(2);
  const homeOf = (address: string): string => join(folder, "mail", address);
  for (const { address } of owners) {
    mkdirSync(homeOf(address), { recursive: true });
    chownSync(homeOf(address), nobody, nobody);
  }
  const passwords = owners.map(({ address, password }) => `${address}:{PLAIN}${password}::::::\n`);
  writeFileSync(join(folder, "passwd"), passwords.join(""));
  writeFileSync(join(folder, "dovecot.conf"), configuration(folder, lmtpPort, authPort));
  const dovecot = spawn("/usr/sbin/dovecot", ["-F", "-c", join(folder, "dovecot.conf")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await portOpens(lmtpPort, dovecot, join(folder, "log"));
  return {
    lmtpPort,
    authPort,
    delivered(address) {
      try {
        const inbox = join(homeOf(address), "Maildir/new");
        return readdirSync(inbox).map((name) => readFileSync(join(inbox, name), "latin1"));
      } catch {
        return [];
      }
    },
    close(address) {
      rmSync(homeOf(address), { recursive: true });
      writeFileSync(homeOf(address), "not a folder");
    },
    async [Symbol.asyncDispose]() {
      if (dovecot.exitCode === null && dovecot.kill("SIGTERM")) await once(dovecot, "exit");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(folder: string, lmtpPort: number, authPort: number): string {
  return `base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain scram-sha-1 scram-sha-256
auth_failure_delay = 0
mail_location = maildir:~/Maildir
passdb {
  driver = passwd-file
  args = ${folder}/passwd
}
userdb {
  driver = passwd-file
  args = ${folder}/passwd
  override_fields = uid=${nobody} gid=${nobody} home=${folder}/mail/%u
}
service lmtp {
  inet_listener lmtp {
    port = ${lmtpPort}
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  inet_listener smtpd {
    port = ${authPort}
  }
}
`;
}
