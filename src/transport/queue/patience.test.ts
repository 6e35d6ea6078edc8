import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { QueueItem } from "#model/queue";
import { createQueue, type Queue, type QueueDeps } from "#transport/queue";
import { settle } from "../../../tests/kit/fake-clock.ts";
import { type House, house, run } from "../../../tests/kit/outbound.ts";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

const minute = 60_000;
const silent = { greeting: "" };
const silentDomains = 60;

/** Domains whose server takes a connection and says nothing, and two that are as they should be. */
function crowd(deps: Parameters<typeof house>[1] = {}): House {
  const zone: Record<string, object[]> = {
    "well.test A": [{ address: "198.51.100.2" }],
    "new.test A": [{ address: "198.51.100.2" }],
    "slow.test A": [{ address: "198.51.100.3" }],
  };
  for (let nth = 0; nth < silentDomains; nth += 1) {
    zone[`s${nth}.test A`] = [{ address: "198.51.100.1" }];
  }
  return house({ "198.51.100.1": silent, "198.51.100.2": {} }, { zone, ...deps });
}

function fill(at: House): void {
  for (let nth = 0; nth < silentDomains; nth += 1) {
    at.store.add(`s${nth}`, `b@s${nth}.test`, at.clock.nowMs(), { message: `s${nth}` });
  }
}

async function pass(at: House, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= minute) {
    await at.clock.advance(Math.min(left, minute));
    await settle(60);
  }
}

async function stop(at: House, queue: Queue = at.queue): Promise<void> {
  const stopped = queue.stop(1000);
  await at.clock.advance(1000);
  await stopped;
}

