import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { dispositions, type Opinion, type SenderRules } from "#model/decision";
import {
  type ArcVerdict,
  type DkimVerdict,
  type DmarcVerdict,
  type SenderIdVerdict,
  type SpfResult,
  type SpfVerdict,
  senderIdStatuses,
} from "#model/verdict";
import {
  decide,
  defaultSenderRules,
  replyTo,
  weighDmarc,
  weighIdentity,
  weighSenderId,
  weighSpf,
} from "#policy";

const spf = (result: SpfResult): SpfVerdict => ({
  method: "spf",
  result,
  domain: "sender.example",
  identity: "mailfrom",
  why: "",
});

const dmarc = (more: Partial<DmarcVerdict>): DmarcVerdict => ({
  method: "dmarc",
  result: "none",
  fromDomain: "sender.example",
  spfAligned: false,
  dkimAligned: [],
  why: "",
  ...more,
});

const chain = (more: Partial<ArcVerdict>): ArcVerdict => ({
  method: "arc",
  result: "pass",
  sealers: ["forwarder.example"],
  trusted: true,
  why: "",
  ...more,
});

const signed = (domain: string): DkimVerdict => ({
  method: "dkim",
  result: "pass",
  domain,
  selector: "s",
  identity: `@${domain}`,
  algorithm: "rsa-sha256",
  mark: "",
  why: "",
});

const senderId = (more: Partial<SenderIdVerdict>): SenderIdVerdict => ({
  method: "sender-id",
  result: "none",
  status: "none",
  class: "no-list",
  domain: "sender.example",
  why: "",
  ...more,
});

const weigh = (result: SpfResult, rules = defaultSenderRules.spf): Opinion =>
  weighSpf(spf(result), rules);

const rejectAll: SenderRules = {
  spf: { fail: "reject", softfail: "reject", temperror: "reject", permerror: "reject" },
  dmarc: { quarantine: "reject", reject: "reject", temperror: "reject" },
  senderId: { fail: "reject", softfail: "reject", temperror: "reject", permerror: "reject" },
};

describe("weighSpf()", () => {
  for (const [result, disposition, status] of [
    ["pass", "accept", undefined],
    ["none", "accept", undefined],
    ["softfail", "quarantine", undefined],
    ["fail", "quarantine", "7.23"],
    ["temperror", "defer", "7.24"],
    ["permerror", "quarantine", "7.24"],
  ] as const) {
    test(`advises ${disposition} on ${result} by default`, () => {
      const opinion = weigh(result);
      assert.deepEqual([opinion.disposition, opinion.status], [disposition, status]);
    });
  }

  test("treats neutral exactly as none (RFC 7208 §8.2)", () => {
    assert.equal(weigh("neutral", rejectAll.spf).disposition, "accept");
  });

  test("obeys the administrator on fail, and says why", () => {
    const opinion = weigh("fail", { ...defaultSenderRules.spf, fail: "reject" });
    assert.equal(opinion.disposition, "reject");
    assert.equal(opinion.because, "spf=fail for sender.example");
  });
});

describe("weighDmarc()", () => {
  const advise = (more: Partial<DmarcVerdict>, rules = defaultSenderRules.dmarc): string =>
    weighDmarc(dmarc(more), rules).disposition;

  test("takes reject for quarantine unless told otherwise (RFC 9989 §7.4)", () => {
    assert.equal(advise({ result: "fail", policy: "reject" }), "quarantine");
    assert.equal(advise({ result: "fail", policy: "quarantine" }), "quarantine");
    assert.equal(advise({ result: "fail", policy: "reject" }, rejectAll.dmarc), "reject");
  });

  test("asks nothing where the owner asks nothing, whatever the rules", () => {
    for (const result of ["none", "pass", "permerror"] as const) {
      assert.equal(advise({ result, policy: "reject" }, rejectAll.dmarc), "accept");
    }
    assert.equal(advise({ result: "fail", policy: "none" }, rejectAll.dmarc), "accept");
    assert.equal(advise({ result: "fail" }, rejectAll.dmarc), "accept");
  });

  test("accepts on a silent DNS, or defers where the administrator wants that", () => {
    assert.equal(advise({ result: "temperror" }), "accept");
    const rules = { ...defaultSenderRules.dmarc, temperror: "defer" } as const;
    const opinion = weighDmarc(dmarc({ result: "temperror" }), rules);
    assert.equal(opinion.disposition, "defer");
    assert.equal(replyTo(decide([opinion])).status, "4.4.3");
  });

  test("believes a trusted chain that saw this very domain pass", () => {
    const failed = dmarc({ result: "fail", policy: "reject" });
    const says = (fromDomain: string, seen: string): string =>
      weighDmarc(failed, rejectAll.dmarc, chain({ saw: { dmarc: seen, fromDomain } })).disposition;
    assert.equal(says("sender.example", "pass"), "accept");
    assert.equal(says("sender.example", "fail"), "reject");
    assert.equal(says("other.example", "pass"), "reject");
  });
});

