import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { composeSpf, type SpfFacts } from "#identity/spf-advice";
import { answersOf, askAnswers } from "./spf-questions.ts";

const facts: SpfFacts = {
  domain: "example.org",
  present: [],
  exchanges: [{ name: "mail.example.org", addresses: ["192.0.2.25"] }],
  addresses: ["192.0.2.80"],
  unanswered: [],
};

/** Types the lines in order, and keeps the questions. */
function person(...lines: string[]): {
  readonly ask: (question: string) => Promise<string>;
  readonly asked: string[];
} {
  const asked: string[] = [];
  const ask = async (question: string): Promise<string> => {
    asked.push(question);
    return lines.shift() ?? assert.fail(`nothing to answer to ${question}`);
  };
  return { ask, asked };
}

describe("answersOf()", () => {
  test("without a record and flags: the servers that receive send", () => {
    assert.equal(composeSpf(answersOf({}, facts)), "v=spf1 mx ~all");
    assert.equal(composeSpf(answersOf({}, { ...facts, exchanges: [] })), "v=spf1 ~all");
  });

  test("without flags: what is published stays, and two records become one", () => {
    const present = ["v=spf1 ip4:192.0.2.1 include:a.example -all", "v=spf1 mx ip4:192.0.2.1 ~all"];
    const record = composeSpf(answersOf({}, { ...facts, present }));
    assert.equal(record, "v=spf1 ip4:192.0.2.1 mx include:a.example -all");
  });

  test("a record that cannot be read is as good as none", () => {
    const record = composeSpf(answersOf({}, { ...facts, present: ["v=spf1 ipv4:1.2.3.4"] }));
    assert.equal(record, "v=spf1 mx ~all");
  });

  const wrong = [
    [{ address: ["192.0.2.300"] }, /--address "192\.0\.2\.300"/],
    [{ address: ["mail.example.org"] }, /--address/],
    [{ provider: ["x y.example"] }, /--provider/],
    [{ smartHost: ["a b"] }, /--smart-host/],
    [{ others: "deny" }, /--others is one of/],
  ] as const;
  for (const [flags, text] of wrong) {
    test(`refuses ${JSON.stringify(flags)}`, () => {
      assert.throws(() => answersOf(flags, facts), text);
    });
  }

  test("takes names with underscores and beyond ASCII", () => {
    const flags = { provider: ["_spf.Example.NET."], smartHost: ["bücher.example"] };
    const { providers, smartHosts } = answersOf(flags, facts);
    assert.deepEqual([...providers, ...smartHosts], ["_spf.example.net", "xn--bcher-kva.example"]);
  });
});

describe("askAnswers()", () => {
  test("CAP-52 two inside servers, a provider's three, direct delivery when it is down", async () => {
    const { ask, asked } = person(
      "n",
      "",
      "198.51.100.10, 198.51.100.11",
      "",
      "203.0.113.1 203.0.113.2 203.0.113.3",
      "yes",
      "",
    );
    const answers = await askAnswers({}, facts, ask);
    assert.equal(
      composeSpf(answers),
      "v=spf1 ip4:198.51.100.10 ip4:198.51.100.11 ip4:203.0.113.1 ip4:203.0.113.2 ip4:203.0.113.3 ~all",
    );
    assert.equal(answers.directFallback, true);
    assert.equal(asked.length, 7);
    assert.match(asked[0] ?? "", /inbound servers \(mail\.example\.org\)/);
  });

  test("asks nothing that a flag has answered, or that does not arise", async () => {
    const { ask, asked } = person("-", "fail");
    const flags = { inbound: true, address: [], provider: [] };
    const answers = await askAnswers(flags, { ...facts, addresses: [] }, ask);
    assert.equal(composeSpf(answers), "v=spf1 mx -all");
    assert.equal(asked.length, 2);
  });

  test("says what it cannot read, and gives up after five slips", async () => {
    const { ask, asked } = person("perhaps", "y", "n", "nonsense", "-", "-", "-", "");
    const answers = await askAnswers({}, facts, ask);
    assert.equal(composeSpf(answers), "v=spf1 mx ~all");
    assert.match(asked[1] ?? "", /^ {2}Please answer y or n\./);
    assert.match(asked[4] ?? "", /"nonsense" cannot be read/);
    const stubborn = person(...Array.from({ length: 9 }, () => "?"));
    await assert.rejects(askAnswers({}, facts, stubborn.ask), /no answer that can be used/);
    assert.equal(stubborn.asked.length, 5);
  });
});
