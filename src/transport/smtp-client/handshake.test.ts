import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TlsOptions } from "node:tls";
import { systemClock } from "#base/clock";
import { freePorts } from "../../../tests/kit/installation.ts";
import { oddCertificate } from "../../../tests/kit/odd-certificate.ts";
import { authority, good, host, issuing, meet, outcomeOf, root } from "./fixture.test.ts";
import { startTls } from "./start-tls.ts";

describe("the handshake", () => {
  const proof = authority;

  for (const tls of [
    { minVersion: "TLSv1", maxVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" },
    { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
  ] as const) {
    test(`CAP-40 a server with ${tls.maxVersion} alone is refused, and it says so`, async () => {
      const outcome = await meet({ own: good, tls }, { level: "opportunistic" });
      assert.ok(!outcome.ok);
      assert.equal(outcome.why, "the server speaks no version from TLS 1.2 on");
    });
  }

  test("CAP-40 the lowest version is the connector's", async () => {
    const tls = { maxVersion: "TLSv1.2" } as const;
    assert.equal(await outcomeOf({ own: good, tls }, { proof }), `authority ${host}`);
    const outcome = await meet({ own: good, tls }, { proof, minVersion: "TLSv1.3" });
    assert.ok(!outcome.ok);
    assert.equal(outcome.why, "the server speaks no version from TLS 1.3 on");
  });

  test("CAP-40 groups are the connector's, hybrid ones first by default, and noted", async () => {
    const groupOf = async (groups?: string[], ecdhCurve = "auto"): Promise<string> => {
      const outcome = await meet({ own: good, tls: { ecdhCurve } }, { ...(groups && { groups }) });
      return outcome.ok ? (outcome.facts.group ?? "?") : outcome.why;
    };
    assert.equal(await groupOf(), "X25519MLKEM768");
    assert.equal(await groupOf(["P-384"]), "secp384r1");
    assert.equal(await groupOf(["X25519MLKEM768", "X25519"], "X25519"), "X25519");
    const none = "the server accepts none of our ciphers, groups or certificates";
    assert.equal(await groupOf(["P-521"], "X25519"), none);
    assert.match(await groupOf(["no-such-group"]), /^our own TLS settings: /);
  });

  test("CAP-48 what was negotiated is noted", async () => {
    const outcome = await meet({ own: good }, { proof });
    assert.ok(outcome.ok);
    assert.deepEqual(outcome.facts, {
      version: "TLSv1.3",
      cipher: "TLS_AES_256_GCM_SHA384",
      group: "X25519MLKEM768",
      peerCertificate: hash("sha256", good.x509.raw, "hex"),
      proof: "authority",
      provenName: host,
    });
  });

  test("CAP-41 the server is told which name is meant, an address never (RFC 7672)", async () => {
    const asked: string[] = [];
    const SNICallback: TlsOptions["SNICallback"] = (name, done) => {
      asked.push(name);
      done(null);
    };
    await meet({ own: good, tls: { SNICallback } }, { proof, serverName: "base.example.test" });
    await meet({ own: good, tls: { SNICallback } }, { proof, serverName: "192.0.2.1" });
    assert.deepEqual(asked, ["base.example.test"]);
  });

  test("CAP-41 our own certificate is shown to a server that asks", async () => {
    const ours = oddCertificate({ commonName: "us", dnsNames: ["us.test"], by: issuing });
    const tls = {
      requestCert: true,
      rejectUnauthorized: true,
      ca: [root.pem],
      maxVersion: "TLSv1.2",
    } satisfies TlsOptions;
    const client = { certificate: ours.pem + issuing.pem, key: ours.keyPem };
    assert.equal(await outcomeOf({ own: good, tls }, { proof, client }), `authority ${host}`);
    assert.equal(await outcomeOf({ own: good, tls }, { proof }), "validation-failure");
    const broken = await meet({ own: good }, { client: { certificate: "x", key: "y" } });
    assert.match(broken.ok ? "" : broken.why, /^our own TLS settings: /);
  });

  test("CAP-41 the certificate that was judged stays: no renegotiation (RFC 5746)", async () => {
    using folder = mkdtempDisposableSync(join(tmpdir(), "postern-tls-"));
    const file = join(folder.path, "server.pem");
    writeFileSync(file, good.pem + issuing.pem + good.keyPem);
    const [port = 0] = await freePorts(1);
    const words = ["s_server", "-accept", `127.0.0.1:${port}`, "-cert", file, "-tls1_2"];
    const server = spawn("openssl", words, { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    const heard = (chunk: Buffer): void => void (said += chunk.toString());
    server.stdout.on("data", heard);
    server.stderr.on("data", heard);
    try {
      while (!said.includes("ACCEPT")) await once(server.stdout, "data");
      const plain = connect(port, "127.0.0.1");
      const pinned = { kind: "pin", sha256: [hash("sha256", good.spki, "hex")] } as const;
      const demand = { level: "required", serverName: host, minVersion: "TLSv1.2" } as const;
      const outcome = await startTls(plain, { ...demand, proof: pinned }, systemClock, 10_000);
      assert.ok(outcome.ok);
      const { stream } = outcome;
      stream.on("error", () => {});
      const ended = new Promise((resolve) => void stream.once("close", resolve));
      stream.resume();
      server.stdin.write("r\n");
      await ended;
      assert.match(said, /no renegotiation/i);
    } finally {
      server.kill();
    }
  });
});
