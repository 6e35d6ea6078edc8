/** Row V2 of the catalogue on the doors of the hub: messages that do not fit into memory are put off. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Talk } from "../../../tests/kit/talk.ts";
import { Intake } from "./intake.ts";
import { messageRoom } from "./room.ts";
import { type TestServer, type TestWishes, testServer } from "./testing.ts";

const roomBytes = 1_000_000;
const message = (bytes: number): string =>
  `\r\n${"y".repeat(98)}\r\n`.repeat(Math.ceil(bytes / 102));

async function greeted(server: TestServer): Promise<Talk> {
  const client = await Talk.open(server.at);
  await client.reply();
  await client.ask("EHLO c.example");
  return client;
}

/** @param sizeBytes what SIZE says */
async function begin(client: Talk, sizeBytes?: number): Promise<void> {
  const size = sizeBytes === undefined ? "" : ` SIZE=${sizeBytes}`;
  assert.match(await client.ask(`MAIL FROM:<a@c.example>${size}`), /^250 /);
  assert.match(await client.ask("RCPT TO:<x@known.example>"), /^250 /);
}

/** A message that stays where it is: its octets came, its end does not. */
async function holding(server: TestServer, bytes: number): Promise<Talk> {
  const client = await greeted(server);
  await begin(client);
  client.send(`BDAT ${bytes}\r\n${message(bytes).slice(0, bytes - 2)}\r\n`);
  assert.match(await client.reply(), /^250 2\.0\.0 /);
  return client;
}

describe("V2 messages that come by several servers share one room", () => {
  const open = async (wishes: TestWishes = {}): Promise<[TestServer, TestServer]> => {
    const room = messageRoom(roomBytes);
    return [await testServer({ room, ...wishes }), await testServer({ room, ...wishes })];
  };

  test("V2 what SIZE announces and does not fit is put off at MAIL, what fits is taken", async () => {
    const [one, other] = await open();
    await using _both = { [Symbol.asyncDispose]: () => closed(one, other) };
    using _holder = await holding(one, 800_000);
    using client = await greeted(other);
    const refusal = await client.ask("MAIL FROM:<a@c.example> SIZE=300000");
    assert.match(refusal, /^452 4\.3\.1 no room now, try again later$/);
    await begin(client, 100_000);
    await client.ask("DATA");
    client.send(message(50_000));
    assert.match(await client.ask("."), /^250 2\.0\.0 kept/);
  });

  test("V2 where next to nothing is left DATA and BDAT are put off, and the session goes on", async () => {
    const [one, other] = await open();
    await using _both = { [Symbol.asyncDispose]: () => closed(one, other) };
    using client = await greeted(other);
    await begin(client);
    using chunker = await greeted(other);
    await begin(chunker);
    const holder = await holding(one, 950_000);
    assert.match(await client.ask("DATA"), /^452 4\.3\.1 /);
    assert.match(await client.ask("MAIL FROM:<a@c.example>"), /^452 4\.3\.1 /);
    chunker.send("BDAT 3\r\nx\r\n");
    assert.match(await chunker.reply(), /^452 4\.3\.1 /);
    holder[Symbol.dispose]();
    await untilFree(client);
    // The rest of a message whose beginning was refused is no message.
    chunker.send("BDAT 3 LAST\r\ny\r\n");
    assert.match(await chunker.reply(), /^503 5\.5\.1 /);
    assert.equal(other.delivered.length, 0);
  });

  test("V2 of ten times what fits the rest is put off, and the room is free again", async () => {
    const [one, other] = await open();
    await using _both = { [Symbol.asyncDispose]: () => closed(one, other) };
    await using clients = new AsyncDisposableStack();
    const holders: Talk[] = [];
    let putOff = 0;
    for (let nth = 0; nth < 40; nth += 1) {
      const client = clients.use(await greeted(nth % 2 === 0 ? one : other));
      const reply = await client.ask("MAIL FROM:<a@c.example>");
      if (reply.startsWith("452 4.3.1 ")) putOff += 1;
      else {
        await client.ask("RCPT TO:<x@known.example>");
        client.send(`BDAT 240000\r\n${message(240_000).slice(0, 239_998)}\r\n`);
        assert.match(await client.reply(), /^250 2\.0\.0 /);
        holders.push(client);
      }
    }
    assert.deepEqual([holders.length, putOff], [4, 36]);
    // What the fourth still brings has no place.
    const fourth = holders.pop();
    fourth?.send(`BDAT 100000 LAST\r\n${message(100_000).slice(0, 99_998)}\r\n`);
    assert.match((await fourth?.reply()) ?? "", /^452 4\.3\.1 /);
    for (const holder of holders) {
      assert.match(await holder.ask("BDAT 0 LAST"), /^250 2\.0\.0 kept/);
    }
    using client = await greeted(one);
    await begin(client, roomBytes);
  });

  test("V2 a chunk that ends between CR and LF is put off, not refused for good", async () => {
    const [one, other] = await open();
    await using _both = { [Symbol.asyncDispose]: () => closed(one, other) };
    using client = await greeted(other);
    await begin(client);
    using _holder = await holding(one, 900_000);
    client.send(`BDAT 200001\r\n${message(200_000).slice(0, 199_998)}\r\n\r`);
    assert.match(await client.reply(), /^452 4\.3\.1 /);
    assert.match(await client.ask("NOOP"), /^250 /);
  });

  test("V2 octets that come one by one count with what a piece costs", () => {
    const room = messageRoom(roomBytes);
    const sink = { write() {}, end: () => ({ code: 250, text: "kept" }), abort() {} };
    const intake = new Intake(sink, roomBytes, room);
    for (let nth = 0; nth < 1000; nth += 1) void intake.take(Buffer.from("y"));
    assert.equal(room.fits(roomBytes - 250_000), false);
    void intake.end();
    assert.equal(room.fits(roomBytes), true);
  });

  test("V2 a sink that throws at the end gives its room back", async () => {
    const [one, other] = await open({
      handler: {
        begin: () => ({
          write() {},
          end() {
            throw new TypeError("a bug");
          },
          abort() {},
        }),
      },
    });
    await using _both = { [Symbol.asyncDispose]: () => closed(one, other) };
    using client = await greeted(one);
    await begin(client);
    await client.ask("DATA");
    client.send(message(500_000));
    assert.match(await client.ask("."), /^451 /);
    await begin(client, roomBytes);
  });
});

async function closed(...servers: readonly TestServer[]): Promise<void> {
  for (const server of servers) await server[Symbol.asyncDispose]();
}

/** The end of a connection is seen a moment later. */
async function untilFree(client: Talk): Promise<void> {
  for (let tries = 0; tries < 15; tries += 1) {
    const reply = await client.ask("MAIL FROM:<a@c.example>");
    if (reply.startsWith("250")) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("the room was not given back");
}
