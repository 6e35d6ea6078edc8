/** Row S10 of the attack catalogue: what a header may have, on every door that this server stands at. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { maxHeaderBytes } from "#formats/message";
import { Talk } from "../../../tests/kit/talk.ts";
import { HeaderBound, maxHeaderFields } from "./header-bound.ts";
import { type TestServer, testServer } from "./testing.ts";

const body = `\r\n${"X-Not: a field\r\n".repeat(maxHeaderFields + 10)}`;
const many = (count: number, text: string): string => text.repeat(count);
/** Of so many octets. */
const folded = (size: number): string => {
  const lines = `X: y\r\n${many(Math.ceil(size / 64), ` ${"z".repeat(61)}\r\n`)}`;
  return `${lines.slice(0, size - 2)}\r\n`;
};

const withinBounds: Readonly<Record<string, string>> = {
  "no field at all": "",
  "as many fields as there may be": many(maxHeaderFields, "A: b\r\n"),
  "as many octets as there may be": folded(maxHeaderBytes - 3),
  "a hundred hops, sealed and signed by each": many(
    100,
    "ARC-Seal: i=1\r\n\tcv=none\r\nARC-Message-Signature: i=1\r\n b=x\r\n" +
      "ARC-Authentication-Results: i=1\r\nReceived: from a\r\n by b\r\nDKIM-Signature: b=x\r\n",
  ),
};

const beyond: Readonly<Record<string, string>> = {
  "one field more": many(maxHeaderFields + 1, "A: b\r\n"),
  "one octet more": folded(maxHeaderBytes - 2),
  "100,000 fields": many(100_000, "X-A: b\r\n"),
  "1,000,000 fields": many(1_000_000, "A:\r\n"),
  "one folded field of 4 MB": folded(4_000_000),
  "one field of 4 MB without a fold": `A: ${many(62, "x".repeat(64_000))}\r\n`,
  "1,000,000 folds of white space": `A: b\r\n${many(1_000_000, " \r\n")}`,
};

const ways = ["DATA", "BDAT"] as const;

async function ready(server: TestServer): Promise<Talk> {
  const client = await Talk.open(server.at);
  await client.reply();
  await client.ask("EHLO c.example");
  await begin(client);
  return client;
}

async function begin(client: Talk): Promise<void> {
  await client.ask("MAIL FROM:<a@c.example>");
  await client.ask("RCPT TO:<x@known.example>");
}

/** @returns what is said at the message's end */
async function sendBy(way: (typeof ways)[number], client: Talk, content: string): Promise<string> {
  if (way === "BDAT") {
    client.send(`BDAT ${content.length} LAST\r\n${content}`);
    return await client.reply();
  }
  assert.match(await client.ask("DATA"), /^354 /);
  client.send(content);
  return await client.ask(".");
}

/** Lines so long are another rule's. */
const limits = { maxTextLineBytes: 8_000_000 };

for (const way of ways) {
  describe(`S10 a header by ${way}`, () => {
    for (const [what, header] of Object.entries(withinBounds)) {
      test(`S10 ${what} is taken by ${way}`, async () => {
        await using server = await testServer({ limits });
        using client = await ready(server);
        assert.match(await sendBy(way, client, `${header}${body}`), /^250 2\.0\.0 kept/);
        assert.equal(server.delivered[0]?.content.length, header.length + body.length);
      });
    }
    for (const [what, header] of Object.entries(beyond)) {
      test(`S10 ${what} is refused by ${way}, and the session goes on`, async () => {
        let keptBytes = 0;
        const aborted: string[] = [];
        await using server = await testServer({
          limits,
          handler: {
            begin: () => ({
              write: ({ length }) => void (keptBytes += length),
              end: () => ({ code: 250, status: "2.0.0", text: "kept" }),
              abort: (why) => void aborted.push(why),
            }),
          },
        });
        using client = await ready(server);
        assert.match(await sendBy(way, client, `${header}${body}`), /^552 5\.3\.4 a header may/);
        assert.deepEqual(aborted, ["header too large"]);
        assert.ok(keptBytes < maxHeaderBytes, `${keptBytes}`);
        await begin(client);
        assert.match(await sendBy(way, client, `A: b\r\n${body}`), /^250 2\.0\.0 kept/);
      });
    }
    test(`S10 a header without an end is refused by ${way}`, async () => {
      await using server = await testServer({ limits });
      using client = await ready(server);
      const header = many(maxHeaderFields + 1, "no colon and no empty line\r\n");
      assert.match(await sendBy(way, client, header), /^552 5\.3\.4 /);
    });
  });
}

