import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { parseDer } from "#formats/der";
import { formatCertificate, formatPem, formatRequest } from "#formats/x509";

const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
const ownSign = (octets: Uint8Array): Buffer => sign("sha256", octets, keys.privateKey);

function requestText(dnsNames: readonly string[]): string {
  const pem = formatPem("CERTIFICATE REQUEST", formatRequest({ dnsNames, publicKey }, ownSign));
  const args = ["req", "-noout", "-text", "-verify"];
  const run = spawnSync("openssl", args, { input: pem, encoding: "utf8", timeout: 20_000 });
  assert.equal(run.status, 0, run.stderr);
  return `${run.stdout}${run.stderr}`;
}

describe("formatRequest()", () => {
  test("CAP-33 OpenSSL verifies it and reads all names (RFC 2986 §4)", () => {
    const names = ["mail.example.org", "www.example.org", "imap.example.org"];
    const text = requestText(names);
    assert.match(text, /verify OK/i);
    assert.match(text, /Subject: CN ?= ?mail\.example\.org/);
    assert.match(text, new RegExp(names.map((name) => `DNS:${name}`).join(", ")));
    assert.match(text, /ecdsa-with-SHA256/);
  });

  test("leaves a name out of the subject that is too long for it (RFC 5280 A.1)", () => {
    const long = `${"a".repeat(60)}.example.org`;
    const text = requestText([long]);
    assert.match(text, /Subject: *\n/);
    assert.match(text, new RegExp(`DNS:${long}`));
  });

  test("refuses no name, and names that are not ASCII", () => {
    assert.throws(() => formatRequest({ dnsNames: [], publicKey }, ownSign));
    assert.throws(() => formatRequest({ dnsNames: ["ä.example"], publicKey }, ownSign));
  });
});

test("formatCertificate() marks the certificate of an ACME challenge (RFC 8737 §3)", () => {
  const digest = createHash("sha256").update("token.thumbprint").digest();
  const der = formatCertificate(
    {
      serial: Buffer.from([1]),
      commonName: "ACME challenge",
      notBeforeMs: 0,
      notAfterMs: 1_000_000,
      publicKey,
      usage: "server",
      dnsNames: ["mail.example.org"],
      acmeIdentifier: digest,
    },
    ownSign,
  );
  assert.equal(new X509Certificate(der).subjectAltName, "DNS:mail.example.org");
  // Critical, and the digest is an OCTET STRING in the extension's own.
  const wanted = `06082b0601050507011f0101ff04220420${digest.toString("hex")}`;
  assert.ok(der.toString("hex").includes(wanted));
  assert.ok(parseDer(der).ok);
});
