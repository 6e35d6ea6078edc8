import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parseHeader } from "#formats/message";
import { arcSeal, checkArc } from "#identity/arc";
import { bodyDigests, hashBody } from "#identity/dkim";
import type { ArcVerdict } from "#model/verdict";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";
import { rsaKey, signOctets, zoneOf } from "../dkim/fixture.test.ts";

interface Case {
  readonly description: string;
  readonly message: string;
  /** "": either is right. */
  readonly cv: "None" | "Pass" | "Fail" | "";
}

interface Scenario {
  readonly description: string;
  readonly tests: Readonly<Record<string, Case>>;
  readonly "txt-records": Readonly<Record<string, string>>;
}

const file = new URL(
  "../../../tests/conformance/arc/arc-draft-validation-tests.json",
  import.meta.url,
);
const scenarios: readonly Scenario[] = JSON.parse(readFileSync(file, "utf8"));

/** Judged differently, and why. */
const different: Readonly<Record<string, { readonly result: string; readonly why: string }>> = {
  ams_fields_c_na: {
    result: "fail",
    why: "without c= a signature is in simple form (RFC 8617 §4.1.2, RFC 6376 §3.5); this one is in relaxed form",
  },
};

const sealer = rsaKey("seal");

const zoneFor = ({ "txt-records": records }: Scenario): Zone => ({
  ...Object.fromEntries(Object.entries(records).map(([name, TXT]) => [name, [{ TXT }]])),
  ...zoneOf([sealer], "sealer.example"),
});

function check(
  octets: Buffer,
  zone: Zone,
  trustedSealers: readonly string[] = [],
): Promise<ArcVerdict> {
  const header = parseHeader(octets);
  const digests = bodyDigests(header);
  digests.write(octets.subarray(header.end));
  digests.finish();
  const ports = { resolver: zoneResolver(zone), nowMs: Date.now(), trustedSealers };
  return checkArc({ header, digests }, ports);
}

async function seal(octets: Buffer, verdict: ArcVerdict): Promise<Buffer> {
  const header = parseHeader(octets);
  const fields = await arcSeal({
    header,
    verdict,
    bodyHash: hashBody([octets], header.end),
    results: "mx.sealer.example; arc=none",
    domain: "sealer.example",
    selector: sealer.selector,
    algorithm: sealer.algorithm,
    signedAtMs: Date.now(),
    sign: async (input) => signOctets(sealer, input),
  });
  return fields === "" ? octets : Buffer.concat([Buffer.from(fields, "latin1"), octets]);
}

for (const scenario of scenarios) {
  const zone = zoneFor(scenario);
  describe(`ARC suite: ${scenario.description}`, () => {
    for (const [name, one] of Object.entries(scenario.tests)) {
      const octets = Buffer.from(one.message.replace(/\r?\n/g, "\r\n"));
      test(name, async () => {
        const verdict = await check(octets, zone);
        const wanted = different[name]?.result ?? one.cv.toLowerCase();
        if (wanted !== "") assert.equal(verdict.result, wanted, verdict.why);
      });

      test(`${name}, sealed by us: pass stays pass, fail ends the chain`, async () => {
        const before = await check(octets, zone);
        const once = await seal(octets, before);
        const after = await check(once, zone);
        assert.equal(after.result, before.result === "none" ? "pass" : before.result, after.why);
        if (after.result === "fail") assert.ok((await seal(once, after)).equals(once));
        else assert.equal(after.sealers[0], "sealer.example");
      });
    }
  });
}

describe("a chain that passes is trusted", () => {
  const cases = [
    ["cv_pass_i1_1", true, "1 sets, unchanged since i=1 (oldest-pass)"],
    ["ams_fields_h_empty", false, /From is not signed$/],
    ["cv_pass_i1_2", false, /of 2 MIME-Version fields only 1 are signed$/],
  ] as const;
  for (const [name, trusted, why] of cases) {
    test(`${name}: ${trusted}`, async () => {
      for (const scenario of scenarios) {
        const one = scenario.tests[name];
        if (one === undefined) continue;
        const octets = Buffer.from(one.message.replace(/\r?\n/g, "\r\n"));
        const verdict = await check(octets, zoneFor(scenario), ["example.org"]);
        assert.deepEqual([verdict.result, verdict.trusted], ["pass", trusted], verdict.why);
        if (typeof why === "string") assert.equal(verdict.why, why);
        else assert.match(verdict.why, why);
      }
    });
  }
});

test("the suite is whole", () => {
  const count = scenarios.reduce((sum, { tests }) => sum + Object.keys(tests).length, 0);
  assert.equal(count, 122);
});
