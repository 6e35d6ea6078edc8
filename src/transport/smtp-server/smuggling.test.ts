/** Nothing but CR LF . CR LF ends a message, and nothing else than CR LF ends a line (VU#302671). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Unavailable } from "#base/errors";
import { Talk } from "../../../tests/kit/talk.ts";
import { type TestServer, testServer } from "./testing.ts";

const known = JSON.parse(
  readFileSync(
    new URL("../../../tests/conformance/smtp-smuggling/eod-sequences.json", import.meta.url),
    "utf8",
  ),
).inbound_end_of_data_sequences as string[];

const ends = ["\r\n", "\n", "\r", "\r\r\n", "\r\n\0", "\0"];
const generated = ends.flatMap((before) =>
  ends.flatMap((behind) => [`${before}.${behind}`, `${before}..${behind}`]),
);
/** Honest ends, or honest lines: these are the only ones that may be part of a delivery. */
const honest = new Set(["\r\n.\r\n", "\r\n..\r\n"]);

const head = "Subject: first\r\n\r\nfirst";
const smuggled =
  "MAIL FROM:<boss@known.example>\r\nRCPT TO:<victim@known.example>\r\nDATA\r\n" +
  "Subject: smuggled\r\n\r\nsecond";

async function open(to: TestServer): Promise<Talk> {
  const client = await Talk.open(to.at);
  await client.reply();
  await client.ask("EHLO client.example");
  await client.ask("MAIL FROM:<a@client.example>");
  await client.ask("RCPT TO:<b@known.example>");
  return client;
}

async function offer(sequence: string, how: "DATA" | "BDAT"): Promise<TestServer> {
  const server = await testServer();
  using client = await open(server);
  const content = `${head}${sequence}${smuggled}\r\n.\r\n`;
  if (how === "DATA") {
    await client.ask("DATA");
    client.send(Buffer.from(content, "latin1"));
  } else {
    const octets = Buffer.from(content, "latin1");
    client.send(Buffer.concat([Buffer.from(`BDAT ${octets.length} LAST\r\n`), octets]));
  }
  client.send("QUIT\r\n");
  const said = await client.rest();
  if (!honest.has(sequence)) assert.match(said, /^550 5\.6\.0 /);
  return server;
}

describe("S1 smuggling", { concurrency: 8 }, () => {
  for (const how of ["DATA", "BDAT"] as const) {
    for (const sequence of new Set([...known, ...generated])) {
      if (honest.has(sequence)) continue;
      if (how === "DATA" && sequence.startsWith("\r\n.\r\n")) continue; // see "a true end"
      test(`S1 ${how} ${JSON.stringify(sequence)} delivers nothing`, async () => {
        await using server = await offer(sequence, how);
        assert.equal(server.delivered.length, 0);
        assert.deepEqual(server.aborted, ["bad-content"]);
      });
    }
  }

  test("S1 a stuffed dot stays inside the one message", async () => {
    await using server = await offer("\r\n..\r\n", "DATA");
    assert.equal(server.delivered.length, 1);
    assert.match(server.delivered[0]?.content.toString() ?? "", /first\r\n\.\r\nMAIL FROM/);
  });

  test("S1 a true end with NUL behind it delivers one message and ends the session", async () => {
    await using server = await testServer();
    using client = await open(server);
    await client.ask("DATA");
    client.send(`${head}\r\n.\r\n\0${smuggled}\r\n.\r\n`);
    assert.match(await client.rest(), /^250 [^\n]*\n500 5\.5\.2 [^\n]*\n$/);
    assert.deepEqual(
      server.delivered.map((one) => one.content.toString()),
      [`${head}\r\n`],
    );
  });

  test("S1 the true end ends it, and BDAT knows no dot", async () => {
    await using data = await offer("\r\n.\r\n", "DATA");
    assert.equal(data.delivered[0]?.content.toString(), `${head}\r\n`);
    await using chunk = await offer("\r\n.\r\n", "BDAT");
    assert.equal(chunk.delivered.length, 1);
    assert.match(chunk.delivered[0]?.content.toString() ?? "", /first\r\n\.\r\nMAIL/);
  });

  for (const line of ["NOOP\n", "NOOP\rRSET\r\n", "NO\0OP\r\n", "\n", "\r\r\n"]) {
    test(`S1 a command line ${JSON.stringify(line)} ends the session`, async () => {
      await using server = await testServer();
      using client = await Talk.open(server.at);
      await client.reply();
      client.send(line);
      assert.match(await client.rest(), /^500 5\.5\.2 [^\r]*\r\n$/);
    });
  }
});

describe("S1 a message that cannot be begun", () => {
  test("S1 the octets of its chunk are no commands", async () => {
    let isDown = true;
    const delivered: string[] = [];
    await using server = await testServer({
      handler: {
        begin({ envelope }) {
          if (isDown) throw new Unavailable("link is down");
          return {
            write() {},
            end() {
              delivered.push(envelope.reversePath);
              return { code: 250, status: "2.0.0", text: "kept" };
            },
            abort() {},
          };
        },
      },
    });
    using client = await open(server);
    const content = `RSET\r\n${smuggled.replace("DATA", "BDAT 1 LAST")}`;
    client.send(`BDAT ${content.length} LAST\r\n${content}`);
    assert.match(await client.reply(), /^451 4\.3\.0 /);
    assert.match(await client.ask("NOOP"), /^250 2\.0\.0 /);
    // Chunks behind it are no beginning of a message.
    isDown = false;
    client.send("BDAT 6 LAST\r\nRSET\r\n");
    assert.match(await client.reply(), /^503 5\.5\.1 /);
    client.send("QUIT\r\n");
    assert.match(await client.rest(), /^221 /);
    assert.deepEqual(delivered, []);
  });
});