describe("V3 places that take a connection and say nothing", () => {
  test("V3-15 sixty of them hold up nobody else", async () => {
    const at = crowd();
    fill(at);
    at.store.add("well", "b@well.test", at.clock.nowMs(), { message: "well" });
    await run(at);
    await at.clock.advance(10_000);
    await settle(60);
    assert.equal(at.store.items.get("well")?.state, "delivered", "within ten seconds");
    at.store.add("new", "b@new.test", at.clock.nowMs(), { message: "new" });
    await settle(60);
    assert.equal(at.store.items.get("new")?.state, "delivered", "at once");
    await at.clock.advance(10_000);
    assert.equal(at.sinks.get("198.51.100.1")?.open, 25, "half of the connections");
    await stop(at);
  });

  test("V3-15b nor do they when they are tried again", async () => {
    const at = crowd();
    fill(at);
    await run(at);
    await pass(at, 15 * minute);
    const tried = at.store.log.length;
    assert.ok(tried >= silentDomains, `all were tried: ${tried}`);
    for (let nth = 0; nth < 40; nth += 1) {
      await pass(at, minute);
      at.store.add(`new${nth}`, "b@new.test", at.clock.nowMs(), { message: `new${nth}` });
      await settle(60);
      assert.equal(at.store.items.get(`new${nth}`)?.state, "delivered", `after ${nth} minutes`);
    }
    await stop(at);
  });

  test("V3-15c each has its five minutes, when its turn comes (RFC 5321 §4.5.3.2.1)", async () => {
    const sink = new SmtpSink();
    const at = crowd();
    const dial: QueueDeps["dial"] = async (to, timeoutMs, how) => {
      if (to.host !== "198.51.100.3") return at.deps.dial(to, timeoutMs, how);
      const [ours, theirs] = streamPair();
      const timer = at.clock.after(290_000, () => sink.serve(theirs));
      theirs.on("end", () => timer.cancel());
      theirs.resume();
      return ours;
    };
    const queue = createQueue({ ...at.deps, dial });
    fill(at);
    await queue.start();
    await pass(at, minute);
    at.store.add("slow", "b@slow.test", at.clock.nowMs(), { message: "slow" });
    await pass(at, minute);
    const item = at.store.items.get("slow") as QueueItem;
    assert.match(queue.explain(item), /slow\.test did not answer, and waits for a connection/);
    await pass(at, 19 * minute);
    assert.equal(at.store.items.get("slow")?.state, "delivered");
    assert.equal(at.store.items.get("slow")?.attempts, 1);
    await stop(at, queue);
  });

  test("V3-15d one that listens again is a place like any other", async () => {
    const at = crowd({ parameters: { connections: 2 } });
    at.store.add("s0", "b@s0.test", at.clock.nowMs(), { message: "s0" });
    await run(at);
    await pass(at, 6 * minute);
    assert.deepEqual(at.store.log, ["s0 deferred"]);
    at.sinks.set("198.51.100.1", at.sinks.get("198.51.100.2") as never);
    for (let nth = 0; nth < 30; nth += 1) {
      at.store.add(`more${nth}`, "b@s0.test", at.clock.nowMs(), { message: `more${nth}` });
    }
    await pass(at, 10 * minute);
    assert.equal(at.store.log.filter((line) => line.endsWith(" delivered")).length, 31);
    await stop(at);
  });

  test("V3-15e an administrator's retry does not wait behind them", async () => {
    const at = crowd();
    const well = at.sinks.get("198.51.100.2") as SmtpSink;
    at.sinks.delete("198.51.100.2");
    at.store.add("well", "b@well.test", at.clock.nowMs(), { message: "well" });
    await run(at);
    assert.deepEqual(at.store.log, ["well deferred"]);
    fill(at);
    await at.clock.advance(30_000);
    await settle(60);
    at.sinks.set("198.51.100.2", well);
    await at.store.change("well", "retry", "admin", at.clock.nowMs());
    at.queue.lookNow("well.test");
    await settle(60);
    assert.deepEqual(at.store.log, ["well deferred", "well delivered"]);
    await stop(at);
  });

  test("V3-15f who is let go at the second host is not sent again what the first one took", async () => {
    let mails = 0;
    const answer = (line: string) => {
      if (line.startsWith("MAIL")) mails += 1;
      return line.startsWith("MAIL") && mails > 1 ? "421 4.3.2 closing" : undefined;
    };
    const zone: Record<string, object[]> = {
      "two.test MX": [
        { preference: 1, exchange: "mx1.two.test" },
        { preference: 2, exchange: "mx2.two.test" },
      ],
      "mx1.two.test A": [{ address: "198.51.100.2" }],
      "mx2.two.test A": [{ address: "198.51.100.1" }],
    };
    for (let nth = 0; nth < silentDomains; nth += 1) {
      zone[`s${nth}.test A`] = [{ address: "198.51.100.1" }];
    }
    const at = house({ "198.51.100.1": silent, "198.51.100.2": { answer } }, { zone });
    fill(at);
    await run(at);
    await at.clock.advance(30_000);
    at.store.attempted = async () => {
      throw new Error("it cannot be recorded");
    };
    for (const id of ["one", "other"]) {
      at.store.add(id, "b@two.test", at.clock.nowMs(), { message: id });
    }
    await settle(60);
    mails = 0; // the server takes one message again
    await at.clock.advance(20_000);
    await settle(60);
    at.queue.lookNow("two.test");
    await settle(60);
    const taken = at.sinks.get("198.51.100.2")?.mails.length ?? 0;
    assert.ok(taken >= 1 && taken <= 2, `${taken} taken: each once at most`);
    assert.equal(at.queue.explain(at.store.items.get("one") as QueueItem), "it is under way");
    await stop(at);
  });

  test("V3-16 an attempt begins with no other address after a quarter of an hour", async () => {
    const addresses = [1, 2, 3, 4, 5].map((nth) => `198.51.100.${nth}`);
    const zone = { "one.test A": addresses.map((address) => ({ address })) };
    const sinks = Object.fromEntries(addresses.map((address) => [address, silent]));
    const at = house(sinks, { zone, parameters: { firstRetryS: 3600 } });
    at.store.add("q1", "b@one.test", at.clock.nowMs());
    await run(at);
    await pass(at, 14 * minute);
    assert.deepEqual([at.dialled.length, at.store.log], [3, []]);
    await pass(at, minute);
    assert.deepEqual([at.dialled.length, at.store.log], [3, ["q1 deferred"]]);
    const { last } = at.store.items.get("q1") as QueueItem;
    assert.equal(last?.durationMs, 900_000);
    assert.match(String(last.reply.text), /did not answer in time \(at the greeting\)/);
    await stop(at);
  });

  test("V3-16b nor with another host, and that is no refusal for good", async () => {
    const zone: Record<string, object[]> = {
      "one.test MX": [1, 2, 3, 4].map((nth) => ({
        preference: nth,
        exchange: `mx${nth}.one.test`,
      })),
    };
    for (const nth of [1, 2, 3, 4])
      zone[`mx${nth}.one.test A`] = [{ address: `198.51.100.${nth}` }];
    const hosts = { "198.51.100.1": silent, "198.51.100.2": silent, "198.51.100.3": silent };
    const at = house({ ...hosts, "198.51.100.4": {} }, { zone });
    at.store.add("q1", "b@one.test", at.clock.nowMs());
    await run(at);
    await pass(at, 15 * minute);
    assert.deepEqual(at.store.log, ["q1 deferred"]);
    assert.equal(at.dialled.length, 3);
    await stop(at);
  });

  test("V3-17 one that falls silent in mid-session has one connection from then on", async () => {
    const answer = (line: string) => (line.startsWith("MAIL") ? "" : undefined);
    const zone = { "one.test A": [{ address: "198.51.100.1" }] };
    const at = house({ "198.51.100.1": { answer } }, { zone });
    for (let nth = 0; nth < 40; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    const sink = at.sinks.get("198.51.100.1");
    assert.equal(sink?.open, 2);
    await pass(at, 7 * minute);
    assert.equal(sink?.open, 1);
    await stop(at);
  });
});
