import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  house,
  plainConnector,
  run,
  smartConnector,
  type Zone,
} from "../../../tests/kit/outbound.ts";
import type { SinkOptions } from "../../../tests/kit/smtp-sink.ts";

describe("hosts of a domain (RFC 5321 §5.1)", () => {
  const four = (address: string) => [{ address }];
  const mx = (...pairs: (readonly [number, string])[]) =>
    pairs.map(([preference, exchange]) => ({ preference, exchange }));
  const zone: Zone = {
    "two.test MX": mx([20, "late.two.test"], [10, "first.two.test"]),
    "first.two.test A": four("198.51.100.1"),
    "first.two.test AAAA": four("2001:db8::1"),
    "late.two.test A": four("198.51.100.2"),
    "plain.test A": four("198.51.100.2"),
    "null.test MX": mx([0, "."]),
    "loop.test MX": mx([10, "mx.us.test"], [20, "late.two.test"]),
    "backup.test MX": mx([10, "first.two.test"], [20, "mx.us.test"], [30, "late.two.test"]),
    "empty.test TXT": [],
    "inside.test MX": mx([10, "evil.inside.test"]),
    "evil.inside.test A": four("127.0.0.1"),
    "number.test MX": mx([10, "127.0.0.1"]),
    "!broken.test MX": [],
  };

  const cases: readonly (readonly [
    domain: string,
    hosts: Readonly<Record<string, SinkOptions | "down">>,
    dialled: readonly string[],
    outcome: string,
  ])[] = [
    ["two.test", { "198.51.100.1": {} }, ["2001:db8::1", "198.51.100.1"], "delivered 2.0.0"],
    [
      "two.test",
      { "198.51.100.2": {} },
      ["2001:db8::1", "198.51.100.1", "198.51.100.2"],
      "delivered 2.0.0",
    ],
    [
      "two.test",
      { "198.51.100.1": { greeting: "554 5.3.2 away" }, "198.51.100.2": {} },
      ["2001:db8::1", "198.51.100.1", "198.51.100.2"],
      "delivered 2.0.0",
    ],
    ["two.test", {}, ["2001:db8::1", "198.51.100.1", "198.51.100.2"], "deferred 4.4.1"],
    ["plain.test", { "198.51.100.2": {} }, ["198.51.100.2"], "delivered 2.0.0"],
    [
      "plain.test",
      { "198.51.100.2": { greeting: "554 5.3.2 no" } },
      ["198.51.100.2"],
      "failed 5.3.2",
    ],
    [
      "plain.test",
      { "198.51.100.2": { greeting: "421 4.3.2 no" } },
      ["198.51.100.2"],
      "deferred 4.3.2",
    ],
    ["null.test", {}, [], "failed 5.1.10"],
    ["loop.test", {}, [], "failed 5.4.6"],
    ["backup.test", { "198.51.100.1": {} }, ["2001:db8::1", "198.51.100.1"], "delivered 2.0.0"],
    ["gone.test", {}, [], "failed 5.1.2"],
    ["empty.test", {}, [], "failed 5.4.4"],
    ["inside.test", {}, [], "failed 5.4.4"],
    ["number.test", {}, [], "failed 5.4.4"],
    ["broken.test", {}, [], "deferred 4.4.3"],
    ["[198.51.100.9]", { "198.51.100.9": {} }, ["198.51.100.9"], "delivered 2.0.0"],
    ["[127.0.0.1]", {}, [], "failed 5.1.2"],
  ];
  for (const [domain, hosts, dialled, expected] of cases) {
    test(`mail for ${domain} is ${expected} after dialling ${dialled.join(", ") || "nobody"}`, async () => {
      const at = house(hosts, { zone });
      at.store.add("q1", `b@${domain}`, at.clock.nowMs());
      await run(at);
      const last = at.store.items.get("q1")?.last;
      assert.equal(`${last?.outcome} ${last?.reply.status}`, expected);
      assert.deepEqual(at.dialled, dialled);
      await at.queue.stop();
    });
  }

  test("every address of a host is tried, up to six", async () => {
    for (const count of [2, 3, 5, 6, 9]) {
      const addresses = Array.from({ length: count }, (_, nth) => `198.51.100.${nth + 1}`);
      const many = { "many.test A": addresses.map((address) => ({ address })) };
      const at = house({}, { zone: many });
      at.store.add("q1", "b@many.test", at.clock.nowMs());
      await run(at);
      assert.equal(new Set(at.dialled).size, Math.min(6, count));
      await at.queue.stop();
    }
  });

  test("hosts of equal preference share the load", async () => {
    const equal = { "eq.test MX": mx([10, "one.eq.test"], [10, "two.eq.test"]) };
    const addresses = {
      "one.eq.test A": four("198.51.100.1"),
      "two.eq.test A": four("198.51.100.2"),
    };
    const at = house(
      { "198.51.100.1": {}, "198.51.100.2": {} },
      {
        zone: { ...equal, ...addresses },
        ways: { "*": { ...plainConnector, messagesPerSession: 1 } },
      },
    );
    for (let count = 0; count < 20; count += 1) {
      at.store.add(`q${count}`, "b@eq.test", at.clock.nowMs(), { message: `m${count}` });
    }
    await run(at);
    for (const sink of at.sinks.values()) assert.ok(sink.mails.length >= 4);
    await at.queue.stop();
  });

  test("each connector goes to its own hosts", async () => {
    const ways = {
      "*": { ...smartConnector([]), hosts: [{ host: "2001:db8::25", port: 2525 }] },
      "sink.test": { ...smartConnector(["192.0.2.1"]), name: "sink" },
    };
    const at = house({ "2001:db8::25:2525": {}, "192.0.2.1": {} }, { ways });
    at.store.add("q1", "b@any.test", at.clock.nowMs());
    at.store.add("q2", "b@sink.test", at.clock.nowMs());
    await run(at);
    assert.deepEqual(at.dialled.sort(), ["192.0.2.1", "2001:db8::25:2525"]);
    await at.queue.stop();
  });

  test("mail that requires TLS waits rather than go in the clear (S6)", async () => {
    const tls = { ...plainConnector.tls, level: "required" } as const;
    const ways = { "plain.test": { ...plainConnector, tls } };
    const at = house({ "198.51.100.2": {} }, { zone, ways });
    at.store.add("q1", "b@plain.test", at.clock.nowMs());
    await run(at);
    const last = at.store.items.get("q1")?.last;
    assert.equal(`${last?.outcome} ${last?.reply.status}`, "deferred 4.7.5");
    assert.equal(at.sinks.get("198.51.100.2")?.mails.length, 0);
    await at.queue.stop();
  });

  test("a break after the content is not repaired at the next host: that could double it", async () => {
    const answer = (line: string) => (line === "." ? "close" : undefined);
    const at = house({ "198.51.100.1": { answer }, "198.51.100.2": {} }, { zone });
    at.store.add("q1", "b@two.test", at.clock.nowMs());
    await run(at);
    assert.deepEqual(at.store.log, ["q1 deferred"]);
    assert.deepEqual(at.dialled, ["2001:db8::1", "198.51.100.1"]);
    await at.queue.stop();
  });
});
