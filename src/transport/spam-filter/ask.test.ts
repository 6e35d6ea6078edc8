import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import { systemNet } from "#base/net";
import { simulatedNet } from "#base/net-sim";
import { defaultsOf } from "#base/parameters";
import { seededRandom } from "#base/random";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { askSpamFilter, type SpamFilterPorts } from "./ask.ts";
import { spamFilterOf, spamFilterParameters } from "./parameters.ts";
import type { SpamAnswer, SpamFilter, SpamMail } from "./types.ts";

const system: SpamFilterPorts = { net: systemNet, clock: systemClock };

const mailOf = (...octets: Buffer[]): SpamMail => ({
  octets,
  sizeBytes: octets.reduce((sum, piece) => sum + piece.length, 0),
  clientAddress: "192.0.2.1",
  helo: "mx.example.org",
  mailFrom: "ann@example.org",
  recipients: ["bea@example.com"],
  queueId: "q1",
  receivedBy: "mail.example.com",
});
const mail = mailOf(Buffer.from("Subject: x\r\n"), Buffer.from("\r\nHello\r\n"));

const json =
  '{"score":7.5,"required_score":15,"action":"add header","symbols":{"A":{"score":7.5}}}';
const good = {
  rspamd: `HTTP/1.1 200 OK\r\nContent-Length: ${json.length}\r\n\r\n${json}`,
  spamassassin: "SPAMD/1.1 0 EX_OK\r\nContent-length: 3\r\nSpam: True ; 7.5 / 5.0\r\n\r\nA,B",
};
const scores = {
  rspamd: {
    kind: "score",
    name: "rspamd",
    score: 7.5,
    required: 15,
    action: "add header",
    symbols: [{ name: "A", score: 7.5 }],
  },
  spamassassin: {
    kind: "score",
    name: "spamassassin",
    score: 7.5,
    required: 5,
    symbols: [{ name: "A" }, { name: "B" }],
  },
} as const;

interface Server extends AsyncDisposable {
  readonly endpoint: SpamFilter["endpoint"];
  /** What clients said so far. */
  readonly heard: () => string;
  /** Connections that are open. */
  readonly open: Set<Socket>;
}

/** A filter of the test's own making; what it was sent is read unless it says otherwise. */
async function serve(behave: (socket: Socket) => void, path?: string): Promise<Server> {
  const open = new Set<Socket>();
  let heard = "";
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket)).on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString("latin1");
    });
    behave(socket);
  });
  server.listen(path === undefined ? { host: "127.0.0.1", port: 0 } : { path });
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    endpoint: path ?? { host: "127.0.0.1", port },
    heard: () => heard,
    open,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((done) => void server.close(done));
    },
  };
}

const whenAsked = (socket: Socket, then: () => void): void => void socket.once("data", then);

/** Says the text again and again for as long as anybody listens. */
function forever(socket: Socket, text: string): void {
  const say = (): void => {
    while (!socket.destroyed && socket.write(text));
  };
  socket.on("drain", say);
  say();
}

const behaviours: readonly (readonly [
  what: string,
  why: string,
  behave: (socket: Socket, answer: string) => void,
])[] = [
  ["closes at once", "no-answer", (socket) => void socket.end()],
  ["resets at once", "no-answer", (socket) => whenAsked(socket, () => socket.resetAndDestroy())],
  ["says nothing", "timeout", () => {}],
  ["reads nothing", "timeout", (socket) => void socket.pause()],
  ["answers and never closes", "timeout", (socket, answer) => void socket.write(answer)],
  [
    "drips",
    "timeout",
    (socket, answer) => {
      let at = 0;
      const timer = setInterval(() => socket.write(answer[at++ % answer.length] ?? ""), 10);
      socket.once("close", () => clearInterval(timer));
    },
  ],
  [
    "closes in the middle of the head",
    "bad-head",
    (socket, answer) => void socket.end(answer.slice(0, 30)),
  ],
  [
    "closes before the last octet",
    "wrong-length",
    (socket, answer) => void socket.end(answer.slice(0, -1)),
  ],
  [
    "resets before the last octet",
    "wrong-length",
    (socket, answer) => {
      socket.write(answer.slice(0, -1));
      setTimeout(() => socket.resetAndDestroy(), 50);
    },
  ],
  ["says more than it promised", "wrong-length", (socket, answer) => void socket.end(`${answer}x`)],
  ["says 10 MB", "answer-too-long", (socket, answer) => void socket.end(answer + "x".repeat(1e7))],
  ["never ends its head", "answer-too-long", (socket) => forever(socket, "X-A: b\r\n")],
  [
    "never ends its body",
    "answer-too-long",
    (socket, answer) => {
      socket.write(answer);
      forever(socket, "x".repeat(10_000));
    },
  ],
  ["is no filter", "bad-head", (socket) => void socket.end("220 mx.example.org ESMTP\r\n")],
  ["speaks binary", "bad-head", (socket) => void socket.end(Buffer.alloc(5000, 0xff))],
];

