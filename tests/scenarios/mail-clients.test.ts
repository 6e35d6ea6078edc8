/** Mail programs from outside, through the edge's published ports, with every program real. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { freePorts, type Installation, runCli, startInstallation } from "../kit/installation.ts";
import { memoryHolds } from "../kit/process-memory.ts";

const run = promisify(execFile);
const perAddress = 4;
let installation: Installation;
let imaps = 0;
let submissions = 0;

before(async () => {
  [imaps = 0, submissions = 0] = await freePorts(2);
  installation = await startInstallation({
    config: `[clients]
imaps = "127.0.0.1:${imaps}"
submissions = "127.0.0.1:${submissions}"
[imap]
maxConnectionsPerAddress = ${perAddress}
[directory]
networkFailures = 3
failureRecoveryS = 3600
`,
  });
});

after(() => installation[Symbol.asyncDispose]());

const account = (nth: number): { address: string; password: string } =>
  installation.ready().accounts[nth] ?? assert.fail("no account");
const caText = (): string => readFileSync(installation.ready().ca, "utf8");
const hubCertificate = (): X509Certificate =>
  new X509Certificate(readFileSync(join(installation.data, "hub/tls.pem")));

/** A handshake with a published port that is trusted, from this address of the test's own. */
async function secured(port: number, localAddress = "127.0.0.1"): Promise<TLSSocket> {
  const socket = connectTcp({ host: "127.0.0.1", port, localAddress });
  const secure = connectTls({ socket, ca: caText(), servername: "mail.postern.test" });
  socket.on("error", (error) => secure.destroy(error));
  await once(secure, "secureConnect");
  return secure;
}

async function firstLine(socket: TLSSocket): Promise<string> {
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString().trimEnd();
}

/** Reads over IMAP as curl does it, from this address. */
async function curlImap(nth: number, path: string, from: string, ...more: string[]) {
  const { address, password } = account(nth);
  const { stdout } = await run("curl", [
    ...["-sS", "--max-time", "20", "--cacert", installation.ready().ca, "--interface", from],
    ...["-u", `${address}:${password}`, "--url", `imaps://localhost:${imaps}/${path}`, ...more],
  ]);
  return stdout;
}

function imapLogin(from: string, { address, password }: { address: string; password: string }) {
  return secured(imaps, from).then(async (socket) => {
    assert.match(await firstLine(socket), /^\* OK /);
    socket.write(`a LOGIN ${address} "${password}"\r\n`);
    const answer = await firstLine(socket);
    socket.destroy();
    return answer.split("\r\n").at(-1) ?? "";
  });
}

async function swaks(subject: string, from: string): Promise<string> {
  const { address, password } = account(0);
  const { stdout } = await run("swaks", [
    ...["--server", `127.0.0.1:${submissions}`, "--local-interface", from, "--helo", "laptop.test"],
    ...["--tls-on-connect", "--tls-verify", "--tls-ca-path", installation.ready().ca],
    ...["--auth", "PLAIN", "--auth-user", address, "--auth-password", password],
    ...["--from", address, "--to", account(1).address, "--header", `Subject: ${subject}`],
  ]);
  return stdout;
}

async function overHttps(path: string, body?: string): Promise<string> {
  const { https, ca } = installation.ready();
  const { hostname, port } = new URL(https.url);
  const method = body === undefined ? "GET" : "POST";
  const headers = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
  const call = request({
    ...{ host: hostname, port, path, method, headers, ca: readFileSync(ca), agent: false },
  });
  call.end(body);
  const [response] = await once(call, "response");
  assert.equal(response.statusCode, 200);
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}

