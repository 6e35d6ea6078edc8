import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { checkSpf } from "#identity/spf";
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

test("the suite is whole", () => {
  const count = scenarios.reduce((sum, { tests }) => sum + Object.keys(tests).length, 0);
  assert.equal(count, 144);
});
