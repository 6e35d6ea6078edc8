/** The ACME server "pebble" on loopback, which proves names for real: over TLS, at the addresses that a fake DNS tells. */

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthority, issueCertificate } from "#keys/authority";
import { startFakeDns, type Zone } from "./fake-dns.ts";
import { freePorts } from "./installation.ts";

export const hasPebble: boolean = spawnSync("pebble", ["-h"]).error === undefined;

export interface PebbleOptions {
  /** Names that lead to 127.0.0.1. */
  readonly names: readonly string[];
  /** Where names are proven. */
  readonly tlsPort: number;
  /** Percentage of good nonces that are refused. */
  readonly nonceReject?: number;
  readonly lifeSeconds?: number;
  /** Key identifiers and keys of external accounts; given, an account needs one. */
  readonly externalAccounts?: Readonly<Record<string, string>>;
  /** To come back where another one was. */
  readonly port?: number;
}

export interface Pebble extends AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  /** Authority of its own HTTPS. */
  readonly caFile: string;
  /** Authority of what it issues. */
  root(): Promise<string>;
}

export async function startPebble(options: PebbleOptions): Promise<Pebble> {
  const folder = mkdtempSync(join(tmpdir(), "postern-pebble-"));
  const at = (name: string): string => join(folder, name);
  const nowMs = Date.now();
  const authority = createAuthority({ name: "Pebble HTTPS", validDays: 2, nowMs });
  const own = issueCertificate(authority, {
    commonName: "localhost",
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    usage: "server",
    validDays: 1,
    nowMs,
  });
  writeFileSync(at("ca.pem"), authority.certificatePem);
  writeFileSync(at("cert.pem"), own.certificatePem);
  writeFileSync(at("key.pem"), own.keyPem, { mode: 0o600 });
  const [free = 0, management = 0] = await freePorts(2);
  const port = options.port ?? free;
  const zone: Zone = Object.fromEntries(options.names.map((name) => [name, [{ A: "127.0.0.1" }]]));
  const dns = await startFakeDns(zone);
  writeFileSync(
    at("config.json"),
    JSON.stringify({ pebble: configOf(options, at, port, management) }),
  );
  const child = spawn(
    "pebble",
    ["-config", at("config.json"), "-dnsserver", `${dns.endpoint.host}:${dns.endpoint.port}`],
    {
      stdio: "ignore",
      env: {
        PATH: process.env["PATH"],
        PEBBLE_VA_NOSLEEP: "1",
        PEBBLE_WFE_NONCEREJECT: String(options.nonceReject ?? 0),
        PEBBLE_AUTHZREUSE: "0",
      },
    },
  );
  const ended = new Promise((resolve) => child.once("close", resolve));
  const fetchText = (from: number, path: string): Promise<string> =>
    textOf(`https://localhost:${from}${path}`, authority.certificatePem);
  await answering(() => fetchText(port, "/dir"));
  return {
    directory: `https://localhost:${port}/dir`,
    port,
    caFile: at("ca.pem"),
    root: () => fetchText(management, "/roots/0"),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
      await dns[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configOf(
  { tlsPort, externalAccounts, lifeSeconds }: PebbleOptions,
  at: (name: string) => string,
  port: number,
  management: number,
): object {
  return {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: at("cert.pem"),
    privateKey: at("key.pem"),
    httpPort: 1,
    tlsPort,
    ocspResponderURL: "",
    externalAccountBindingRequired: externalAccounts !== undefined,
    ...(externalAccounts && { externalAccountMACKeys: externalAccounts }),
    ...(lifeSeconds !== undefined && { certificateValidityPeriod: lifeSeconds }),
  };
}

function textOf(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { ca, timeout: 2000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve(text));
    }).on("error", reject);
  });
}

async function answering(ask: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await ask();
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
