import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Unavailable } from "#base/errors";
import { simulatedNet } from "#base/net-sim";
import { seededRandom } from "#base/random";

const at = { host: "edge", port: 7000 };

describe("simulatedNet()", () => {
  test("carries octets both ways and knows who listens", async () => {
    const net = simulatedNet(seededRandom(1));
    await assert.rejects(net.dial(at, 1000), Unavailable);
    const listener = await net.listen(at, (stream) => stream.pipe(stream));
    const stream = await net.dial(at, 1000);
    stream.write("hello");
    assert.equal(String((await once(stream, "data"))[0]), "hello");
    stream.end();
    await listener[Symbol.asyncDispose]();
    await assert.rejects(net.dial(at, 1000), Unavailable);
  });

  test("the same seed cuts at the same octet", async () => {
    const run = async (seed: number): Promise<number> => {
      const net = simulatedNet(seededRandom(seed));
      net.faults({ cut: 1, cutWithinBytes: 5000 });
      let got = 0;
      await net.listen(at, (stream) => void stream.on("data", (chunk) => (got += chunk.length)));
      const stream = await net.dial(at, 1000);
      const closed = once(stream, "close");
      const feed = setInterval(() => stream.write(Buffer.alloc(100)), 1);
      await closed;
      clearInterval(feed);
      return got;
    };
    const first = await run(5);
    assert.ok(first < 5000);
    assert.equal(await run(5), first);
    assert.notEqual(await run(6), first);
  });

  test("a stalled connection neither delivers nor closes", async () => {
    const net = simulatedNet(seededRandom(2));
    net.faults({ stall: 1, cutWithinBytes: 10 });
    let got = 0;
    await net.listen(at, (stream) => void stream.on("data", (chunk) => (got += chunk.length)));
    const stream = await net.dial(at, 1000);
    stream.write(Buffer.alloc(1000));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(got, 0);
    assert.equal(stream.destroyed, false);
    net.cutAll();
    await once(stream, "close");
  });

  test("refuses dials as often as told", async () => {
    const net = simulatedNet(seededRandom(3));
    await net.listen(at, (stream) => void stream.resume());
    net.faults({ refuse: 0.5 });
    const dials = Array.from({ length: 100 }, () => net.dial(at, 1000));
    const outcomes = await Promise.allSettled(dials);
    const refused = outcomes.filter((outcome) => outcome.status === "rejected").length;
    assert.ok(refused > 30 && refused < 70);
    net.cutAll();
  });
});
