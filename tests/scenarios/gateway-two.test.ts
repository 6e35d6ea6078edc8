/** Two Posterns of one organisation: mail between their hubs by mutual TLS with pinned keys (CAP-43). */

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Attempt, QueueItem } from "#model/queue";
import { selfSigned } from "../kit/certificate.ts";
import { freePorts, type Installation, runCli, startInstallation } from "../kit/installation.ts";
import { swaks, until } from "./gateway-stage.ts";

const hasSwaks = existsSync("/usr/bin/swaks");
const password = "a long enough password";

describe("two Posterns", { skip: !hasSwaks }, () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-two-"));
  const shown = selfSigned("hub.site-a.test");
  const stranger = selfSigned("hub.site-a.test");
  let relayPort = 0;
  let siteA: Installation;
  let siteB: Installation;

  before(async () => {
    for (const [name, { cert, key }] of Object.entries({ shown, stranger })) {
      writeFileSync(join(folder, `${name}.pem`), cert);
      writeFileSync(join(folder, `${name}.key`), key, { mode: 0o600 });
    }
    relayPort = (await freePorts(1))[0] ?? 0;
    siteB = await start(`relay = "127.0.0.1:${relayPort}"
[inbound.site-a]
door = "relay"
certificates = ["${pinOf(shown.cert)}"]
senderDomains = ["site-a.test"]
tls = "required"
`);
    const pin = pinOf(readFileSync(join(siteB.data, "hub/tls.pem"), "utf8"));
    siteA = await start(`[site]
domain = "site-a.test"
[queue]
firstRetryS = 2
[outbound.site-b]
spaces = ["postern.test"]
${pinned(pin, "shown")}
[outbound.wrong-server]
spaces = ["wrong-server.test"]
${pinned("0".repeat(64), "shown")}
[outbound.wrong-client]
spaces = ["wrong-client.test"]
${pinned(pin, "stranger")}
`);
    const made = await runCli(siteA.data, ["account", "add", "ana@site-a.test"], `${password}\n`);
    assert.equal(made.code, 0, made.stderr);
  });

  after(async () => {
    await siteA[Symbol.asyncDispose]();
    await siteB[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** More lines of [listen] come first. */
  async function start(more: string): Promise<Installation> {
    const data = mkdtempSync(join(folder, "data-"));
    const doors = ["smtp", "https", "submission", "imap", "console", "linkSmtp", "linkWeb"];
    const ports = await freePorts(doors.length);
    const listen = doors.map((door, at) => `${door} = "127.0.0.1:${ports[at]}"`);
    writeFileSync(join(data, "postern.toml"), `[listen]\n${listen.join("\n")}\n${more}`);
    return await startInstallation({ data });
  }

  function pinned(pin: string, client: string): string {
    return `via = "inside"
hosts = ["127.0.0.1:${relayPort}"]
tls = "pinned"
tlsPins = ["${pin}"]
tlsCertificateFile = "${join(folder, `${client}.pem`)}"
tlsKeyFile = "${join(folder, `${client}.key`)}"`;
  }

  function submit(to: string, subject: string): Promise<string> {
    const { submission } = siteA.ready();
    return swaks(
      ...["--server", "127.0.0.1", "--port", String(submission.port), "--tlsc"],
      ...["--auth", "PLAIN", "--auth-user", "ana@site-a.test", "--auth-password", password],
      ...["--from", "ana@site-a.test", "--to", to, "--header", `Subject: ${subject}`],
    );
  }

  test("CAP-43 mail crosses by mutual TLS 1.3, and the trace says what proved it", async () => {
    assert.match(await submit("ben@postern.test", "between sites"), /<~  250 2\.0\.0 accepted/);
    const found = await until(async () => {
      const { stdout } = await siteB.cli("trace", "find", "ana@site-a.test", "--json");
      const [first] = JSON.parse(stdout) as { id: string }[];
      return first;
    }, "the message at site B");
    const { stdout: trace } = await siteB.cli("trace", "show", found.id, "--json");
    assert.match(trace, /"connector": ?"site-a"/);
    assert.match(trace, /TLSv1\.3/);
    const { tls } = await tried("ben@postern.test");
    assert.equal(tls?.proof, "pin");
    assert.equal(tls?.version, "TLSv1.3");
  });

  test("CAP-43 S6 a server with another key gets nothing: the mail waits, and says why", async () => {
    assert.match(await submit("x@wrong-server.test", "not for them"), /<~  250 2\.0\.0 accepted/);
    const { outcome, reply } = await tried("x@wrong-server.test");
    assert.equal(outcome, "deferred");
    assert.match(JSON.stringify(reply), /not the one that is written down/);
  });

  test("CAP-43 a client with another key is refused, with one or without", async () => {
    assert.match(await submit("x@wrong-client.test", "not from them"), /<~  250 2\.0\.0 accepted/);
    const { reply } = await tried("x@wrong-client.test");
    assert.match(JSON.stringify(reply), /550.*5\.7\.1/);
    const at = ["--server", "127.0.0.1", "--port", String(relayPort)];
    const way = ["--from", "ana@site-a.test", "--to", "ben@postern.test"];
    assert.match(await swaks(...at, ...way), /\n<\*\* 550 5\.7\.1/);
    assert.match(await swaks(...at, ...way, "--tls"), /\n<~\* 550 5\.7\.1/);
    const other = ["--tls-cert", join(folder, "stranger.pem"), "--tls-key"];
    assert.match(
      await swaks(...at, ...way, "--tls", ...other, join(folder, "stranger.key")),
      /\n<~\* 550 5\.7\.1/,
    );
    const good = ["--tls-cert", join(folder, "shown.pem"), "--tls-key", join(folder, "shown.key")];
    const elsewhere = ["--from", "ana@site-a.test", "--to", "dave@outside.test"];
    assert.match(
      await swaks(...at, ...elsewhere, "--tls", ...good),
      /\n<~\* 550 5\.7\.1 relaying denied/,
    );
    assert.match(await swaks(...at, ...way, "--tls", ...good), /\n<~  250 2\.0\.0/);
  });

  /** The newest try at site A. */
  async function tried(recipient: string): Promise<Attempt> {
    return await until(async () => {
      const { stdout } = await siteA.cli("queue", "list", "--json");
      const { items } = JSON.parse(stdout) as { items: QueueItem[] };
      return items.find((one) => one.recipient === recipient)?.last;
    }, `a try for ${recipient}`);
  }
});

function pinOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}
