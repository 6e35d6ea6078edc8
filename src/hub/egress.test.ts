import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { linkPair } from "#contracts/link";
import { fakeClock, settle } from "../../tests/kit/fake-clock.ts";
import { dialThroughEdge, NoAnswer, resolverThroughEdge } from "./egress.ts";

describe("resolverThroughEdge() trusts no answer of the edge", () => {
  const found = (...records: unknown[]): object => ({
    kind: "found",
    records,
    ttl: 1,
    authenticated: false,
  });
  const cases: readonly (readonly [name: string, answer: unknown, kind: string])[] = [
    ["an MX", found({ preference: 1, exchange: "mx.example" }), "found"],
    ["none", { kind: "none", nxdomain: true }, "none"],
    ["null", null, "failed"],
    ["another kind", { kind: "maybe" }, "failed"],
    ["no records", found(), "failed"],
    ["null as record", found(null), "failed"],
    ["a number as name", found({ preference: 1, exchange: 5 }), "failed"],
    ["an object as number", found({ preference: { a: 1 }, exchange: "mx.example" }), "failed"],
    ["one bad of two", found({ preference: 1, exchange: "mx.example" }, "x"), "failed"],
    [
      "signed, it says, in a text",
      { ...found({ preference: 1, exchange: "mx.example" }), authenticated: "no" },
      "failed",
    ],
    ["records that are no list", { kind: "found", records: "x" }, "failed"],
  ];
  for (const [name, answer, kind] of cases) {
    test(`${name}: ${kind}`, async () => {
      const [hub, edge] = linkPair();
      edge.onStream((stream) => stream.answer(answer));
      const said = await resolverThroughEdge(() => hub, systemClock).query("example.org", "MX");
      assert.equal(said.kind, kind);
      hub.close("done");
      edge.close("done");
    });
  }
});

describe("an edge that does not answer", () => {
  const to = { host: "192.0.2.1", port: 25 };

  test("or refuses is told with the place, once", async () => {
    for (const [refused, said] of [
      ["nobody listens at 192.0.2.1:25", "nobody listens at 192.0.2.1:25"],
      ["too many connections", "192.0.2.1:25: too many connections"],
    ]) {
      const [hub, edge] = linkPair();
      edge.onStream((stream) => stream.answer({ refused }));
      await assert.rejects(dialThroughEdge(hub, to, 30_000, systemClock), { message: said });
      hub.close("done");
      edge.close("done");
    }
  });

  test("or has as many connections as it may says nothing of the place", async () => {
    const [hub, edge] = linkPair();
    edge.onStream((stream) => stream.answer({ refused: "too many connections", isBusy: true }));
    await assert.rejects(dialThroughEdge(hub, to, 30_000, systemClock), NoAnswer);
    edge.onStream((stream) => stream.answer({ refused: "nobody listens" }));
    const refused = await dialThroughEdge(hub, to, 30_000, systemClock).catch((error) => error);
    assert.ok(refused instanceof Unavailable && !(refused instanceof NoAnswer));
    hub.close("done");
    edge.close("done");
  });

  test("holds neither a dial nor a look-up for ever", async () => {
    const clock = fakeClock();
    const [hub, edge] = linkPair();
    edge.onStream(() => {});
    const dialled = assert.rejects(dialThroughEdge(hub, to, 30_000, clock), Unavailable);
    const looked = resolverThroughEdge(() => hub, clock).query("example.org", "MX");
    await settle();
    await clock.advance(60_000);
    await dialled;
    assert.equal((await looked).kind, "failed");
    assert.equal(clock.pending(), 0);
    hub.close("done");
    edge.close("done");
  });

  test("a dial that breaks before its answer is a failure, and no uncaught error", async () => {
    const [hub, edge] = linkPair();
    edge.onStream((stream) => stream.abort("no"));
    await assert.rejects(dialThroughEdge(hub, to, 30_000, systemClock), Unavailable);
    edge.onStream(() => {});
    const dialled = assert.rejects(dialThroughEdge(hub, to, 30_000, systemClock), Unavailable);
    await settle();
    edge.close("cut");
    await dialled;
    await settle();
  });
});
