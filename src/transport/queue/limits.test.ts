import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, test } from "node:test";
import type { QueueDeps } from "#transport/queue";
import { house, plainConnector, run } from "../../../tests/kit/outbound.ts";

const zone = {
  "two.test MX": [
    { preference: 10, exchange: "mx1.two.test" },
    { preference: 20, exchange: "mx2.two.test" },
  ],
  "mx1.two.test A": [{ address: "198.51.100.1" }],
  "mx2.two.test A": [{ address: "198.51.100.2" }],
};

describe("LIMITS of a server (RFC 9422): the rest goes to the same host", () => {
  test("MAILMAX: over the next connection", async () => {
    const extensions = ["LIMITS MAILMAX=2"];
    const at = house({ "198.51.100.1": { extensions }, "198.51.100.2": {} }, { zone });
    for (let nth = 0; nth < 7; nth += 1) {
      at.store.add(`q${nth}`, "b@two.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    const sink = at.sinks.get("198.51.100.1");
    assert.deepEqual([sink?.mails.length, sink?.sessions], [7, 4]);
    assert.equal(at.sinks.get("198.51.100.2")?.sessions, 0);
    await at.queue.stop();
  });

  test("RCPTMAX: in the next transaction", async () => {
    const extensions = ["PIPELINING", "LIMITS RCPTMAX=2"];
    const at = house({ "198.51.100.1": { extensions }, "198.51.100.2": {} }, { zone });
    for (const who of ["a", "b", "c", "d", "e"]) {
      at.store.add(`q${who}`, `${who}@two.test`, at.clock.nowMs());
    }
    await run(at);
    const sink = at.sinks.get("198.51.100.1");
    assert.deepEqual(
      sink?.mails.map(({ recipients }) => recipients.length),
      [2, 2, 1],
    );
    assert.deepEqual([sink.sessions, at.sinks.get("198.51.100.2")?.sessions], [1, 0]);
    assert.equal(at.store.log.length, 5);
    await at.queue.stop();
  });

  test("both together", async () => {
    const extensions = ["LIMITS RCPTMAX=2 MAILMAX=1"];
    const at = house({ "198.51.100.1": { extensions }, "198.51.100.2": {} }, { zone });
    for (const who of ["a", "b", "c", "d", "e"]) {
      at.store.add(`q${who}`, `${who}@two.test`, at.clock.nowMs());
    }
    await run(at);
    const sink = at.sinks.get("198.51.100.1");
    assert.deepEqual([sink?.mails.length, sink?.sessions], [3, 3]);
    assert.equal(at.sinks.get("198.51.100.2")?.sessions, 0);
    await at.queue.stop();
  });

  test("a recipient that is refused is not asked for twice", async () => {
    const extensions = ["LIMITS RCPTMAX=1"];
    const answer = (line: string) =>
      line.startsWith("RCPT TO:<b") ? "550 5.1.1 nobody" : undefined;
    const at = house({ "198.51.100.1": { extensions, answer }, "198.51.100.2": {} }, { zone });
    for (const who of ["a", "b", "c"]) {
      at.store.add(`q${who}`, `${who}@two.test`, at.clock.nowMs());
    }
    await run(at);
    const lines = at.sinks.get("198.51.100.1")?.lines ?? [];
    assert.equal(lines.filter((line) => line.startsWith("RCPT")).length, 3);
    assert.equal(at.store.items.get("qb")?.state, "failed");
    assert.equal(at.store.log.filter((line) => line.endsWith(" delivered")).length, 2);
    await at.queue.stop();
  });

  test("a server that takes nothing more gives way to the next host", async () => {
    const answer = (line: string) => (line.startsWith("MAIL") ? "421 4.3.2 closing" : undefined);
    const extensions = ["LIMITS MAILMAX=1"];
    const at = house({ "198.51.100.1": { extensions, answer }, "198.51.100.2": {} }, { zone });
    at.store.add("q1", "a@two.test", at.clock.nowMs(), { message: "m1" });
    at.store.add("q2", "a@two.test", at.clock.nowMs(), { message: "m2" });
    await run(at);
    assert.equal(at.sinks.get("198.51.100.2")?.mails.length, 2);
    assert.ok((at.sinks.get("198.51.100.1")?.sessions ?? 9) <= 2);
    await at.queue.stop();
  });

  test("the connector's own number of messages is kept in the same way", async () => {
    const ways = { "*": { ...plainConnector, messagesPerSession: 2, connections: 1 } };
    const at = house({ "198.51.100.1": {}, "198.51.100.2": {} }, { zone, ways });
    for (let nth = 0; nth < 5; nth += 1) {
      at.store.add(`q${nth}`, "b@two.test", at.clock.nowMs(), { message: `m${nth}` });
    }
    await run(at);
    const sink = at.sinks.get("198.51.100.1");
    assert.deepEqual([sink?.mails.length, sink?.sessions], [5, 3]);
    await at.queue.stop();
  });
});

test("V3 a server that is gone as soon as a session is open is an attempt that failed", async () => {
  let dials = 0;
  const dial: QueueDeps["dial"] = async () => {
    dials += 1;
    return new Gone();
  };
  const at = house({}, { zone, deps: { dial } });
  for (const who of ["a", "b", "c"]) {
    at.store.add(`q${who}`, `${who}@two.test`, at.clock.nowMs(), { message: who });
  }
  await run(at);
  const firsts = at.store.log.toSorted();
  assert.deepEqual(firsts, ["qa deferred", "qb deferred", "qc deferred"]);
  assert.ok(dials <= 6, `${dials} connections`);
  await at.queue.stop(0);
});

/** Its answer to EHLO and its end come together, as over a link. */
class Gone extends Duplex {
  constructor() {
    super();
    this.push("220 gone.test\r\n");
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    done();
    if (!chunk.toString().startsWith("EHLO")) return;
    setImmediate(() => {
      this.push("250 gone.test\r\n");
      this.push(null);
    });
  }
}
