import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { dispositions, type Opinion } from "#model/decision";
import type { SpfResult } from "#model/verdict";
import { decide, defaultSpfRules, replyTo, weighSpf } from "#policy";

const weigh = (result: SpfResult, rules = defaultSpfRules): Opinion =>
  weighSpf(
    { method: "spf", result, domain: "sender.example", identity: "mailfrom", why: "" },
    rules,
  );

describe("weighSpf()", () => {
  for (const [result, disposition, status] of [
    ["pass", "accept", undefined],
    ["none", "accept", undefined],
    ["softfail", "quarantine", undefined],
    ["fail", "reject", "7.23"],
    ["temperror", "defer", "7.24"],
    ["permerror", "quarantine", "7.24"],
  ] as const) {
    test(`advises ${disposition} on ${result} by default`, () => {
      const opinion = weigh(result);
      assert.deepEqual([opinion.disposition, opinion.status], [disposition, status]);
    });
  }

  test("treats neutral exactly as none (RFC 7208 §8.2)", () => {
    assert.equal(weigh("neutral").disposition, weigh("none").disposition);
  });

  test("obeys the administrator on fail, and says why", () => {
    const opinion = weigh("fail", { ...defaultSpfRules, fail: "quarantine" });
    assert.equal(opinion.disposition, "quarantine");
    assert.equal(opinion.because, "spf=fail for sender.example");
  });
});

describe("decide()", () => {
  const says = (stage: string, disposition: Opinion["disposition"]): Opinion => ({
    stage,
    disposition,
    because: stage,
  });

  test("lets the strictest win, the earlier among equals, and keeps every reason", () => {
    const decision = decide([
      says("a", "accept"),
      says("b", "defer"),
      says("c", "reject"),
      says("d", "reject"),
    ]);
    assert.equal(decision.disposition, "reject");
    assert.deepEqual(
      decision.opinions.map((one) => one.stage),
      ["c", "d", "b", "a"],
    );
  });

  test("accepts where nobody objects", () => {
    assert.deepEqual(decide([]), { disposition: "accept", opinions: [] });
  });
});

describe("replyTo()", () => {
  test("gives each disposition its class, whatever the status", () => {
    for (const status of ["1.1", "3.4", "7.23", "7.24", "9.9", undefined]) {
      const classes = dispositions.map((disposition) => {
        const opinion = { stage: "x", disposition, because: "secret", ...(status && { status }) };
        const { code, status: enhanced, text } = replyTo({ disposition, opinions: [opinion] });
        assert.doesNotMatch(String(text), /secret/);
        return `${Math.floor(code / 100)}${enhanced?.[0]}`;
      });
      assert.deepEqual(classes, ["22", "22", "44", "55"]);
    }
  });

  test("speaks of SPF in the codes of RFC 7372", () => {
    const reply = replyTo(decide([weigh("fail")]));
    assert.deepEqual([reply.code, reply.status], [550, "5.7.23"]);
    assert.equal(replyTo(decide([weigh("temperror")])).status, "4.7.24");
  });
});
