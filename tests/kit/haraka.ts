/** A real Haraka on loopback with a folder of its own. */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "./installation.ts";
import { harakaFolder, messagesIn, type Peer, type PeerOptions, peerFolder } from "./peer.ts";
import { portOpens } from "./port-opens.ts";

const program = join(harakaFolder, "Haraka/bin/haraka");

/** Why there can be none here, or false. */
export const noHaraka: string | false = existsSync(program) ? false : "Haraka is not installed";

export async function startHaraka(options: PeerOptions): Promise<Peer> {
  const port = options.port ?? (await freePorts(1))[0] ?? 0;
  // It trusts no authority by a file of its own.
  const env = { NODE_EXTRA_CA_CERTS: options.postern.authorityFile };
  const haraka = await runHaraka(port, { files: files(port, options), env });
  return {
    ...haraka,
    name: "haraka",
    port,
    domain: options.domain,
    can: { dsn: false, utf8: true },
    delivered: () => messagesIn(join(haraka.folder, "mail")),
  };
}

export interface RunningHaraka extends AsyncDisposable {
  /** Its own, with a "mail" in it for plugins; in its environment as HARAKA. */
  readonly folder: string;
  log(): string;
}

export interface HarakaParts {
  /** Configuration and plugins: path in its folder, and text. */
  readonly files: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  /** Network whose connections begin with a PROXY header. */
  readonly balancers?: string;
}

/** @param port as its configuration says */
export async function runHaraka(
  port: number,
  { files: texts, env, balancers = "" }: HarakaParts,
): Promise<RunningHaraka> {
  const folder = peerFolder("haraka");
  for (const name of ["config", "plugins", "queue", "mail"]) mkdirSync(join(folder, name));
  symlinkSync(harakaFolder, join(folder, "node_modules"));
  for (const [name, text] of Object.entries(texts)) {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  }
  // Its limits, which it does not know by itself; and a group that it need not look for.
  const limits = "config/connection.ini";
  const own = readFileSync(join(harakaFolder, "Haraka", limits), "utf8");
  writeFileSync(join(folder, limits), own.replace(/^hosts\[\] =$/m, `hosts[] = ${balancers}`));
  const group = ["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"];
  execFileSync("openssl", [...group, "-out", join(folder, "config/dhparams.pem")]);
  const haraka = spawn(process.execPath, [program, "-c", folder], {
    cwd: folder,
    env: { ...process.env, ...env, HARAKA: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = (): void => void haraka.kill("SIGKILL");
  process.once("exit", kill);
  let output = "";
  for (const stream of [haraka.stdout, haraka.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output = (output + chunk.toString("utf8")).slice(-100_000);
    });
  }
  await portOpens(port, haraka, join(folder, "log")).catch((error: unknown) => {
    throw new Error(output, { cause: error });
  });
  return {
    folder,
    log: () => output,
    async [Symbol.asyncDispose]() {
      process.off("exit", kill);
      if (haraka.exitCode === null && haraka.signalCode === null) {
        kill();
        await once(haraka, "exit");
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function files(
  port: number,
  { domain, certificate, postern }: PeerOptions,
): Record<string, string> {
  return {
    "config/smtp.ini": `listen=127.0.0.1:${port}\nnodes=0\n[main]\nsmtputf8=true\n`,
    "config/log.ini": "level=notice\n",
    "config/me": `mx.${domain}\n`,
    "config/plugins": "tls\npeer\n",
    "config/tls.ini": "[outbound]\nrejectUnauthorized=true\n",
    "config/tls_key.pem": certificate.key,
    "config/tls_cert.pem": certificate.cert,
    "config/outbound.ini": "temp_fail_intervals=5s*20\nlocal_mx_ok=true\n",
    "plugins/peer.js": plugin(domain, postern),
  };
}

function plugin(domain: string, postern: { readonly name: string; readonly port: number }): string {
  return `const fs = require("node:fs");
const path = require("node:path");
exports.hook_connect = (next, connection) => {
  connection.relaying = true;
  next();
};
exports.hook_rcpt = (next) => next(OK);
exports.hook_queue_outbound = (next, connection) => {
  const { transaction } = connection;
  if (transaction.rcpt_to.some(({ host }) => host !== "${domain}")) return next();
  const mail = path.join(process.env.HARAKA, "mail");
  const unfinished = path.join(mail, "." + transaction.uuid);
  const file = fs.createWriteStream(unfinished);
  file.once("error", (error) => next(DENYSOFT, error.message));
  file.once("finish", () => {
    fs.renameSync(unfinished, path.join(mail, transaction.uuid));
    next(OK);
  });
  transaction.message_stream.pipe(file);
};
exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: "127.0.0.1", from_dns: "${postern.name}", port: ${postern.port} });
`;
}
