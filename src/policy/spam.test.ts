import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Evidence,
  hintTypes,
  type SenderState,
  type SenderVerdict,
  senderStates,
  spoofTypes,
} from "#model/verdict";
import { type SpamFacts, spamConfidence, weighSpam } from "#policy";

const sender = (result: SenderState, evidence: readonly Evidence[] = []): SenderVerdict => ({
  method: "sender",
  result,
  origin: "outside",
  address: "a@sender.example",
  text: "why",
  evidence,
});

const evidence = (type: Evidence["type"]): Evidence => ({ type, claimed: "x", text: type });

const facts = (result: SenderState, more: Partial<SpamFacts> = {}): SpamFacts => ({
  sender: sender(result),
  isAllowed: false,
  isKnown: false,
  isBulk: false,
  ...more,
});

const level = (given: SpamFacts): number => spamConfidence(given).level;

describe("spamConfidence()", () => {
  test("CAP-61 gives every state its level", () => {
    const levels = senderStates.map((state) => [state, level(facts(state))]);
    assert.deepEqual(Object.fromEntries(levels), {
      verified: 4,
      "verified-other": 4,
      internal: 0,
      "not-verifiable": 4,
      "not-checked": 4,
      "not-verified": 5,
      forged: 8,
    });
  });

  test("CAP-61 gives the reasons, and they add up to the level", () => {
    const filter = { name: "rspamd", score: 7.5, required: 15 };
    const verdict = spamConfidence(facts("not-verified", { isBulk: true, filter }));
    assert.deepEqual(
      verdict.reasons.map(({ points, name }) => [points, name]),
      [
        [1, "sender-not-verified"],
        [1, "bulk"],
        [1, "rspamd"],
      ],
    );
    assert.deepEqual([verdict.level, verdict.result], [7, "high"]);
    assert.equal(verdict.reasons.at(-1)?.text, "rspamd: 7.5 of 15.0.");
  });

  test("CAP-62 a pass alone never lowers the level, nor does a filter that finds nothing", () => {
    for (const state of senderStates.filter((one) => one !== "internal")) {
      for (const isBulk of [false, true]) {
        for (const score of [-50, 0, 4]) {
          const filter = { name: "spamassassin", score, required: 5 };
          assert.ok(level(facts(state, { isBulk, filter })) >= 4, state);
        }
      }
    }
  });

  test("CAP-62 the list of wanted senders and earlier letters count for a verified author only", () => {
    assert.equal(level(facts("verified", { isAllowed: true })), 0);
    assert.equal(level(facts("verified", { isKnown: true })), 2);
    assert.equal(level(facts("verified-other", { isAllowed: true })), 0);
    const via = { sender: sender("verified-other", [evidence("via-other-domain")]) };
    for (const more of [{ isAllowed: true }, { isKnown: true }]) {
      assert.equal(level(facts("verified-other", { ...via, ...more })), 4);
      for (const state of ["not-verifiable", "not-checked", "not-verified", "forged"] as const) {
        assert.ok(level(facts(state, more)) >= 4, state);
      }
    }
  });

  test("evidence raises the level, and none of it lowers", () => {
    for (const type of [...spoofTypes, ...hintTypes]) {
      const judged = facts("verified", { sender: sender("verified", [evidence(type)]) });
      assert.ok(level(judged) >= 4, type);
    }
    const looks = sender("verified", [evidence("look-alike-domain")]);
    assert.equal(level(facts("verified", { sender: looks })), 7);
  });

  test("CAP-105 wording alone is no verdict: it does not bring mail to Junk", () => {
    const worded = sender("not-verified", [evidence("payment-change"), evidence("first-contact")]);
    assert.equal(level(facts("not-verified", { sender: worded })), 6);
  });

  test("takes a filter by its own limit, and rspamd's advice", () => {
    const by = (score: number, action?: string): number => {
      const filter = { name: "f", score, required: 10, ...(action !== undefined && { action }) };
      return level(facts("verified", { filter }));
    };
    assert.deepEqual([by(4), by(5), by(10), by(20)], [4, 5, 8, 9]);
    assert.deepEqual([by(6, "add header"), by(1, "reject"), by(1, "no action")], [7, 9, 4]);
    const broken = { name: "f", score: 1, required: 0 };
    assert.equal(level(facts("verified", { filter: broken })), 4);
  });

  test("stays within 0 and 9", () => {
    assert.equal(level(facts("internal", { isAllowed: true, isKnown: true })), 0);
    const worst = sender("forged", [...spoofTypes].map(evidence));
    assert.equal(level(facts("forged", { sender: worst, isBulk: true })), 9);
  });
});

describe("weighSpam()", () => {
  const weigh = (given: SpamFacts, junk: number, reject: number): string =>
    weighSpam(spamConfidence(given), { junk, reject }).disposition;

  test("brings to Junk and refuses from the levels that are set", () => {
    assert.equal(weigh(facts("verified"), 7, 10), "accept");
    assert.equal(weigh(facts("forged"), 7, 10), "quarantine");
    assert.equal(weigh(facts("forged"), 7, 8), "reject");
    assert.equal(weigh(facts("forged"), 10, 10), "accept");
  });

  test("says why", () => {
    const { because } = weighSpam(spamConfidence(facts("forged")), { junk: 7, reject: 10 });
    assert.equal(because, "spam confidence 8, sender-forged +4");
  });
});
