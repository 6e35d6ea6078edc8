import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SenderState, SpfResult, Verdict } from "#model/verdict";
import { senderState } from "./sender-state.ts";

const spf = (
  result: SpfResult,
  domain = "example.net",
  identity: "mailfrom" | "helo" = "mailfrom",
): Verdict => ({ method: "spf", result, domain, identity, why: "" });
const login: Verdict = { method: "auth", result: "pass", login: "ada@example.org" };

describe("senderState()", () => {
  const cases: readonly (readonly [string, readonly Verdict[], string | null, SenderState])[] = [
    ["a login here", [login], "example.org", "internal"],
    ["a login that names another domain", [login], "example.net", "not-checked"],
    [
      "a login that did not happen",
      [{ ...login, result: "none" } as Verdict],
      "example.org",
      "not-checked",
    ],
    ["SPF pass of the same domain", [spf("pass")], "example.net", "verified-other"],
    [
      "SPF pass of a domain below it",
      [spf("pass", "bounce.example.net")],
      "example.net",
      "verified-other",
    ],
    ["SPF pass of another domain", [spf("pass", "mailer.example")], "example.net", "not-verified"],
    ["SPF pass of a look-alike", [spf("pass", "notexample.net")], "example.net", "not-verified"],
    ["SPF pass of HELO alone", [spf("pass", "example.net", "helo")], "example.net", "not-verified"],
    ["SPF pass of a top-level domain", [spf("pass", "x.net")], "net", "not-verified"],
    ["SPF fail", [spf("fail")], "example.net", "not-verified"],
    ["SPF softfail", [spf("softfail")], "example.net", "not-verified"],
    ["SPF neutral", [spf("neutral")], "example.net", "not-verified"],
    ["SPF permerror", [spf("permerror")], "example.net", "not-verified"],
    ["no SPF record", [spf("none")], "example.net", "not-verifiable"],
    [
      "no SPF record of another domain",
      [spf("none", "mailer.example")],
      "example.net",
      "not-verified",
    ],
    ["DNS silent", [spf("temperror")], "example.net", "not-checked"],
    ["nothing looked at", [], "example.net", "not-checked"],
    ["our domain from outside", [spf("fail", "example.org")], "example.org", "forged"],
    ["our domain sent by another's", [spf("pass", "mailer.example")], "example.org", "forged"],
    [
      "our domain by a server that we name",
      [spf("pass", "example.org")],
      "example.org",
      "verified-other",
    ],
    ["no From, or several", [spf("pass")], null, "not-verified"],
  ];
  for (const [what, verdicts, domain, state] of cases) {
    test(`says ${state} of ${what}`, () => {
      const judged = senderState(verdicts, domain, domain === "example.org");
      assert.equal(judged.state, state);
      assert.match(judged.text, /^[A-Z].{10,120}\.$/);
    });
  }

  test("never says verified, whatever is known: nothing of DKIM and DMARC was checked", () => {
    for (const result of [
      "none",
      "neutral",
      "pass",
      "fail",
      "softfail",
      "temperror",
      "permerror",
    ] as const) {
      for (const verdicts of [
        [spf(result)],
        [spf(result), login],
        [spf(result, "other.example")],
      ]) {
        for (const ours of [true, false]) {
          assert.notEqual(senderState(verdicts, "example.net", ours).state, "verified");
        }
      }
    }
  });

  test("uses no word that people read as a promise", () => {
    const texts = cases.map(([, verdicts, domain]) => senderState(verdicts, domain, false).text);
    for (const text of texts) assert.doesNotMatch(text, /\b(safe|secure|trusted)\b/i);
  });
});
