/** A partner whose mail must be protected: real Postfix and Exim, and everything that goes wrong on the way. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { adminClient } from "../../src/cli/admin-client.ts";
import { type TestAuthority, testAuthority } from "../kit/authority.ts";
import { selfSigned } from "../kit/certificate.ts";
import { noExim, startExim } from "../kit/exim.ts";
import { startFakeDns } from "../kit/fake-dns.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import type { Peer, PeerOptions } from "../kit/peer.ts";
import { mayRunPostfix, startPostfixPeer } from "../kit/postfix.ts";
import { SmtpDialogue } from "../kit/smtp-dialogue.ts";
import { SmtpSink } from "../kit/smtp-sink.ts";
import { type Meddling, startTlsStripper, type TlsStripper } from "../kit/tls-stripper.ts";

const secret = "what-only-the-partner-may-read";
const partner = "mx.partner.example";
const dayMs = 86_400_000;

type Certificate = PeerOptions["certificate"];

interface Case {
  /** First label of its domain, and of its connector. */
  readonly name: string;
  readonly server: "postfix" | "exim";
  readonly meddling?: Meddling;
  readonly certificate: (by: TestAuthority, other: TestAuthority) => Certificate;
  /** Instead of required with the partner's name. */
  readonly tls?: (good: Certificate) => string;
  /** What the administrator reads; absent: it is delivered. */
  readonly why?: RegExp;
}

function certify(
  by: TestAuthority,
  name: string,
  when: { fromMs?: number; days?: number } = {},
): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    cert: by.direct({ names: [name], publicKey, ...when }),
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

const good = (by: TestAuthority): Certificate => certify(by, partner);
const pinOf = ({ cert }: Certificate): string => new X509Certificate(cert).fingerprint256;

const cases: readonly Case[] = [
  { name: "fine-postfix", server: "postfix", certificate: good },
  { name: "fine-exim", server: "exim", certificate: good },
  { name: "pinned", server: "exim", certificate: good, tls: pinned },
  {
    name: "stripped",
    server: "postfix",
    meddling: "strip",
    certificate: good,
    why: /TLS is required, and the server does not offer it/,
  },
  {
    name: "later",
    server: "exim",
    meddling: "454",
    certificate: good,
    why: /454 .*the server refused STARTTLS: TLS not available/,
  },
  {
    name: "unknown-command",
    server: "postfix",
    meddling: "502",
    certificate: good,
    why: /the server refused STARTTLS: command not implemented/,
  },
  {
    name: "injected",
    server: "exim",
    meddling: "injected",
    certificate: good,
    why: /words in the clear between the server's 220 and the handshake/,
  },
  {
    name: "garbage",
    server: "postfix",
    meddling: "garbage",
    certificate: good,
    why: /4\.7\.5 TLS: /,
  },
  {
    name: "wrong-name",
    server: "exim",
    certificate: (by) => certify(by, "mx.elsewhere.example"),
    why: /certificate is for mx\.[a-z-]+\.example, not for .*mx\.partner\.example/,
  },
  {
    name: "other-partner",
    server: "postfix",
    certificate: (by) => certify(by, "mx.other-partner.example"),
    why: /certificate is for mx\.[a-z-]+\.example, not for .*mx\.partner\.example/,
  },
  {
    name: "expired",
    server: "exim",
    certificate: (by) => certify(by, partner, { fromMs: Date.now() - 30 * dayMs, days: 10 }),
    why: /its certificate, or one above it, has expired/,
  },
  {
    name: "self-signed",
    server: "postfix",
    certificate: () => selfSigned(partner),
    why: /its certificate signs itself/,
  },
  {
    name: "unknown-authority",
    server: "exim",
    certificate: (_, other) => certify(other, partner),
    why: /leads to an authority that is not trusted/,
  },
  {
    name: "changed-key",
    server: "exim",
    certificate: good,
    tls: () => `tls = "pinned"\ntlsPins = ["${pinOf(selfSigned("x"))}"]`,
    why: /certificate is not the one that is written down/,
  },
];

function pinned(certificate: Certificate): string {
  return `tls = "pinned"\ntlsPins = ["${pinOf(certificate)}"]`;
}

interface Placed extends Case {
  readonly domain: string;
  readonly peer: Peer;
  readonly relay: TlsStripper;
  readonly offered: Certificate;
}

