import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DkimVerdict } from "#model/verdict";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { replayCounter } from "./replay.ts";

function signed(mark: string, change: Partial<DkimVerdict> = {}): DkimVerdict {
  return {
    method: "dkim",
    result: "pass",
    domain: "sender.example",
    selector: "s1",
    identity: "@sender.example",
    algorithm: "rsa-sha256",
    mark,
    why: "",
    ...change,
  } as DkimVerdict;
}

const to = (nth: number): string => `user${nth}@example.org`;

describe("replayCounter()", () => {
  test("A9 replay: counts messages with one signature for other recipients", () => {
    const counter = replayCounter(fakeClock());
    for (let nth = 1; nth <= 500; nth += 1) {
      const repeated = counter.count([signed("AAAAAAAA")], [to(nth)]);
      assert.deepEqual(repeated, { domain: "sender.example", messages: nth });
    }
    const several = counter.count([signed("AAAAAAAA")], [to(1), to(600), to(601)]);
    assert.equal(several?.messages, 501, "one message, however many recipients it has");
  });

  test("A9 replay: a message that was put off and comes again counts once", () => {
    const counter = replayCounter(fakeClock());
    for (let nth = 1; nth <= 50; nth += 1) {
      const repeated = counter.count([signed("AAAAAAAA")], ["Ann@example.org", to(2)]);
      assert.equal(repeated?.messages, 1);
      assert.equal(counter.count([signed("AAAAAAAA")], ["ann@EXAMPLE.org"])?.messages, 1);
    }
  });

  test("A9 replay: tells signatures, selectors and domains apart", () => {
    const counter = replayCounter(fakeClock());
    const others = [
      signed("AAAAAAAA"),
      signed("AAAAAAAB"),
      signed("AAAAAAAA", { selector: "s2" }),
      signed("AAAAAAAA", { domain: "other.example" }),
    ];
    for (const one of others) assert.equal(counter.count([one], [to(1)])?.messages, 1);
  });

  test("A9 replay: of several signatures, the one that came most; repeated fields count once", () => {
    const counter = replayCounter(fakeClock());
    const [author, list] = [signed("AAAAAAAA"), signed("LLLLLLLL", { domain: "list.example" })];
    counter.count([author, author], [to(1)]);
    assert.deepEqual(counter.count([list, author], [to(2)]), {
      domain: "sender.example",
      messages: 2,
    });
  });

  test("A9 replay: a signature that does not pass says nothing about the true one", () => {
    const counter = replayCounter(fakeClock());
    for (const result of ["fail", "neutral", "policy", "none", "temperror"] as const) {
      for (let nth = 0; nth < 200; nth += 1) {
        assert.equal(counter.count([signed("AAAAAAAA", { result })], [to(nth)]), undefined);
      }
    }
    assert.equal(counter.count([signed("AAAAAAAA")], [to(1)])?.messages, 1);
  });

  test("A9 replay: begins anew after an hour", async () => {
    const clock = fakeClock();
    const counter = replayCounter(clock);
    for (let nth = 0; nth < 100; nth += 1) counter.count([signed("AAAAAAAA")], [to(nth)]);
    await clock.advance(3_599_999);
    assert.equal(counter.count([signed("AAAAAAAA")], [to(100)])?.messages, 101);
    await clock.advance(1);
    assert.equal(counter.count([signed("AAAAAAAA")], [to(0)])?.messages, 1);
    assert.equal(counter.count([signed("AAAAAAAA")], [to(1)])?.messages, 2);
  });

  test("A9 replay: holds no more than 100,000 entries, and forgets the least recent", (t) => {
    const counter = replayCounter(fakeClock());
    const text = (nth: number): string => nth.toString(36).padStart(8, "0");
    const startedAt = performance.now();
    counter.count([signed("OLDOLDOL")], [to(0)]);
    for (let nth = 0; nth < 120_000; nth += 1) {
      counter.count([signed(text(nth))], [to(nth)]);
      if (nth % 1000 === 0) counter.count([signed("KEPTKEPT")], [to(nth)]);
    }
    assert.ok(counter.size > 50_000 && counter.size <= 100_000, String(counter.size));
    assert.equal(counter.count([signed("KEPTKEPT")], [to(1)])?.messages, 121);
    assert.equal(counter.count([signed("OLDOLDOL")], [to(1)])?.messages, 1);
    t.diagnostic(`${Math.round((performance.now() - startedAt) / 0.12)} ns a message`);
  });
});
