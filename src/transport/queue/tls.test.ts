import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isPermanent } from "#model/reply";
import type { TlsDemand, TlsProof } from "#model/tls-policy";
import type { HopAnswer } from "#transport/queue";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { house, plainConnector, run } from "../../../tests/kit/outbound.ts";
import type { SinkOptions } from "../../../tests/kit/smtp-sink.ts";

const zone = {
  "partner.test MX": [
    { preference: 10, exchange: "mx1.partner.test" },
    { preference: 20, exchange: "mx2.partner.test" },
  ],
  "mx1.partner.test A": [{ address: "198.51.100.1" }],
  "mx2.partner.test A": [{ address: "198.51.100.2" }],
  "other.test A": [{ address: "198.51.100.3" }],
};
const required = (more: object = {}) => ({
  ...plainConnector,
  name: "partner",
  tls: { ...plainConnector.tls, level: "required" as const, ...more },
});
const good = selfSigned("mx1.partner.test");
const wrong = selfSigned("evil.test");
const trusted = [good.cert, wrong.cert];

const refuse = (text: string): HopAnswer => ({
  ok: false,
  reply: { code: 450, status: "4.7.5", text },
});

describe("S6 what is demanded is had, or the mail stays queued and says why", () => {
  const stays: readonly (readonly [
    name: string,
    host: SinkOptions,
    options: Parameters<typeof house>[1],
    why: RegExp,
  ])[] = [
    ["STARTTLS is stripped", {}, { ways: { "*": required() } }, /does not offer it/],
    [
      "STARTTLS is refused",
      { tls: good, answer: (line) => (line === "STARTTLS" ? "454 4.7.0 not now" : undefined) },
      { ways: { "*": required({ authorities: trusted }) } },
      /not now/,
    ],
    [
      "the certificate signs itself",
      { tls: good },
      { ways: { "*": required() } },
      /TLS|certificate/i,
    ],
    [
      "the certificate is for another name",
      { tls: wrong },
      { ways: { "*": required({ authorities: trusted }) } },
      /TLS|certificate/i,
    ],
    [
      "the key is not the pinned one",
      { tls: good },
      { ways: { "*": required({ level: "pinned", pins: ["00".repeat(32)] }) } },
      /TLS|pin/i,
    ],
    [
      "the policy of the domain does not list the host",
      { tls: good },
      { demands: both(refuse("mta-sts: not listed")) },
      /not listed/,
    ],
    [
      "the records of DANE cannot be looked up",
      { tls: good },
      { demands: both(refuse("dane: no answer")) },
      /no answer/,
    ],
    [
      "DANE demands TLS and it is stripped",
      {},
      { demands: both({ ok: true, policy: "dane", demand: demand("mx1.partner.test") }) },
      /does not offer it/,
    ],
    [
      "MTA-STS demands a name that the certificate has not",
      { tls: wrong },
      {
        demands: both({
          ok: true,
          policy: "mta-sts",
          demand: demand("mx1.partner.test", {
            kind: "mta-sts",
            names: ["mx1.partner.test"],
            authorities: trusted,
          }),
        }),
      },
      /TLS|certificate/i,
    ],
    [
      "the message came with REQUIRETLS and the host has nothing that proves it",
      { tls: good },
      {},
      /TLS|certificate|REQUIRETLS/i,
    ],
  ];
  for (const [nth, [name, host, options, why]] of stays.entries()) {
    test(`S6-Q${nth + 1} ${name}`, async () => {
      const hosts = { "198.51.100.1": host, "198.51.100.2": host, "198.51.100.3": {} };
      const ways = { ...options?.ways, "other.test": plainConnector };
      const at = house(hosts, { zone, ...options, ways });
      const requireTls = name.includes("REQUIRETLS") ? { requireTls: true } : {};
      at.store.add("q1", "b@partner.test", at.clock.nowMs(), { message: "m1", ...requireTls });
      at.store.add("q2", "b@other.test", at.clock.nowMs(), { message: "m2" });
      await run(at);
      const item = at.store.items.get("q1");
      assert.equal(item?.state, "waiting");
      const reply = item.last?.reply;
      assert.ok(reply !== undefined && !isPermanent(reply));
      assert.match([reply.text].flat().join(" "), why);
      assert.match(reply.status ?? "", /^4\.7\./);
      for (const to of ["198.51.100.1", "198.51.100.2"]) {
        assert.equal(at.sinks.get(to)?.mails.length, 0, "nothing left");
        assert.ok(!at.sinks.get(to)?.lines.some((line) => line.startsWith("MAIL")));
      }
      assert.equal(at.store.items.get("q2")?.state, "delivered", "other mail is not affected");
      await at.queue.stop();
    });
  }

  test("S6-Q11 a host that may not be used is passed over for one that may", async () => {
    const demands = { "mx1.partner.test": refuse("not listed") };
    const at = house({ "198.51.100.1": {}, "198.51.100.2": {} }, { zone, demands });
    at.store.add("q1", "b@partner.test", at.clock.nowMs());
    await run(at);
    assert.equal(at.store.items.get("q1")?.last?.remote, "mx2.partner.test [198.51.100.2]");
    assert.deepEqual(at.dialled, ["198.51.100.2"], "it is not even dialled");
    assert.deepEqual(at.observed, ["mx1.partner.test refused", "mx2.partner.test clear"]);
    await at.queue.stop();
  });

  test("S6-Q12 where nothing is demanded a broken handshake does not stop the mail", async () => {
    const broken: SinkOptions = {
      tls: good,
      answer: (line, session) => (line === "STARTTLS" && session === 1 ? "close" : undefined),
    };
    const at = house({ "198.51.100.1": broken }, { zone });
    at.store.add("q1", "b@partner.test", at.clock.nowMs());
    await run(at);
    assert.equal(at.store.items.get("q1")?.state, "delivered");
    assert.deepEqual(at.dialled, ["198.51.100.1", "198.51.100.1"]);
    assert.equal(at.sinks.get("198.51.100.1")?.mails[0]?.tls, false);
    assert.deepEqual(at.observed, ["mx1.partner.test tls"]);
    await at.queue.stop();
  });

  test("S6-Q13 how a hop was protected is kept with the attempt", async () => {
    const ways = { "*": required({ authorities: trusted }) };
    const at = house({ "198.51.100.1": { tls: good } }, { zone, ways });
    at.store.add("q1", "b@partner.test", at.clock.nowMs());
    await run(at);
    const last = at.store.items.get("q1")?.last;
    assert.equal(last?.outcome, "delivered");
    assert.equal(last.connector, "partner");
    assert.equal(last.tls?.proof, "authority");
    assert.equal(last.tls.provenName, "mx1.partner.test");
    assert.match(last.tls.version, /TLSv1\.[23]/);
    await at.queue.stop();
  });

  test('S6-Q14 "TLS-Required: No" passes over policies of the world (RFC 8689 §4.2.2)', async () => {
    const demands = both(refuse("mta-sts: not listed"));
    const at = house({ "198.51.100.1": {} }, { zone, demands });
    at.store.add("q1", "b@partner.test", at.clock.nowMs(), { message: "m1", tlsOptional: true });
    at.store.add("q2", "b@partner.test", at.clock.nowMs(), { message: "m2" });
    await run(at);
    assert.equal(at.store.items.get("q1")?.state, "delivered");
    assert.equal(at.store.items.get("q2")?.state, "waiting");
    await at.queue.stop();
  });

  test('S6-Q15 "TLS-Required: No" passes over nothing that the administrator demands', async () => {
    const at = house({ "198.51.100.1": {} }, { zone, ways: { "*": required() } });
    at.store.add("q1", "b@partner.test", at.clock.nowMs(), { tlsOptional: true });
    await run(at);
    assert.equal(at.store.items.get("q1")?.state, "waiting");
    assert.equal(at.sinks.get("198.51.100.1")?.mails.length, 0);
    await at.queue.stop();
  });

  test("S6-Q16 what cannot be found out now is no reason to send unprotected", async () => {
    const { policiesOf } = await import("../../../tests/kit/outbound.ts");
    const hops = {
      ...policiesOf(),
      demandFor: async () => {
        throw new Error("the policies' file is gone");
      },
    };
    const at = house({ "198.51.100.1": {} }, { zone, deps: { hops } });
    at.store.add("q1", "b@partner.test", at.clock.nowMs());
    await run(at);
    assert.equal(at.store.items.get("q1")?.state, "waiting");
    assert.deepEqual(at.dialled, []);
    await at.queue.stop();
  });

  test("S6-Q17 a secret that cannot be read keeps the mail here, and says which file", async () => {
    const { Misconfigured } = await import("#base/errors");
    const facts = { secretFiles: ["/gone"], secretMaxAgeDays: 0 };
    const login = { mechanism: "plain" as const, user: "us", ...facts };
    const ways = { "*": { ...required({ authorities: trusted }), login } };
    const secretsOf = () => {
      throw new Misconfigured("/gone: no secret there");
    };
    const at = house({ "198.51.100.1": { tls: good } }, { zone, ways, deps: { secretsOf } });
    at.store.add("q1", "b@partner.test", at.clock.nowMs());
    await run(at);
    const item = at.store.items.get("q1");
    assert.equal(item?.state, "waiting");
    assert.match(String(item.last?.reply.text), /\/gone/);
    await at.queue.stop();
  });
});

function demand(serverName: string, proof?: TlsProof): TlsDemand {
  return { level: "required", serverName, minVersion: "TLSv1.2", ...(proof && { proof }) };
}

function both(answer: HopAnswer): Readonly<Record<string, HopAnswer>> {
  return { "mx1.partner.test": answer, "mx2.partner.test": answer };
}
