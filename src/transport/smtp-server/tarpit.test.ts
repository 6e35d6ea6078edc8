/** Slow refusals cost the client its time, and us a timer (CAP-128, catalogue S14). */

import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { createSecureContext } from "node:tls";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { seededRandom } from "#base/random";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { heldBytes, heldHeapBytes } from "../../../tests/kit/held-bytes.ts";
import { Talk } from "../../../tests/kit/talk.ts";
import { smtpParameters } from "./parameters.ts";
import { createSmtpServer } from "./server.ts";
import { testServer } from "./testing.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function untilSaid(client: { readonly said: string }, pattern: RegExp): Promise<void> {
  for (let turns = 0; !pattern.test(client.said); turns += 1) {
    assert.ok(turns < 10_000, client.said);
    await turn();
  }
}

/** For ten thousand timers: each advance is one look at them all. */
function coarseClock() {
  let nowMs = 0;
  const waiting = new Set<{ readonly atMs: number; readonly run: () => void }>();
  return {
    nowMs: () => nowMs,
    tickMs: () => nowMs,
    after(delayMs: number, run: () => void) {
      const one = { atMs: nowMs + delayMs, run };
      waiting.add(one);
      return { cancel: () => void waiting.delete(one) };
    },
    advance(byMs: number): void {
      nowMs += byMs;
      for (const one of [...waiting]) {
        if (one.atMs <= nowMs && waiting.delete(one)) one.run();
      }
    },
  };
}

const none = { code: 550, status: "5.1.1", text: "no such user here" };

/** Clients by the thousand without a network; `trusted` addresses begin with 10. */
function crowd(tarpitSessions: number) {
  const clock = coarseClock();
  const registry = new Registry();
  const limits = { ...defaultsOf(smtpParameters), greetingDelayMs: 0, connections: 50_000 };
  let delivered = 0;
  const server = createSmtpServer(
    {
      ...{
        listener: "smtp",
        hostname: "mx",
        implicitTls: false,
        proxyTrusted: [],
        clock,
        registry,
      },
      ...{ random: seededRandom(1), log: silentLog },
      limits: { ...limits, connectionsPerAddress: 50_000 },
      tarpit: {
        delayMs: 5000,
        sessions: tarpitSessions,
        isSpared: ({ clientAddress }) => clientAddress.startsWith("10."),
      },
    },
    {
      recipient: (_, path) => (path.startsWith("no") ? none : undefined),
      begin: () => ({
        write() {},
        end() {
          delivered += 1;
          return { code: 250, text: "kept" };
        },
        abort() {},
      }),
    },
  );
  return {
    ...{ clock, server },
    async close(): Promise<void> {
      const drained = server.drain(0);
      clock.advance(1);
      await drained;
    },
    delivered: () => delivered,
    counted: (outcome: string) =>
      registry
        .samples()
        .filter(({ name, labels }) => name === "smtp_tarpit_total" && labels["outcome"] === outcome)
        .reduce((sum, { value }) => sum + value, 0),
    client(host = "192.0.2.1") {
      const [near, far] = duplexPair();
      const client = { said: "", send: (text: string) => void near.write(text), near };
      near.on("data", (chunk: Buffer) => (client.said += chunk.toString("latin1")));
      server.attach(far, { host, port: 1 });
      client.send("EHLO c\r\n");
      return client;
    },
  };
}

type Crowd = ReturnType<typeof crowd>;

/** Turns of the event loop that a whole message takes. */
async function honestTurns(site: Crowd): Promise<number> {
  const client = site.client();
  await untilSaid(client, /250 LIMITS/);
  client.send("MAIL FROM:<>\r\nRCPT TO:<yes@x>\r\n".replaceAll("@x", "@x.example"));
  const before = site.delivered();
  let turns = 0;
  client.send("DATA\r\n");
  for (let sent = false; site.delivered() === before; turns += 1) {
    assert.ok(turns < 10_000, client.said);
    if (!sent && client.said.includes("\r\n354")) {
      sent = true;
      client.send("x\r\n.\r\n");
    }
    await turn();
  }
  client.near.destroy();
  return turns;
}

