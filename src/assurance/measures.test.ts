import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  deliveryFigures,
  deliveryMeasures,
  quantile,
  timeOfAcceptance,
  timeOfAttempt,
} from "#assurance/measures";
import { Registry } from "#base/measures";
import type { Acceptance } from "#contracts/store";
import type { Attempt, QueueItem } from "#model/queue";

const delivery = { account: "a", mailbox: "inbox", flags: [] };
const step = (name: string, atMs: number) => ({ atMs, program: "edge-smtp", step: name, text: "" });
const facts = (some: Partial<Acceptance>) =>
  ({
    direction: "inbound",
    deliveries: [delivery],
    acceptedAtMs: 1000,
    steps: [],
    ...some,
  }) as Acceptance;

describe("timeOfAcceptance()", () => {
  test("measures inbound from the edge's end of data to the commit", () => {
    const steps = [step("connected", 100), step("content", 900), step("checked", 950)];
    assert.deepEqual(timeOfAcceptance(facts({ steps }), 1400), { path: "inbound", seconds: 0.5 });
  });

  test("measures internal from the acceptance of the submission", () => {
    const time = timeOfAcceptance(facts({ direction: "submission" }), 1250);
    assert.deepEqual(time, { path: "internal", seconds: 0.25 });
  });

  test("counts neither notices nor mail that reached no mailbox here", () => {
    assert.equal(timeOfAcceptance(facts({ direction: "notice" }), 2000), undefined);
    assert.equal(timeOfAcceptance(facts({ deliveries: [] }), 2000), undefined);
  });

  test("never goes below zero when clocks disagree", () => {
    assert.equal(timeOfAcceptance(facts({ acceptedAtMs: 5000 }), 4000)?.seconds, 0);
  });
});

describe("timeOfAttempt()", () => {
  test("ends the outbound leg with the successful attempt only", () => {
    const item = { queuedAtMs: 1000 };
    const attempt = { atMs: 60_000, durationMs: 1000 };
    assert.deepEqual(timeOfAttempt(item, { ...attempt, outcome: "delivered" }), {
      path: "outbound",
      seconds: 60,
    });
    assert.equal(timeOfAttempt(item, { ...attempt, outcome: "deferred" }), undefined);
    assert.equal(timeOfAttempt(item, { ...attempt, outcome: "failed" }), undefined);
  });
});

describe("deliveryFigures()", () => {
  test("answers each path, measured or not", () => {
    const registry = new Registry();
    const measures = deliveryMeasures(registry);
    for (let count = 0; count < 99; count += 1) {
      measures.accepted(facts({ direction: "submission" }), 1040);
    }
    measures.accepted(facts({ direction: "submission" }), 5000);
    const item = { queuedAtMs: 0 } as QueueItem;
    measures.attempted(item, { atMs: 1000, durationMs: 0, outcome: "delivered" } as Attempt);

    const [internal, outbound, inbound] = deliveryFigures(registry.samples());
    assert.equal(internal?.count, 100);
    assert.equal(internal?.meanSeconds.toFixed(4), "0.0796");
    assert.ok((internal?.p50Seconds ?? 0) > 0.025 && (internal?.p50Seconds ?? 0) <= 0.05);
    assert.ok((internal?.p95Seconds ?? 0) <= 0.05);
    assert.equal(outbound?.count, 1);
    assert.deepEqual(inbound, {
      path: "inbound",
      count: 0,
      meanSeconds: 0,
      p50Seconds: undefined,
      p95Seconds: undefined,
    });
  });
});

describe("quantile()", () => {
  test("lies between the bounds of its bucket, in proportion", () => {
    const buckets = [
      [1, 10],
      [2, 30],
      [Number.POSITIVE_INFINITY, 40],
    ] as const;
    assert.equal(quantile(buckets, 0.5), 1.5);
    assert.equal(quantile(buckets, 0.25), 1);
    assert.equal(quantile(buckets, 0.99), 2);
    assert.equal(quantile([], 0.5), undefined);
  });
});