interface QueueRow {
  readonly id: string;
  readonly recipient: string;
  readonly state: string;
  readonly attempts: number;
}

const skip = noExim || (mayRunPostfix ? false : "needs root");

describe("a partner domain with tls = required", { skip }, () => {
  const started = new AsyncDisposableStack();
  let installation: Installation;
  let placed: readonly Placed[];
  /** Where a forged MX leads, and one that only knows TLS 1.1. */
  let evil: SmtpSink;
  let old: SmtpSink;
  let oldPort: number;
  let ordinary: SmtpSink;

  before(async () => {
    const folder = mkdtempSync(join(tmpdir(), "postern-tls-"));
    started.defer(() => rmSync(folder, { recursive: true, force: true }));
    const [by, other] = [testAuthority(), testAuthority()];
    const authorityFile = join(folder, "authority.pem");
    writeFileSync(authorityFile, by.rootPem);
    evil = sink({ tls: certify(by, "mx.evil.example") });
    await evil.listenAt("127.0.0.77", 25);
    ordinary = sink({});
    await ordinary.listenAt("127.0.0.78", 25);
    const weak = {
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    } as const;
    old = sink({ tls: { ...good(by), ...weak } });
    oldPort = await old.listen();
    placed = await Promise.all(cases.map((one) => place(one, by, other)));
    const dns = started.use(
      await startFakeDns({
        "tampered.example": [{ MX: [10, "mx.evil.example"] }],
        "mx.evil.example": [{ A: "127.0.0.77" }],
        "ordinary.example": [{ MX: [10, "mx.ordinary.example"] }],
        "mx.ordinary.example": [{ A: "127.0.0.78" }],
      }),
    );
    const required = `tls = "required"\ntlsNames = ["${partner}"]\ntlsAuthorityFile = "${authorityFile}"`;
    const sections = [
      ...placed.map(({ name, relay, tls, offered }) =>
        section(name, relay.port, tls?.(offered) ?? required),
      ),
      section("downgraded", oldPort, required),
      section("tampered", undefined, required),
    ];
    const ports = [25, oldPort, ...placed.map(({ relay }) => relay.port)];
    const { host, port } = dns.endpoint;
    installation = started.use(
      await startInstallation({
        config: `${sections.join("")}
[dns]
servers = ["${host}:${port}"]
[egress]
ports = [${ports.map((one) => `"${one}"`).join(", ")}]
private = true
[queue]
firstRetryS = 2
privateNetworks = true
`,
      }),
    );
    await submitAll();
  });
  after(() => started.disposeAsync());

  function sink(options: ConstructorParameters<typeof SmtpSink>[0]): SmtpSink {
    const made = new SmtpSink(options);
    started.defer(() => made.close());
    return made;
  }

  async function place(one: Case, by: TestAuthority, other: TestAuthority): Promise<Placed> {
    const domain = `${one.name}.example`;
    const offered = one.certificate(by, other);
    // Nothing of these comes back to the Postern.
    const postern = { name: "mail.postern.test", port: 9, authorityFile: "/etc/hostname" };
    const start = one.server === "exim" ? startExim : startPostfixPeer;
    const peer = started.use(await start({ domain, certificate: offered, postern }));
    const relay = started.use(await startTlsStripper(peer.port, one.meddling ?? "pass"));
    return { ...one, domain, offered, peer, relay };
  }

  async function submitAll(): Promise<void> {
    const { submission, ca, accounts } = installation.ready();
    const { address = "", password = "" } = accounts[0] ?? {};
    const tls = { ca: readFileSync(ca, "utf8"), servername: "localhost" };
    const dialogue = new SmtpDialogue(submission, tls);
    const domains = [
      ...placed.map(({ domain }) => domain),
      "downgraded.example",
      "tampered.example",
      "ordinary.example",
    ];
    await dialogue.reply();
    await dialogue.say("EHLO client.example");
    await dialogue.say(`AUTH PLAIN ${Buffer.from(`\0${address}\0${password}`).toString("base64")}`);
    for (const domain of domains) {
      await dialogue.say(`MAIL FROM:<${address}>`);
      await dialogue.say(`RCPT TO:<box@${domain}>`);
      await dialogue.say("DATA");
      dialogue.write(`From: <${address}>\r\nSubject: ${secret}\r\n\r\n${secret}\r\n.\r\n`);
      assert.match((await dialogue.reply()) ?? "", /^250 /);
    }
    dialogue.close();
  }

  /** Once there were two tries, or it is delivered. */
  async function itemFor(domain: string): Promise<QueueRow> {
    for (let turn = 0; turn < 120; turn += 1) {
      const query = `/queue?domain=${domain}`;
      const [item] = (await adminClient(installation.data).get<{ items: QueueRow[] }>(query)).items;
      if (item !== undefined && (item.state === "delivered" || item.attempts >= 2)) return item;
      await pause(500);
    }
    throw new Error(`nothing was tried for ${domain}`);
  }

  async function shown(domain: string): Promise<string> {
    const { id } = await itemFor(domain);
    return (await installation.cli("queue", "show", id)).stdout;
  }

  for (const { name, server, why } of cases) {
    const placedCase = (): Placed => {
      const found = placed.find((one) => one.name === name);
      assert.ok(found);
      return found;
    };
    if (why === undefined) {
      test(`CAP-41 ${server}, ${name}: it is delivered, and the trace holds the proof`, async () => {
        const { domain, peer, relay } = placedCase();
        const text = await shown(domain);
        assert.match(text, /try 1: delivered/);
        assert.match(
          text,
          name === "pinned" ? /verified by pin/ : /verified by authority for mx\.partner\.example/,
        );
        assert.equal(peer.delivered().filter((one) => one.includes(secret)).length, 1);
        assert.ok(relay.handshakes > 0);
        assertNothingInClear(relay.heardInClear());
      });
    } else {
      test(`S6 CAP-41 ${server}, ${name}: it waits, the administrator sees why, nothing leaves in clear`, async (t) => {
        const { domain, peer, relay } = placedCase();
        const { state } = await itemFor(domain);
        assert.equal(state, "waiting");
        const text = await shown(domain);
        t.diagnostic(/said {4}(.*)/.exec(text)?.[1] ?? text);
        assert.match(text, why);
        assert.deepEqual(peer.delivered(), []);
        assert.match(relay.heardInClear(), /^EHLO /);
        assertNothingInClear(relay.heardInClear());
      });
    }
  }

  test("S6 CAP-41 a server that only knows TLS 1.1 gets nothing", async (t) => {
    const text = await shown("downgraded.example");
    t.diagnostic(/said {4}(.*)/.exec(text)?.[1] ?? text);
    assert.match(text, /state +waiting/);
    assert.match(text, /TLS/);
    const modest = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", "-connect", `127.0.0.1:${oldPort}`];
    const args = ["s_client", "-starttls", "smtp", "-brief", ...modest];
    const client = spawn("openssl", args, { stdio: ["pipe", "ignore", "pipe"] });
    client.stdin.end("QUIT\n");
    let stderr = "";
    for await (const chunk of client.stderr) stderr += String(chunk);
    assert.match(stderr, /Protocol version: TLSv1\.1/, "the server is what it is meant to be");
    assert.deepEqual(old.mails, []);
    assertNothingInClear(old.lines.join("\n"));
  });

  test("S6 CAP-41 a forged MX with a good certificate of its own gets nothing", async (t) => {
    const text = await shown("tampered.example");
    t.diagnostic(/said {4}(.*)/.exec(text)?.[1] ?? text);
    assert.match(text, /state +waiting/);
    assert.match(text, /mx\.evil\.example/);
    assert.match(text, /certificate is for mx\.[a-z-]+\.example, not for .*mx\.partner\.example/);
    assert.ok(evil.sessions > 0);
    assert.deepEqual(evil.mails, []);
    assertNothingInClear(evil.lines.join("\n"));
  });

  test("CAP-41 mail to everybody else flows meanwhile, by the default connector", async () => {
    const text = await shown("ordinary.example");
    assert.match(text, /try 1: delivered/);
    assert.equal(ordinary.mails.length, 1);
    assert.equal(ordinary.mails[0]?.tls, false);
  });
});

function assertNothingInClear(heard: string): void {
  assert.ok(!heard.includes(secret), "the content was seen");
  assert.ok(!/^(?:MAIL|RCPT|DATA|BDAT|AUTH)/im.test(heard), `the envelope was seen: ${heard}`);
}

function section(name: string, port: number | undefined, tls: string): string {
  const hosts = port === undefined ? "" : `hosts = ["127.0.0.1:${port}"]\n`;
  return `[outbound.${name}]\nspaces = ["${name}.example"]\n${hosts}${tls}\n`;
}
