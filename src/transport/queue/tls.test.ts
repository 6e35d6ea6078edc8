import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isPermanent } from "#model/reply";
import type { TlsDemand, TlsProof } from "#model/tls-policy";
import type { HopAnswer } from "#transport/queue";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { settle } from "../../../tests/kit/fake-clock.ts";
import { type House, house, plainConnector, run } from "../../../tests/kit/outbound.ts";
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
      "the message came with REQUIRETLS and the policy cannot be had",
      { tls: good },
      { demands: both(refuse("REQUIRETLS, and the policy host does not answer")) },
      /policy host/,
    ],
    [
      "the message came with REQUIRETLS and the server refuses STARTTLS for now",
      { tls: good, answer: (line) => (line === "STARTTLS" ? "454 4.7.0 not now" : undefined) },
      {},
      /not now/,
    ],
    [
      "the message came with REQUIRETLS and the handshake breaks off",
      { tls: good, answer: (line) => (line === "STARTTLS" ? "close" : undefined) },
      {},
      /closed the connection/,
    ],
  ];
  for (const [nth, [name, host, options, why]] of stays.entries()) {
    test(`S6-Q${nth < 10 ? nth + 1 : `10${"abc"[nth - 10]}`} ${name}`, async () => {
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
      assert.match(reply.status ?? "", /^4\.[47]\./);
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

describe("CAP-49 REQUIRETLS that no host can promise comes back at once (RFC 8689 §4.2.1)", () => {
  const unproven: HopAnswer = {
    ok: false,
    reply: { code: 550, status: "5.7.30", text: "neither DNSSEC nor MTA-STS" },
  };
  const proven = (host: string): HopAnswer => {
    const proof: TlsProof = { kind: "authority", names: [host], authorities: trusted };
    return { ok: true, policy: "none", demand: demand(host, proof) };
  };
  const able: SinkOptions = { tls: good, extensions: ["REQUIRETLS"] };
  const one = { "mx1.partner.test": proven("mx1.partner.test") };
  const other = { "mx2.partner.test": proven("mx1.partner.test") };

  const back: readonly (readonly [string, SinkOptions, Record<string, HopAnswer>, RegExp])[] = [
    ["no route is proven", able, both(unproven), /^550 5\.7\.30 neither DNSSEC/],
    ["no host offers REQUIRETLS", { tls: good }, { ...one, ...other }, /^550 5\.7\.30 the sender/],
    ["no host offers STARTTLS", {}, { ...one, ...other }, /^550 5\.7\.10 TLS is required/],
    ["no certificate stands", { tls: wrong }, { ...one, ...other }, /^550 5\.7\.10 .*mismatch/],
    [
      "one route is not proven, and the other host cannot",
      { tls: good },
      { ...one, "mx2.partner.test": unproven },
      /^550 5\.7\.30/,
    ],
  ];
  for (const [why, host, demands, said] of back) {
    test(`CAP-49 ${why}`, async () => {
      const at = house({ "198.51.100.1": host, "198.51.100.2": host }, { zone, demands });
      at.store.add("q1", "b@partner.test", at.clock.nowMs(), { requireTls: true });
      at.store.add("q2", "b@partner.test", at.clock.nowMs(), {
        ...{ message: "m2", requireTls: true, reversePath: "" },
      });
      await run(at);
      const { state, last } = at.store.items.get("q1") ?? {};
      assert.equal(state, "failed");
      const { code, status, text } = last?.reply ?? {};
      assert.match(`${code} ${status} ${String(text)}`, said);
      assert.deepEqual(
        at.notices.map(({ kind, item }) => [kind, item.id]),
        [["failure", "q1"]],
      );
      assert.equal(at.store.items.get("q2")?.state, "waiting", "§5: a notice is not lost for it");
      const lines = [...at.sinks.values()].flatMap((sink) => sink.lines);
      assert.ok(!lines.some((line) => line.startsWith("MAIL")), "nothing was offered");
      await at.queue.stop();
    });
  }

  test("CAP-49 the next host may be able to", async () => {
    const demands = { ...one, ...other };
    const hosts = { "198.51.100.1": { tls: good }, "198.51.100.2": able };
    const at = house(hosts, { zone, demands });
    at.store.add("q1", "b@partner.test", at.clock.nowMs(), { requireTls: true });
    await run(at);
    assert.deepEqual(at.store.log, ["q1 delivered"]);
    assert.equal(at.store.items.get("q1")?.last?.remote, "mx2.partner.test [198.51.100.2]");
    await at.queue.stop();
  });

  test("CAP-49 it waits while one of the hosts is down", async () => {
    const hosts = { "198.51.100.1": { tls: good }, "198.51.100.2": "down" as const };
    const at = house(hosts, { zone, demands: { ...one, ...other } });
    at.store.add("q1", "b@partner.test", at.clock.nowMs(), { requireTls: true });
    await run(at);
    assert.deepEqual(at.store.log, ["q1 deferred"]);
    await at.queue.stop();
  });
});

describe('CAP-49 "TLS-Required: No" does not share the rest of a place whose TLS is broken', () => {
  const minute = 60_000;
  const at198 = { "one.test A": [{ address: "198.51.100.1" }] };
  const notListed = { "one.test": refuse("mta-sts: not listed") };
  const pass = async (at: House, minutes: number): Promise<void> => {
    for (let nth = 0; nth < minutes; nth += 1) {
      await at.clock.advance(minute);
      await settle(40);
    }
  };

  test("CAP-49 it goes at once, whatever waits there, and the rest goes on resting", async () => {
    const at = house({ "198.51.100.1": {} }, { zone: at198, demands: notListed });
    for (let nth = 0; nth < 3000; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    assert.deepEqual(at.store.log.length <= 16, true, "the others were not tried");
    const tlsOptional = true;
    at.store.add("no1", "b@one.test", at.clock.nowMs(), { message: "no1", tlsOptional });
    for (let seconds = 0; seconds < 10; seconds += 1) {
      await at.clock.advance(1000);
      await settle(40);
    }
    assert.equal(at.store.items.get("no1")?.state, "delivered");
    at.store.add("no2", "b@one.test", at.clock.nowMs(), { message: "no2", tlsOptional });
    await settle(60);
    assert.equal(at.store.items.get("no2")?.state, "delivered", "at once");
    await pass(at, 180);
    assert.ok(at.store.log.length < 40, `${at.store.log.length} tries in three hours`);
    await at.queue.stop();
  });

  test("CAP-49 one that comes while the others are looked through goes, too", async () => {
    const at = house({ "198.51.100.1": {} }, { zone: at198, demands: notListed });
    const { due } = at.store;
    at.store.add("q1", "b@one.test", at.clock.nowMs(), { message: "m1" });
    await run(at);
    let reads = 0;
    at.store.due = async (...asked) => {
      const page = await due(...asked);
      reads += 1;
      const some = { message: "no2", tlsOptional: true };
      if (reads === 1) at.store.add("no2", "b@one.test", at.clock.nowMs(), some);
      return page;
    };
    await at.clock.advance(1000);
    at.store.add("no1", "b@one.test", at.clock.nowMs(), { message: "no1" });
    await settle(60);
    await pass(at, 1);
    assert.equal(at.store.items.get("no2")?.state, "delivered");
    await at.queue.stop();
  });

  test("CAP-49 one that has to be tried again is, though the others rest", async () => {
    let isBusy = true;
    const answer = (line: string) =>
      isBusy && line.startsWith("RCPT") ? "450 4.2.0 later" : undefined;
    const at = house({ "198.51.100.1": { answer } }, { zone: at198, demands: notListed });
    at.store.add("q1", "b@one.test", at.clock.nowMs(), { message: "m1" });
    at.store.add("no1", "b@one.test", at.clock.nowMs(), { message: "no1", tlsOptional: true });
    await run(at);
    assert.deepEqual(at.store.log.toSorted(), ["no1 deferred", "q1 deferred"]);
    isBusy = false;
    await pass(at, 60);
    assert.equal(at.store.items.get("no1")?.state, "delivered");
    assert.equal(at.store.items.get("q1")?.state, "waiting");
    await at.queue.stop();
  });

  test("CAP-49 nothing passes what the administrator demands", async () => {
    const at = house({ "198.51.100.1": {} }, { zone: at198, ways: { "*": required() } });
    at.store.add("q1", "b@one.test", at.clock.nowMs(), { message: "m1" });
    await run(at);
    at.store.add("no1", "b@one.test", at.clock.nowMs(), { message: "no1", tlsOptional: true });
    await settle(60);
    assert.deepEqual(at.store.log, ["q1 deferred"], "it shares the rest");
    await at.queue.stop();
  });

  test("CAP-49 mail of all kinds flows when TLS is mended", async () => {
    const demands: Record<string, HopAnswer> = { ...notListed };
    const at = house({ "198.51.100.1": {} }, { zone: at198, demands });
    for (let nth = 0; nth < 20; nth += 1) {
      const tlsOptional = nth % 2 === 0;
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}`, tlsOptional });
    }
    await run(at);
    const delivered = () => at.store.log.filter((line) => line.endsWith(" delivered")).length;
    assert.equal(delivered(), 10);
    delete demands["one.test"];
    await pass(at, 60);
    assert.equal(delivered(), 20);
    await at.queue.stop();
  });
});

function demand(serverName: string, proof?: TlsProof): TlsDemand {
  return { level: "required", serverName, minVersion: "TLSv1.2", ...(proof && { proof }) };
}

function both(answer: HopAnswer): Readonly<Record<string, HopAnswer>> {
  return { "mx1.partner.test": answer, "mx2.partner.test": answer };
}
