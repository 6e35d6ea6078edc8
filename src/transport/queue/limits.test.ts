import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, test } from "node:test";
import { createQueue, NoWayOut, type QueueDeps } from "#transport/queue";
import { settle } from "../../../tests/kit/fake-clock.ts";
import {
  type House,
  house,
  plainConnector,
  run,
  smartConnector,
} from "../../../tests/kit/outbound.ts";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

const zone = {
  "two.test MX": [
    { preference: 10, exchange: "mx1.two.test" },
    { preference: 20, exchange: "mx2.two.test" },
  ],
  "mx1.two.test A": [{ address: "198.51.100.1" }],
  "mx2.two.test A": [{ address: "198.51.100.2" }],
};

const one = { "one.test A": [{ address: "198.51.100.1" }] };

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

  test("both together, of a message to hundreds, with others in between", async () => {
    const extensions = ["LIMITS RCPTMAX=1 MAILMAX=1"];
    const more = { ...zone, "other.test A": [{ address: "198.51.100.2" }] };
    const ways = { "*": { ...plainConnector, connections: 1 } };
    const parameters = { connections: 1 };
    const at = house(
      { "198.51.100.1": { extensions }, "198.51.100.2": {} },
      { zone: more, ways, parameters },
    );
    for (let nth = 0; nth < 60; nth += 1) {
      at.store.add(`q${nth}`, `b${nth}@two.test`, at.clock.nowMs());
    }
    at.store.add("other", "b@other.test", at.clock.nowMs(), { message: "other" });
    await run(at);
    for (let turns = 0; at.store.log.length < 61 && turns < 200; turns += 1) await settle(20);
    const turn = at.store.log.indexOf("other delivered");
    assert.ok(turn >= 1 && turn <= 10, `the other came after ${turn}`);
    assert.deepEqual(
      new Set(at.store.log.map((line) => line.split(" ")[1])),
      new Set(["delivered"]),
    );
    const sink = at.sinks.get("198.51.100.1");
    assert.deepEqual([sink?.mails.length, sink?.sessions], [60, 60]);
    const attempts = [...at.store.items.values()].map((item) => item.attempts);
    assert.deepEqual(new Set(attempts), new Set([1]), "what waited for its turn was not tried");
    await at.queue.stop();
  });

  test("a job of many transactions has a quarter of an hour", async () => {
    const extensions = ["LIMITS RCPTMAX=1"];
    const more = { ...zone, "other.test A": [{ address: "198.51.100.2" }] };
    const at = house({ "198.51.100.2": {} }, { zone: more, parameters: { connections: 1 } });
    // Each message is taken after two minutes.
    const dial: QueueDeps["dial"] = async (to, timeoutMs, how) => {
      if (to.host !== "198.51.100.1") return at.deps.dial(to, timeoutMs, how);
      const [ours, theirs] = streamPair();
      const later = (line: string) => {
        if (line !== ".") return undefined;
        at.clock.after(120_000, () => theirs.write("250 2.0.0 kept\r\n"));
        return "";
      };
      new SmtpSink({ extensions, answer: later }).serve(theirs);
      return ours;
    };
    const queue = createQueue({ ...at.deps, dial });
    for (let nth = 0; nth < 20; nth += 1) {
      at.store.add(`q${nth}`, `b${nth}@two.test`, at.clock.nowMs());
    }
    at.store.add("other", "b@other.test", at.clock.nowMs(), { message: "other" });
    await queue.start();
    for (let minutes = 0; minutes < 60; minutes += 1) {
      await at.clock.advance(60_000);
      await settle(20);
    }
    assert.equal(at.store.log.length, 21, "all went");
    const turn = at.store.log.indexOf("other delivered");
    assert.ok(turn >= 1 && turn <= 8, `the other came after ${turn}`);
    await queue.stop();
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

for (const gone of ["close", "421 4.7.0 over your quota"]) {
  test(`V3-18 a smart host that refuses one sender keeps the others' mail (${gone})`, async () => {
    const answer = (line: string) => (/MAIL.*poison/.test(line) ? gone : undefined);
    const hosts = { "198.51.100.9": { answer }, "198.51.100.77": {} };
    const ways = { "*": { ...smartConnector(["198.51.100.9"]), whenDown: "direct" } as const };
    const at = house(hosts, { zone: { "d.test A": [{ address: "198.51.100.77" }] }, ways });
    const reversePath = "poison@us.test";
    for (let nth = 0; nth < 20; nth += 1) {
      at.store.add(`p${nth}`, "x@d.test", at.clock.nowMs(), { message: `p${nth}`, reversePath });
    }
    await run(at);
    for (let nth = 0; nth < 20; nth += 1) {
      at.store.add(`g${nth}`, "good@d.test", at.clock.nowMs(), { message: `g${nth}` });
      await pass(at, 1);
    }
    assert.equal(at.sinks.get("198.51.100.9")?.mails.length, 20);
    assert.deepEqual(at.sinks.get("198.51.100.77")?.mails, [], "nobody goes past it");
    await at.queue.stop();
  });
}

test("V3-18b who goes away at one recipient does not rest for the others", async () => {
  const answer = (line: string) =>
    line.startsWith("RCPT TO:<full") ? "421 4.2.1 full" : undefined;
  const at = house({ "198.51.100.1": { answer } }, { zone: one });
  for (const [nth, who] of ["full", "a", "b"].entries()) {
    at.store.add(`q${nth}`, `${who}@one.test`, at.clock.nowMs(), { message: `m${nth}` });
  }
  await run(at);
  await pass(at, 1);
  assert.deepEqual(at.store.log, ["q0 deferred", "q1 delivered", "q2 delivered"]);
  await at.queue.stop();
});

test("V3-18c nor is a host down when it was the way out that closed", async () => {
  let isFirst = true;
  const answer = (line: string) => {
    if (!isFirst || !line.startsWith("MAIL")) return undefined;
    isFirst = false;
    at.now.outage = "there is no link to the mail edge";
    return "close";
  };
  const ways = { "*": smartConnector(["198.51.100.1"]) };
  const at: House = house({ "198.51.100.1": { answer } }, { ways });
  at.store.add("q1", "b@one.test", at.clock.nowMs());
  await run(at);
  assert.deepEqual([isFirst, at.store.log], [false, []]);
  delete at.now.outage;
  at.queue.wake();
  await settle(60);
  assert.deepEqual(at.store.log, ["q1 delivered"]);
  await at.queue.stop();
});

describe("V3-21 without a connection to be had", () => {
  const short = () => {
    const now = { isShort: true };
    const dial =
      (at: () => House): QueueDeps["dial"] =>
      async (to, timeoutMs, how) => {
        dials.push(to.host);
        if (now.isShort) throw new NoWayOut("the edge is busy");
        return at().deps.dial(to, timeoutMs, how);
      };
    const dials: string[] = [];
    return { now, dial, dials };
  };

  test("nothing is held against anybody, and all goes when there is one", async () => {
    const { now, dial, dials } = short();
    const more: Record<string, object[]> = {};
    for (let nth = 0; nth < 200; nth += 1) more[`d${nth}.test A`] = [{ address: "198.51.100.1" }];
    const at = house({ "198.51.100.1": {} }, { zone: more });
    const queue = createQueue({ ...at.deps, dial: dial(() => at) });
    for (let nth = 0; nth < 200; nth += 1) {
      at.store.add(`q${nth}`, `b@d${nth}.test`, at.clock.nowMs(), { message: `m${nth}` });
    }
    await queue.start();
    await settle(100);
    assert.ok(dials.length <= 50, `${dials.length} asked for at once`);
    for (let seconds = 0; seconds < 30; seconds += 1) {
      await at.clock.advance(1000);
      await settle(40);
    }
    assert.deepEqual(at.store.log, []);
    now.isShort = false;
    for (let seconds = 0; seconds < 30; seconds += 1) {
      await at.clock.advance(1000);
      await settle(100);
    }
    assert.equal(at.store.log.length, 200);
    const attempts = new Set([...at.store.items.values()].map((item) => item.attempts));
    assert.deepEqual([...attempts], [1]);
    await queue.stop();
  });

  test("what goes another way goes on", async () => {
    const ways = { "in.test": { ...smartConnector(["198.51.100.9"]), via: "inside" } as const };
    const more: Record<string, object[]> = {};
    for (let nth = 0; nth < 50; nth += 1) more[`d${nth}.test A`] = [{ address: "198.51.100.1" }];
    const at = house({ "198.51.100.9": {} }, { zone: more, ways });
    const dial: QueueDeps["dial"] = async (to, timeoutMs, how) => {
      if (how.via === "inside") return at.deps.dial(to, timeoutMs, how);
      throw new NoWayOut("the edge is busy");
    };
    const queue = createQueue({ ...at.deps, dial });
    for (let nth = 0; nth < 50; nth += 1) {
      at.store.add(`e${nth}`, `b@d${nth}.test`, at.clock.nowMs(), { message: `e${nth}` });
      at.store.add(`i${nth}`, "b@in.test", at.clock.nowMs(), { message: `i${nth}` });
    }
    await queue.start();
    await settle(400);
    assert.equal(at.store.log.filter((line) => line.endsWith(" delivered")).length, 50);
    await queue.stop();
  });

  test("nor what one address says while the next cannot be asked", async () => {
    const more = { "one.test A": [{ address: "198.51.100.1" }, { address: "198.51.100.2" }] };
    const at = house(
      { "198.51.100.1": { greeting: "554 no" }, "198.51.100.2": {} },
      { zone: more },
    );
    let isShort = true;
    const dial: QueueDeps["dial"] = async (to, timeoutMs, how) => {
      if (isShort && to.host === "198.51.100.2") throw new NoWayOut("the edge is busy");
      return at.deps.dial(to, timeoutMs, how);
    };
    const random = { ...at.deps.random, fraction: () => 0, integer: () => 0 };
    const queue = createQueue({ ...at.deps, dial, random });
    at.store.add("q1", "b@one.test", at.clock.nowMs());
    await queue.start();
    await settle(100);
    assert.deepEqual(at.store.log, []);
    isShort = false;
    await at.clock.advance(5000);
    await settle(100);
    assert.deepEqual(at.store.log, ["q1 delivered"]);
    await queue.stop();
  });
});

test("V3-22 a session is closed though telling of it fails", async () => {
  const at = house({ "198.51.100.1": {} }, { zone: one });
  const hops: QueueDeps["hops"] = {
    ...at.deps.hops,
    observed: () => {
      throw new Error("it cannot be told");
    },
  };
  const queue = createQueue({ ...at.deps, hops });
  at.store.add("q1", "b@one.test", at.clock.nowMs());
  await queue.start();
  await settle(100);
  const sink = at.sinks.get("198.51.100.1");
  assert.deepEqual([sink?.sessions, sink?.open], [1, 0]);
  await queue.stop();
});

test("V3-22b and so is one over which a message went, though telling of that fails", async () => {
  const at = house({ "198.51.100.1": {} }, { zone: one });
  const attempted = (): void => {
    throw new Error("it cannot be told");
  };
  const queue = createQueue({ ...at.deps, attempted });
  at.store.add("q1", "b@one.test", at.clock.nowMs());
  await queue.start();
  await settle(100);
  const sink = at.sinks.get("198.51.100.1");
  assert.deepEqual([sink?.mails.length, sink?.open], [1, 0]);
  await queue.stop();
});

async function pass(at: House, minutes: number): Promise<void> {
  for (let seconds = 0; seconds < minutes * 60; seconds += 10) {
    await at.clock.advance(10_000);
    await settle(20);
  }
}

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
