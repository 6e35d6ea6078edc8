/** Certificates of a whole installation, by the commands that an administrator has. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { keyOfRequest, testAuthority } from "../kit/authority.ts";
import { selfSigned } from "../kit/certificate.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";

const names = ["mail.postern.test", "www.postern.test"];
const config = `[web]\nhosts = ["www.postern.test"]\n`;
const doors = ["https", "imap", "submission", "smtp"] as const;

interface Place {
  readonly place: string;
  readonly wantedNames: readonly string[];
  readonly served: { readonly names: string; readonly daysLeft: number };
  readonly findings: readonly { readonly level: string; readonly code: string }[];
}

/** What a client is shown at a door of the installation. */
async function served(at: { host: string; port: number }, starttls = false): Promise<TLSSocket> {
  const options = {
    host: at.host,
    port: at.port,
    servername: names[0] ?? "",
    rejectUnauthorized: false,
  };
  if (!starttls) {
    const socket = connect(options);
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    return socket;
  }
  const { connect: dial } = await import("node:net");
  const plain = dial(at);
  for (const say of ["", "EHLO client.example\r\n", "STARTTLS\r\n"]) {
    if (say !== "") plain.write(say);
    await once(plain, "data");
  }
  const socket = connect({ ...options, socket: plain });
  await once(socket, "secureConnect");
  return socket;
}

async function servedEverywhere(installation: Installation): Promise<Set<string>> {
  const ready = installation.ready();
  const url = new URL(ready.https.url);
  const at = {
    https: { host: url.hostname, port: Number(url.port) },
    imap: ready.imap,
    submission: ready.submission,
    smtp: ready.smtp,
  };
  const prints = new Set<string>();
  for (const door of doors) {
    const socket = await served(at[door], door === "smtp");
    prints.add(socket.getPeerX509Certificate()?.fingerprint256 ?? "");
    socket.destroy();
  }
  return prints;
}

