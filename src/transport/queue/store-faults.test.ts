import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Unavailable } from "#base/errors";
import { settle } from "../../../tests/kit/fake-clock.ts";
import { type House, house, policiesOf, run, smartConnector } from "../../../tests/kit/outbound.ts";

const ways = { "*": smartConnector(["192.0.2.1:2626"]) };
const zone = { "one.test A": [{ address: "198.51.100.1" }] };

type Read = "get" | "due" | "nextDueAtMs" | "waitingSince" | "counts";

/** From then on, the calls with these numbers fail. @returns how many calls came */
function breaks(at: House, name: Read, isBroken: (nth: number) => boolean): () => number {
  let calls = 0;
  const read = at.store[name] as (...args: unknown[]) => Promise<unknown>;
  const broken = async (...args: unknown[]): Promise<unknown> => {
    calls += 1;
    if (isBroken(calls)) throw new Unavailable("the disk does not read");
    return read(...args);
  };
  Object.assign(at.store, { [name]: broken });
  return () => calls;
}

function fill(at: House, domains: number): void {
  for (let nth = 0; nth < 40; nth += 1) {
    const to = domains === 1 ? "b@one.test" : `b@d${nth % domains}.test`;
    at.store.add(`q${nth}`, to, at.clock.nowMs(), { message: `m${nth}` });
  }
}

const delivered = (at: House): number =>
  at.store.log.filter((line) => line.endsWith(" delivered")).length;

describe("V1 what cannot be read of the queue strands nothing", () => {
  const faults: readonly (readonly [Read, string, (nth: number) => boolean])[] = [
    ["get", "the third item", (nth) => nth === 3],
    ["get", "every item for a while", (nth) => nth < 20],
    ["due", "the first page", (nth) => nth === 1],
    ["due", "a page after some were gathered", (nth) => nth === 3 || nth === 5],
    ["nextDueAtMs", "when the next is due", (nth) => nth < 5],
  ];
  for (const [nth, [name, what, isBroken]] of faults.entries()) {
    for (const domains of [1, 20]) {
      test(`V1-Q8-${nth + 1} ${name}(): ${what}, of ${domains} domains`, async () => {
        const options = domains === 1 ? { zone } : { ways };
        const at = house({ "192.0.2.1:2626": {}, "198.51.100.1": {} }, options);
        breaks(at, name, isBroken);
        fill(at, domains);
        await run(at);
        for (let turns = 0; turns < 40; turns += 1) {
          await at.clock.advance(5000);
          await settle(60);
        }
        assert.equal(delivered(at), 40);
        const mails = [...at.sinks.values()].flatMap((sink) => sink.mails);
        assert.equal(mails.length, 40, "each once");
        await at.queue.stop();
      });
    }
  }

  for (const name of ["get", "due", "nextDueAtMs", "waitingSince", "counts"] as const) {
    test(`V1-Q9 ${name}() that fails all the time is not called all the time`, async () => {
      const at = house({ "198.51.100.1": {} }, { zone });
      const calls = breaks(at, name, () => true);
      fill(at, 1);
      await run(at);
      await at.clock.advance(60_000);
      await settle(60);
      assert.ok(calls() < 1000, `${calls()} calls in a minute`);
      await at.queue.stop();
    });
  }
});

test("V1 an attempt that ends in a fault of ours is not begun again all the time", async () => {
  const hops = {
    ...policiesOf(),
    observed() {
      throw new TypeError("a bug");
    },
  };
  const at = house({ "198.51.100.1": {} }, { zone, deps: { hops } });
  fill(at, 1);
  await run(at);
  await at.clock.advance(60_000);
  await settle(60);
  assert.ok(at.dialled.length < 100, `${at.dialled.length} connections in a minute`);
  assert.ok(at.dialled.length > 2, "it is begun again");
  await at.queue.stop(0);
});
