/** Partners of a whole installation: swaks, a SCRAM client and a real Postfix come by connectors. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { selfSigned } from "../kit/certificate.ts";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { emailsByJmap, headersByImap, type Login, type SeenEmail } from "../kit/mail-readers.ts";
import { mayRunPostfix, startPostfix } from "../kit/postfix.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-partners-"));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

interface Shown {
  readonly cert: string;
  readonly key: string;
  readonly sha256: string;
}

function certificateOf(name: string): Shown {
  const { cert, key } = selfSigned(name);
  const sha256 = createHash("sha256").update(new X509Certificate(cert).raw).digest("hex");
  return { cert: write(`${name}.cert`, cert), key: write(`${name}.key`, key), sha256 };
}

const node = certificateOf("node.inside.example");
const beta = certificateOf("mail.beta.example");
const strange = certificateOf("mail.strange.example");
const [oldSecret, nextSecret] = [
  write("acme.old", "the old word\n"),
  write("acme.next", "the next word\n"),
];
const postfixSecret = write("delta", "a word for Postfix\n");

/** Nobody has records here, and the DNS says so. */
let dns: FakeDns;
let installation: Installation;
let ana: Login;

before(async () => {
  dns = await startFakeDns({});
  installation = await startInstallation({
    config: `
[dns]
servers = ["127.0.0.1:${dns.endpoint.port}"]
[balancer]
mail = ["127.0.0.2/32"]

[inbound.strict]
networks = ["192.0.2.16/28"]
tls = "required"

[inbound.node]
networks = ["192.0.2.32/28"]
certificates = ["${node.sha256}"]
tls = "required"
tlsMinVersion = "1.3"
trusted = true

[inbound.acme]
user = "acme-mail"
secretFiles = ["${oldSecret}", "${nextSecret}"]
senderDomains = ["acme.example"]
tls = "required"

[inbound.beta]
certificates = ["${beta.sha256}"]
senderDomains = ["beta.example"]

[inbound.delta]
user = "delta"
secretFiles = ["${postfixSecret}"]
senderDomains = ["delta.example"]
`,
  });
  [ana] = installation.ready().accounts as readonly [Login];
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  await dns[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** Refusals come to the inside in batches. */
async function traceOf(sender: string, text = ""): Promise<string> {
  for (let tries = 0; tries < 20; tries += 1) {
    const { stdout } = await installation.cli("trace", "find", sender);
    for (const [id] of stdout.matchAll(/[0-9a-f]{32}/g)) {
      const shown = stdout + (await installation.cli("trace", "show", id)).stdout;
      if (shown.includes(text)) return shown;
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return "";
}

interface Mail {
  readonly from: string;
  /** Client address, as a balancer tells it. */
  readonly by?: string;
  readonly tls?: Shown | "anonymous" | "clear";
  readonly login?: readonly [user: string, word: string];
  readonly more?: readonly string[];
}

interface Said {
  readonly code: number;
  readonly text: string;
}

/** Runs swaks; the message's X-Case field is its marker. */
function swaks(marker: string, mail: Mail): Promise<Said> {
  const { from, by = "198.51.100.7", tls = "clear", login, more = [] } = mail;
  const { smtp } = installation.ready();
  const shown = typeof tls === "string" ? [] : ["--tls-cert", tls.cert, "--tls-key", tls.key];
  const args = [
    ...["--server", "127.0.0.1", "--port", String(smtp.port), "--local-interface", "127.0.0.2"],
    ...["--proxy", `TCP4 ${by} 127.0.0.1 40000 25`],
    ...["--helo", "mail.partner.example", "--from", from, "--to", ana.address],
    ...["--header", `X-Case: ${marker}`, "--header", `From: <${from}>`, "--timeout", "20"],
    ...(tls === "clear" ? [] : ["--tls", ...shown]),
    ...(login ? ["--auth", "PLAIN", "--auth-user", login[0], "--auth-password", login[1]] : []),
    ...more,
  ];
  return new Promise((resolve) => {
    execFile("swaks", args, { timeout: 30_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code ?? 1);
      resolve({ code, text: stdout + stderr });
    });
  });
}

async function refused(mail: Mail, reply: RegExp): Promise<void> {
  const { code, text } = await swaks("refused", mail);
  assert.notEqual(code, 0, text);
  assert.match(text, reply);
}

async function taken(marker: string, mail: Mail): Promise<SeenEmail> {
  const { code, text } = await swaks(marker, mail);
  assert.equal(code, 0, text);
  return await email(marker);
}

async function email(marker: string): Promise<SeenEmail> {
  const found = (await emailsByJmap(installation.ready(), ana)).get(marker);
  assert.ok(found, marker);
  return found;
}

async function headerOf(marker: string): Promise<string> {
  const ready = installation.ready();
  const all = await Promise.all(["INBOX", "Junk"].map((box) => headersByImap(ready, ana, box)));
  return all.map((headers) => headers.get(marker)).find((one) => one !== undefined) ?? "";
}

describe("CAP-41 required TLS", () => {
  const by = "192.0.2.17";

  test("CAP-41 in clear: 530, and the trace says why", async () => {
    const from = "in-clear@c.example";
    await refused({ from, by }, /530 5\.7\.0 Must issue a STARTTLS command first/);
    assert.match(await traceOf(from), /530.*Must issue a STARTTLS command first/);
  });

  test("CAP-41 CAP-40 in TLS: taken; Received and trace say version, cipher and group", async () => {
    const { senderPartner } = await taken("strict", { from: "a@c.example", by, tls: "anonymous" });
    assert.equal(senderPartner, null); // an address proves nobody
    const received = await headerOf("strict");
    assert.match(received, /^\tby \S+ with ESMTPS \(TLSv1\.3 TLS_\S+ (?:X25519|secp)\S*\)\r$/m);
  });

  test("CAP-42 everybody else is not affected", async () => {
    const { senderOrigin } = await taken("default", { from: "a@c.example" });
    assert.equal(senderOrigin, "outside");
    await taken("default-tls", { from: "a@c.example", tls: strange });
    assert.match(await headerOf("default"), /^\tby \S+ with ESMTP\r$/m);
  });
});

describe("CAP-43 an own server by mutual TLS with a pinned certificate", () => {
  const by = "192.0.2.33";
  const from = "a@c.example";

  test("CAP-43 in clear, anonymous, with another certificate, and with old TLS: refused", async () => {
    await refused({ from, by }, /530 5\.7\.0/);
    await refused({ from, by, tls: "anonymous" }, /550 5\.7\.1 .*certificate/);
    await refused({ from, by, tls: strange }, /550 5\.7\.1 .*certificate/);
    const more = ["--tls-protocol", "tlsv1_2"];
    await refused({ from, by, tls: node, more }, /TLS startup failed|handshake/i);
    assert.match(
      installation.log(),
      /"smtp-server\.handshake-failed".*"connector":"node","minVersion":"TLSv1\.3"/,
    );
  });

  test("CAP-43 CAP-46 CAP-48 with the right one: taken, and the reader sees by whom", async () => {
    const seen = await taken("node", { from, by, tls: node });
    assert.deepEqual(seen.senderPartner, {
      ...{ connector: "node", identity: node.sha256, by: "certificate" },
    });
    assert.equal(seen.senderOrigin, "partner");
    assert.match(seen.senderText, / Handed in by the partner node, with its certificate\.$/);
    const check = seen.senderChecks.find(({ method }) => method === "connector");
    const wanted = `x-connector=pass policy.connector=node policy.certificate=${node.sha256}`;
    assert.equal(check?.text, wanted);
    assert.match(await headerOf("node"), new RegExp(`^\\t${wanted}`, "m"));
    const trace = await traceOf(from, `pinned certificate ${node.sha256}, by connector node`);
    assert.match(trace, /over TLSv1\.3 with TLS_\S+ by (?:X25519|secp)\S*, pinned/);
  });

  test("CAP-44 a certificate is bound to its domains, too", async () => {
    await refused({ from: "a@beta.example" }, /550 5\.7\.1 mail from that domain/);
    await refused({ from: "a@c.example", tls: beta }, /550 5\.7\.1 your connector/);
    const seen = await taken("beta", { from: "a@beta.example", tls: beta });
    assert.equal(seen.senderPartner?.connector, "beta");
  });
});

describe("CAP-44 CAP-45 a partner's login", () => {
  const from = "a@acme.example";
  const tls = "anonymous";
  const login = (word: string): readonly [string, string] => ["acme-mail", word];

  test("CAP-44 in clear there is none; a wrong word, and an unknown user: 535", async () => {
    await refused({ from, login: login("the old word") }, /Host did not advertise|538/);
    await refused({ from, tls, login: login("wrong") }, /535 5\.7\.8/);
    await refused({ from, tls, login: ["nobody", "the old word"] }, /535 5\.7\.8/);
  });

  test("CAP-44 its domain comes by it or not at all, and no other by it", async () => {
    await refused({ from }, /550 5\.7\.1 mail from that domain/);
    await refused({ from, tls }, /550 5\.7\.1 mail from that domain/);
    const other = { from: "a@c.example", tls, login: login("the old word") } as const;
    await refused(other, /550 5\.7\.1 your connector/);
  });

  test("CAP-45 CAP-46 both secrets let it in, and the log says which did", async () => {
    const seen = await taken("acme-old", { from, tls, login: login("the old word") });
    assert.deepEqual(seen.senderPartner, {
      ...{ connector: "acme", identity: "acme-mail", by: "login" },
    });
    assert.match(seen.senderText, / Handed in by the partner acme, with the login acme-mail\.$/);
    await taken("acme-next", { from, tls, login: login("the next word") });
    const header = await headerOf("acme-next");
    assert.match(header, /^\tauth=pass smtp\.auth=acme-mail policy\.connector=acme;?\r$/m);
    assert.match(header, /^\tby \S+ with ESMTPSA \(TLSv1\.3 /m);
    for (const file of [oldSecret, nextSecret]) {
      assert.ok(installation.log().includes(`"connector":"acme","file":"${file}"`), file);
    }
  });

  test("CAP-45 the old one is emptied: from then on only the next works, without a restart", async () => {
    writeFileSync(oldSecret, "");
    await refused({ from, tls, login: login("the old word") }, /535 5\.7\.8/);
    await taken("acme-rotated", { from, tls, login: login("the next word") });
  });

  test("CAP-46 a partner that writes in our name is shown as a forger", async () => {
    const { domain } = installation.ready();
    const more = ["--header", `From: <boss@${domain}>`];
    const seen = await taken("acme-forges", { from, tls, login: login("the next word"), more });
    assert.equal(seen.senderState, "forged");
    assert.equal(seen.senderPartner?.connector, "acme");
  });
});

describe("CAP-44 a real Postfix as a partner", { skip: !mayRunPostfix }, () => {
  for (const [mechanism, marker] of [
    ["scram-sha-256", "postfix-scram"],
    ["plain", "postfix-plain"],
  ] as const) {
    test(`CAP-44 it logs in by ${mechanism} (Cyrus SASL) and hands in its mail`, async () => {
      const { smtp } = installation.ready();
      const nexthop = `[127.0.0.1]:${smtp.port}`;
      const passwords = write(`sasl-${mechanism}`, `${nexthop} delta:a word for Postfix\n`);
      await using postfix = await startPostfix(
        "delta.example",
        `relayhost = ${nexthop}
smtp_tls_security_level = encrypt
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:${passwords}
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = ${mechanism}
mydestination =
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = permit_mynetworks, reject
`,
      );
      await submitTo(postfix.port, marker);
      const seen = await waitForEmail(marker, () => postfix.log());
      assert.deepEqual(seen.senderPartner, {
        ...{ connector: "delta", identity: "delta", by: "login" },
      });
      assert.ok(
        installation.log().includes(`"mechanism":"${mechanism.toUpperCase()}","from":"127.0.0.1"`),
      );
    });
  }

  function submitTo(port: number, marker: string): Promise<void> {
    const args = [
      ...["--server", "127.0.0.1", "--port", String(port), "--from", "a@delta.example"],
      ...["--to", ana.address, "--header", `X-Case: ${marker}`],
    ];
    return new Promise((resolve, reject) => {
      execFile("swaks", args, { timeout: 30_000 }, (error, stdout) =>
        error === null ? resolve() : reject(new Error(stdout)),
      );
    });
  }

  async function waitForEmail(marker: string, log: () => string): Promise<SeenEmail> {
    const untilMs = Date.now() + 30_000;
    for (;;) {
      const found = (await emailsByJmap(installation.ready(), ana)).get(marker);
      if (found !== undefined) return found;
      assert.ok(Date.now() < untilMs, log());
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
});
