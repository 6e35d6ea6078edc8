import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { QueueItem } from "#model/queue";
import { settle } from "../../../tests/kit/fake-clock.ts";
import { type House, house, run, smartConnector } from "../../../tests/kit/outbound.ts";
import type { SmtpSink } from "../../../tests/kit/smtp-sink.ts";

const zone: Record<string, object[]> = {};
for (let nth = 0; nth < 20; nth += 1) zone[`d${nth}.test A`] = [{ address: "198.51.100.9" }];

let last = 0;
/** One message to each of some domains. */
function submit(at: House, count: number): void {
  for (let nth = 0; nth < count; nth += 1) {
    last += 1;
    at.store.add(`q${last}`, `b@d${nth}.test`, at.clock.nowMs(), { message: `m${last}` });
  }
}

async function pass(at: House, seconds: number): Promise<void> {
  for (let left = seconds; left > 0; left -= 5) {
    await at.clock.advance(5000);
    await settle(30);
  }
}

const sinkAt = (at: House, host: string): SmtpSink => at.sinks.get(host) as SmtpSink;

describe("CAP-47 a connector's hosts that go down and come back", () => {
  test("the second takes over, and the first has its mail again when it answers", async () => {
    const ways = { "*": smartConnector(["198.51.100.1", "198.51.100.2"]) };
    const at = house({ "198.51.100.1": {}, "198.51.100.2": {} }, { zone, ways });
    const first = sinkAt(at, "198.51.100.1");
    const second = sinkAt(at, "198.51.100.2");
    submit(at, 5);
    await run(at);
    assert.deepEqual([first.mails.length, second.mails.length], [5, 0]);
    at.sinks.delete("198.51.100.1");
    await pass(at, 10);
    submit(at, 5);
    await settle(100);
    assert.deepEqual([first.mails.length, second.mails.length], [5, 5]);
    const dialsBefore = at.dialled.length;
    submit(at, 5);
    await settle(100);
    assert.ok(!at.dialled.slice(dialsBefore).includes("198.51.100.1"), "it is left alone");
    at.sinks.set("198.51.100.1", first);
    await pass(at, 60);
    submit(at, 5);
    await settle(100);
    assert.ok(first.mails.length > 5, "a message found it back");
    await at.queue.stop();
  });

  test("all down: it waits, one message a time looks, and the rest has no record of it", async () => {
    const ways = { "*": smartConnector(["198.51.100.1"]) };
    const at = house({ "198.51.100.9": {} }, { zone, ways });
    for (let round = 0; round < 5; round += 1) submit(at, 20);
    await run(at);
    const first = at.store.log.length;
    await pass(at, 600);
    assert.ok(at.dialled.length <= 8, `${at.dialled.length} dials in ten minutes`);
    assert.ok(at.store.log.length <= first + 6);
    assert.equal(sinkAt(at, "198.51.100.9").mails.length, 0, "never by the MX");
    const waiting = [...at.store.items.values()].find(({ attempts }) => attempts === 0);
    const why = at.queue.explain(waiting as QueueItem);
    assert.match(why, /connector smart: 198\.51\.100\.1:25 did not answer \d times/);
    await at.queue.stop();
  });

  test("all down for longer than mail may wait: every sender is told, not those alone whose mail looked", async () => {
    const ways = { "*": smartConnector(["198.51.100.1"]) };
    const parameters = { giveUpS: 7200, delayNoticeS: 0 };
    const at = house({}, { zone, ways, parameters });
    for (let round = 0; round < 5; round += 1) submit(at, 20);
    await run(at);
    await pass(at, 9000);
    const states = [...at.store.items.values()].map(({ state }) => state);
    assert.deepEqual([...new Set(states)], ["failed"]);
    assert.equal(at.notices.length, 100);
    await at.queue.stop();
  });

  test("an administrator's retry looks at once at a host that is down", async () => {
    const ways = { "*": smartConnector(["198.51.100.1"]) };
    const at = house({ "198.51.100.1": {} }, { zone, ways });
    const first = sinkAt(at, "198.51.100.1");
    at.sinks.delete("198.51.100.1");
    submit(at, 5);
    await run(at);
    at.sinks.set("198.51.100.1", first);
    submit(at, 2);
    await settle(100);
    assert.equal(first.mails.length, 0, "it is left alone");
    at.queue.lookNow("D1.test");
    await settle(200);
    assert.equal(first.mails.length, 2);
    await at.queue.stop();
  });

  test("all down with whenDown = direct: after some tries by the MX; back when it answers", async () => {
    const ways = { "*": smartConnector(["198.51.100.1"], { whenDown: "direct" }) };
    const at = house({ "198.51.100.1": {}, "198.51.100.9": {} }, { zone, ways });
    const provider = sinkAt(at, "198.51.100.1");
    submit(at, 3);
    await run(at);
    assert.equal(provider.mails.length, 3);
    at.sinks.delete("198.51.100.1");
    await pass(at, 10);
    submit(at, 20);
    await pass(at, 120);
    const direct = sinkAt(at, "198.51.100.9").mails.length;
    assert.ok(direct >= 1, "what had not been tried yet goes direct first");
    await pass(at, 600);
    assert.equal(sinkAt(at, "198.51.100.9").mails.length, 20, "all within the retry limit");
    const tries = at.dialled.filter((to) => to === "198.51.100.1").length;
    at.sinks.set("198.51.100.1", provider);
    for (let minute = 0; minute < 12; minute += 1) {
      submit(at, 1);
      await pass(at, 60);
    }
    assert.ok(at.dialled.filter((to) => to === "198.51.100.1").length > tries);
    const before = provider.mails.length;
    submit(at, 10);
    await pass(at, 60);
    assert.equal(provider.mails.length, before + 10, "all goes by the provider again");
    await at.queue.stop();
  });

  test("a host that greets with 4xx or 5xx is down; one that refuses a login is not", async () => {
    for (const greeting of ["421 4.3.2 later", "554 5.3.2 away"]) {
      const ways = { "*": smartConnector(["198.51.100.1", "198.51.100.2"]) };
      const at = house({ "198.51.100.1": { greeting }, "198.51.100.2": {} }, { zone, ways });
      submit(at, 3);
      await run(at);
      assert.equal(sinkAt(at, "198.51.100.2").mails.length, 3);
      await at.queue.stop();
    }
    const tls = { ...smartConnector([]).tls, level: "required" } as const;
    const ways = { "*": smartConnector(["198.51.100.1"], { whenDown: "direct", tls }) };
    const at = house({ "198.51.100.1": {}, "198.51.100.9": {} }, { zone, ways });
    submit(at, 5);
    await run(at);
    await pass(at, 900);
    assert.equal(
      sinkAt(at, "198.51.100.9").mails.length,
      0,
      "TLS that fails is no reason to go round",
    );
    assert.match(String([...at.store.items.values()].at(-1)?.last?.reply.text), /TLS/);
    await at.queue.stop();
  });

  test("direct never means less TLS than the connector demands", async () => {
    const tls = { ...smartConnector([]).tls, level: "required" } as const;
    const ways = { "*": smartConnector(["198.51.100.1"], { whenDown: "direct", tls }) };
    const at = house({ "198.51.100.9": {} }, { zone, ways });
    submit(at, 3);
    await run(at);
    await pass(at, 900);
    assert.ok(at.dialled.includes("198.51.100.9"), "it was tried");
    const sink = sinkAt(at, "198.51.100.9");
    assert.equal(sink.mails.length, 0);
    assert.ok(!sink.lines.some((line) => line.startsWith("MAIL")));
    await at.queue.stop();
  });
});

