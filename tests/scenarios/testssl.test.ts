/**
 * W19 CAP-25 testssl.sh on every door that the Internet reaches. It reads what a stranger sees; the
 * whole run of all its sections takes some two minutes a door and is made by hand.
 */

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePorts, type Installation, startInstallation } from "../kit/installation.ts";

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

const tooMuch = ["MEDIUM", "HIGH", "CRITICAL", "FATAL"];
/** Protocols, ciphers by strength, what the server prefers, certificate and tickets, renegotiation. */
const sections = ["--fast", "-p", "-s", "-P", "-S", "-R"];
/** Forward secrecy; headers, compression of TLS and HTTP. */
const webSections = ["-f", "-h", "-C", "-B"];
const limitMs = 140_000;

const skip = spawnSync("testssl", ["--version"]).error !== undefined && "no testssl here";

let installation: Installation;
let imapsPort = 0;
const folder = mkdtempSync(join(tmpdir(), "postern-testssl-"));

before(async () => {
  if (skip) return;
  [imapsPort = 0] = await freePorts(1);
  const config = `[clients]\nimaps = "127.0.0.1:${imapsPort}"\n`;
  installation = await startInstallation({ config });
  await installCertificate();
});

after(async () => {
  if (!skip) await installation[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** As a bought one is: of an authority that publishes which of its certificates it revoked. */
async function installCertificate(): Promise<void> {
  const path = (name: string): string => join(folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const made = (own: string): string[] => [
    "-keyout",
    path(`${own}.key`),
    "-out",
    path(`${own}.pem`),
  ];
  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
  };
  openssl("req", "-x509", ...key, ...made("ca"), "-subj", "/CN=Test authority", "-days", "90");
  const facts = [
    `subjectAltName=DNS:mail.${installation.ready().domain}`,
    "basicConstraints=critical,CA:false",
    "extendedKeyUsage=serverAuth",
    "crlDistributionPoints=URI:http://authority.test/revoked.crl",
  ];
  openssl(
    ...["req", "-x509", ...key, ...made("mail"), "-subj", "/CN=mail", "-days", "90"],
    ...["-CA", path("ca.pem"), "-CAkey", path("ca.key")],
    ...facts.flatMap((fact) => ["-addext", fact]),
  );
  const { code, stderr } = await installation.cli(
    ...["pki", "install", path("mail.pem"), path("mail.key")],
  );
  assert.equal(code, 0, stderr);
}

function scan(name: string, port: number, more: readonly string[]): Promise<readonly Finding[]> {
  const { domain } = installation.ready();
  const file = join(folder, `${name}.json`);
  const offline = ["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none"];
  const where = ["--ip", "127.0.0.1", "--add-ca", join(folder, "ca.pem"), "--jsonfile", file];
  const args = [...offline, ...where, ...sections, ...more, `mail.${domain}:${port}`];
  return new Promise((resolve, reject) => {
    // Its exit code counts findings of every kind.
    execFile("testssl", args, { timeout: limitMs }, (error, stdout) => {
      if (error?.killed) reject(new Error(`testssl did not end:\n${stdout}`));
      else resolve(JSON.parse(readFileSync(file, "utf8")) as Finding[]);
    });
  });
}

function judge(findings: readonly Finding[]): void {
  const bad = findings.filter(({ severity }) => tooMuch.includes(severity));
  assert.deepEqual(bad, []);
  const said = (id: string): string => findings.find((one) => one.id === id)?.finding ?? "nothing";
  assert.match(said("TLS1_2"), /^offered/);
  assert.match(said("TLS1_3"), /^offered/);
  assert.match(said("TLS1_1"), /^not offered/);
  assert.match(said("cert_chain_of_trust"), /^passed/);
  assert.match(said("secure_client_renego"), /^not vulnerable/);
  assert.match(said("cipherlist_AVERAGE"), /^not offered/, "CBC");
}

describe("W19 CAP-25 testssl.sh finds nothing above low", { skip, concurrency: true }, () => {
  test("on the web edge: HTTPS and HTTP/2", async () => {
    const port = Number(new URL(installation.ready().https.url).port);
    const findings = await scan("web", port, webSections);
    judge(findings);
    const said = (id: string): string => findings.find((one) => one.id === id)?.finding ?? "";
    assert.match(said("ALPN_HTTP2"), /^h2$/);
    assert.match(said("HSTS_time"), /730 days/);
  });

  test("on the mail edge: STARTTLS", async () => {
    judge(await scan("smtp", installation.ready().smtp.port, ["--starttls", "smtp"]));
  });

  test("on IMAP through the edge", async () => {
    judge(await scan("imaps", imapsPort, []));
  });
});
