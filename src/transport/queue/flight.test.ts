import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, describe, test } from "node:test";
import { sleep } from "#base/clock";
import { Unavailable } from "#base/errors";
import { openFlightLog } from "#transport/queue";
import { settle } from "../../../tests/kit/fake-clock.ts";
import { house, run, smartConnector } from "../../../tests/kit/outbound.ts";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-flight-"));
after(() => rmSync(folder, { recursive: true }));
let last = 0;
const newFolder = (): string => join(folder, String((last += 1)));
const id = (nth: number): string => nth.toString(16).padStart(32, "0");

describe("V4 a message under which the process dies", () => {
  test("V4-1 is known to the next start, and those that had landed are not", () => {
    const at = newFolder();
    const log = openFlightLog(at);
    const landed = log.begin(id(1));
    log.begin(id(2));
    landed();
    log.begin(id(3));
    assert.deepEqual(
      [...openFlightLog(at).crashes],
      [
        [id(3), 1],
        [id(2), 1],
      ],
    );
  });

  test("V4-2 an orderly end leaves nobody under suspicion", () => {
    const at = newFolder();
    const log = openFlightLog(at);
    log.begin(id(1));
    log[Symbol.dispose]();
    assert.equal(openFlightLog(at).crashes.size, 0);
  });

  test("V4-3 only deaths in a row count", () => {
    const at = newFolder();
    openFlightLog(at).begin(id(1));
    openFlightLog(at).begin(id(1));
    openFlightLog(at).begin(id(2)); // the process died without the first under way
    const third = openFlightLog(at);
    assert.deepEqual([...third.crashes], [[id(2), 1]]);
    third.begin(id(2));
    const fourth = openFlightLog(at);
    assert.equal(fourth.crashes.get(id(2)), 2);
    fourth.forget(id(2));
    assert.equal(openFlightLog(at).crashes.size, 0);
  });

  test("V4-4 files that hold nonsense suspect nobody and stop nothing", () => {
    const at = newFolder();
    openFlightLog(at)[Symbol.dispose]();
    writeFileSync(join(at, "crashes"), "[[");
    writeFileSync(join(at, "under-way"), Buffer.alloc(1000, 0xff));
    assert.equal(openFlightLog(at).crashes.size, 0);
  });

  test("V4-5 a thousand under way take a few octets each, and places are used again", () => {
    const at = newFolder();
    const log = openFlightLog(at);
    for (let round = 0; round < 50; round += 1) {
      const landings = Array.from({ length: 100 }, (_, nth) => log.begin(id(nth + 1)));
      for (const landed of landings) landed();
    }
    assert.equal(readFileSync(join(at, "under-way")).length, 6400);
  });

  test("V4-6 suspects are tried alone, one after the other, while others flow", async () => {
    const at = newFolder();
    const before = openFlightLog(at);
    for (const nth of [1, 2]) before.begin(id(nth));
    const zone = { "sink.test A": [{ address: "198.51.100.1" }] };
    let silent = true;
    const answer = (line: string) =>
      silent && line.startsWith("MAIL FROM:<suspect") ? "" : undefined;
    const flight = openFlightLog(at);
    const house_ = house({ "198.51.100.1": { answer } }, { zone, deps: { flight } });
    house_.now.outage = "there is no link to the mail edge"; // as at every start
    for (const nth of [1, 2, 3, 4]) {
      const message = id(nth);
      const reversePath = nth <= 2 ? "suspect@us.test" : "alice@us.test";
      house_.store.add(`q${nth}`, "b@sink.test", house_.clock.nowMs(), { message, reversePath });
    }
    await run(house_);
    delete house_.now.outage;
    house_.queue.wake();
    await house_.clock.advance(2000);
    await settle(60);
    assert.deepEqual(house_.store.log, ["q3 delivered", "q4 delivered"]);
    const said = house_.sinks.get("198.51.100.1")?.lines ?? [];
    assert.equal(said.filter((line) => line.startsWith("MAIL FROM:<suspect")).length, 1);
    silent = false;
    await house_.clock.advance(3_600_000);
    await settle(200);
    assert.ok(house_.store.log.includes("q2 delivered"));
    await house_.queue.stop();
  });

  test("V4-7 after three deaths it is held, says why, and goes when it is released", async () => {
    const at = newFolder();
    for (let deaths = 0; deaths < 3; deaths += 1) openFlightLog(at).begin(id(1));
    const zone = { "sink.test A": [{ address: "198.51.100.1" }] };
    const flight = openFlightLog(at);
    const house_ = house({ "198.51.100.1": {} }, { zone, deps: { flight } });
    house_.store.add("q1", "b@sink.test", 0, { message: id(1) });
    house_.store.add("q2", "b@sink.test", 0, { message: id(2) });
    await run(house_);
    assert.deepEqual(house_.store.log, ["q2 delivered"]);
    const item = house_.store.items.get("q1");
    assert.equal(item?.state, "held");
    assert.ok(item !== undefined);
    assert.match(house_.queue.explain(item), /held by the queue: set aside after 3 crashes/);
    await house_.store.change("q1", "release", "admin", house_.clock.nowMs());
    await settle(60);
    assert.ok(house_.store.log.includes("q1 delivered"));
    await house_.queue.stop();
    flight[Symbol.dispose]();
    assert.equal(openFlightLog(at).crashes.size, 0);
  });

  test("V4-8 a suspect whose host is down waits like any other, and goes when it is back", async () => {
    const at = newFolder();
    const before = openFlightLog(at);
    for (const nth of [1, 2]) before.begin(id(nth));
    const ways = { "*": smartConnector(["198.51.100.1"]) };
    const sink = new SmtpSink();
    let isUp = false;
    const dial = async (): Promise<Duplex> => {
      if (!isUp) await sleep(house_.clock, 5000);
      if (!isUp) throw new Unavailable("nobody there");
      const [ours, theirs] = streamPair();
      sink.serve(theirs);
      return ours;
    };
    const house_ = house({}, { ways, deps: { dial, flight: openFlightLog(at) } });
    for (const nth of [1, 2]) {
      house_.store.add(`q${nth}`, `b@d${nth}.test`, house_.clock.nowMs(), { message: id(nth) });
    }
    await run(house_);
    await house_.clock.advance(5000);
    await settle(40);
    isUp = true;
    for (let minutes = 0; minutes < 120; minutes += 1) {
      await house_.clock.advance(60_000);
      await settle(20);
    }
    assert.deepEqual(
      ["q1", "q2"].map((item) => house_.store.items.get(item)?.state),
      ["delivered", "delivered"],
    );
    await house_.queue.stop();
  });

  test("V4-10 every recipient of a message is set aside, however many", async () => {
    const at = newFolder();
    for (let deaths = 0; deaths < 3; deaths += 1) openFlightLog(at).begin(id(1));
    const house_ = house({}, { deps: { flight: openFlightLog(at) } });
    for (let nth = 0; nth < 12_001; nth += 1) {
      house_.store.add(`q${nth}`, `b${nth}@sink.test`, 0, { message: id(1) });
    }
    await run(house_);
    const states = new Set([...house_.store.items.values()].map(({ state }) => state));
    assert.deepEqual([...states], ["held"]);
    await house_.queue.stop();
  });

  test("V4-11 suspects go in transactions of the usual size", async () => {
    const at = newFolder();
    openFlightLog(at).begin(id(1));
    const zone = { "sink.test A": [{ address: "198.51.100.1" }] };
    const house_ = house(
      { "198.51.100.1": { extensions: ["PIPELINING"] } },
      { zone, deps: { flight: openFlightLog(at) } },
    );
    for (let nth = 0; nth < 250; nth += 1) {
      house_.store.add(`q${nth}`, `b${nth}@sink.test`, 0, { message: id(1) });
    }
    await run(house_);
    await settle(200);
    const mails = house_.sinks.get("198.51.100.1")?.mails ?? [];
    assert.deepEqual(
      mails.map(({ recipients }) => recipients.length),
      [100, 100, 50],
    );
    await house_.queue.stop();
  });

  test("V4-12 suspects whose servers take their time are all tried within an hour or so", async () => {
    const at = newFolder();
    const before = openFlightLog(at);
    const answer = (line: string) => (line === "." ? "" : undefined);
    const zone: Record<string, object[]> = {};
    for (let nth = 1; nth <= 20; nth += 1) {
      before.begin(id(nth));
      zone[`d${nth}.test A`] = [{ address: "198.51.100.1" }];
    }
    const flight = openFlightLog(at);
    const house_ = house({ "198.51.100.1": { answer } }, { zone, deps: { flight } });
    for (let nth = 1; nth <= 20; nth += 1) {
      house_.store.add(`q${nth}`, `b@d${nth}.test`, 0, { message: id(nth) });
    }
    await run(house_);
    const sink = house_.sinks.get("198.51.100.1");
    const begun = () => sink?.lines.filter((line) => line.startsWith("MAIL")).length;
    assert.equal(begun(), 1, "alone");
    for (let minutes = 0; minutes < 62; minutes += 1) {
      await house_.clock.advance(60_000);
      await settle(20);
    }
    const tried = new Set(sink?.lines.filter((line) => line.startsWith("RCPT")));
    assert.equal(tried.size, 20);
    const stopped = house_.queue.stop(1000);
    await house_.clock.advance(1000);
    await stopped;
  });

  test("V4-9 a list that cannot be written stops no mail", () => {
    const log = openFlightLog(newFolder());
    log[Symbol.dispose]();
    const landed = log.begin(id(1));
    landed();
  });
});