describe("postern pki", () => {
  let installation: Installation;
  const authority = testAuthority();
  before(async () => {
    installation = await startInstallation({ config });
  });
  after(async () => {
    await installation[Symbol.asyncDispose]();
  });

  const show = async (): Promise<Place[]> =>
    (JSON.parse((await installation.cli("pki", "show", "--json")).stdout) as { places: Place[] })
      .places;

  test("CAP-34 shows what each door serves, against the names that clients are told", async () => {
    const places = await show();
    assert.deepEqual(
      places.map(({ place }) => place),
      ["edge-web", "edge-smtp", "hub"],
    );
    assert.deepEqual(places[0]?.wantedNames, names);
    // Our own authority signs every published name.
    assert.deepEqual(
      places.flatMap(({ findings }) => findings.map(({ code }) => code)),
      Array(3).fill("own-authority"),
    );
    assert.equal((await installation.cli("pki", "show")).code, 0);
    const status = JSON.parse((await installation.cli("status", "--json")).stdout) as {
      certificates: { place: string; daysLeft: number }[];
    };
    assert.ok(status.certificates.every(({ daysLeft }) => daysLeft > 300));
  });

  test("CAP-33 CAP-34 W19 a request with all published names, and one installation serves all doors at once", async () => {
    const ready = installation.ready();
    const held = await served(ready.imap);
    const asked = await installation.cli("pki", "request");
    assert.match(asked.stderr, /whoever takes an edge/);
    const verified = spawnSync("openssl", ["req", "-noout", "-text", "-verify"], {
      input: asked.stdout,
      encoding: "utf8",
    });
    assert.equal(verified.status, 0);
    for (const name of names) assert.match(verified.stdout, new RegExp(`DNS:${name}`));

    const file = join(installation.data, "bought.pem");
    const chain = authority.chain({ names, publicKey: keyOfRequest(asked.stdout) });
    writeFileSync(file, chain);
    const done = await installation.cli("pki", "install", file);
    assert.equal(done.code, 0, done.stderr + done.stdout);
    const wanted = new X509Certificate(chain).fingerprint256;
    assert.deepEqual([...(await servedEverywhere(installation))], [wanted]);
    held.write("a1 NOOP\r\n");
    assert.match(String((await once(held, "data"))[0]), /OK/);
    held.destroy();
    assert.deepEqual(
      (await show()).flatMap(({ findings }) => findings.map(({ code }) => code)),
      Array(3).fill("unknown-authority"),
    );
    for (const folder of ["edge/web", "edge/smtp", "hub"]) {
      assert.equal(statSync(join(installation.data, folder, "tls.key")).mode & 0o777, 0o600);
    }
  });

  test("CAP-34 --at keeps the key of one place there; a name that its certificate lacks is critical", async () => {
    const asked = await installation.cli(
      "pki",
      "request",
      "--at",
      "edge-web",
      "--names",
      "www.postern.test",
    );
    const publicKey = keyOfRequest(asked.stdout);
    const file = join(installation.data, "web.pem");
    writeFileSync(file, authority.chain({ names: ["www.postern.test"], publicKey }));
    assert.equal((await installation.cli("pki", "install", file)).code, 0);
    assert.equal((await servedEverywhere(installation)).size, 2);
    const [web, ...others] = await show();
    assert.ok(web?.findings.some((one) => one.code === "name-missing" && one.level === "critical"));
    assert.ok(!others.some(({ findings }) => findings.some(({ code }) => code === "name-missing")));
    const text = await installation.cli("pki", "show");
    assert.equal(text.code, 2);
    assert.match(text.stdout, /mail\.postern\.test, which clients are told, is not in it/);
    const secret = readFileSync(join(installation.data, "edge/web/tls.key"), "utf8");
    for (const folder of ["edge/smtp", "hub"]) {
      for (const name of readdirSync(join(installation.data, folder))) {
        const path = join(installation.data, folder, name);
        if (statSync(path).isFile())
          assert.equal(readFileSync(path, "utf8").includes(secret), false);
      }
    }
  });

  test("CAP-34 a bought certificate with its key goes everywhere; what does not fit, nowhere", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const chain = authority.chain({ names, publicKey });
    const [certFile, keyFile] = [
      join(installation.data, "b.pem"),
      join(installation.data, "b.key"),
    ];
    writeFileSync(certFile, chain);
    writeFileSync(keyFile, privateKey.export({ type: "pkcs8", format: "pem" }));
    const wrong = join(installation.data, "wrong.key");
    writeFileSync(wrong, selfSigned("mail.postern.test").key);
    const before = await servedEverywhere(installation);
    assert.equal((await installation.cli("pki", "install", certFile, wrong)).code, 1);
    assert.equal((await installation.cli("pki", "install", certFile)).code, 1);
    assert.deepEqual(await servedEverywhere(installation), before);
    const done = await installation.cli("pki", "install", certFile, keyFile);
    assert.equal(done.code, 0, done.stdout);
    assert.match(done.stderr, /whoever takes an edge/);
    assert.deepEqual(
      [...(await servedEverywhere(installation))],
      [new X509Certificate(chain).fingerprint256],
    );
  });

  test("CAP-37 the probe connects as a client does, in TLS or by STARTTLS", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const root = join(installation.data, "root.pem");
    writeFileSync(root, authority.rootPem);
    const cert = authority.issue({ names: ["localhost"], publicKey });
    const server = createTlsServer({ cert, key }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const probed = await installation.cli("pki", "probe", `localhost:${port}`, "--ca", root);
    server.close();
    assert.match(
      probed.stdout,
      /^NOT trusted: element 1 of 1, "localhost", is signed by "Test intermediate", which was not sent/,
    );
    assert.equal(probed.code, 2);
    const { smtp } = installation.ready();
    const at = `${smtp.host}:${smtp.port}`;
    const options = ["--starttls", "smtp", "--name", names[0] ?? "", "--ca", root];
    const mail = await installation.cli("pki", "probe", at, ...options);
    assert.match(mail.stdout, /^trusted: ends at "Test root"/);
    assert.equal(mail.code, 0);
    assert.equal((await installation.cli("pki", "probe", `localhost:${port}`)).code, 75);
  });

  test("CAP-36 the root comes out as PEM, Apple profile and Windows script", async () => {
    const path = join(installation.data, "pki/site-ca.pem");
    const root = new X509Certificate(readFileSync(path));
    const pem = await installation.cli("pki", "root");
    assert.equal(new X509Certificate(pem.stdout).fingerprint256, root.fingerprint256);
    assert.ok(pem.stderr.includes(root.fingerprint256));
    const profile = (await installation.cli("pki", "root", "--format", "mobileconfig")).stdout;
    assert.match(profile, /<string>com\.apple\.security\.root<\/string>/);
    assert.ok(profile.includes(root.raw.toString("base64")));
    const read = spawnSync(
      "python3",
      [
        "-c",
        "import plistlib,sys; p=plistlib.loads(sys.stdin.buffer.read()); print(p['PayloadContent'][0]['PayloadContent'].hex())",
      ],
      { input: profile, encoding: "utf8" },
    );
    if (read.error === undefined) assert.equal(read.stdout.trim(), root.raw.toString("hex"));
    const script = (await installation.cli("pki", "root", "--format", "gpo")).stdout;
    assert.ok(script.includes(root.raw.toString("base64")));
    assert.ok(script.includes(root.fingerprint.replaceAll(":", "")));
    for (const text of [profile, script]) assert.equal(text.includes("PRIVATE KEY"), false);
    assert.equal((await installation.cli("pki", "root", "--format", "exe")).code, 64);
  });

  test("CAP-39 lists every root and intermediate with source, use and expiry", async () => {
    const listed = JSON.parse((await installation.cli("pki", "trust", "--json")).stdout) as Record<
      string,
      string
    >[];
    assert.ok(listed.length > 50);
    for (const one of listed) {
      for (const key of ["source", "use", "kind", "subject", "expiresAt", "sha256"]) {
        assert.ok(one[key], `${key} of ${one["subject"]}`);
      }
    }
    assert.ok(listed.some(({ source }) => source === "own authority"));
    assert.ok(
      listed.some(
        ({ kind, subject }) => kind === "intermediate" && subject === "CN=Test intermediate",
      ),
    );
  });

  test("an ACME server is not asked where none is configured", async () => {
    assert.equal((await installation.cli("pki", "acme")).code, 78);
    assert.match(
      (await installation.cli("pki", "acme", "--now")).stderr,
      /acme\.directory is not set/,
    );
  });
});