describe("sessions that wait for more", () => {
  const ways = { "*": smartConnector(["198.51.100.1"]) };

  test("take what comes within seconds, and end politely after that", async () => {
    const at = house({ "198.51.100.1": {} }, { zone, ways });
    submit(at, 1);
    await run(at);
    await at.clock.advance(2000);
    submit(at, 1);
    await settle(60);
    assert.deepEqual([at.dialled.length, sinkAt(at, "198.51.100.1").mails.length], [1, 2]);
    await pass(at, 10);
    assert.equal(sinkAt(at, "198.51.100.1").lines.at(-1), "QUIT");
    submit(at, 1);
    await settle(60);
    assert.equal(at.dialled.length, 2);
    await at.queue.stop();
  });

  test("are not used when something else is demanded by then", async () => {
    const demands: Record<string, never> = {};
    const at = house({ "198.51.100.1": {} }, { zone, ways, demands });
    submit(at, 1);
    await run(at);
    const reply = { code: 450, status: "4.7.5", text: "not listed any more" };
    Object.assign(demands, { "198.51.100.1": { ok: false, reply } });
    submit(at, 1);
    await settle(60);
    assert.equal(sinkAt(at, "198.51.100.1").mails.length, 1);
    assert.equal([...at.store.items.values()].at(-1)?.state, "waiting");
    await at.queue.stop();
  });

  test("one that the server has closed meanwhile costs its message nothing", async () => {
    for (const gone of ["close", "421 4.4.2 idle for too long"]) {
      let isGone = false;
      const answer = (line: string, session: number) =>
        isGone && session === 1 && line.startsWith("MAIL") ? gone : undefined;
      const at = house({ "198.51.100.1": { answer } }, { zone, ways });
      submit(at, 1);
      await run(at);
      isGone = true;
      submit(at, 1);
      await settle(100);
      assert.equal([...at.store.items.values()].at(-1)?.state, "delivered", gone);
      await at.queue.stop();
    }
  });

  test("carry no more messages than the connector says", async () => {
    const few = {
      "*": smartConnector(["198.51.100.1"], { messagesPerSession: 3, connections: 1 }),
    };
    const at = house({ "198.51.100.1": {} }, { zone, ways: few });
    submit(at, 10);
    await run(at);
    await settle(300);
    const mails = sinkAt(at, "198.51.100.1").mails;
    assert.equal(mails.length, 10);
    const bySession = Map.groupBy(mails, ({ session }) => session);
    assert.ok([...bySession.values()].every((of) => of.length <= 3));
    await at.queue.stop();
  });
});