for (const kind of ["rspamd", "spamassassin"] as const) {
  const filterAt = (endpoint: SpamFilter["endpoint"], timeoutMs = 5000): SpamFilter => ({
    kind,
    endpoint,
    timeoutMs,
    maxBytes: 1_000_000,
  });

  describe(`askSpamFilter() with ${kind}`, () => {
    test("sends the whole message and gives the score", async () => {
      await using server = await serve((socket) => whenAsked(socket, () => socket.end(good[kind])));
      assert.deepEqual(await askSpamFilter(filterAt(server.endpoint), mail, system), scores[kind]);
      assert.ok(
        server.heard().endsWith("\r\n\r\nSubject: x\r\n\r\nHello\r\n") || kind !== "rspamd",
      );
      assert.ok(
        server.heard().endsWith("+0000\r\nSubject: x\r\n\r\nHello\r\n") || kind === "rspamd",
      );
    });

    test("speaks over a Unix socket", async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "postern-spam-"));
      t.after(() => rmSync(folder, { recursive: true }));
      const path = join(folder, "filter");
      const filter = filterAt(path);
      assert.deepEqual(await askSpamFilter(filter, mail, system), unavailable("no-connection"));
      await using server = await serve((socket) => void socket.end(good[kind]), path);
      assert.deepEqual(await askSpamFilter(filter, mail, system), scores[kind]);
      assert.equal(server.endpoint, path);
    });

    test("takes an answer that comes before the filter has read all", async () => {
      const large = mailOf(Buffer.alloc(900_000, "x"));
      await using server = await serve((socket) => void socket.pause().end(good[kind]));
      assert.deepEqual(await askSpamFilter(filterAt(server.endpoint), large, system), scores[kind]);
    });

    for (const [what, why, behave] of behaviours) {
      test(`${why} when it ${what}`, async () => {
        await using server = await serve((socket) => behave(socket, good[kind]));
        const filter = filterAt(server.endpoint, why === "timeout" ? 300 : 30_000);
        const large = mailOf(Buffer.alloc(900_000, "x"));
        const startMs = performance.now();
        const answer = await askSpamFilter(filter, what === "reads nothing" ? large : mail, system);
        assert.deepEqual(answer, unavailable(why));
        if (why === "timeout") assert.ok(performance.now() - startMs < 3000);
        for (let turn = 0; server.open.size > 0 && turn < 100; turn += 1) {
          for (const socket of server.open) socket.resume().end();
          await new Promise((done) => setTimeout(done, 10));
        }
        assert.equal(server.open.size, 0, "a connection stayed open");
      });
    }

    test("asks nobody about a message that is too large", async () => {
      await using server = await serve((socket) => void socket.end(good[kind]));
      const filter = { ...filterAt(server.endpoint), maxBytes: mail.sizeBytes - 1 };
      const unheld = { ...mail, octets: [] };
      assert.deepEqual(await askSpamFilter(filter, unheld, system), unavailable("too-large"));
      assert.equal(server.heard(), "");
    });
  });
}

function unavailable(why: string): SpamAnswer {
  return { kind: "unavailable", why } as SpamAnswer;
}

