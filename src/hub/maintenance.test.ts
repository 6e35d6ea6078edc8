import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { defaultsOf } from "#base/parameters";
import { seededRandom } from "#base/random";
import { type OpenStore, openStore, storeParameters } from "#store";
import { type FakeClock, fakeClock } from "../../tests/kit/fake-clock.ts";
import { fixedMaster } from "../store/fixture.ts";
import { type Maintenance, type MaintenanceStore, startMaintenance } from "./maintenance.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

interface House extends AsyncDisposable {
  readonly store: OpenStore;
  readonly maintenance: Maintenance;
  /** What was done or failed, in order. */
  readonly told: string[];
  /** Lets time pass in steps, waiting for whatever it began. */
  pass(ms: number): Promise<void>;
}

async function house(
  disk: SimulatedDisk,
  clock: FakeClock,
  other: (store: OpenStore, told: string[]) => Partial<MaintenanceStore> = () => ({}),
): Promise<House> {
  const random = seededRandom(1);
  const parts = { disk, clock, random, directory: "/store", indexPath: ":memory:" };
  const store = await openStore({ ...parts, master: fixedMaster, segmentBytes: 256 * 1024 });
  const told: string[] = [];
  const { retain, erase, lastRunAtMs } = store;
  const maintenance = startMaintenance({
    store: { retain, erase, lastRunAtMs, ...other(store, told) },
    clock,
    events: {
      done: (work) => void told.push(work),
      failed: (work) => void told.push(`${work} failed`),
    },
    settings: defaultsOf(storeParameters),
  });
  return {
    store,
    maintenance,
    told,
    async pass(ms) {
      for (let left = ms; left > 0; left -= 10 * minuteMs) {
        await clock.advance(Math.min(left, 10 * minuteMs));
        for (let turns = 0; turns < 20; turns += 1) await turn();
      }
    },
    async [Symbol.asyncDispose]() {
      maintenance[Symbol.dispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

describe("startMaintenance()", () => {
  test("runs retention each day and erasure each week, whatever restarts lie between", async () => {
    const clock = fakeClock();
    const disk = simulatedDisk(seededRandom(1));
    {
      await using one = await house(disk, clock);
      await one.pass(hourMs);
      assert.deepEqual(one.told, ["retention", "erasure"], "both at once on a new store");
      await one.pass(22 * hourMs);
      assert.equal(one.told.length, 2);
    }
    {
      await using two = await house(disk, clock);
      await two.pass(30 * minuteMs);
      assert.deepEqual(two.told, [], "the restart brought nothing forward");
      await two.pass(hourMs);
      assert.deepEqual(two.told, ["retention"], "and put nothing off");
      await two.pass(6 * dayMs + hourMs);
      assert.equal(two.told.filter((work) => work === "retention").length, 7);
      assert.equal(two.told.filter((work) => work === "erasure").length, 1);
    }
  });

  test("tries again what failed, and does the rest", async () => {
    let isBroken = true;
    await using one = await house(simulatedDisk(seededRandom(1)), fakeClock(), (store) => ({
      retain: (nowMs) => (isBroken ? Promise.reject(new Error("no room")) : store.retain(nowMs)),
    }));
    await one.pass(5 * minuteMs);
    assert.deepEqual(one.told, ["retention failed", "erasure"]);
    isBroken = false;
    await one.pass(10 * minuteMs);
    assert.deepEqual(one.told, ["retention failed", "erasure", "retention"]);
  });

  test("a clock that was set back does not put it off until it has caught up (D9)", async () => {
    const disk = simulatedDisk(seededRandom(1));
    {
      await using ahead = await house(disk, fakeClock(Date.UTC(2036, 0, 1)));
      await ahead.pass(hourMs);
    }
    await using mended = await house(disk, fakeClock(Date.UTC(2026, 0, 1)));
    await mended.pass(hourMs);
    assert.deepEqual(mended.told, ["retention", "erasure"]);
    await mended.pass(dayMs);
    assert.equal(mended.told.length, 3);
  });

  test("who erases now waits for what is under way", async () => {
    let running = 0;
    await using one = await house(simulatedDisk(seededRandom(1)), fakeClock(), (store, told) => ({
      async erase() {
        running += 1;
        assert.equal(running, 1, "one at a time");
        await turn();
        const report = await store.erase();
        running -= 1;
        told.push("erase");
        return report;
      },
    }));
    const [first, second] = await Promise.all([one.maintenance.erase(), one.maintenance.erase()]);
    assert.deepEqual([first.contents, second.contents], [0, 0]);
    assert.deepEqual(one.told, ["erase", "erase"]);
  });
});
