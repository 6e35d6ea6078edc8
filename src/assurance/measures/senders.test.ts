import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { senderFigures } from "#assurance/measures";
import { Registry, type Sample } from "#base/measures";
import { senderIdStatuses } from "#model/verdict";

describe("senderFigures()", () => {
  test("counts the ten statuses of Sender ID, and their sum is the messages validated", () => {
    const registry = new Registry();
    const counter = registry.counter("edge_sender_id", "");
    for (const status of senderIdStatuses) counter.add({ status }, status === "none" ? 36 : 1);
    const { validated, senderId } = senderFigures(registry.samples());
    assert.equal(validated, 45);
    assert.deepEqual(
      senderId.map((one) => one.status),
      [...senderIdStatuses],
    );
    assert.deepEqual(
      senderId.find((one) => one.status === "none"),
      { status: "none", count: 36, share: 0.8 },
    );
    const shares = senderId.reduce((sum, one) => sum + one.share, 0);
    assert.ok(Math.abs(shares - 1) < 1e-9);
  });

  test("adds up what several edges saw, apart from what was accepted", () => {
    const seen = { name: "edge_verdicts_total", value: 2 };
    const labels = { method: "dmarc", result: "fail" };
    const samples: readonly Sample[] = [
      { ...seen, labels: { ...labels, program: "edge-smtp" } },
      { ...seen, labels: { ...labels, program: "edge-smtp-2" } },
      { name: "auth_results_total", labels, value: 1 },
    ];
    const found = senderFigures(samples).results.filter((one) => one.seen + one.accepted > 0);
    assert.deepEqual(found, [{ method: "dmarc", result: "fail", seen: 4, accepted: 1 }]);
  });

  test("tells suspected spoofs from hints, each by origin", () => {
    const registry = new Registry();
    const counter = registry.counter("spoof_evidence", "");
    counter.add({ type: "own-domain", origin: "outside" }, 3);
    counter.add({ type: "own-domain", origin: "forwarded" });
    counter.add({ type: "first-contact", origin: "outside" });
    const found = senderFigures(registry.samples()).evidence.filter((one) => one.count > 0);
    const none = { inside: 0, outside: 0, partner: 0, forwarded: 0, unknown: 0 };
    assert.deepEqual(found, [
      {
        ...{ type: "own-domain", isSpoof: true, count: 4 },
        origins: { ...none, outside: 3, forwarded: 1 },
      },
      {
        ...{ type: "first-contact", isSpoof: false, count: 1 },
        origins: { ...none, outside: 1 },
      },
    ]);
  });

  test("an edge cannot invent rows, nor take from others' numbers", () => {
    const empty = senderFigures([]);
    const labels = { status: "<b>", method: "spf", result: "x", type: "y", origin: "outside" };
    const invented = ["edge_sender_id_total", "edge_verdicts_total", "spoof_evidence_total"].map(
      (name) => ({ name, labels, value: 5 }),
    );
    const negative = { name: "edge_sender_id_total", labels: { status: "none" }, value: -5 };
    assert.deepEqual(senderFigures([...invented, negative]), empty);
    assert.equal(empty.validated, 0);
  });
});