describe("S14 the tarpit is no trap for ourselves (3 variants)", () => {
  test("S14 10,000 tarpitted sessions hold no buffer, and honest mail takes no longer", async (t) => {
    const site = crowd(10_000);
    const alone = await honestTurns(site);
    const clients = Array.from({ length: 10_000 }, () => site.client());
    for (const client of clients) await untilSaid(client, /250 LIMITS/);
    const [heap, octets] = [heldHeapBytes(), heldBytes()];
    const pipelined = "RCPT TO:<ann@x.example>\r\nDATA\r\n";
    for (const client of clients) {
      client.send(`MAIL FROM:<>\r\nRCPT TO:<nobody@x.example>\r\n${pipelined}`);
    }
    while (site.counted("held") < 10_000) await turn();
    const [heapEach, octetsEach] = [
      Math.round((heldHeapBytes() - heap) / 10_000),
      Math.round((heldBytes() - octets) / 10_000),
    ];
    const beside = await honestTurns(site);
    t.diagnostic(`each waiting session: ${heapEach} octets of heap, ${octetsEach} in buffers`);
    t.diagnostic(`a message takes ${alone} turns of the loop alone, ${beside} beside 10,000`);
    assert.ok(octetsEach < 1024, `${octetsEach}`);
    assert.ok(heapEach < 8192, `${heapEach}`);
    assert.ok(beside < 2 * alone, `${beside} turns instead of ${alone}`);
    site.clock.advance(5000);
    const answers = ["220", "250", "250", "550", "250", "354"];
    for (const client of clients) {
      await untilSaid(client, /\r\n354 /);
      assert.deepEqual(client.said.match(/^\d{3}(?= )/gm), answers);
    }
    for (const client of clients) client.near.destroy();
    await site.close();
  });

  test("S14 beyond its own cap refusals are quick, and counted", async () => {
    const site = crowd(3);
    const clients = Array.from({ length: 5 }, () => site.client());
    for (const client of clients) client.send("");
    for (const client of clients) {
      await untilSaid(client, /250 LIMITS/);
      client.send("MAIL FROM:<>\r\nRCPT TO:<nobody@x.example>\r\n");
    }
    for (const quick of clients.slice(3)) await untilSaid(quick, /550 5\.1\.1/);
    assert.deepEqual([site.counted("held"), site.counted("full")], [3, 2]);
    for (const slow of clients.slice(0, 3)) assert.doesNotMatch(slow.said, /550/);
    // Who leaves keeps his place until the time is up: hanging up buys nothing.
    clients[0]?.near.destroy();
    const next = site.client();
    await untilSaid(next, /250 LIMITS/);
    next.send("MAIL FROM:<>\r\nRCPT TO:<nobody@x.example>\r\n");
    await untilSaid(next, /550 5\.1\.1/);
    site.clock.advance(5000);
    const later = site.client();
    await untilSaid(later, /250 LIMITS/);
    later.send("MAIL FROM:<>\r\nRCPT TO:<nobody@x.example>\r\n");
    while (site.counted("held") < 4) await turn();
    assert.doesNotMatch(later.said, /550/);
    site.clock.advance(5000);
    await untilSaid(later, /550 5\.1\.1/);
    await site.close();
  });

  test("S14 whom we trust never waits, and 4xx are quick for all", async () => {
    const site = crowd(10);
    const relay = site.client("10.0.0.1");
    await untilSaid(relay, /250 LIMITS/);
    relay.send("MAIL FROM:<>\r\nRCPT TO:<nobody@x.example>\r\n");
    await untilSaid(relay, /550 5\.1\.1/);
    assert.equal(site.counted("held"), 0);
    await site.close();
  });
});

describe("the tarpit", () => {
  test("more than a hundred recipients' worth of commands behind a refusal are not kept waiting", async () => {
    const site = crowd(10);
    const client = site.client();
    await untilSaid(client, /250 LIMITS/);
    client.send(
      `MAIL FROM:<>\r\nRCPT TO:<nobody@x.example>\r\n${`NOOP ${"x".repeat(990)}\r\n`.repeat(9)}`,
    );
    await untilSaid(client, /550 5\.1\.1 [^\n]*\n(?:250 2\.0\.0 [^\n]*\n){9}/);
    await site.close();
  });

  test("CAP-128 a wrong password waits as well", async () => {
    const clock = fakeClock();
    const context = createSecureContext(selfSigned("mx.known.example"));
    await using server = await testServer({
      clock,
      tls: () => context,
      implicitTls: true,
      auth: { required: false, verify: async () => ({ ok: false, reason: "refused" }) },
      tarpit: { delayMs: 5000, sessions: 10, isSpared: () => false },
    });
    using client = await Talk.open(server.at, { rejectUnauthorized: false });
    await client.reply();
    await client.ask("EHLO c.example");
    const login = Buffer.from("\0ann\0wrong").toString("base64");
    let said = "";
    const heard = client.ask(`AUTH PLAIN ${login}`).then((reply) => (said = reply));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(said, "");
    await clock.advance(5000);
    assert.match(await heard, /^535 5\.7\.8 /);
  });
});