describe("CAP-25 mail programs through the edge", () => {
  test("openssl sees the inside's certificate and TLS 1.3", async () => {
    for (const port of [imaps, submissions]) {
      const asked = run("openssl", [
        ...["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "mail.postern.test"],
        ...["-CAfile", installation.ready().ca, "-verify_return_error"],
      ]);
      asked.child.stdin?.end();
      const { stdout } = await asked;
      assert.match(stdout, /New, TLSv1\.3, Cipher is TLS_/);
      assert.match(stdout, /Verify return code: 0 \(ok\)/);
      const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(stdout)?.[0];
      const shown = new X509Certificate(pem ?? "");
      assert.equal(shown.fingerprint256, hubCertificate().fingerprint256);
    }
  });

  test("swaks sends, and curl and Python's imaplib read what came", async () => {
    assert.match(await swaks("through the edge", "127.0.0.5"), /<~ {2}250 2\.0\.0 accepted/);
    const found = await curlImap(1, "INBOX", "127.0.0.6", "-X", 'UID SEARCH SUBJECT "through"');
    const uid = /SEARCH (\d+)/.exec(found)?.[1] ?? assert.fail(found);
    const message = await curlImap(1, `INBOX;UID=${uid}`, "127.0.0.6");
    assert.match(message, /\r\nSubject: through the edge\r\n/);
    // The client's own address, not the edge's.
    assert.match(message, /^Received: from laptop\.test \(\[127\.0\.0\.5\]\)\r\n\tby mail\./);
    const script = `
import imaplib, ssl, sys
host, port, ca, name, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
with imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=20) as box:
    box.login(name, password)
    box.select("INBOX", readonly=True)
    print(box.fetch(box.search(None, "SUBJECT", "through")[1][0], "(BODY[HEADER])")[1][0][1].decode())
`;
    const { address, password } = account(1);
    const args = ["-c", script, "localhost", `${imaps}`, installation.ready().ca];
    const { stdout } = await run("python3", [...args, address, password]);
    assert.match(stdout, /Subject: through the edge/);
  });

  test("the inside's limits and records are of the client's address", async () => {
    await curlImap(0, "INBOX", "127.0.0.7", "-X", "NOOP");
    assert.match(installation.log(), /"event":"imap\.logged-in"[^\n]*"from":"127\.0\.0\.7"/);
    const held: TLSSocket[] = [];
    for (let nth = 0; nth < perAddress; nth += 1) {
      held.push(await secured(imaps, "127.0.0.8"));
      assert.match(await firstLine(held[nth] ?? assert.fail()), /^\* OK /);
    }
    const fifth = await secured(imaps, "127.0.0.8");
    assert.match(await firstLine(fifth), /^\* BYE \[UNAVAILABLE\] Too many connections/);
    const other = await secured(imaps, "127.0.0.9");
    assert.match(await firstLine(other), /^\* OK /);
    for (const socket of [...held, fifth, other]) socket.destroy();
  });

  test("W10 wrong passwords slow down their own network alone", async () => {
    // Of a new account: nothing is known of it from any network.
    const newcomer = { address: "cleo@postern.test", password: "a long enough secret" };
    const made = await runCli(
      installation.data,
      ["account", "add", newcomer.address],
      `${newcomer.password}\n`,
    );
    assert.equal(made.code, 0, made.stderr);
    for (let nth = 0; nth < 3; nth += 1) {
      const wrong = { ...newcomer, password: `wrong ${nth}` };
      assert.match(await imapLogin("127.0.0.66", wrong), /^a NO \[AUTHENTICATIONFAILED\]/);
    }
    const slowed = await imapLogin("127.0.0.66", newcomer);
    assert.match(slowed, /^a NO /);
    assert.doesNotMatch(slowed, /AUTHENTICATIONFAILED/);
    assert.match(await imapLogin("127.0.0.67", newcomer), /^a OK /);
  });

  test("CAP-26 clear text is closed unread", async () => {
    for (const [port, words] of [
      [imaps, "a CAPABILITY\r\n"],
      [imaps, "GET / HTTP/1.1\r\nHost: mail.postern.test\r\n\r\n"],
      [submissions, "EHLO laptop.test\r\n"],
    ] as const) {
      const socket = connectTcp({ host: "127.0.0.1", port });
      let got = "";
      socket.on("data", (chunk: Buffer) => void (got += chunk.toString()));
      socket.on("error", () => {});
      socket.write(words);
      await once(socket, "close");
      assert.equal(got, "");
    }
    assert.doesNotMatch(installation.log(), /a CAPABILITY|EHLO laptop/);
  });
});

describe("CAP-12 the edge and what passes through it", () => {
  test("holds no key of the certificate that mail programs see", () => {
    const folder = join(installation.data, "edge");
    const names = readdirSync(folder, { recursive: true }).map(String);
    const keys = names.filter((name) => name.endsWith(".key"));
    assert.ok(keys.length >= 4, keys.join(" "));
    const served = hubCertificate().publicKey.export({ type: "spki", format: "pem" });
    for (const name of keys) {
      const key = createPublicKey(createPrivateKey(readFileSync(join(folder, name))));
      assert.notEqual(key.export({ type: "spki", format: "pem" }), served, name);
    }
  });

  test("its memory, log and measures show no credential and no word of mail", async (t) => {
    await swaks("a word for the memory", "127.0.0.5");
    const held = await secured(imaps, "127.0.0.10");
    await firstLine(held);
    const { address, password } = account(0);
    held.write(`a LOGIN ${address} "${password}"\r\nb SELECT INBOX\r\n`);
    await firstLine(held);
    const plain = Buffer.from(`\0${address}\0${password}`).toString("base64");
    const secrets = [password, plain, "a word for the memory"];

    const { console: door, pids } = installation.ready();
    let measures = "";
    for (let attempt = 0; !measures.includes('service="submissions"'); attempt += 1) {
      assert.ok(attempt < 100, measures);
      await pause(100);
      const headers = { authorization: `Bearer ${door.token}` };
      measures = await (await fetch(`${door.url}/metrics`, { headers })).text();
    }
    assert.match(measures, /published_tcp_total\{[^}]*end="passed"[^}]*\} \d/);
    const logs = readFileSync(join(installation.data, "logs/edge-web.log"), "utf8");
    for (const secret of secrets) assert.ok(!measures.includes(secret) && !logs.includes(secret));

    const inEdge = memoryHolds(pids["edge-web"], [...secrets, "mail.postern.test"]);
    const inHub = memoryHolds(pids.hub, secrets);
    held.destroy();
    if (inEdge === undefined || inHub === undefined) return t.skip("no process may read another");
    assert.deepEqual(inEdge, ["mail.postern.test"]);
    assert.ok(inHub.length > 0, "what passed is found where it belongs");
  });
});

