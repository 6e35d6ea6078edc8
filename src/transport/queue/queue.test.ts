import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Full, Unavailable } from "#base/errors";
import type { QueueItem } from "#model/queue";
import { createQueue, type QueueDeps } from "#transport/queue";
import { settle } from "../../../tests/kit/fake-clock.ts";
import {
  house,
  message,
  plainConnector,
  run,
  smartConnector,
} from "../../../tests/kit/outbound.ts";

const minute = 60_000;
const hour = 60 * minute;

const smart = smartConnector(["192.0.2.1:2626"]);
const route = { ways: { "sink.test": smart, "x.far.test": smart } };

describe("createQueue()", () => {
  test("delivers by a connector's host, recipients of one message together", async () => {
    const at = house({ "192.0.2.1:2626": {} }, route);
    at.store.add("q1", "b@sink.test", at.clock.nowMs());
    at.store.add("q2", "c@x.far.test", at.clock.nowMs());
    at.store.add("q3", "d@sink.test", at.clock.nowMs(), { message: "m2" });
    await run(at);
    assert.deepEqual(at.store.log.sort(), ["q1 delivered", "q2 delivered", "q3 delivered"]);
    const mails = at.sinks.get("192.0.2.1:2626")?.mails ?? [];
    assert.deepEqual(mails.map(({ recipients }) => recipients.join()).sort(), [
      "<b@sink.test>,<c@x.far.test>",
      "<d@sink.test>",
    ]);
    assert.deepEqual(mails[0]?.octets, message);
    const last = at.store.items.get("q1")?.last;
    assert.equal(last?.remote, "192.0.2.1:2626");
    assert.equal(last?.connector, "smart");
    assert.equal(last?.reply.code, 250);
    await at.queue.stop();
  });

  test("goes on with DATA where CHUNKING is offered and BDAT unknown", async () => {
    const answer = (line: string, session: number): string | undefined =>
      line === "." && session === 1 ? "502 5.5.1 what?" : undefined;
    const at = house({ "192.0.2.1:2626": { extensions: ["CHUNKING"], answer } }, route);
    at.store.add("q1", "b@sink.test", at.clock.nowMs());
    await run(at);
    assert.deepEqual(at.store.log, ["q1 deferred"]);
    assert.match(String(at.store.items.get("q1")?.last?.reply.text), /answered 502 to BDAT/);
    await run(at, 10 * minute);
    const sink = at.sinks.get("192.0.2.1:2626");
    assert.deepEqual(at.store.log, ["q1 deferred", "q1 delivered"]);
    assert.deepEqual([sink?.mails.length, sink?.lines.includes("DATA")], [1, true]);
    await at.queue.stop();
  });

  test("takes what comes while it runs, and nothing after it was stopped", async () => {
    const at = house({ "192.0.2.1:2626": {} }, route);
    await run(at);
    at.store.add("q1", "b@sink.test", at.clock.nowMs());
    for (let count = 0; count < 10; count += 1) await settle();
    assert.deepEqual(at.store.log, ["q1 delivered"]);
    await at.queue.stop();
    at.store.add("q2", "b@sink.test", at.clock.nowMs());
    at.queue.wake();
    await settle(20);
    assert.equal(at.store.log.length, 1);
  });

  test("defers with growing waits, tells of the delay once, and gives up after five days (V3)", async () => {
    const answer = (line: string) => (line.startsWith("RCPT") ? "450 4.2.0 busy" : undefined);
    const at = house({ "192.0.2.1:2626": { answer } }, route);
    const startMs = at.clock.nowMs();
    at.store.add("q1", "b@sink.test", startMs);
    const tries: number[] = [];
    const { attempted } = at.store;
    at.store.attempted = (id, attempt, next) => {
      tries.push(attempt.atMs - startMs);
      return attempted(id, attempt, next);
    };
    await run(at);
    for (let count = 0; count < 300 && at.store.items.get("q1")?.state === "waiting"; count += 1) {
      const next = at.store.items.get("q1")?.nextAttemptAtMs ?? 0;
      await at.clock.advance(Math.max(1000, next - at.clock.nowMs()));
      await settle(60);
    }
    const waits = tries.slice(1).map((ms, index) => (ms - (tries[index] ?? 0)) / minute);
    for (const [index, expected] of [5, 10, 20, 40, 60, 60].entries()) {
      const wait = waits[index] ?? 0;
      assert.ok(wait >= expected * 0.79 && wait <= expected * 1.22, `wait ${index}: ${wait}`);
    }
    assert.ok(Math.abs((tries.at(-1) ?? 0) - 120 * hour) < 2 * minute);
    assert.deepEqual(
      at.notices.map(({ kind }) => kind),
      ["delay", "failure"],
    );
    const item = at.store.items.get("q1");
    assert.equal(item?.state, "failed");
    assert.equal(item?.last?.reply.status, "5.4.7");
    const text = at.notices[1]?.content.toString() ?? "";
    assert.match(text, /450/);
    assert.match(text, /busy/);
    await at.queue.stop();
  });

  test("records a failure before it tells the sender, with headers only (RFC 3461, RFC 3464)", async () => {
    const answer = (line: string) => (line.startsWith("RCPT") ? "550 5.1.1 nobody" : undefined);
    const at = house({ "192.0.2.1:2626": { answer } }, route);
    at.store.add("q1", "b@sink.test", at.clock.nowMs());
    await run(at);
    assert.deepEqual(at.store.log, ["q1 failed", "notice failure"]);
    const [notice] = at.notices;
    assert.equal(notice?.to, "alice@us.test");
    const text = notice?.content.toString() ?? "";
    assert.match(
      text,
      /Final-Recipient: rfc822; b@sink\.test\r\nAction: failed\r\nStatus: 5\.1\.1\r\n/,
    );
    assert.match(text, /Diagnostic-Code: smtp; 550 5\.1\.1 nobody\r\n/);
    assert.match(text, /Subject: secret/);
    assert.doesNotMatch(text, /body text/);
    await at.queue.stop();
  });

  test("obeys NOTIFY and RET, and never answers a null reverse path (RFC 3461 §4)", async () => {
    const answer = (line: string) =>
      line.startsWith("RCPT TO:<no") ? "550 5.1.1 nobody" : undefined;
    const at = house({ "192.0.2.1:2626": { answer } }, route);
    const add = (id: string, to: string, some: Partial<QueueItem>) =>
      at.store.add(id, `${to}@sink.test`, at.clock.nowMs(), { message: id, ...some });
    add("never", "no1", { wishes: { notify: ["never"] } });
    add("success-only", "no2", { wishes: { notify: ["success"] } });
    add("null", "no3", { reversePath: "" });
    add("full", "no4", { dsnReturn: "full" });
    add("yes", "yes5", { wishes: { notify: ["success"] } });
    add("quiet", "yes6", {});
    await run(at);
    const told = at.notices.map(({ item, kind }) => `${item.id} ${kind}`).sort();
    assert.deepEqual(told, ["full failure", "yes success"]);
    const [full, yes] = ["full", "yes"].map((id) =>
      at.notices.find(({ item }) => item.id === id)?.content.toString(),
    );
    assert.match(full ?? "", /body text/);
    assert.match(yes ?? "", /Action: relayed/);
    await at.queue.stop();
  });

  test("leaves confirmations to servers that know DSN (RFC 3461 §5.2.2)", async () => {
    const at = house({ "192.0.2.1:2626": { extensions: ["DSN"] } }, route);
    at.store.add("q1", "b@sink.test", at.clock.nowMs(), { wishes: { notify: ["success"] } });
    await run(at);
    assert.equal(at.notices.length, 0);
    assert.ok(
      at.sinks.get("192.0.2.1:2626")?.lines.some((line) => line.includes("NOTIFY=SUCCESS")),
    );
    await at.queue.stop();
  });

  test("tells again after a crash what it may not have told, under the same id", async () => {
    const answer = (line: string) => (line.startsWith("RCPT") ? "550 5.1.1 nobody" : undefined);
    const at = house({ "192.0.2.1:2626": { answer } }, route);
    at.store.add("q1", "b@sink.test", at.clock.nowMs());
    await run(at);
    await at.queue.stop();
    const again = createQueue(at.deps);
    await again.start();
    assert.equal(at.notices.length, 2);
    assert.equal(at.notices[0]?.id, at.notices[1]?.id);
    await again.stop();
  });

  test("tries a notice again that could not be kept", async () => {
    let isFull = true;
    const kept: string[] = [];
    const at = house(
      {},
      {
        deps: {
          notice: async ({ id }) => {
            if (isFull) throw new Unavailable("full");
            kept.push(id);
          },
        },
      },
    );
    at.store.add("q1", "b@nowhere.test", at.clock.nowMs());
    await run(at);
    assert.equal(at.store.items.get("q1")?.state, "failed");
    isFull = false;
    await at.clock.advance(2 * minute);
    assert.equal(kept.length, 1);
    await at.queue.stop();
  });

  test("does not try again what it could not record", async () => {
    const at = house({ "192.0.2.1:2626": {} }, route);
    at.store.attempted = async () => {
      throw new Unavailable("disk");
    };
    at.store.add("q1", "b@sink.test", at.clock.nowMs());
    await run(at, hour);
    assert.equal(at.sinks.get("192.0.2.1:2626")?.mails.length, 1);
    await at.queue.stop();
  });

  test("a notice that cannot ever be made does not hinder the next", async () => {
    let isFull = true;
    const kept: string[] = [];
    const notice: QueueDeps["notice"] = async ({ id, item }) => {
      if (item.id === "q1") throw new Error("its message cannot be read");
      if (isFull) throw new Unavailable("full");
      kept.push(id);
    };
    const at = house({}, { deps: { notice } });
    for (const id of ["q1", "q2"]) at.store.add(id, "b@nowhere.test", at.clock.nowMs());
    await run(at);
    isFull = false;
    await at.clock.advance(2 * minute);
    assert.equal(kept.length, 1);
    await at.queue.stop();
  });

  test("begins nothing while it cannot record, and records it all once it can", async () => {
    const at = house({ "192.0.2.1:2626": {} }, { ways: { "*": smart } });
    const { attempted } = at.store;
    at.store.attempted = async () => {
      throw new Full("disk");
    };
    for (let nth = 0; nth < 200; nth += 1) {
      at.store.add(`q${nth}`, `b@d${nth}.test`, at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    const sink = at.sinks.get("192.0.2.1:2626");
    const sent = sink?.mails.length ?? 0;
    assert.ok(sent <= 2 * smart.connections * 8, `${sent} sent without a record`);
    await at.clock.advance(10 * minute);
    await settle(40);
    assert.equal(sink?.mails.length, sent);
    at.store.attempted = attempted;
    await at.clock.advance(2 * minute);
    for (let count = 0; count < 500 && at.store.log.length < 200; count += 1) await settle();
    assert.equal(at.store.log.filter((line) => line.endsWith(" delivered")).length, 200);
    assert.equal(sink?.mails.length, 200);
    await at.queue.stop();
  });

  test("keeps to its limits: connections in all and for each domain, pages of the queue", async () => {
    const parameters = { connections: 3 };
    const ways = { "*": { ...plainConnector, connections: 2, messagesPerSession: 5 } };
    const zone: Record<string, object[]> = {};
    for (const domain of ["a.test", "b.test"]) zone[`${domain} A`] = [{ address: "198.51.100.7" }];
    const at = house({ "198.51.100.7": {} }, { zone, parameters, ways });
    for (let count = 0; count < 1500; count += 1) {
      const domain = count < 1400 ? "a.test" : "b.test";
      at.store.add(`q${count}`, `u@${domain}`, at.clock.nowMs(), { message: `m${count}` });
    }
    await at.queue.start();
    for (let count = 0; count < 3000 && at.store.log.length < 1500; count += 1) await settle();
    assert.equal(at.store.log.filter((line) => line.endsWith(" delivered")).length, 1500);
    const most = at.sinks.get("198.51.100.7")?.mostOpen ?? 99;
    assert.ok(most <= 2 * 3, `${most} at once`); // ours are gone a turn before theirs
    assert.ok(at.store.reads <= 1500 + 20, `${at.store.reads} items were read`);
    await at.queue.stop();
  });

  test("an item whose way cannot be found waits and is tried again", async () => {
    let answer: () => Promise<never> = async () => {
      throw new TypeError("not an answer");
    };
    const query = (() => answer()) as QueueDeps["resolver"]["query"];
    const at = house({}, { deps: { resolver: { query } } });
    at.store.add("q1", "b@odd.test", at.clock.nowMs());
    await run(at);
    assert.equal(at.store.items.get("q1")?.last?.reply.status, "4.3.0");
    answer = async () => ({ kind: "none", nxdomain: true }) as never;
    await at.clock.advance(hour);
    await settle(60);
    assert.deepEqual(at.store.log.slice(0, 2), ["q1 deferred", "q1 failed"]);
    await at.queue.stop();
  });

  test("breaks off what still runs when the grace is over", async () => {
    const answer = (line: string) => (line.startsWith("MAIL") ? "" : undefined);
    const at = house({ "192.0.2.1:2626": { answer } }, route);
    at.store.add("q1", "b@sink.test", at.clock.nowMs());
    await run(at);
    const stopped = at.queue.stop(5000);
    await at.clock.advance(5000);
    await stopped;
    assert.deepEqual(at.store.log, ["q1 deferred"]);
  });
});
