import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { QueueItem } from "#model/queue";
import { createQueue, type Queue, type QueueDeps } from "#transport/queue";
import { fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import { type House, house, run, smartConnector } from "../../../tests/kit/outbound.ts";
import { type SinkOptions, SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";
import { Patience } from "./patience.ts";

const minute = 60_000;
const silent = { greeting: "" };
const silentDomains = 60;

/** Domains whose server falls silent, at its greeting if nothing else is said, and two that are as they should be. */
function crowd(deps: Parameters<typeof house>[1] = {}, how: SinkOptions = silent): House {
  const zone: Record<string, object[]> = {
    "well.test A": [{ address: "198.51.100.2" }],
    "new.test A": [{ address: "198.51.100.2" }],
    "slow.test A": [{ address: "198.51.100.3" }],
  };
  for (let nth = 0; nth < silentDomains; nth += 1) {
    zone[`s${nth}.test A`] = [{ address: "198.51.100.1" }];
  }
  return house({ "198.51.100.1": how, "198.51.100.2": {} }, { zone, ...deps });
}

/** A server that says nothing more when it is asked that. */
const silentAt = (verb: string): SinkOptions => ({
  answer: (line) => (line.startsWith(verb) ? "" : undefined),
});

/** Dials the house's servers, and at slow.test one that answers that only after so long. */
function dialSlow(at: House, sink: SmtpSinkFor, verb: string, afterMs: number): QueueDeps["dial"] {
  return async (to, timeoutMs, how) => {
    if (to.host !== "198.51.100.3") return at.deps.dial(to, timeoutMs, how);
    const [ours, theirs] = streamPair();
    sink((line) => {
      if (!line.startsWith(verb)) return undefined;
      at.clock.after(afterMs, () => theirs.write("250 2.0.0 ok\r\n"));
      return "";
    }).serve(theirs);
    return ours;
  };
}

type SmtpSinkFor = (answer: (line: string) => string | undefined) => SmtpSink;

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
    await pass(at, 6 * minute);
    assert.equal(sink?.open, 0, "it rests");
    await pass(at, 6 * minute);
    assert.equal(sink?.open, 1);
    assert.ok(at.store.log.length <= 2, "the others share its fate without a record each");
    await stop(at);
  });

  test("V3-20 they are served together at last: who waits longer is asked first", async () => {
    const zone = {
      "y.test A": [{ address: "198.51.100.9" }],
      "s.test A": [{ address: "198.51.100.1" }],
      "x.test A": [{ address: "198.51.100.8" }],
    };
    const hosts = { "198.51.100.1": silent, "198.51.100.8": silent };
    const random = { ...house({}).deps.random, fraction: () => 0.5 };
    const at = house(hosts, { zone, parameters: { connections: 2 }, deps: { random } });
    for (const name of ["y", "s", "x"]) {
      at.store.add(name, `b@${name}.test`, at.clock.nowMs(), { message: name });
      if (name === "y") await run(at);
    }
    await at.clock.advance(10_000);
    await settle(60);
    assert.deepEqual([at.store.log, at.sinks.get("198.51.100.8")?.open], [["y deferred"], 0]);
    const before = at.dialled.length;
    // At this moment the wait for s.test and the rest of y.test end.
    await at.clock.advance(290_000);
    await settle(60);
    assert.equal(at.dialled[before], "198.51.100.8", "it has waited since it was put off");
    await stop(at);
  });
});

