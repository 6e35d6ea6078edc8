import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { formatCertificate, formatPem, parseCertificate, parsePem } from "#formats/x509";

const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const facts = {
  serial: randomBytes(16),
  commonName: "authority",
  notBeforeMs: 0,
  notAfterMs: 1_000_000,
  publicKey: keys.publicKey.export({ type: "spki", format: "der" }),
  usage: "authority",
} as const;
const der = formatCertificate(facts, (octets) => sign("sha256", octets, keys.privateKey));

describe("parseCertificate()", () => {
  test("finds subject, key and key identifier of what formatCertificate() made", () => {
    const read = parseCertificate(der);
    assert.ok(read.ok);
    assert.match(read.value.subject.toString("latin1"), /authority/);
    assert.deepEqual(read.value.publicKey, facts.publicKey);
    assert.equal(read.value.subjectKeyId?.length, 20);
  });

  test("refuses DER that is no certificate", () => {
    assert.equal(parseCertificate(facts.publicKey).ok, false);
  });

  test("neither throws nor hangs on damaged certificates", () => {
    const random = seededRandom(5280);
    for (let round = 0; round < 5000; round += 1) {
      const damaged = Buffer.from(der);
      damaged[pick(random, damaged.length)] = pick(random, 256);
      parseCertificate(damaged.subarray(0, pick(random, damaged.length + 1)));
    }
  });
});

describe("formatCertificate()", () => {
  test("refuses names that are not ASCII and addresses that are none", () => {
    const never = (): Uint8Array => assert.fail("must not sign");
    assert.throws(() => formatCertificate({ ...facts, dnsNames: ["ä.example"] }, never));
    assert.throws(() => formatCertificate({ ...facts, ipAddresses: ["localhost"] }, never));
  });
});

describe("PEM", () => {
  test("comes back as it was, block for block, among other text", () => {
    const text = `preface\n${formatPem("CERTIFICATE", der)}\n${formatPem("X", der)}${formatPem("CERTIFICATE", facts.publicKey)}`;
    assert.deepEqual(parsePem("CERTIFICATE", text), [der, facts.publicKey]);
    assert.deepEqual(parsePem("CERTIFICATE", "-----BEGIN CERTIFICATE-----"), []);
  });
});
