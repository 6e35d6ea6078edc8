import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DnsAnswer } from "#base/dns";
import { fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";
import { confirmedName } from "./reverse-name.ts";

const ipv6Pointer = `${"1.0.0.0".padEnd(47, ".0")}.8.b.d.0.1.0.0.2.ip6.arpa`;
const pointers = (...names: string[]): Zone => ({
  "25.2.0.192.in-addr.arpa": names.map((name) => ({ PTR: name })),
});
const good: Zone = { "mail.example.net": [{ A: "192.0.2.25" }, { AAAA: "2001:db8::1" }] };

describe("confirmedName() (RFC 8601 §3)", () => {
  const cases: readonly (readonly [string, Zone, string | undefined])[] = [
    ["one that leads back", { ...good, ...pointers("Mail.example.net") }, "mail.example.net"],
    ["none", {}, undefined],
    [
      "one that leads elsewhere",
      { ...pointers("a.example"), "a.example": [{ A: "192.0.2.9" }] },
      undefined,
    ],
    ["one that does not exist", pointers("mail.example.net"), undefined],
    [
      "the second of two",
      { ...good, ...pointers("a.example", "mail.example.net") },
      "mail.example.net",
    ],
    [
      "a fourth",
      { ...good, ...pointers("a.example", "b.example", "c.example", "mail.example.net") },
      undefined,
    ],
    [
      "a good one beside one that fails",
      { ...good, ...pointers("a.example", "mail.example.net"), "a.example": ["SERVFAIL"] },
      "mail.example.net",
    ],
    ["one label", { ...pointers("helo"), helo: [{ A: "192.0.2.25" }] }, undefined],
    [
      "one that is no host name",
      { ...pointers("a_b.example"), "a_b.example": [{ A: "192.0.2.25" }] },
      undefined,
    ],
    ["no answer to the first question", { "25.2.0.192.in-addr.arpa": ["SERVFAIL"] }, undefined],
  ];
  for (const [what, zone, expected] of cases) {
    test(`with ${what}: ${expected ?? "no name"}`, async () => {
      const clock = fakeClock();
      const { queries, resolver } = counting(zone);
      assert.equal(await confirmedName("192.0.2.25", resolver, clock), expected);
      assert.ok(queries.length <= 4, queries.join());
      assert.equal(clock.pending(), 0);
    });
  }

  test("finds names of IPv6 addresses", async () => {
    const zone = { ...good, [ipv6Pointer]: [{ PTR: "mail.example.net" }] };
    const found = await confirmedName("2001:db8::1", counting(zone).resolver, fakeClock());
    assert.equal(found, "mail.example.net");
  });

  test("does not ask about addresses that are not public, or none", async () => {
    const { queries, resolver } = counting(good);
    for (const address of ["127.0.0.1", "10.1.2.3", "::1", "fe80::1", "unknown", ""]) {
      assert.equal(await confirmedName(address, resolver, fakeClock()), undefined);
    }
    assert.deepEqual(queries, []);
  });

  test("gives up after five seconds, whichever question is silent", async () => {
    for (const silent of ["PTR", "A"]) {
      const clock = fakeClock();
      const { resolver } = counting({ ...good, ...pointers("mail.example.net") }, silent);
      let found: string | undefined = "not yet";
      void confirmedName("192.0.2.25", resolver, clock).then((name) => (found = name));
      await clock.advance(4999);
      assert.equal(found, "not yet");
      await clock.advance(1);
      await settle();
      assert.equal(found, undefined);
    }
  });

  test("never rejects", async () => {
    const resolver = { query: () => Promise.reject(new Error("broken")) };
    assert.equal(await confirmedName("192.0.2.25", resolver, fakeClock()), undefined);
  });
});

/** @param silent questions of this type are never answered */
function counting(
  zone: Zone,
  silent?: string,
): {
  queries: string[];
  resolver: Parameters<typeof confirmedName>[1];
} {
  const queries: string[] = [];
  const inner = zoneResolver(zone);
  return {
    queries,
    resolver: {
      query(name, type) {
        queries.push(`${type} ${name}`);
        if (type === silent) return new Promise<DnsAnswer<never>>(() => {});
        return inner.query(name, type);
      },
    },
  };
}
