/** TLS of a session: what is recorded of it, and REQUIRETLS (RFC 8689). */

import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { createSecureContext } from "node:tls";
import { pick, seededRandom } from "#base/random";
import { integer, octetString, sequence } from "#formats/der";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { Talk } from "../../../tests/kit/talk.ts";
import { type TestServer, testServer } from "./testing.ts";
import { groupOf } from "./tls.ts";

const context = createSecureContext({
  ...selfSigned("mx.known.example"),
  ecdhCurve: "X25519MLKEM768:P-256:X25519:P-384:P-521",
  sessionIdContext: "test",
});
const tls = () => context;

async function inTls(server: TestServer, options = {}): Promise<Talk> {
  const client = await Talk.open(server.at);
  await client.reply();
  await client.ask("EHLO c.example");
  await client.ask("STARTTLS");
  await client.secure(options);
  return client;
}

async function deliver(client: Talk): Promise<void> {
  await client.ask("EHLO c.example");
  await client.ask("MAIL FROM:<>");
  await client.ask("RCPT TO:<x@known.example>");
  await client.ask("DATA");
  assert.match(await client.ask("x\r\n."), /^250 /);
}

describe("CAP-40 CAP-48 what a message says of its TLS", () => {
  const offers = [
    ["TLSv1.3", "X25519MLKEM768", "X25519MLKEM768"],
    ["TLSv1.3", "X25519", "X25519"],
    ["TLSv1.3", "P-256", "secp256r1"],
    ["TLSv1.3", "P-521", "secp521r1"],
    ["TLSv1.2", "P-384:P-256", "secp384r1"],
    ["TLSv1.2", "X25519:P-256", "X25519"],
  ] as const;
  for (const [version, ecdhCurve, group] of offers) {
    test(`CAP-40 ${version} by ${ecdhCurve}: version, cipher and group`, async () => {
      await using server = await testServer({ tls });
      using client = await inTls(server, { ecdhCurve, maxVersion: version });
      await deliver(client);
      const facts = server.delivered[0]?.transaction.connection.tls;
      assert.equal(facts?.version, version);
      assert.match(facts?.cipher ?? "", /^TLS_/);
      assert.equal(facts?.group, group);
      assert.equal(facts?.peerCertificate, undefined);
    });
  }

  test("CAP-48 a client certificate that was asked for, by its fingerprint", async () => {
    const shown = selfSigned("client.example");
    await using server = await testServer({
      tls,
      peers: { rules: () => ({}), asksCertificate: () => true },
    });
    using client = await inTls(server, shown);
    await deliver(client);
    using without = await inTls(server);
    await deliver(without);
    const { raw } = new X509Certificate(shown.cert);
    const [first, second] = server.delivered.map(({ transaction }) => transaction.connection.tls);
    assert.equal(first?.peerCertificate, createHash("sha256").update(raw).digest("hex"));
    assert.equal(first?.proof, undefined);
    assert.equal(second?.peerCertificate, undefined);
  });

  test("a session of another shape gives no group, and never throws", () => {
    assert.equal(groupOf(undefined), undefined);
    const good = sequence(integer(1), Buffer.from("b303020117", "hex"));
    assert.equal(groupOf(good), "secp256r1");
    for (const odd of [
      octetString(good),
      sequence(),
      sequence(Buffer.from("b30304011d", "hex")),
      sequence(Buffer.from("b30702050000000017", "hex")),
      sequence(Buffer.from("b3040202ffff", "hex")),
      good.subarray(0, -1),
    ]) {
      assert.equal(groupOf(odd), undefined);
    }
    const random = seededRandom(0x7e1);
    for (let round = 0; round < 2000; round += 1) {
      const octets = Buffer.from(good);
      octets[pick(random, octets.length)] = pick(random, 256);
      groupOf(octets.subarray(0, pick(random, octets.length + 1)));
    }
  });
});

describe("CAP-49 REQUIRETLS (RFC 8689 §2)", () => {
  test("is offered inside TLS alone, and in clear it is no parameter", async () => {
    await using server = await testServer({ tls });
    using client = await Talk.open(server.at);
    await client.reply();
    assert.doesNotMatch(await client.ask("EHLO c.example"), /REQUIRETLS/);
    assert.match(await client.ask("MAIL FROM:<a@c.example> REQUIRETLS"), /^555 5\.5\.4 /);
    await client.ask("STARTTLS");
    await client.secure();
    assert.match(await client.ask("EHLO c.example"), /^250[ -]REQUIRETLS$/m);
  });

  test("goes with the envelope, and takes no value", async () => {
    await using server = await testServer({ tls });
    using client = await inTls(server);
    await client.ask("EHLO c.example");
    assert.match(await client.ask("MAIL FROM:<a@c.example> REQUIRETLS=yes"), /^501 5\.5\.4 /);
    assert.match(await client.ask("MAIL FROM:<a@c.example> requiretls SMTPUTF8"), /^250 /);
    await client.ask("RCPT TO:<x@known.example>");
    await client.ask("DATA");
    await client.ask("x\r\n.");
    assert.equal(server.delivered[0]?.transaction.envelope.requireTls, true);
  });
});