describe("CAP-22 what mail programs are told", () => {
  test("the published ports, and a host that their certificate names", async () => {
    const mozilla = await overHttps("/.well-known/autoconfig/mail/config-v1.1.xml");
    const servers = [...mozilla.matchAll(/<hostname>([^<]+)<\/hostname>\s*<port>(\d+)</g)];
    assert.deepEqual(
      servers.map(([, host, port]) => `${host}:${port}`),
      [`mail.postern.test:${imaps}`, `mail.postern.test:${submissions}`],
    );
    assert.doesNotMatch(mozilla, /pop3/);
    const schema =
      "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
    const outlook = await overHttps(
      "/autodiscover/autodiscover.xml",
      `<Autodiscover><Request><EMailAddress>${account(0).address}</EMailAddress>` +
        `<AcceptableResponseSchema>${schema}</AcceptableResponseSchema></Request></Autodiscover>`,
    );
    const ports = [...outlook.matchAll(/<Port>(\d+)</g)].map(([, port]) => Number(port));
    assert.deepEqual(ports, [imaps, submissions]);
    assert.ok(hubCertificate().checkHost("mail.postern.test"));
  });

  test("POP3 cannot be published: a sentence at the start says so", async () => {
    const data = mkdtempSync(join(tmpdir(), "postern-pop3-"));
    try {
      writeFileSync(join(data, "postern.toml"), '[clients]\npop3s = "127.0.0.1:995"\n');
      const { code, stderr } = await runCli(data, ["up"]);
      assert.equal(code, 78, stderr);
      assert.match(stderr, /clients\.pop3s: there is no POP3 server/);
    } finally {
      rmSync(data, { recursive: true, force: true });
    }
  });
});

describe("when the inside goes away", () => {
  test("clients are closed soon, and come back when it is there again", async (t) => {
    const open = await secured(imaps);
    assert.match(await firstLine(open), /^\* OK /);
    const before = installation.ready().pids.hub;
    const startMs = performance.now();
    const closed = once(open, "close");
    open.on("error", () => {});
    process.kill(before, "SIGKILL");
    await closed;
    const openMs = performance.now() - startMs;
    const during = await outcome();
    t.diagnostic(`open one closed after ${openMs.toFixed(0)} ms, a new one: ${during.text}`);
    assert.equal(during.text, "closed");
    assert.ok(openMs < 2_000 && during.tookMs < 2_000);
    for (let attempt = 0; (await outcome()).text !== "served"; attempt += 1) {
      assert.ok(attempt < 300, "nobody is served again");
      await pause(100);
    }
    t.diagnostic(`served again after ${(performance.now() - startMs).toFixed(0)} ms`);
    await curlImap(0, "INBOX", "127.0.0.5", "-X", "NOOP");
    assert.match(await swaks("again", "127.0.0.5"), /<~ {2}250 2\.0\.0 accepted/);
  });
});

/** What somebody meets who connects to IMAP now. */
async function outcome(): Promise<{ text: string; tookMs: number }> {
  const startMs = performance.now();
  const socket = await secured(imaps).catch(() => undefined);
  const greeting = socket && (await firstLine(socket).catch(() => ""));
  socket?.destroy();
  const text = greeting?.startsWith("* OK") ? "served" : "closed";
  return { text, tookMs: performance.now() - startMs };
}
