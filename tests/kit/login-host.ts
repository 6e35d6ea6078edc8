/** A real Postfix that takes mail for anybody after a login, judged by a real Dovecot. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "./installation.ts";
import { portOpens } from "./port-opens.ts";
import { type Postfix, startPostfix } from "./postfix.ts";

export interface LoginHost extends Postfix {
  /** From now on this password, and no other. */
  setPassword(password: string): void;
}

/** It offers PLAIN and SCRAM-SHA-256, inside TLS only. */
export async function startLoginHost(
  domain: string,
  user: string,
  certificate: { readonly cert: string; readonly key: string },
): Promise<LoginHost> {
  const folder = mkdtempSync(join(tmpdir(), "postern-login-host-"));
  chmodSync(folder, 0o755);
  const [authPort = 0] = await freePorts(1);
  const passwords = join(folder, "passwd");
  const chain = join(folder, "tls.pem");
  writeFileSync(chain, certificate.key + certificate.cert, { mode: 0o600 });
  writeFileSync(passwords, "");
  writeFileSync(join(folder, "dovecot.conf"), dovecotConfiguration(folder, authPort));
  const dovecot = spawn("/usr/sbin/dovecot", ["-F", "-c", join(folder, "dovecot.conf")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await portOpens(authPort, dovecot, join(folder, "log"));
  const postfix = await startPostfix(
    domain,
    `smtpd_tls_chain_files = ${chain}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:${authPort}
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
`,
  );
  return {
    ...postfix,
    setPassword: (password) => writeFileSync(passwords, `${user}:{PLAIN}${password}\n`),
    async [Symbol.asyncDispose]() {
      await postfix[Symbol.asyncDispose]();
      if (dovecot.exitCode === null && dovecot.kill("SIGTERM")) await once(dovecot, "exit");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function dovecotConfiguration(folder: string, authPort: number): string {
  return `base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
protocols =
ssl = no
auth_mechanisms = plain scram-sha-256
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = ${folder}/passwd
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  inet_listener {
    address = 127.0.0.1
    port = ${authPort}
  }
}
`;
}
