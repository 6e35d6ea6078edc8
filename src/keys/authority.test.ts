import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect, createServer } from "node:tls";
import { Misconfigured } from "#base/errors";
import { certificateFingerprint } from "#formats/x509";
import { createAuthority, issueCertificate } from "#keys/authority";

const nowMs = Date.now();
const authority = createAuthority({ name: "Postern CA ä", validDays: 3650, nowMs });
const issue = (usage: "server" | "client" | "both", validDays = 90) =>
  issueCertificate(authority, {
    commonName: "mx.example.org",
    dnsNames: ["mx.example.org", "*.web.example.org"],
    ipAddresses: ["127.0.0.1", "2001:db8::25"],
    uris: ["postern:edge-smtp"],
    usage,
    validDays,
    nowMs,
  });

describe("createAuthority()", () => {
  test("makes a version 3 authority that signs itself", () => {
    const certificate = new X509Certificate(authority.certificatePem);
    assert.equal(certificate.ca, true);
    assert.equal(certificate.subject, "CN=Postern CA ä");
    assert.ok(certificate.verify(certificate.publicKey));
    assert.ok(certificate.checkIssued(certificate));
    assert.equal(certificate.serialNumber.length, 32);
  });

  test("writes dates from 2050 on as GeneralizedTime (RFC 5280 §4.1.2.5)", () => {
    const late = createAuthority({ name: "late", validDays: 15_000, nowMs });
    const until = new Date(new X509Certificate(late.certificatePem).validTo).getTime();
    assert.ok(Math.abs(until - (nowMs + 15_000 * 86_400_000)) < 1000);
  });
});

describe("issueCertificate()", () => {
  test("issues what node:crypto verifies, with every alternative name", () => {
    const made = issue("both");
    const certificate = new X509Certificate(made.certificatePem);
    const issuer = new X509Certificate(authority.certificatePem);
    assert.ok(certificate.verify(issuer.publicKey));
    assert.ok(certificate.checkIssued(issuer));
    assert.equal(certificate.ca, false);
    assert.equal(certificate.checkHost("mx.example.org"), "mx.example.org");
    assert.equal(certificate.checkHost("a.web.example.org"), "*.web.example.org");
    assert.equal(certificate.checkHost("other.example.org"), undefined);
    assert.equal(certificate.checkIP("127.0.0.1"), "127.0.0.1");
    assert.equal(certificate.checkIP("2001:db8::25"), "2001:db8::25");
    assert.match(certificate.subjectAltName ?? "", /URI:postern:edge-smtp/);
    assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    const nodes = certificate.fingerprint256.replaceAll(":", "").toLowerCase();
    assert.equal(certificateFingerprint(made.certificatePem), nodes);
    assert.equal(certificateFingerprint(certificate.raw), nodes);
  });

  test("openssl accepts the chain for its purpose and for no other", () => {
    const directory = mkdtempSync(join(tmpdir(), "authority-"));
    const verify = (purpose: string): string =>
      execFileSync(
        "openssl",
        ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "server.pem"],
        { cwd: directory, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
      );
    try {
      writeFileSync(join(directory, "ca.pem"), authority.certificatePem);
      writeFileSync(join(directory, "server.pem"), issue("server").certificatePem);
      assert.match(verify("sslserver"), /server.pem: OK/);
      assert.throws(() => verify("sslclient"));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("serves mutual TLS 1.3 between the two usages", async () => {
    const server = issue("server");
    const client = issue("client");
    const common = { ca: authority.certificatePem, minVersion: "TLSv1.3" as const };
    const listener = createServer(
      {
        ...common,
        cert: server.certificatePem,
        key: server.keyPem,
        requestCert: true,
        rejectUnauthorized: true,
      },
      (socket) => socket.end(socket.getPeerX509Certificate()?.subject ?? "nobody"),
    );
    await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
    const { port } = listener.address() as { port: number };
    const socket = connect({
      ...common,
      port,
      host: "127.0.0.1",
      servername: "mx.example.org",
      cert: client.certificatePem,
      key: client.keyPem,
    });
    let heard = "";
    for await (const chunk of socket) heard += String(chunk);
    await new Promise<void>((resolve) => void listener.close(() => resolve()));
    assert.equal(heard, "CN=mx.example.org");
  });

  test("refuses an authority that is none", () => {
    const broken = { certificatePem: "nothing", keyPem: authority.keyPem };
    const wish = { commonName: "a", dnsNames: [], ipAddresses: [], validDays: 1, nowMs };
    assert.throws(() => issueCertificate(broken, { ...wish, usage: "server" }), Misconfigured);
    const noKey = { certificatePem: authority.certificatePem, keyPem: "" };
    assert.throws(() => issueCertificate(noKey, { ...wish, usage: "server" }), Misconfigured);
  });
});
