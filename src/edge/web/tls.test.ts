import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { answerPlainly, openHouse } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());
const { port } = house.edge.endpoint;
const at = { host: "127.0.0.1", port, servername: "mail.example", rejectUnauthorized: false };

/** Not everywhere; where it is, these are the clients that an administrator would use. */
const has = (tool: string): boolean => spawnSync(tool, ["version"]).error === undefined;

function handshake(options: ConnectionOptions = {}): Promise<TLSSocket | string> {
  return new Promise((resolve) => {
    const socket = connect({ ...at, ...options });
    socket.once("secureConnect", () => resolve(socket));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

async function facts(options: ConnectionOptions): Promise<string> {
  const socket = await handshake(options);
  if (typeof socket === "string") return socket;
  const said = `${socket.getProtocol()} ${socket.getCipher().standardName} ${socket.alpnProtocol}`;
  socket.destroy();
  return said;
}

/** Exit and everything that openssl says. */
function openssl(args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, ...args]);
    let got = "";
    const take = (chunk: Buffer): void => void (got += chunk.toString());
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("close", () => resolve(got));
    const timer = setTimeout(() => child.kill(), 4000);
    child.on("close", () => clearTimeout(timer));
    if (input === "") child.stdin.end();
    else setTimeout(() => child.stdin.write(input), 500);
  });
}

