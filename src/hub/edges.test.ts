import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { simulatedDisk } from "#base/disk-sim";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { seededRandom } from "#base/random";
import { linkPair } from "#contracts/link";
import type { Refusal } from "#contracts/store";
import { openStore } from "#store";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { fixedMaster } from "../store/fixture.ts";
import { refusalKeeper } from "./edges.ts";
import { hubEvents } from "./events.ts";
import { refusalReasons } from "./refusal-reasons.ts";

const reports = { refused: assert.fail } as unknown as Parameters<
  typeof refusalKeeper
>[0]["reports"];

function refusal(nth: number): Refusal {
  return {
    id: nth.toString(16).padStart(32, "0"),
    atMs: 1_795_290_000_000 + nth,
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.1",
      clientPort: 4000,
      helo: "x",
      extended: true,
    },
    reversePath: "eve@example.net",
    recipients: ["nobody@example.org"],
    reply: { code: 550, text: "no such user here" },
    steps: [],
  };
}

test("of 2,000 refusals at once the trace keeps 1,000, and later as many as time allows", async () => {
  const clock = fakeClock();
  await using store = await openStore({
    master: fixedMaster,
    disk: simulatedDisk(seededRandom(1)),
    clock,
    random: seededRandom(2),
    directory: "/store",
    indexPath: ":memory:",
    segmentBytes: 4 * 1024 * 1024,
    minFreeBytes: 0,
  });
  const registry = new Registry();
  const count = (trace: string): number =>
    registry.samples().find((one) => one.labels["trace"] === trace)?.value ?? 0;
  const [edge, hub] = linkPair();
  const ports = { store, clock, events: hubEvents(silentLog, registry), reports };
  hub.onStream(refusalKeeper(ports, refusalReasons()));
  const tell = async (from: number, to: number): Promise<void> => {
    const told = count("kept") + count("dropped") + to - from;
    for (let at = from; at < to; at += 500) {
      const some = Array.from({ length: Math.min(500, to - at) }, (_, nth) => refusal(at + nth));
      edge.open("refused", { refusals: some });
    }
    const deadlineMs = Date.now() + 20_000;
    while (count("kept") + count("dropped") < told && Date.now() < deadlineMs) await turn();
    await clock.advance(2000); // what nobody waits for is written after a second
  };
  const kept = async (): Promise<number> => (await store.traces.find({ limit: 9999 })).length;
  await tell(0, 2000);
  assert.deepEqual([count("kept"), count("dropped"), await kept()], [1000, 1000, 1000]);
  await clock.advance(18_000);
  await tell(2000, 2500);
  assert.deepEqual([count("kept"), await kept()], [1100, 1100]);
  edge.close("test is over");
  hub.close("test is over");
});

test("refusals of a wrong shape are broken off, and an operator sees it", async () => {
  const registry = new Registry();
  const [edge, hub] = linkPair();
  const store = { refused: assert.fail } as unknown as Parameters<typeof refusalKeeper>[0]["store"];
  const events = hubEvents(silentLog, registry);
  hub.onStream(refusalKeeper({ store, clock: fakeClock(), events, reports }, refusalReasons()));
  edge.open("refused", { refusals: [refusal(1), { ...refusal(2), atMs: -1 }] });
  const deadlineMs = Date.now() + 20_000;
  while (registry.samples().length === 0 && Date.now() < deadlineMs) await turn();
  const [seen] = registry.samples();
  assert.equal(seen?.value, 1);
  assert.deepEqual(seen?.labels, { edge: "edge-smtp", kind: "refused" });
  edge.close("test is over");
  hub.close("test is over");
});
