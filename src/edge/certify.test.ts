import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type ConnectionOptions, connect, createServer, TLSSocket } from "node:tls";
import { silentLog } from "#base/log";
import { pick, seededRandom, systemRandom } from "#base/random";
import type { CertifyAnswer } from "#contracts/certify";
import { linkPair } from "#contracts/link";
import { type Certify, contextLastsMs, createCertify, currentContext } from "#edge/certify";
import { fingerprintOf, keyOfRequest, testAuthority } from "../../tests/kit/authority.ts";
import { selfSigned } from "../../tests/kit/certificate.ts";
import { type FakeClock, fakeClock } from "../../tests/kit/fake-clock.ts";

const nowMs = Date.now();
const authority = testAuthority(nowMs);
const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function files(): { certFile: string; keyFile: string } {
  const folder = mkdtempSync(join(tmpdir(), "postern-certify-"));
  folders.push(folder);
  const at = { certFile: join(folder, "tls.pem"), keyFile: join(folder, "tls.key") };
  const { cert, key } = selfSigned("first.example");
  writeFileSync(at.certFile, cert);
  writeFileSync(at.keyFile, key);
  return at;
}

function opened(at = files()) {
  const clock = fakeClock(nowMs);
  const certify = createCertify({ ...at, random: systemRandom, clock, log: silentLog });
  return { ...at, clock, certify };
}

async function requestKey(certify: Certify, names: readonly string[]) {
  const asked = await certify.answer({ do: "request", names });
  assert.ok(asked.ok && asked.requestPem);
  return keyOfRequest(asked.requestPem);
}

const why = (answer: CertifyAnswer): string => (answer.ok ? "ok" : answer.why);
const install = (certify: Certify, chainPem: string, keyPem?: string) =>
  certify.answer({ do: "install", chainPem, ...(keyPem !== undefined && { keyPem }) });

const weak = "ALL:@SECLEVEL=0";

function dialled(port: number, options: ConnectionOptions): TLSSocket {
  return connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
}

/** Version and cipher, or the code of what went wrong. */
async function spoken(port: number, options: ConnectionOptions): Promise<string> {
  const socket = dialled(port, options);
  try {
    await once(socket, "secureConnect");
    return `${socket.getProtocol()} ${socket.getCipher().name}`;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    socket.destroy();
  }
}

async function ticketOf(port: number): Promise<Buffer> {
  const socket = dialled(port, {});
  const [session] = (await once(socket, "session")) as [Buffer];
  socket.destroy();
  return session;
}

async function isResumed(port: number, session: Buffer): Promise<boolean> {
  const socket = dialled(port, { session });
  await once(socket, "secureConnect");
  const reused = socket.isSessionReused();
  socket.destroy();
  return reused;
}