describe("W19 CAP-25 TLS", () => {
  const offers: readonly (readonly [string, ConnectionOptions, RegExp])[] = [
    ["1.3 by default, and HTTP/2", { ALPNProtocols: ["h2", "http/1.1"] }, /^TLSv1\.3 \S+ h2$/],
    ["HTTP/1.1 for who asks for it", { ALPNProtocols: ["http/1.1"] }, /^TLSv1\.3 \S+ http\/1\.1$/],
    ["HTTP/1.1 for who asks for nothing", {}, /^TLSv1\.3 \S+ false$/],
    [
      "1.2 with forward secrecy and AEAD",
      { maxVersion: "TLSv1.2" },
      /^TLSv1\.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 false$/,
    ],
    ["no 1.1", { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" }, /^E/],
    ["no 1.0", { minVersion: "TLSv1", maxVersion: "TLSv1", ciphers: "ALL:@SECLEVEL=0" }, /^E/],
    ["no CBC", { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA256" }, /^E/],
    ["no SHA-1", { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" }, /^E/],
    ["no RSA key exchange", { maxVersion: "TLSv1.2", ciphers: "AES128-GCM-SHA256" }, /^E/],
    [
      "no cipher without a key",
      { maxVersion: "TLSv1.2", ciphers: "eNULL:aNULL:@SECLEVEL=0" },
      /^E/,
    ],
    ["no protocol that we do not speak", { ALPNProtocols: ["spdy/3"] }, /^E/],
    ["P-256 before others", { ecdhCurve: "X25519:P-256" }, /^TLSv1\.3/],
    ["no group below", { ecdhCurve: "secp224r1" }, /^E/],
  ];
  for (const [name, options, expected] of offers) {
    test(`offers ${name}`, async () => assert.match(await facts(options), expected));
  }

  test("sessions are resumed by tickets", async () => {
    const first = await handshake();
    assert.ok(typeof first === "object");
    const session = await new Promise<Buffer>((resolve) => first.once("session", resolve));
    first.destroy();
    const second = await handshake({ session });
    assert.ok(typeof second === "object" && second.isSessionReused());
    second.destroy();
  });

  test("openssl: old versions are turned away, renegotiation too", async (t) => {
    if (!has("openssl")) return t.skip("no openssl");
    for (const version of ["-tls1", "-tls1_1"]) {
      const said = await openssl([version, "-cipher", "ALL:@SECLEVEL=0"]);
      assert.match(said, /alert protocol version|no protocols available|unsupported protocol/);
      assert.match(said, /Cipher is \(NONE\)/);
    }
    const again = await openssl(["-tls1_2"], "R\n");
    assert.match(again, /RENEGOTIATING/);
    assert.match(again, /no renegotiation/);
  });

  test("what is no TLS at all is closed, and everybody else served", async () => {
    const odd = createConnection({ host: "127.0.0.1", port });
    const ended = new Promise((resolve) => odd.once("close", resolve));
    odd.on("error", () => {});
    odd.resume();
    odd.write("GET / HTTP/1.1\r\nHost: mail.example\r\n\r\n");
    await ended;
    assert.equal((await house.ask("/robots.txt")).status, 200);
  });
});

describe("W19 a certificate installed from the inside", () => {
  test("is served to new connections; open ones answer on, and drop nothing", async () => {
    house.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken: () => clearInterval(timer) });
      stream.answer({ status: 200, headers: [] });
      let count = 0;
      const timer = setInterval(() => {
        count += 1;
        stream.send(Buffer.from(`tick ${count}\n`));
        if (count < 30) return;
        clearInterval(timer);
        stream.end();
      }, 20);
    };
    const open = await handshake();
    assert.ok(typeof open === "object");
    let got = "";
    open.on("data", (chunk: Buffer) => {
      got += chunk.toString();
    });
    open.write("GET /open/ HTTP/1.1\r\nHost: mail.example\r\n\r\n");
    await sleep(100);
    const before = open.getPeerX509Certificate()?.fingerprint256;
    const { key, cert } = selfSigned("mail.example");
    const installed = house.inside.open("certify", {
      do: "install",
      chainPem: cert,
      keyPem: key,
    }).answered;
    assert.deepEqual((await installed) as object, { ok: true, served: { chainPem: cert } });
    assert.equal(readFileSync(house.tls.certFile, "utf8"), cert);
    const next = await handshake();
    assert.ok(typeof next === "object");
    assert.notEqual(next.getPeerX509Certificate()?.fingerprint256, before);
    next.destroy();
    while (!got.includes("0\r\n\r\n")) await sleep(20);
    assert.equal(got.match(/tick \d+/g)?.length, 30);
    open.write("GET /robots.txt HTTP/1.1\r\nHost: mail.example\r\nConnection: close\r\n\r\n");
    await new Promise((resolve) => open.once("close", resolve));
    assert.match(got, /User-agent/);
  });
});

describe("HTTP/2 with other people's clients", () => {
  const run = (file: string, args: readonly string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      execFile(file, args, { timeout: 20_000 }, (error, out) => {
        if (error) reject(error);
        else resolve(out);
      });
    });
  const url = (path: string): string => `https://mail.example:${port}${path}`;
  const to = ["-sk", "--resolve", `mail.example:${port}:127.0.0.1`];
  const what = ["-w", " %{http_version} %{http_code}"];

  test("curl: a page, a form, an upload", async (t) => {
    if (!has("curl")) return t.skip("no curl");
    house.answerWeb = answerPlainly;
    const page = await run("curl", [...to, ...what, "--http2", url("/open/a?b=c")]);
    assert.equal(page, "you asked /open/a?b=c 2 200");
    const head = await run("curl", [
      ...to,
      ...what,
      "--http2",
      "-I",
      "-o",
      "/dev/null",
      url("/login"),
    ]);
    assert.equal(head, " 2 200");
    const sizeBytes = 900_000;
    const file = join(dirname(house.tls.certFile), "body");
    writeFileSync(file, Buffer.alloc(sizeBytes, "a"));
    house.answerWeb = (stream) => {
      let count = 0;
      stream.receive({
        data: (chunk) => void (count += chunk.length),
        end() {
          stream.answer({ status: 200, headers: [] });
          stream.send(Buffer.from(`got ${count}`));
          stream.end();
        },
        broken() {},
      });
    };
    for (const version of ["1.1", "2"]) {
      for (const more of [[], ["-H", "Transfer-Encoding: chunked"]]) {
        const body = ["--data-binary", `@${file}`, "-H", "Expect:", ...more];
        const sent = await run("curl", [
          ...to,
          ...what,
          `--http${version}`,
          ...body,
          url("/open/up"),
        ]);
        assert.equal(sent, `got ${sizeBytes} ${version} 200`);
      }
    }
  });

  test("h2load: 2000 requests on 10 connections, all answered", async (t) => {
    if (!has("h2load")) return t.skip("no h2load");
    house.answerWeb = answerPlainly;
    const flags = ["-n", "2000", "-c", "10", "-m", "10", `--connect-to=127.0.0.1:${port}`];
    const said = await run("h2load", [...flags, url("/open/")]);
    assert.match(said, /2000 succeeded, 0 failed/);
    assert.match(said, /status codes: 2000 2xx/);
  });
});
