import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/random";
import type { QueueItem } from "#model/queue";
import { createQueue, NoWayOut } from "#transport/queue";
import { settle } from "../../../tests/kit/fake-clock.ts";
import { type House, house, plainConnector, run } from "../../../tests/kit/outbound.ts";
import { Agenda } from "./agenda.ts";
import { nextAttemptAt } from "./schedule.ts";

const minute = 60_000;
const hour = 60 * minute;
const zone = {
  "one.test A": [{ address: "198.51.100.1" }],
  "two.test A": [{ address: "198.51.100.2" }],
};
const waits = { firstRetryS: 300, maxRetryS: 3600, giveUpS: 432_000 };

async function pass(at: House, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= minute) {
    await at.clock.advance(Math.min(left, minute));
    await settle(20);
  }
}

const deferring = (line: string) => (line.startsWith("RCPT") ? "450 4.2.0 busy" : undefined);

describe("V3 when a message is tried again (RFC 5321 §4.5.4.1)", () => {
  test("V3-1 each wait is twice the last, up to the longest, with chance", () => {
    const random = seededRandom(7);
    for (const [attempts, minutes] of [5, 10, 20, 40, 60, 60, 60].entries()) {
      const item = { attempts, queuedAtMs: 0 };
      const many = Array.from({ length: 200 }, () => nextAttemptAt(item, 0, random, waits) ?? 0);
      assert.ok(Math.min(...many) >= minutes * minute * 0.8);
      assert.ok(Math.max(...many) <= minutes * minute * 1.2);
      assert.ok(Math.max(...many) - Math.min(...many) > minutes * minute * 0.3, "they differ");
    }
  });

  test("V3-2 the last try is when it is time to give up, and none comes after", () => {
    const item = { attempts: 50, queuedAtMs: 0 };
    const end = waits.giveUpS * 1000;
    assert.equal(nextAttemptAt(item, end - minute, seededRandom(1), waits), end);
    assert.equal(nextAttemptAt(item, end, seededRandom(1), waits), undefined);
  });

  test("V3-3 a silent host gives way to the next address, and that to the next MX", async () => {
    const mx = [
      { preference: 10, exchange: "one.test" },
      { preference: 20, exchange: "two.test" },
    ];
    const at = house({ "198.51.100.2": {} }, { zone: { ...zone, "both.test MX": mx } });
    at.store.add("q1", "b@both.test", at.clock.nowMs());
    await run(at);
    assert.deepEqual(at.dialled, ["198.51.100.1", "198.51.100.2"]);
    assert.deepEqual(at.store.log, ["q1 delivered"]);
    await at.queue.stop();
  });

  test("V3-4 a 4xx puts off the recipient alone, and the connection goes on", async () => {
    const answer = (line: string) =>
      line.startsWith("RCPT TO:<slow") ? "450 4.2.1 later" : undefined;
    const at = house({ "198.51.100.1": { answer } }, { zone });
    for (const [nth, who] of ["slow", "a", "b"].entries()) {
      at.store.add(`q${nth}`, `${who}@one.test`, at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    assert.deepEqual(at.store.log.toSorted(), ["q0 deferred", "q1 delivered", "q2 delivered"]);
    assert.equal(at.dialled.length, 1);
    await at.queue.stop();
  });

  test("V3-5 a place where nobody listens is asked once for all that wait for it", async () => {
    const at = house({ "198.51.100.2": {} }, { zone });
    for (let nth = 0; nth < 500; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    at.store.add("other", "b@two.test", at.clock.nowMs(), { message: "other" });
    await run(at);
    assert.ok(at.store.log.includes("other delivered"), "others flow");
    await pass(at, 3 * hour);
    const dials = at.dialled.filter((to) => to === "198.51.100.1").length;
    assert.ok(dials >= 4 && dials <= 8, `${dials} dials in three hours`);
    assert.ok(at.store.log.length < 40, "the rest shares that fate without a record each");
    at.sinks.set("198.51.100.1", at.sinks.get("198.51.100.2") as never);
    await pass(at, 1.5 * hour);
    const delivered = () => at.store.log.filter((line) => line.endsWith(" delivered")).length;
    for (let turns = 0; delivered() < 501 && turns < 500; turns += 1) await settle(20);
    assert.equal(delivered(), 501, "one try found it back, and all went");
    await at.queue.stop();
  });

  test("V3-5b an administrator's retry ends the rest of a place", async () => {
    const at = house({ "198.51.100.1": "down" }, { zone });
    at.store.add("q1", "b@one.test", at.clock.nowMs(), { message: "m1" });
    await run(at);
    const dials = at.dialled.length;
    at.store.add("q2", "b@one.test", at.clock.nowMs(), { message: "m2" });
    await at.clock.advance(1000);
    await settle(50);
    assert.equal(at.dialled.length, dials, "it is left alone");
    at.queue.lookNow("one.test");
    await settle(50);
    assert.ok(at.dialled.length > dials);
    await at.queue.stop();
  });

  test("V3-6 what shares a dead place's fate is told as late, and given up, like any other", async () => {
    const at = house({}, { zone });
    for (let nth = 0; nth < 40; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    await pass(at, 4 * hour + 5 * minute);
    assert.equal(at.notices.filter(({ kind }) => kind === "delay").length, 40);
    assert.match(at.notices[39]?.content.toString() ?? "", /no connection: nobody at/);
    await at.clock.advance(5 * 24 * hour);
    await pass(at, 2 * hour);
    assert.equal(at.notices.filter(({ kind }) => kind === "failure").length, 40);
    const states = new Set([...at.store.items.values()].map(({ state }) => state));
    assert.deepEqual([...states], ["failed"]);
    await at.queue.stop();
  });

  test("V3-6b the end of a dead place comes however many others are as old", async () => {
    const at = house({}, { zone });
    const shut = { ...plainConnector, name: "shut" };
    const wayTo: House["deps"]["wayTo"] = (domain, nowMs) =>
      domain === "shut.test"
        ? { connector: shut, opensAtMs: nowMs + 100 * 24 * hour }
        : at.deps.wayTo(domain, nowMs);
    const queue = createQueue({ ...at.deps, wayTo });
    const startMs = at.clock.nowMs();
    for (let nth = 0; nth < 4500; nth += 1) {
      at.store.add(`s${nth}`, "b@shut.test", startMs, { reversePath: "" });
    }
    for (let nth = 0; nth < 20; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", startMs + 1, { message: `m${nth}` });
    }
    await queue.start();
    await at.clock.advance(5 * 24 * hour);
    await pass(at, 2 * hour);
    const failed = [...at.store.items.values()].filter(({ state }) => state === "failed");
    assert.deepEqual([failed.length, at.notices.length >= 20], [20, true]);
    await queue.stop();
  });

  test("V3-7 one notice of delay, one of failure, none more", async () => {
    const at = house({ "198.51.100.1": { answer: deferring } }, { zone });
    at.store.add("q1", "b@one.test", at.clock.nowMs());
    await run(at);
    for (let day = 0; day < 6; day += 1) await pass(at, 24 * hour);
    assert.deepEqual(
      at.notices.map(({ kind }) => kind),
      ["delay", "failure"],
    );
    await at.queue.stop();
  });

  test("V3-8 after a start a message older than five days is tried before it is given up", async () => {
    const at = house({ "198.51.100.1": {} }, { zone });
    at.store.add("q1", "b@one.test", at.clock.nowMs() - 6 * 24 * hour);
    await run(at);
    assert.deepEqual(at.store.log, ["notice delay", "q1 delay-notified", "q1 delivered"].slice(-1));
    await at.queue.stop();
  });

  test("V3-9 connections to a place grow with what goes well, up to its connector's number", async () => {
    const ways = { "*": { ...plainConnector, connections: 6 } };
    const at = house({ "198.51.100.1": {} }, { zone, ways });
    for (let nth = 0; nth < 400; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await at.queue.start();
    await settle(3);
    const most = () => at.sinks.get("198.51.100.1")?.mostOpen ?? 0;
    assert.ok(most() <= 2, `${most()} at once in the beginning`);
    await run(at);
    for (let turns = 0; at.store.log.length < 400 && turns < 500; turns += 1) await settle(20);
    assert.equal(at.store.log.length, 400);
    // The server sees an old connection for a few turns more than we do.
    assert.ok(most() >= 4 && most() <= 9, `${most()} at once`);
    await at.queue.stop();
  });

  test("V3-10 a server that says it is crowded gets fewer connections, and time", async () => {
    let crowded = true;
    const greeting = () => (crowded ? "421 4.7.0 too many connections" : "220 sink.test");
    const at = house({ "198.51.100.1": {} }, { zone });
    const serve = at.sinks.get("198.51.100.1");
    assert.ok(serve);
    const { SmtpSink } = await import("../../../tests/kit/smtp-sink.ts");
    const full = new SmtpSink({ greeting: greeting() });
    at.sinks.set("198.51.100.1", full);
    for (let nth = 0; nth < 20; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    assert.ok(full.sessions <= 2, `${full.sessions} sessions`);
    crowded = false;
    at.sinks.set("198.51.100.1", serve);
    await pass(at, 10 * minute);
    assert.equal(at.store.log.filter((line) => line.endsWith(" delivered")).length, 20);
    await at.queue.stop();
  });

  test("V3-11 no more messages in a minute than the connector allows", async () => {
    const ways = { "*": { ...plainConnector, messagesPerMinute: 10 } };
    const at = house({ "198.51.100.1": {} }, { zone, ways });
    for (let nth = 0; nth < 35; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    for (const expected of [10, 20, 30, 35]) {
      assert.equal(at.store.log.length, expected);
      await at.clock.advance(minute + 1);
      await settle(200);
    }
    await at.queue.stop();
  });

  test("V3-11b that pace does not hide that nobody listens", async () => {
    const ways = { "*": { ...plainConnector, messagesPerMinute: 1 } };
    const at = house({}, { zone, ways });
    for (let nth = 0; nth < 35; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    await pass(at, 2 * minute);
    const item = at.store.items.get("q30") as QueueItem;
    assert.match(at.queue.explain(item), /left alone until .*no connection/);
    await pass(at, 3 * hour);
    assert.ok(at.dialled.length <= 8, `${at.dialled.length} dials in three hours`);
    await at.queue.stop();
  });

  test("V3-12 a connector that is closed keeps its mail until it opens", async () => {
    const at = house({ "198.51.100.1": {} }, { zone });
    at.now.opensAtMs = at.clock.nowMs() + 2 * hour;
    at.store.add("q1", "b@one.test", at.clock.nowMs());
    await run(at);
    const item = at.store.items.get("q1") as QueueItem;
    assert.match(at.queue.explain(item), /connector default opens at 2026/);
    await pass(at, hour);
    assert.deepEqual(at.store.log, []);
    delete at.now.opensAtMs;
    await pass(at, hour + minute);
    assert.deepEqual(at.store.log, ["q1 delivered"]);
    await at.queue.stop();
  });

  test("V3-12b a connector that closes keeps what has not begun by then", async () => {
    const limited = { ...plainConnector, messagesPerMinute: 2 };
    const at = house({ "198.51.100.1": {} }, { zone, ways: { "*": limited } });
    for (let nth = 0; nth < 10; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    assert.equal(at.store.log.length, 2);
    at.now.opensAtMs = at.clock.nowMs() + 2 * hour;
    await pass(at, hour);
    assert.equal(at.store.log.length, 2);
    delete at.now.opensAtMs;
    await pass(at, 2 * hour);
    assert.equal(at.store.log.length, 10);
    await at.queue.stop();
  });

  test("V3-13 what comes for a domain that waits for nothing has its turn before a backlog", async () => {
    const many: Record<string, object[]> = { ...zone };
    for (let nth = 0; nth < 300; nth += 1) many[`d${nth}.test A`] = [{ address: "198.51.100.1" }];
    const at = house({ "198.51.100.1": {} }, { zone: many, parameters: { connections: 2 } });
    for (let nth = 0; nth < 300; nth += 1) {
      at.store.add(`q${nth}`, `b@d${nth}.test`, at.clock.nowMs(), { message: `m${nth}` });
    }
    await at.queue.start();
    await settle(10);
    at.store.add("new", "b@two.test", at.clock.nowMs(), { message: "new" });
    at.sinks.set("198.51.100.2", at.sinks.get("198.51.100.1") as never);
    while (!at.store.log.includes("new delivered")) await settle(1);
    assert.ok(at.store.log.length < 20, `${at.store.log.length} went before it`);
    await at.queue.stop();
  });

  test("V3-14 without a way out nothing is tried or blamed, and all goes when it is back", async () => {
    const at = house({ "198.51.100.1": {} }, { zone });
    at.now.outage = "there is no link to the mail edge";
    for (let nth = 0; nth < 30; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    await pass(at, 3 * hour);
    assert.deepEqual([at.dialled, at.store.log], [[], []]);
    const item = at.store.items.get("q1") as QueueItem;
    assert.equal(at.queue.explain(item), "there is no link to the mail edge");
    delete at.now.outage;
    at.queue.wake();
    await settle(300);
    assert.equal(at.store.log.length, 30, "at once");
    await at.queue.stop();
  });
});

describe("V1 trouble on our side", () => {
  test("V1-Q7 is no attempt, and mail goes on within seconds of its end", async () => {
    const at = house({ "198.51.100.1": {} }, { zone });
    let isOut = true;
    const dial: House["deps"]["dial"] = async (...args) => {
      if (isOut) throw new NoWayOut("the edge did not answer");
      return at.deps.dial(...args);
    };
    const queue = createQueue({ ...at.deps, dial });
    for (let nth = 0; nth < 30; nth += 1) {
      at.store.add(`q${nth}`, "b@one.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await queue.start();
    await pass(at, hour);
    assert.equal(at.store.log.length, 0);
    isOut = false;
    await at.clock.advance(10_000);
    await settle(300);
    assert.equal(at.store.log.filter((line) => line.endsWith(" delivered")).length, 30);
    await queue.stop();
  });
});

describe("Agenda", () => {
  test("gives back what was put in, by its moment", () => {
    const random = seededRandom(3);
    const agenda = new Agenda<number>();
    const moments = Array.from({ length: 2000 }, () => Math.floor(random.fraction() * 500));
    for (const [what, atMs] of moments.entries()) agenda.add(atMs, what);
    const taken: number[] = [];
    for (let next = agenda.take(249); next !== undefined; next = agenda.take(249)) {
      assert.equal(moments[next.what], next.atMs);
      taken.push(next.atMs);
    }
    const wanted = moments.filter((atMs) => atMs <= 249).sort((one, two) => one - two);
    assert.deepEqual(taken, wanted);
    assert.ok(agenda.nextAtMs >= 250);
  });
});
