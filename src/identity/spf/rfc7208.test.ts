import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import type { DnsAnswer, RecordType, Resolver } from "#base/dns";
import { checkHost, checkSpf } from "#identity/spf";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";

interface Case {
  readonly helo: string;
  readonly host: string;
  readonly mailfrom: string;
  readonly result: string | readonly string[];
  readonly explanation?: string;
}

interface Scenario {
  readonly description: string;
  readonly tests: Readonly<Record<string, Case>>;
  readonly zonedata: Zone;
}

const file = new URL("../../../tests/conformance/spf/rfc7208.json", import.meta.url);
const scenarios: readonly Scenario[] = JSON.parse(readFileSync(file, "utf8"));

for (const { description, tests, zonedata } of scenarios) {
  describe(`RFC 7208 suite: ${description}`, () => {
    for (const [name, one] of Object.entries(tests)) {
      test(name, async () => {
        const question = {
          ip: one.host,
          helo: one.helo,
          mailFrom: one.mailfrom,
          receiver: "receiver.example",
        };
        const verdict = await checkSpf(question, zoneResolver(zonedata), systemClock);
        const allowed = [one.result].flat();
        assert.ok(allowed.includes(verdict.result), `${verdict.result}: ${verdict.why}`);
        if (verdict.result === "fail" && one.explanation !== undefined) {
          assert.equal(verdict.explanation ?? "DEFAULT", one.explanation);
        }
      });
    }
  });
}

/** Hands out the same answer each time, as a resolver does while it is fresh. */
function cachingResolver(zone: Zone): Resolver {
  const { query } = zoneResolver(zone);
  const answers = new Map<string, DnsAnswer>();
  const keyOf = (name: string, type: RecordType) => `${type} ${name.toLowerCase()}`;
  const caching = {
    cached: (name: string, type: RecordType) => answers.get(keyOf(name, type)),
    async query(name: string, type: RecordType) {
      const answer = await query(name, type);
      answers.set(keyOf(name, type), answer);
      return answer;
    },
  };
  return caching as Resolver;
}

test("the suite gives the same results from a cache, for SPF and for both scopes of Sender ID", async () => {
  let judged = 0;
  for (const { tests, zonedata } of scenarios) {
    const resolver = cachingResolver(zonedata);
    for (const one of [...Object.values(tests), ...Object.values(tests)]) {
      const question = { ip: one.host, helo: one.helo, receiver: "receiver.example" };
      const verdict = await checkSpf(
        { ...question, mailFrom: one.mailfrom },
        resolver,
        systemClock,
      );
      assert.ok([one.result].flat().includes(verdict.result), verdict.why);
      if (!/^[^@]+@[\w.-]+$/.test(one.mailfrom)) continue;
      const [localPart = "", domain = ""] = one.mailfrom.split("@");
      for (const scope of ["mfrom", "pra"] as const) {
        const asked = { ...question, localPart, domain: domain.toLowerCase(), scope };
        const { result } = await checkHost(asked, resolver, systemClock);
        assert.equal(result, verdict.result, one.mailfrom);
        judged += 1;
      }
    }
  }
  assert.ok(judged > 400, String(judged));
});

test("the suite is whole", () => {
  const count = scenarios.reduce((sum, { tests }) => sum + Object.keys(tests).length, 0);
  assert.equal(count, 144);
});