describe("askSpamFilter()", () => {
  test("says no-connection when nobody listens", async () => {
    const server = await serve(() => {});
    await server[Symbol.asyncDispose]();
    const filter = {
      kind: "rspamd",
      endpoint: server.endpoint,
      timeoutMs: 5000,
      maxBytes: 100,
    } as const;
    assert.deepEqual(await askSpamFilter(filter, mail, system), unavailable("no-connection"));
  });

  test("keeps to its time by the clock that it was given, while it dials too", async () => {
    const clock = fakeClock();
    const filter = {
      kind: "rspamd",
      endpoint: { host: "192.0.2.9", port: 1 },
      timeoutMs: 60_000,
      maxBytes: 100,
    } as const;
    const dialling = Promise.withResolvers<never>();
    const net = { dial: () => dialling.promise };
    const asked = askSpamFilter(filter, mail, { net, clock });
    await clock.advance(59_999);
    assert.equal(clock.pending(), 1);
    await clock.advance(1);
    assert.deepEqual(await asked, unavailable("timeout"));
    dialling.reject(new Error("too late"));
    await clock.advance(0);
  });

  test("lets go of a connection that comes too late", async () => {
    const clock = fakeClock();
    const net = simulatedNet(seededRandom(1), clock);
    let isClosed = false;
    const at = { host: "192.0.2.9", port: 1 };
    await net.listen(at, (stream) => void stream.once("close", () => (isClosed = true)));
    const slow = {
      dial: (): ReturnType<typeof net.dial> =>
        new Promise((done) => void clock.after(2000, () => done(net.dial(at, 1000)))),
    };
    const filter = { kind: "rspamd", endpoint: at, timeoutMs: 1000, maxBytes: 100 } as const;
    const asked = askSpamFilter(filter, mail, { net: slow, clock });
    await clock.advance(1000);
    assert.deepEqual(await asked, unavailable("timeout"));
    await clock.advance(1000);
    await clock.advance(0);
    await clock.advance(0);
    assert.ok(isClosed);
  });

  test("answers whatever a network with faults does", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 300; seed += 1) {
      const clock = fakeClock();
      const net = simulatedNet(seededRandom(seed), clock);
      net.faults({ refuse: 0.1, cut: 0.4, cutWithinBytes: 600, stall: 0.3, delayMs: 50 });
      const at = { host: "192.0.2.9", port: 1 };
      await net.listen(at, (stream) => {
        stream.on("error", () => {}).once("data", () => void stream.end(good.rspamd));
      });
      const filter = { kind: "rspamd", endpoint: at, timeoutMs: 1000, maxBytes: 100 } as const;
      const asked = askSpamFilter(filter, mail, { net, clock });
      await clock.advance(1000);
      const answer = await asked;
      if (answer.kind === "score") assert.deepEqual(answer, scores.rspamd);
      seen.add(answer.kind === "score" ? "score" : answer.why);
      assert.equal(clock.pending() < 3, true);
    }
    for (const outcome of ["score", "no-connection", "timeout"])
      assert.ok(seen.has(outcome), outcome);
  });

  test("is asked with octets that add up, or it is a bug", async () => {
    const filter = {
      kind: "rspamd",
      endpoint: "/nowhere",
      timeoutMs: 1000,
      maxBytes: 100,
    } as const;
    await assert.rejects(askSpamFilter(filter, { ...mail, sizeBytes: 7 }, system), /octets/);
  });
});

describe("spamFilterOf()", () => {
  const defaults = defaultsOf(spamFilterParameters);
  const at = (filter: string, address: string): SpamFilter["endpoint"] | undefined =>
    spamFilterOf({ ...defaults, filter, address })?.endpoint;

  test("is nothing unless a filter is chosen", () => {
    assert.equal(spamFilterOf(defaults), undefined);
  });

  test("reads addresses", () => {
    assert.deepEqual(at("rspamd", ""), { host: "127.0.0.1", port: 11_333 });
    assert.deepEqual(at("spamassassin", ""), { host: "127.0.0.1", port: 783 });
    assert.deepEqual(at("rspamd", "filter.example:99"), { host: "filter.example", port: 99 });
    assert.deepEqual(at("rspamd", "[2001:db8::1]:99"), { host: "2001:db8::1", port: 99 });
    assert.equal(at("spamassassin", "/run/spamd.sock"), "/run/spamd.sock");
  });

  test("refuses what is no address", () => {
    for (const address of ["filter.example", ":99", "a:0", "a:65536", "a b:99", "spamd.sock"]) {
      assert.throws(() => at("rspamd", address), Misconfigured, address);
    }
  });
});
