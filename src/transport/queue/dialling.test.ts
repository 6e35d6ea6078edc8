import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { Unavailable } from "#base/errors";
import { NoWayOut } from "#transport/queue";
import { fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import { dialFirst } from "./dialling.ts";

/** Addresses that answer after so many milliseconds, fail then (negative), or never do. */
function race(delays: Readonly<Record<string, number | undefined>>) {
  const clock = fakeClock();
  const began: string[] = [];
  const failed: string[] = [];
  const streams = new Map<string, Duplex>();
  const startMs = clock.nowMs();
  const dial = (address: string): Promise<Duplex> =>
    new Promise((resolve, reject) => {
      began.push(`${address} ${clock.nowMs() - startMs}`);
      const delay = delays[address];
      if (delay === undefined) return;
      clock.after(Math.abs(delay), () => {
        if (delay < 0) return reject(new Unavailable(`nobody at ${address}`));
        const [stream] = duplexPair();
        streams.set(address, stream);
        resolve(stream);
      });
    });
  const first = dialFirst(Object.keys(delays), {
    dial,
    clock,
    failed: (address) => failed.push(address),
  });
  return { clock, began, failed, streams, first };
}

describe("dialFirst() (RFC 8305 §5)", () => {
  test("the first that answers in time is the only one dialled", async () => {
    const at = race({ a: 100, b: 10 });
    await at.clock.advance(1000);
    assert.equal((await at.first).address, "a");
    assert.deepEqual(at.began, ["a 0"]);
    assert.equal(at.clock.pending(), 0);
  });

  test("nobody is to blame when one could not be asked, whatever the others said", async () => {
    const short = new NoWayOut("no connection to be had");
    const failed: string[] = [];
    const dial = async (address: string): Promise<Duplex> => {
      throw address === "a" ? new Unavailable("nobody at a") : short;
    };
    const first = dialFirst(["a", "b", "c"], {
      dial,
      clock: fakeClock(),
      failed: (address) => failed.push(address),
    });
    await assert.rejects(first, short);
    assert.deepEqual(failed, ["a"]);
  });

  test("a silent one holds nobody up for longer than 250 ms", async () => {
    const at = race({ a: undefined, b: undefined, c: 40 });
    await at.clock.advance(1000);
    assert.equal((await at.first).address, "c");
    assert.deepEqual(at.began, ["a 0", "b 250", "c 500"]);
  });

  test("one that fails gives way at once", async () => {
    const at = race({ a: -5, b: -5, c: 5 });
    await at.clock.advance(1000);
    assert.equal((await at.first).address, "c");
    assert.deepEqual(at.began, ["a 0", "b 5", "c 10"]);
    assert.deepEqual(at.failed, ["a", "b"]);
  });

  test("a connection that comes too late is closed before a word is said on it", async () => {
    const at = race({ a: 300, b: 10 });
    await at.clock.advance(1000);
    assert.equal((await at.first).address, "b");
    await settle();
    assert.equal(at.streams.get("a")?.destroyed, true);
    assert.equal(at.streams.get("b")?.destroyed, false);
  });

  test("when none answers the first one's reason is told", async () => {
    const at = race({ a: -300, b: -10 });
    const told = assert.rejects(at.first, /nobody at b/);
    await at.clock.advance(1000);
    await told;
    assert.equal(at.clock.pending(), 0);
    await assert.rejects(race({}).first, /no address/);
  });

  test("without a way out the next is not asked", async () => {
    const clock = fakeClock();
    const asked: string[] = [];
    const dial = async (address: string): Promise<Duplex> => {
      asked.push(address);
      throw new NoWayOut("no link");
    };
    const failed = () => assert.fail("it is not the address's fault");
    await assert.rejects(dialFirst(["a", "b"], { dial, clock, failed }), NoWayOut);
    assert.deepEqual(asked, ["a"]);
  });
});
