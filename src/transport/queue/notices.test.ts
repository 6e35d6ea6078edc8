import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LogLevel } from "#base/log";
import type { QueueItem } from "#model/queue";
import { house, message, run, smartConnector } from "../../../tests/kit/outbound.ts";

const zone = { "sink.test A": [{ address: "198.51.100.1" }] };
const nobody = (line: string) => (line.startsWith("RCPT") ? "550 5.1.1 nobody" : undefined);
const virus = (line: string) => (line === "." ? "554 5.7.1 not this" : undefined);
const large = (line: string) => (line.startsWith("MAIL") ? "552 5.3.4 too large" : undefined);

/** One item that fails for good, and what was told of it. */
async function failing(answer: (line: string) => string | undefined, some: Partial<QueueItem>) {
  const logged: string[] = [];
  const log = { write: (_level: LogLevel, event: string) => void logged.push(event) };
  const at = house({ "198.51.100.1": { answer } }, { zone, deps: { log: log as never } });
  at.store.add("q1", "b@sink.test", at.clock.nowMs(), some);
  await run(at);
  await at.queue.stop();
  return { at, logged, item: at.store.items.get("q1") };
}

describe("S15 a notice that nobody takes ends here (RFC 5321 §6.1)", () => {
  const ways: readonly (readonly [string, (line: string) => string | undefined])[] = [
    ["its reader does not exist", nobody],
    ["its reader's server refuses it", virus],
    ["it is too large", large],
  ];
  for (const [nth, [why, answer]] of ways.entries()) {
    test(`S15-${nth + 1} ${why}: no notice about it, an event, and it is seen as failed`, async () => {
      const { at, logged, item } = await failing(answer, { reversePath: "" });
      assert.deepEqual(at.notices, []);
      assert.ok(logged.includes("queue.double-bounce"));
      assert.equal(item?.state, "failed");
    });
  }

  test("S15-4 nor is anybody told that it is late", async () => {
    const at = house({}, { zone });
    at.store.add("q1", "b@sink.test", at.clock.nowMs(), { reversePath: "" });
    await run(at, 6 * 3_600_000);
    assert.deepEqual(at.notices, []);
    await at.queue.stop();
  });

  test("S15-5 it is given up after its time, and counted once", async () => {
    const at = house({}, { zone });
    at.store.add("q1", "b@sink.test", at.clock.nowMs(), { reversePath: "" });
    await run(at);
    await at.clock.advance(6 * 86_400_000);
    assert.equal(at.store.items.get("q1")?.state, "failed");
    assert.deepEqual(at.notices, []);
    assert.match(JSON.stringify(at.deps.registry.samples()), /queue_double_bounces_total/);
    await at.queue.stop();
  });

  test("S15-6 an MX that leads back to us ends it at once", async () => {
    const loop = { "loop.test MX": [{ preference: 10, exchange: "MX.us.test" }] };
    const at = house({}, { zone: loop });
    at.store.add("q1", "b@loop.test", at.clock.nowMs());
    await run(at);
    assert.equal(at.store.items.get("q1")?.last?.reply.status, "5.4.6");
    assert.deepEqual(at.dialled, []);
    await at.queue.stop();
  });
});

describe("S16 nobody is written to because a stranger used his name", () => {
  const stranger = { reversePath: "victim@elsewhere.test", unprovenSender: true };
  const failures = { nobody, virus, large };
  for (const [nth, [name, answer]] of Object.entries(failures).entries()) {
    test(`S16-Q${nth + 1} ${name}: our postmaster is told instead`, async () => {
      const { at } = await failing(answer, stranger);
      assert.deepEqual(
        at.notices.map(({ to, kind }) => `${kind} ${to}`),
        ["failure postmaster@us.test"],
      );
      const text = at.notices[0]?.content.toString() ?? "";
      assert.match(text, /^To: <postmaster@us\.test>\r$/m);
      assert.doesNotMatch(text, /^To: <victim/m);
    });
  }

  test("S16-Q4 whatever the stranger wishes: success, delay, the whole message back", async () => {
    const wishes = { notify: ["success", "delay", "failure"] as const };
    const good = house({ "198.51.100.1": {} }, { zone });
    good.store.add("q1", "b@sink.test", good.clock.nowMs(), { ...stranger, wishes });
    await run(good);
    assert.deepEqual(good.notices, []);
    await good.queue.stop();
    const late = house({}, { zone });
    late.store.add("q1", "b@sink.test", late.clock.nowMs(), { ...stranger, wishes });
    await run(late, 6 * 3_600_000);
    assert.deepEqual(late.notices, []);
    await late.queue.stop();
  });

  test("S16-Q5 a sender who proved to be it is told himself", async () => {
    const { at } = await failing(nobody, { reversePath: "victim@elsewhere.test" });
    assert.equal(at.notices[0]?.to, "victim@elsewhere.test");
  });

  test("S16-Q6 what came with REQUIRETLS does not go back whole (RFC 8689 §5)", async () => {
    const some = { dsnReturn: "full" as const };
    const open = await failing(nobody, some);
    assert.ok(open.at.notices[0]?.content.includes(message.subarray(-11)));
    const item = { ...open.item, requireTls: true } as QueueItem;
    const { noticeFor } = await import("./notices.ts");
    const notice = await noticeFor(item, item.last as never, "failure", {
      messages: open.at.deps.messages,
      reportingHost: "out.us.test",
      giveUpS: 1,
      postmaster: "postmaster@us.test",
    });
    assert.ok(!notice.content.includes("body text"));
  });
});

describe("what a notice says, and whether it is sent", () => {
  test("nobody is told of an item that was dropped while it was under way", async () => {
    for (const said of ["550 5.1.1 nobody", "450 4.2.0 busy", "250 2.0.0 kept"]) {
      let drop: () => Promise<unknown> = async () => undefined;
      const answer = (line: string) => {
        if (line !== ".") return undefined;
        void drop();
        return said;
      };
      const at = house({ "198.51.100.1": { answer } }, { zone });
      drop = () => at.store.change("q1", "drop", "admin", at.clock.nowMs());
      at.store.add("q1", "b@sink.test", at.clock.nowMs() - 18_000_000, {
        wishes: { notify: ["success", "failure", "delay"] },
      });
      await run(at);
      assert.deepEqual(at.notices, [], said);
      assert.equal(at.store.items.get("q1")?.state, "dropped");
      await at.queue.stop();
    }
  });

  test("a remote host of IPv6 is named whole", async () => {
    for (const [host, port, name] of [
      ["2001:db8::25", 25, "2001:db8::25"],
      ["2001:db8::25", 2525, "2001:db8::25"],
      ["192.0.2.1", 2525, "192.0.2.1"],
      ["mx.sink.test", 2525, "mx.sink.test"],
    ] as const) {
      const ways = { "*": { ...smartConnector([]), hosts: [{ host, port }] } };
      const names = { "mx.sink.test A": [{ address: "192.0.2.1" }] };
      const address = host === "mx.sink.test" ? "192.0.2.1" : host;
      const at = house(
        { [port === 25 ? address : `${address}:${port}`]: { answer: nobody } },
        { ways, zone: names },
      );
      at.store.add("q1", "b@sink.test", at.clock.nowMs());
      await run(at);
      const text = at.notices[0]?.content.toString() ?? "";
      assert.ok(text.includes(`Remote-MTA: dns; ${name}\r\n`), text);
      await at.queue.stop();
    }
  });
});