/** Mail doors, which ask for the context at each handshake. */
async function mailDoor(certify: Certify, clock: FakeClock) {
  const context = currentContext(certify, clock);
  const server = createTcpServer((socket: Socket) => {
    const secure = new TLSSocket(socket, { isServer: true, secureContext: context() });
    secure.on("error", () => {}).resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { port, [Symbol.dispose]: () => void server.close() };
}

describe("currentContext()", () => {
  const offers: readonly (readonly [string, ConnectionOptions, RegExp])[] = [
    ["1.3, with a group against quantum computers", { ecdhCurve: "X25519MLKEM768" }, /^TLSv1\.3/],
    ["1.2 with AEAD", { maxVersion: "TLSv1.2" }, /^TLSv1\.2 ECDHE-ECDSA-AES128-GCM-SHA256$/],
    ["no CBC", { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA256" }, /^E/],
    ["nothing older", { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: weak }, /^E/],
  ];
  for (const [what, options, expected] of offers) {
    test(`W19 CAP-25 offers ${what}`, async () => {
      const { certify, clock } = opened();
      using open = await mailDoor(certify, clock);
      assert.match(await spoken(open.port, options), expected);
    });
  }

  test("W19 keys of session tickets last a day (RFC 9325 §3.4)", async () => {
    const { certify, clock } = opened();
    using open = await mailDoor(certify, clock);
    const session = await ticketOf(open.port);
    assert.equal(await isResumed(open.port, session), true);
    await clock.advance(contextLastsMs);
    assert.equal(await isResumed(open.port, session), false);
  });
});

describe("createCertify()", () => {
  test("the key of a request stays here; its chain is served when it comes, after a restart too", async () => {
    const { certify, ...at } = opened();
    const before = certify.secureContext();
    const names = ["mail.example", "www.example"];
    const publicKey = await requestKey(certify, names);
    assert.deepEqual(certify.secureContext(), before);
    // A purchase takes days: the key waits through a restart.
    const again = opened(at).certify;
    const chain = authority.chain({ names, publicKey });
    let changes = 0;
    again.onChange(() => (changes += 1));
    const answer = await install(again, chain);
    assert.ok(answer.ok);
    assert.equal(answer.served?.chainPem, chain);
    assert.equal(changes, 1);
    assert.equal(JSON.stringify(answer).includes("PRIVATE"), false);
    assert.equal(opened(at).certify.secureContext().cert, chain);
    for (const path of [at.certFile, at.keyFile]) assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(existsSync(`${at.keyFile}.waiting`), false);
  });

  test("refuses what it could not serve, and serves on what it has", async () => {
    const { certify } = opened();
    const before = certify.secureContext();
    const publicKey = await requestKey(certify, ["a.example", "b.example"]);
    const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const names = ["a.example", "b.example"];
    const dayMs = 86_400_000;
    const cases: readonly (readonly [string, string, RegExp])[] = [
      ["nothing", "", /no certificate/],
      ["damaged", authority.chain({ names, publicKey }).replace(/M/g, "A"), /cannot be read/],
      ["a wrong key", authority.chain({ names, publicKey: stranger.publicKey }), /another key/],
      ["a missing name", authority.chain({ names: ["a.example"], publicKey }), /lacks a name/],
      [
        "expired",
        authority.chain({ names, publicKey, fromMs: nowMs - 9 * dayMs, days: 8 }),
        /expired/,
      ],
      ["too early", authority.chain({ names, publicKey, fromMs: nowMs + dayMs }), /not valid yet/],
      ["an authority", authority.intermediatePem, /an authority's/],
      ["no names", authority.chain({ names: [], publicKey }), /no names/],
      ["the wrong order", authority.issue({ names, publicKey }) + authority.rootPem, /followed by/],
      ["a weak key", authority.chain({ names, publicKey: weak.publicKey }), /weak/],
      ["too many", authority.rootPem.repeat(11), /more certificates/],
    ];
    for (const [what, chain, wanted] of cases) {
      assert.match(why(await install(certify, chain)), wanted, what);
    }
    assert.deepEqual(certify.secureContext(), before);
    const fitting = authority.chain({ names, publicKey });
    assert.match(why(await install(certify, fitting, before.key)), /another key/);
    assert.equal(why(await install(certify, fitting)), "ok");
  });

  test("CAP-34 takes a bought certificate with its key", async () => {
    const { certify, keyFile } = opened();
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const keyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const chain = authority.chain({ names: ["mail.example"], publicKey });
    assert.equal(why(await install(certify, chain, keyPem)), "ok");
    assert.equal(readFileSync(keyFile, "utf8"), keyPem);
    // The same key again, with the chain alone: a renewal that kept it.
    assert.equal(
      why(await install(certify, authority.issue({ names: ["x.example"], publicKey }))),
      "ok",
    );
  });

  test("a kill between the two files leaves a pair", async () => {
    const { certify, ...at } = opened();
    const names = ["mail.example"];
    const chain = authority.chain({ names, publicKey: await requestKey(certify, names) });
    const before = certify.secureContext();
    await install(certify, chain);
    // As if killed after the first of the two renames.
    renameSync(at.certFile, `${at.certFile}.new`);
    writeFileSync(at.certFile, before.cert);
    assert.equal(opened(at).certify.secureContext().cert, chain);
    assert.equal(readFileSync(at.certFile, "utf8"), chain);
    writeFileSync(at.certFile, before.cert);
    assert.throws(() => opened(at), /do not belong together/);
  });

  test("a disk that refuses is an answer, and nothing changes", async () => {
    const { certify, ...at } = opened();
    const publicKey = await requestKey(certify, ["mail.example"]);
    const before = certify.secureContext();
    rmSync(join(at.certFile, ".."), { recursive: true });
    const chain = authority.chain({ names: ["mail.example"], publicKey });
    assert.match(why(await install(certify, chain)), /ENOENT/);
    assert.deepEqual(certify.secureContext(), before);
  });

  test("answers the inside over the link, and what is misshapen with a refusal", async () => {
    const { certify } = opened();
    const [edge, hub] = linkPair();
    edge.onStream((stream) => certify.handle(stream));
    const shown = (await hub.open("certify", { do: "show" }).answered) as CertifyAnswer;
    assert.ok(shown.ok && shown.served?.chainPem.includes("BEGIN CERTIFICATE"));
    for (const header of [null, 1, "show", {}, { do: "request", names: ["-x"] }]) {
      assert.deepEqual(await hub.open("certify", header).answered, {
        ok: false,
        why: "not understood",
      });
    }
    hub.close("done");
  });

  test("no request of any shape makes it throw", async () => {
    const { certify } = opened();
    const random = seededRandom(8555);
    const values = [
      null,
      1,
      "",
      "mail.example",
      [],
      ["a.example"],
      ["A b"],
      {},
      "f".repeat(64),
      "é",
    ];
    const acts = ["show", "request", "install", "challenge", "withdraw", "other", 3];
    const any = (list: readonly unknown[]): unknown => list[pick(random, list.length)];
    for (let round = 0; round < 1000; round += 1) {
      const request = {
        do: any(acts),
        names: any(values),
        chainPem: any(values),
        keyPem: any(values),
        name: any(values),
        keyAuthorizationSha256: any(values),
      };
      const answer = await certify.answer(request);
      assert.equal(typeof answer.ok, "boolean");
    }
  });
});

interface Heard {
  readonly peer: X509Certificate;
  readonly protocol: string | false | null;
}

function handshake(
  port: number,
  options: ConnectionOptions,
): Promise<{ socket: TLSSocket } & Heard> {
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      const peer = socket.getPeerX509Certificate();
      assert.ok(peer);
      resolve({ socket, peer, protocol: socket.alpnProtocol });
    });
  });
}

/** As the listener of edge-web uses it: TCP in front, TLS behind. */
async function door(certify: Certify) {
  const server = createServer(
    { ...certify.secureContext(), ALPNProtocols: ["http/1.1"] },
    (socket) => {
      socket.on("error", () => {});
      socket.pipe(socket);
    },
  );
  server.on("tlsClientError", () => {});
  certify.onChange(() => server.setSecureContext(certify.secureContext()));
  const front = createTcpServer((socket) =>
    certify.divert(socket, (plain) => void server.emit("connection", plain)),
  );
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  const { port } = front.address() as { port: number };
  return { port, [Symbol.dispose]: () => void front.close() };
}

describe("divert()", () => {
  const digest = createHash("sha256").update("token.thumbprint").digest("hex");
  const name = "mail.example";
  const challenge = { do: "challenge", name, keyAuthorizationSha256: digest };
  const acme = { servername: name, ALPNProtocols: ["acme-tls/1"] };

  test("proves the name to who asks by acme-tls/1, and to nobody else (RFC 8737 §3)", async () => {
    const { certify, clock } = opened();
    using open = await door(certify);
    await assert.rejects(handshake(open.port, acme), /alert|ECONNRESET|disconnected/i);
    assert.equal(why(await certify.answer(challenge)), "ok");

    const asked = await handshake(open.port, acme);
    assert.equal(asked.protocol, "acme-tls/1");
    assert.equal(asked.peer.subjectAltName, `DNS:${name}`);
    assert.ok(asked.peer.raw.toString("hex").includes(`0101ff04220420${digest}`));
    asked.socket.destroy();

    // Browsers with the same name, meanwhile: the served certificate, and octets go through.
    const other = await handshake(open.port, { servername: name, ALPNProtocols: ["http/1.1"] });
    assert.equal(other.peer.fingerprint256, fingerprintOf(certify.secureContext().cert));
    other.socket.write("hello");
    assert.equal(String((await once(other.socket, "data"))[0]), "hello");
    other.socket.destroy();
    for (const wrong of [
      { ...acme, servername: "other.example" },
      { ...acme, ALPNProtocols: ["acme-tls/1", "h2"] },
    ]) {
      await assert.rejects(handshake(open.port, wrong));
    }

    await certify.answer({ do: "withdraw", name });
    await assert.rejects(handshake(open.port, acme));
    await certify.answer(challenge);
    await clock.advance(600_000);
    assert.equal(certify.challengeFor(name), undefined);
  });

  test("W19 a new certificate is served at once, and open connections live on", async () => {
    const { certify } = opened();
    using open = await door(certify);
    const held = await handshake(open.port, { servername: name });
    for (let round = 0; round < 5; round += 1) {
      const chain = authority.chain({
        names: [name],
        publicKey: await requestKey(certify, [name]),
      });
      assert.equal(why(await install(certify, chain)), "ok");
      const next = await handshake(open.port, { servername: name });
      assert.equal(next.peer.fingerprint256, fingerprintOf(chain));
      next.socket.destroy();
      held.socket.write(`round ${round}`);
      assert.equal(String((await once(held.socket, "data"))[0]), `round ${round}`);
    }
    held.socket.destroy();
  });

  test("who says nothing, or no TLS, is let go while a challenge is pending", async () => {
    const { certify, clock } = opened();
    await certify.answer(challenge);
    using open = await door(certify);
    const { connect: dial } = await import("node:net");
    const silent = dial(open.port, "127.0.0.1");
    await once(silent, "connect");
    const half = dial(open.port, "127.0.0.1");
    half.end("GET / HTTP/1.1\r\n\r\n");
    half.on("error", () => {});
    await once(half.resume(), "close");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const closed = once(silent.resume(), "close");
    await clock.advance(10_000);
    await closed;
  });
});
