/** A real OpenLDAP server on loopback with a folder of its own: the directory of somebody's people. */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfSigned } from "./certificate.ts";
import { freePorts } from "./installation.ts";
import { portOpens } from "./port-opens.ts";

export const hasSlapd: boolean = existsSync("/usr/sbin/slapd");

/** One of them is as OpenLDAP has people, the other as Active Directory with Exchange has them. */
export interface Entry {
  readonly name: string;
  readonly mail?: string;
  /** Without "smtp:"; the first is the primary address. */
  readonly proxyAddresses?: readonly string[];
}

export interface Slapd extends AsyncDisposable {
  readonly port: number;
  readonly securePort: number;
  readonly base: string;
  /** May search; nobody else may. */
  readonly user: string;
  readonly password: string;
  /** Its certificate, which is its own authority, for "localhost". */
  readonly authorityPem: string;
  add(entry: Entry): void;
  stop(): Promise<void>;
  /** On the same ports, with the same entries. */
  start(): Promise<void>;
}

const base = "dc=inside,dc=test";
const user = `cn=postern,${base}`;
const password = "let me look (once)*";

export async function startSlapd(entries: readonly Entry[], extra = ""): Promise<Slapd> {
  const folder = mkdtempSync(join(tmpdir(), "postern-slapd-"));
  const [port = 0, securePort = 0] = await freePorts(2);
  const { cert, key } = selfSigned("localhost");
  mkdirSync(join(folder, "data"));
  writeFileSync(join(folder, "tls.pem"), cert);
  writeFileSync(join(folder, "tls.key"), key, { mode: 0o600 });
  writeFileSync(join(folder, "slapd.conf"), configuration(folder, extra));
  const load = (text: string): void => {
    const flags = ["-x", "-H", `ldap://127.0.0.1:${port}`, "-D", `cn=admin,${base}`, "-w", "admin"];
    const done = spawnSync("/usr/bin/ldapadd", flags, { input: text, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`ldapadd: ${done.stderr}`);
  };
  const urls = `ldap://127.0.0.1:${port} ldaps://127.0.0.1:${securePort}`;
  const run = async (): Promise<ReturnType<typeof spawn>> => {
    const flags = ["-d", "0", "-f", join(folder, "slapd.conf"), "-h", urls];
    const started = spawn("/usr/sbin/slapd", flags, { stdio: "ignore" });
    await portOpens(port, started, join(folder, "log"));
    return started;
  };
  let server = await run();
  const stop = async (): Promise<void> => {
    if (server.exitCode === null && server.kill("SIGTERM")) await once(server, "exit");
  };
  load(`dn: ${base}\nobjectClass: dcObject\nobjectClass: organization\no: Inside\ndc: inside\n`);
  load(`dn: ${user}\nobjectClass: person\ncn: postern\nsn: postern\nuserPassword: ${password}\n`);
  for (const entry of entries) load(ldif(entry));
  return {
    ...{ port, securePort, base, user, password, authorityPem: cert },
    add: (entry) => load(ldif(entry)),
    stop,
    async start() {
      server = await run();
    },
    async [Symbol.asyncDispose]() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function ldif({ name, mail, proxyAddresses = [] }: Entry): string {
  const kind = proxyAddresses.length > 0 ? "exchangePerson" : "inetOrgPerson";
  const proxies = proxyAddresses.map((one, at) => `${at === 0 ? "SMTP" : "smtp"}:${one}`);
  return [
    `dn: cn=${name},${base}`,
    `objectClass: ${kind}`,
    `cn: ${name}`,
    `sn: ${name}`,
    ...(mail === undefined ? [] : [`mail: ${mail}`]),
    ...proxies.map((one) => `proxyAddresses: ${one}`),
    "",
  ].join("\n");
}

/** Active Directory's attribute has that number, and is compared without case, too. */
function configuration(folder: string, extra: string): string {
  const schemas = ["core", "cosine", "inetorgperson"];
  return `${schemas.map((name) => `include /etc/ldap/schema/${name}.schema`).join("\n")}
attributetype ( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch
  SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 2.25.4711 NAME 'exchangePerson' SUP inetOrgPerson STRUCTURAL MAY proxyAddresses )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/slapd.pid
argsfile ${folder}/slapd.args
TLSCertificateFile ${folder}/tls.pem
TLSCertificateKeyFile ${folder}/tls.key
${extra}
database mdb
maxsize 10485760
suffix "${base}"
rootdn "cn=admin,${base}"
rootpw admin
directory ${folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="${user}" read by * none
`;
}