describe("V3-19 places that open a session and then say nothing", () => {
  for (const verb of ["MAIL", "RCPT", "DATA"]) {
    test(`sixty that are silent at ${verb} hold up nobody else`, async () => {
      const at = crowd({}, silentAt(verb));
      fill(at);
      at.store.add("well", "b@well.test", at.clock.nowMs(), { message: "well" });
      await run(at);
      await at.clock.advance(10_000);
      await settle(60);
      assert.equal(at.store.items.get("well")?.state, "delivered", "within ten seconds");
      await at.clock.advance(20_000);
      await settle(60);
      assert.equal(at.sinks.get("198.51.100.1")?.open, 25, "half of the connections");
      at.store.add("new", "b@new.test", at.clock.nowMs(), { message: "new" });
      await settle(60);
      assert.equal(at.store.items.get("new")?.state, "delivered", "at once");
      assert.equal(at.store.log.length, 2, "who was put off was not tried");
      await pass(at, 20 * minute);
      const tried = new Set(at.store.log.filter((line) => line.startsWith("s")));
      assert.equal(tried.size, silentDomains, "each had its turn");
      await stop(at);
    });
  }

  test("a smart host that looks at each message for twelve seconds keeps its connections", async () => {
    const at = house({}, { ways: { "*": smartConnector(["198.51.100.3"]) } });
    const sinks: SmtpSink[] = [];
    const sink = (answer: SinkOptions["answer"]) => {
      sinks.push(new SmtpSink({ ...(answer && { answer }) }));
      return sinks.at(-1) as SmtpSink;
    };
    const queue = createQueue({ ...at.deps, dial: dialSlow(at, sink, ".", 12_000) });
    for (let nth = 0; nth < 60; nth += 1) {
      at.store.add(`q${nth}`, `b@d${nth}.test`, at.clock.nowMs(), { message: `m${nth}` });
    }
    await queue.start();
    await pass(at, 3 * minute);
    const open = sinks.reduce((sum, one) => sum + one.open, 0);
    assert.ok(open > 1, `${open} connections`);
    await stop(at, queue);
  });

  test("who was put off at MAIL has his five minutes when his turn comes", async () => {
    const at = crowd({}, silentAt("MAIL"));
    const sink = (answer: SinkOptions["answer"]) => new SmtpSink({ ...(answer && { answer }) });
    const queue = createQueue({ ...at.deps, dial: dialSlow(at, sink, "MAIL", 290_000) });
    fill(at);
    await queue.start();
    await pass(at, minute);
    at.store.add("slow", "b@slow.test", at.clock.nowMs(), { message: "slow" });
    await pass(at, minute);
    const item = at.store.items.get("slow") as QueueItem;
    assert.match(queue.explain(item), /slow\.test did not answer, and waits for a connection/);
    await pass(at, 25 * minute);
    const { state, attempts } = at.store.items.get("slow") as QueueItem;
    assert.deepEqual([state, attempts], ["delivered", 1]);
    await stop(at, queue);
  });

  test("after the end of a message nobody is cut off, and it arrives once", async () => {
    const at = crowd({}, silentAt("MAIL"));
    const slow: SmtpSink[] = [];
    const sink = (answer: SinkOptions["answer"]) => {
      slow.push(new SmtpSink({ ...(answer && { answer }) }));
      return slow.at(-1) as SmtpSink;
    };
    const queue = createQueue({ ...at.deps, dial: dialSlow(at, sink, ".", 60_000) });
    fill(at);
    await queue.start();
    await pass(at, minute);
    at.store.add("slow", "b@slow.test", at.clock.nowMs(), { message: "slow" });
    await settle(60);
    await pass(at, 2 * minute);
    const { state, attempts } = at.store.items.get("slow") as QueueItem;
    assert.deepEqual([state, attempts], ["delivered", 1]);
    const begun = slow.flatMap(({ lines }) => lines).filter((line) => line === "DATA");
    assert.equal(begun.length, 1);
    at.store.add("again", "b@slow.test", at.clock.nowMs(), { message: "again" });
    await pass(at, 30 * minute);
    assert.equal(at.store.items.get("again")?.state, "delivered", "as one of the silent");
    assert.equal(at.store.items.get("again")?.attempts, 1);
    await stop(at, queue);
  });

  test("sixty that are silent there have half of the connections from the next time on", async () => {
    const at = crowd({ parameters: { firstRetryS: 60, maxRetryS: 60 } }, silentAt("."));
    fill(at);
    await run(at);
    await pass(at, minute);
    const sink = at.sinks.get("198.51.100.1") as SmtpSink;
    assert.equal(sink.open, 50, "none may be cut off");
    await pass(at, 10 * minute);
    assert.equal(at.store.log.length, 50);
    for (let nth = 0; nth < 15; nth += 1) {
      await pass(at, minute);
      at.store.add(`new${nth}`, "b@new.test", at.clock.nowMs(), { message: `new${nth}` });
      await settle(60);
      assert.equal(at.store.items.get(`new${nth}`)?.state, "delivered", `after ${nth} minutes`);
      assert.ok(sink.open <= 25 + 10, `${sink.open} connections`);
    }
    await stop(at);
  });

  test("a connector's host that was put off is not down", async () => {
    const smart = smartConnector(["198.51.100.3"]);
    const at = crowd({ ways: { "smart.test": smart } }, silentAt("MAIL"));
    at.sinks.set("198.51.100.3", new SmtpSink(silentAt("MAIL")));
    fill(at);
    await run(at);
    await pass(at, minute);
    at.store.add("q1", "b@smart.test", at.clock.nowMs(), { message: "q1" });
    await settle(60);
    await pass(at, minute);
    const why = at.queue.explain(at.store.items.get("q1") as QueueItem);
    assert.match(why, /did not answer, and waits for a connection of those for silent places/);
    await stop(at);
  });

  test("those that nobody may cut off leave less room to the next ones", async () => {
    const clock = fakeClock();
    const patience = new Patience(clock, 4);
    const waits = [1, 2, 3].map(() => patience.begin(false));
    for (const wait of waits) wait.waits();
    await clock.advance(10_000);
    assert.equal(patience.room, -1);
    waits[0]?.end();
    assert.equal(patience.room, 0);
    const wait = patience.begin(false);
    let isBroken = false;
    wait.waits(() => (isBroken = true));
    await clock.advance(9000);
    wait.goesOn();
    await clock.advance(9000);
    assert.equal(isBroken, false, "an answer in time");
    wait.waits(() => (isBroken = true));
    await clock.advance(10_000);
    assert.deepEqual([isBroken, wait.isPutOff], [true, true]);
  });
});