describe("weighSenderId()", () => {
  test("CAP-60 only stamps by default, whatever the status", () => {
    for (const status of senderIdStatuses) {
      for (const result of ["pass", "fail", "softfail", "temperror", "permerror"] as const) {
        const verdict = senderId({ result, status });
        assert.equal(weighSenderId(verdict, defaultSenderRules.senderId).disposition, "accept");
      }
    }
  });

  test("CAP-60 never refuses mail of which no record tells, even under the strictest rules", () => {
    for (const status of senderIdStatuses) {
      for (const result of ["none", "neutral", "pass"] as const) {
        const verdict = senderId({ result, status });
        assert.equal(weighSenderId(verdict, rejectAll.senderId).disposition, "accept");
      }
    }
    // @ts-expect-error -- the rules have no word for it, so nobody can set it
    const rules: SenderRules["senderId"] = { ...rejectAll.senderId, none: "reject" };
    assert.equal(weighSenderId(senderId({}), rules).disposition, "accept");
  });

  test("obeys the administrator on fail", () => {
    const verdict = senderId({ result: "fail", status: "not-permitted", class: "not-listed" });
    const opinion = weighSenderId(verdict, rejectAll.senderId);
    assert.equal(opinion.disposition, "reject");
    assert.equal(replyTo(decide([opinion])).status, "5.7.1");
  });
});

describe("weighIdentity()", () => {
  const outcome = (
    verdicts: Parameters<typeof weighIdentity>[0],
    rules = defaultSenderRules,
  ): string => decide(weighIdentity(verdicts, rules)).disposition;

  const everySpf = ["fail", "softfail", "temperror", "permerror"] as const;

  test("CAP-55 lets nothing of SPF and Sender ID stand against a DMARC pass", () => {
    for (const result of everySpf) {
      const verdicts = [spf(result), senderId({ result }), dmarc({ result: "pass" })];
      assert.equal(outcome(verdicts, rejectAll), "accept", result);
    }
  });

  test("CAP-55 nor against a trusted forwarder, nor against the author's own signature", () => {
    for (const result of everySpf) {
      assert.equal(outcome([spf(result), chain({}), dmarc({})], rejectAll), "accept");
      assert.equal(
        outcome([spf(result), signed("sender.example"), dmarc({})], rejectAll),
        "accept",
      );
      const below = dmarc({ fromDomain: "news.sender.example" });
      assert.equal(outcome([spf(result), signed("sender.example"), below], rejectAll), "accept");
    }
  });

  test("but an untrusted chain, or a signature of somebody else, changes nothing", () => {
    const verdicts = [spf("fail"), chain({ trusted: false }), signed("evil.example"), dmarc({})];
    assert.equal(outcome(verdicts, rejectAll), "reject");
    assert.equal(outcome([spf("fail"), signed("ender.example"), dmarc({})], rejectAll), "reject");
    const failed = dmarc({ result: "fail", policy: "none" });
    assert.equal(outcome([spf("fail"), signed("sender.example"), failed], rejectAll), "reject");
    const onTrial = { ...signed("sender.example"), testing: true };
    assert.equal(outcome([spf("fail"), onTrial, dmarc({})], rejectAll), "reject");
  });

  test("CAP-55 rejects nothing by default, whatever the checks say", () => {
    for (const result of everySpf) {
      for (const policy of ["none", "quarantine", "reject"] as const) {
        const failed = dmarc({ result: "fail", policy });
        const verdicts = [
          spf(result),
          senderId({ result: "fail" }),
          chain({ result: "fail" }),
          failed,
        ];
        assert.notEqual(outcome(verdicts), "reject");
      }
    }
  });

  test("defers while DNS is silent and nothing else vouches", () => {
    assert.equal(outcome([spf("temperror"), dmarc({ result: "temperror" })]), "defer");
    assert.equal(outcome([spf("temperror"), dmarc({ result: "pass" })]), "accept");
  });

  test("has no opinion without a verdict", () => {
    assert.deepEqual(weighIdentity([], rejectAll), []);
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
    for (const status of ["1.1", "3.4", "7.23", "7.24", "7.26", "9.9", undefined]) {
      const classes = dispositions.map((disposition) => {
        const opinion = { stage: "x", disposition, because: "secret", ...(status && { status }) };
        const { code, status: enhanced, text } = replyTo({ disposition, opinions: [opinion] });
        assert.doesNotMatch(String(text), /secret/);
        return `${Math.floor(code / 100)}${enhanced?.[0]}`;
      });
      assert.deepEqual(classes, ["22", "22", "44", "55"]);
    }
  });

  test("speaks of SPF and DMARC in the codes of RFC 7372", () => {
    const reply = replyTo(decide([weigh("fail", rejectAll.spf)]));
    assert.deepEqual([reply.code, reply.status], [550, "5.7.23"]);
    assert.equal(replyTo(decide([weigh("temperror")])).status, "4.7.24");
    const failed = weighDmarc(dmarc({ result: "fail", policy: "reject" }), rejectAll.dmarc);
    const { code, status, text } = replyTo(decide([failed]));
    assert.deepEqual([code, status], [550, "5.7.26"]);
    assert.match(String(text), /DMARC/); // RFC 9989 §7.2: so that the other side can tell
  });
});