test("S10 a header in many chunks is counted over all of them", async () => {
  await using server = await testServer();
  using client = await ready(server);
  const chunk = many(100, "A: b\r\n");
  for (let nth = 1; nth <= 10; nth += 1) {
    client.send(`BDAT ${chunk.length}\r\n${chunk}`);
    assert.match(await client.reply(), /^250 2\.0\.0 /);
  }
  client.send("BDAT 6\r\nA: b\r\n");
  assert.match(await client.reply(), /^552 5\.3\.4 /);
  // RFC 3030 §2: what was sent without waiting belongs to no transaction any more.
  client.send(`BDAT ${chunk.length} LAST\r\n${chunk}`);
  assert.match(await client.reply(), /^503 5\.5\.1 /);
  await begin(client);
  assert.match(await sendBy("BDAT", client, body), /^250 2\.0\.0 kept/);
});

test("S10 each recipient by LMTP hears of it", async () => {
  await using server = await testServer({ protocol: "lmtp" });
  using client = await Talk.open(server.at);
  await client.reply();
  await client.ask("LHLO c.example");
  await begin(client);
  await client.ask("RCPT TO:<y@known.example>");
  const header = many(maxHeaderFields + 1, "A: b\r\n");
  assert.match(await sendBy("DATA", client, `${header}${body}`), /^552 5\.3\.4 /);
  assert.match(await client.reply(), /^552 5\.3\.4 /);
  assert.match(await client.ask("NOOP"), /^250 /);
});

test("S10 the count is the same however the octets are cut", () => {
  const headers = [
    `${many(maxHeaderFields, "A: b\r\n c\r\n")}\r\nbody`,
    `${many(maxHeaderFields + 1, "A: b\r\n c\r\n")}\r\nbody`,
    `\r\n${many(maxHeaderFields + 1, "A: b\r\n")}`,
    `A: b\r\n\r\n${many(maxHeaderFields + 1, "A: b\r\n")}`,
  ].map((text) => Buffer.from(text));
  for (const size of [1, 2, 3, 7, 8, 100_000]) {
    const results = headers.map((octets) => {
      const bound = new HeaderBound();
      let isWithin = true;
      for (let at = 0; isWithin && at < octets.length; at += size) {
        isWithin = bound.take(octets.subarray(at, at + size));
      }
      return isWithin;
    });
    assert.deepEqual(results, [true, false, true, true], `pieces of ${size}`);
  }
});

test("S10 the count agrees with the plain rule on random lines in random pieces", () => {
  const parts = ["A: b\r\n", "A: b\r\n", " fold\r\n", "\t\r\n", "no colon\r\n", ":\r\n", ".\r\n"];
  for (let seed = 0; seed < 2000; seed += 1) {
    const random = seededRandom(seed);
    const lines = Array.from({ length: 8 + pick(random, 20) }, () => {
      return pick(random, 25) === 0 ? "\r\n" : (parts[pick(random, parts.length)] ?? "");
    });
    const text = many(maxHeaderFields - 10, "A: b\r\n") + lines.join("");
    const all = text.split("\r\n");
    const names = all.slice(0, all.indexOf("")).filter((line) => !/^[ \t]/.test(line));
    const isWithin = names.length <= maxHeaderFields;
    const bound = new HeaderBound();
    const octets = Buffer.from(text);
    let found = true;
    for (let at = 0; found && at < octets.length; ) {
      const next = at + 1 + pick(random, 200);
      found = bound.take(octets.subarray(at, next));
      at = next;
    }
    assert.equal(found, isWithin, `seed ${seed}`);
  }
});
