/** The protocol's own rules, row by row of the attack catalogue: S3, S4, S11, S12, S13 and PROXY (CAP-15). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createSecureContext } from "node:tls";
import { seededRandom } from "#base/random";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { Talk } from "../../../tests/kit/talk.ts";
import { type TestServer, type TestWishes, testServer } from "./testing.ts";

const context = createSecureContext(selfSigned("mx.known.example"));
const tls = () => context;

async function greeted(server: TestServer, hello = "EHLO c.example"): Promise<Talk> {
  const client = await Talk.open(server.at);
  await client.reply();
  await client.ask(hello);
  return client;
}

async function ready(server: TestServer): Promise<Talk> {
  const client = await greeted(server);
  await client.ask("MAIL FROM:<a@c.example>");
  await client.ask("RCPT TO:<x@known.example>");
  return client;
}

const mail = "MAIL FROM:<a@c.example>\r\nRCPT TO:<x@known.example>\r\n";

describe("S3 who does not wait for his turn (12 variants)", { concurrency: 4 }, () => {
  const slow: TestWishes = { limits: { greetingDelayMs: 50 } };
  const hello = Buffer.from("16030100c8010000c40303", "hex");
  const early = [
    ["EHLO", "EHLO c.example\r\n"],
    ["a whole transaction", `EHLO c.example\r\n${mail}DATA\r\nx\r\n.\r\n`],
    ["an HTTP request", "POST / HTTP/1.1\r\nHost: mx\r\n\r\n"],
    ["a TLS handshake", hello],
  ] as const;
  for (const [what, octets] of early) {
    test(`S3 ${what} before the greeting: 554 and the end`, async () => {
      await using server = await testServer(slow);
      using client = await Talk.open(server.at);
      client.send(Buffer.from(octets));
      assert.match(await client.rest(), /^554 5\.5\.1 [^\n]*\n$/);
      assert.equal(server.delivered.length, 0);
    });
  }

  const behind = [
    ["content", "Subject: x\r\n\r\nx\r\n.\r\n"],
    ["commands", "RSET\r\nNOOP\r\n"],
  ] as const;
  for (const [what, octets] of behind) {
    test(`S3 ${what} behind DATA, before 354: 503 and the end`, async () => {
      await using server = await testServer();
      using client = await ready(server);
      client.send(`DATA\r\n${octets}`);
      assert.match(await client.rest(), /^503 5\.5\.0 [^\n]*\n$/);
      assert.equal(server.delivered.length, 0);
    });
  }

  const unasked = [
    ["behind EHLO, before PIPELINING was offered", "EHLO c.example\r\n", ""],
    ["behind HELO", "HELO c.example\r\n", ""],
    ["later in a session that began with HELO", "", "HELO c.example"],
  ] as const;
  for (const [what, before, hello] of unasked) {
    test(`S3 commands ${what}: 503 and the end`, async () => {
      await using server = await testServer();
      using client = await Talk.open(server.at);
      await client.reply();
      if (hello !== "") await client.ask(hello);
      client.send(`${before}${mail}`);
      assert.match(await client.rest(), /^503 5\.5\.0 [^\n]*\n$/);
    });
  }

  for (const request of ["GET / HTTP/1.1", "POST /x HTTP/1.1", "CONNECT mx:25 HTTP/1.1"]) {
    test(`S3 "${request}" ends the session before its body is read as commands`, async () => {
      await using server = await testServer();
      using client = await Talk.open(server.at);
      await client.reply();
      client.send(`${request}\r\nHost: mx\r\n\r\nEHLO c.example\r\n${mail}DATA\r\n`);
      assert.match(await client.rest(), /^554 5\.5\.1 [^\n]*\n$/);
    });
  }
});

describe("S4 BDAT, beside attacks.test.ts", () => {
  test("S4 no chunk after DATA was refused, none without a sender, none after the last", async () => {
    await using server = await testServer();
    using client = await greeted(server);
    client.send("BDAT 3 LAST\r\nx\r\n");
    assert.match(await client.reply(), /^503 5\.5\.1 /);
    await client.ask("MAIL FROM:<>");
    client.send("BDAT 3 LAST\r\nx\r\n");
    assert.match(await client.reply(), /^503 5\.5\.1 no valid recipient/);
    await client.ask("RCPT TO:<x@known.example>");
    client.send("BDAT 3 LAST\r\nx\r\n");
    assert.match(await client.reply(), /^250 2\.0\.0 kept/);
    client.send("BDAT 3 LAST\r\ny\r\n");
    assert.match(await client.reply(), /^503 5\.5\.1 /);
    assert.equal(server.delivered.length, 1);
  });

  test("S4 an empty message by BDAT 0 LAST is one message", async () => {
    await using server = await testServer();
    using client = await ready(server);
    assert.match(await client.ask("BDAT 0 LAST"), /^250 /);
    assert.equal(server.delivered[0]?.content.length, 0);
  });
});

describe("S11 odd octets (20 variants)", { concurrency: 4 }, () => {
  const ends = (octets: string | Buffer, code: RegExp) => [octets, code, true] as const;
  const stays = (octets: string | Buffer, code: RegExp) => [octets, code, false] as const;
  const latin = (text: string): Buffer => Buffer.from(text, "latin1");
  const lines: Readonly<Record<string, readonly [string | Buffer, RegExp, boolean]>> = {
    "NUL in a command": ends(latin("NOOP \0\r\n"), /^500 5\.5\.2/),
    "a bare CR in a command": ends("NOOP\rx\r\n", /^500 5\.5\.2/),
    "a bare LF": ends("NOOP\n", /^500 5\.5\.2/),
    "an empty line": ends("\n", /^500 5\.5\.2/),
    "a command beyond 2048 octets": ends(`NOOP ${"x".repeat(3000)}\r\n`, /^500 5\.5\.2/),
    "a line without end": ends("x".repeat(5000), /^500 5\.5\.2/),
    "8 bits in EHLO": stays(latin("EHLO \xe9.example\r\n"), /^50[01] /),
    "control characters in EHLO": stays("EHLO a\x07b\r\n", /^501 /),
    "a space in EHLO": stays("EHLO a b\r\n", /^501 /),
    "an invalid sequence of UTF-8": stays(
      latin("MAIL FROM:<\xff@c.example>\r\n"),
      /^500 5\.5\.2 not/,
    ),
    "UTF-8 without SMTPUTF8 in MAIL": stays("MAIL FROM:<ö@c.example>\r\n", /^553 5\.6\.7/),
    "an overlong form of UTF-8": stays(
      latin("MAIL FROM:<\xc0\xae@c.example>\r\n"),
      /^500 5\.5\.2 not/,
    ),
    "BODY=BINARYMIME": stays("MAIL FROM:<> BODY=BINARYMIME\r\n", /^555 /),
    "BODY=9BIT": stays("MAIL FROM:<> BODY=9BIT\r\n", /^501 /),
    "SIZE=-1": stays("MAIL FROM:<> SIZE=-1\r\n", /^501 /),
    "SMTPUTF8 with a value": stays("MAIL FROM:<> SMTPUTF8=1\r\n", /^501 /),
    "SMTPUTF8 twice": stays("MAIL FROM:<> SMTPUTF8 SMTPUTF8\r\n", /^501 /),
    "an unknown parameter": stays("MAIL FROM:<> X-ROOT=1\r\n", /^555 /),
    "a parameter without a space": stays("MAIL FROM:<>SIZE=1\r\n", /^50[01] /),
    "a vertical tab for a space": stays("MAIL\x0bFROM:<>\r\n", /^50[01] /),
  };
  for (const [what, [octets, code, isEnd]] of Object.entries(lines)) {
    test(`S11 ${what} is answered ${code.source.slice(1)}`, async () => {
      await using server = await testServer();
      using client = await greeted(server);
      client.send(octets);
      if (isEnd) {
        assert.match(await client.rest(), code);
      } else {
        assert.match(await client.reply(), code);
        assert.match(await client.ask("NOOP"), /^250 /);
      }
    });
  }

  test("S11 8 bits in the content without 8BITMIME pass unchanged: refusing them loses honest mail", async () => {
    await using server = await testServer();
    using client = await ready(server);
    await client.ask("DATA");
    client.send(latin("\xe9\r\n.\r\n"));
    assert.match(await client.reply(), /^250 /);
    assert.equal(server.delivered[0]?.content.toString("latin1"), "\xe9\r\n");
  });
});

describe("S12 slow clients, phase by phase (6 variants)", () => {
  const phases = {
    "before EHLO": [{}, async (client: Talk) => void (await client.reply()), 60],
    "inside a PROXY header": [{ proxyTrusted: ["127.0.0.0/8"] }, async () => {}, 60],
    "inside a TLS handshake": [
      { tls },
      async (client: Talk) => {
        await client.reply();
        await client.ask("EHLO c.example");
        await client.ask("STARTTLS");
      },
      60,
    ],
    "inside a chunk": [
      {},
      async (client: Talk) => {
        await client.reply();
        await client.ask("EHLO c.example");
        await client.ask("MAIL FROM:<>");
        await client.ask("RCPT TO:<x@known.example>");
        client.send("BDAT 1000 LAST\r\n");
      },
      180,
    ],
  } satisfies Record<string, readonly [TestWishes, (client: Talk) => Promise<void>, number]>;
  for (const [phase, [wishes, begin, withinS]] of Object.entries(phases)) {
    test(`S12 one octet every 50 s ${phase} ends within ${withinS + 60} s`, async () => {
      const clock = fakeClock();
      await using server = await testServer({ ...wishes, clock });
      using client = await Talk.open(server.at);
      await begin(client);
      let over = false;
      void client.rest().then(() => (over = true));
      let passedS = 0;
      for (; passedS < withinS + 60 && !over; passedS += 50) {
        client.send(phase === "inside a PROXY header" ? ("PROXY"[passedS / 50] ?? "x") : "x");
        await clock.advance(50_000);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await clock.advance(10_000);
      while (server.server.connections() > 0) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(server.delivered.length, 0);
    });
  }
});

describe("S13 floods (4 variants with the one in attacks.test.ts and tests/scenarios/bounds.test.ts)", () => {
  test("S13 a cap for all clients together, which says so", async () => {
    await using server = await testServer({ limits: { connections: 2 } });
    using _one = await greeted(server);
    using _two = await greeted(server);
    using third = await Talk.open(server.at);
    assert.match(await third.rest(), /^421 4\.7\.0 too many connections/);
  });

  test("S13 a cap for one IPv6 network of 64 bits, behind a proxy too", async () => {
    await using server = await testServer({
      limits: { connectionsPerNetwork: 2 },
      proxyTrusted: ["127.0.0.0/8"],
    });
    const from = async (address: string): Promise<Talk> => {
      const client = await Talk.open(server.at);
      client.send(`PROXY TCP6 ${address} 2001:db8::25 4096 25\r\n`);
      return client;
    };
    using one = await from("2001:db8:1:2::1");
    using two = await from("2001:db8:1:2:ffff::1");
    assert.match((await one.reply()) + (await two.reply()), /^220 .*220 /);
    using third = await from("2001:db8:1:2::3");
    assert.match(await third.rest(), /^421 /);
    using other = await from("2001:db8:1:3::1");
    assert.match(await other.reply(), /^220 /);
  });
});

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

function binary(
  versionAndCommand: number,
  family: number,
  body: Buffer,
  length = body.length,
): Buffer {
  const head = Buffer.from([versionAndCommand, family, length >> 8, length & 0xff]);
  return Buffer.concat([signature, head, body]);
}

const four = Buffer.from([192, 0, 2, 9, 192, 0, 2, 1, 0x10, 0, 0, 25]);
const six = Buffer.concat([
  Buffer.from("20010db8000000000000000000000009", "hex"),
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.from([0x10, 0, 0, 25]),
]);
/** PP2_TYPE_ALPN and PP2_TYPE_SSL, the latter with rubbish inside. */
const extras = Buffer.from("01000268322000050000000001", "hex");

describe("CAP-15 PROXY, versions 1 and 2", { concurrency: 4 }, () => {
  const good: readonly (readonly [string, string | Buffer, string])[] = [
    ["v1 TCP4", "PROXY TCP4 192.0.2.9 192.0.2.1 4096 25\r\n", "192.0.2.9"],
    ["v1 TCP6", "PROXY TCP6 2001:db8::9 2001:db8::1 4096 25\r\n", "2001:db8::9"],
    ["v1 UNKNOWN", "PROXY UNKNOWN\r\n", "127.0.0.1"],
    ["v1 UNKNOWN with words", "PROXY UNKNOWN ffff:f...f:ffff x 1 2\r\n", "127.0.0.1"],
    ["v2 IPv4", binary(0x21, 0x11, four), "192.0.2.9"],
    ["v2 IPv6", binary(0x21, 0x21, six), "2001:db8::9"],
    ["v2 IPv4 with fields behind", binary(0x21, 0x11, Buffer.concat([four, extras])), "192.0.2.9"],
    [
      "v2 IPv6 with 1 KB of fields",
      binary(0x21, 0x21, Buffer.concat([six, Buffer.alloc(1024, 4)])),
      "2001:db8::9",
    ],
    ["v2 LOCAL, a health check", binary(0x20, 0x00, Buffer.alloc(0)), "127.0.0.1"],
    ["v2 LOCAL with an address that does not count", binary(0x20, 0x11, four), "127.0.0.1"],
    ["v2 of no family", binary(0x21, 0x00, extras), "127.0.0.1"],
    ["v2 of a UNIX socket", binary(0x21, 0x31, Buffer.alloc(216)), "127.0.0.1"],
  ];
  for (const [what, header, address] of good) {
    test(`CAP-15 ${what} in pieces makes the client ${address}`, async () => {
      let seen = "";
      await using server = await testServer({
        proxyTrusted: ["127.0.0.0/8"],
        handler: { connected: ({ clientAddress }) => void (seen = clientAddress) },
      });
      const octets = Buffer.from(header);
      for (const cut of [1, 5, 12, 13, 17, octets.length - 1]) {
        using client = await Talk.open(server.at);
        client.send(octets.subarray(0, cut));
        await new Promise((resolve) => setTimeout(resolve, 2));
        client.send(octets.subarray(cut));
        assert.match(await client.reply(), /^220 /);
        assert.equal(seen, address);
      }
    });
  }

  const bad: readonly (readonly [string, string | Buffer])[] = [
    ["nothing of the kind", "EHLO c.example\r\n"],
    ["v1 with an address that is none", "PROXY TCP4 192.0.2.999 192.0.2.1 4096 25\r\n"],
    ["v1 of the wrong family", "PROXY TCP4 2001:db8::9 2001:db8::1 4096 25\r\n"],
    ["v1 with a port that is none", "PROXY TCP4 192.0.2.9 192.0.2.1 65536 25\r\n"],
    ["v1 without a port", "PROXY TCP4 192.0.2.9 192.0.2.1 4096\r\n"],
    ["v1 beyond 107 octets", `PROXY UNKNOWN ${"x".repeat(100)}\r\n`],
    ["v1 without end", `PROXY TCP4 ${"1".repeat(200)}`],
    ["v2 of another version", binary(0x11, 0x11, four)],
    ["v2 with another command", binary(0x22, 0x11, four)],
    ["v2 IPv4, too short", binary(0x21, 0x11, four.subarray(0, 11))],
    ["v2 IPv6, too short", binary(0x21, 0x21, six.subarray(0, 35))],
    ["v2 of 64 KB", binary(0x21, 0x11, four, 65_535)],
    ["a signature that goes wrong", Buffer.concat([signature.subarray(0, 11), Buffer.from("X")])],
  ];
  for (const [what, header] of bad) {
    test(`CAP-15 ${what} from a trusted proxy: closed without a word`, async () => {
      await using server = await testServer({ proxyTrusted: ["127.0.0.0/8"] });
      using client = await Talk.open(server.at);
      client.send(Buffer.from(header));
      assert.equal(await client.rest(), "");
    });
  }

  test("CAP-15 from anybody else a header is a command that does not exist, or early talk", async () => {
    await using server = await testServer({ proxyTrusted: ["198.51.100.0/24"] });
    using text = await Talk.open(server.at);
    await text.reply();
    assert.match(await text.ask("PROXY TCP4 192.0.2.9 192.0.2.1 4096 25"), /^500 5\.5\.1 /);
    using octets = await Talk.open(server.at);
    await octets.reply();
    octets.send(binary(0x21, 0x11, four));
    assert.match(await octets.rest(), /^50[03] /);
    await using slow = await testServer({ limits: { greetingDelayMs: 50 } });
    using early = await Talk.open(slow.at);
    early.send(binary(0x21, 0x11, four));
    assert.match(await early.rest(), /^554 /);
  });

  test("CAP-15 any limit counts the client behind: two clients, one proxy", async () => {
    await using server = await testServer({
      proxyTrusted: ["127.0.0.0/8"],
      limits: { connectionsPerAddress: 1 },
    });
    const from = async (last: number): Promise<Talk> => {
      const client = await Talk.open(server.at);
      client.send(`PROXY TCP4 192.0.2.${last} 192.0.2.1 4096 25\r\n`);
      return client;
    };
    using one = await from(1);
    using two = await from(2);
    assert.match((await one.reply()) + (await two.reply()), /220 .*220 /);
    using again = await from(1);
    assert.match(await again.rest(), /^421 /);
  });

  test("CAP-15 random headers end the connection or make a client, and never more (seeded)", async () => {
    const random = seededRandom(15);
    await using server = await testServer({
      proxyTrusted: ["127.0.0.0/8"],
      limits: { greetingTimeoutMs: 1000 },
    });
    const sources = good.map(([, header]) => Buffer.from(header));
    for (let round = 0; round < 200; round += 1) {
      const source = sources[Math.floor(random.fraction() * sources.length)] ?? signature;
      const octets = Buffer.from(source);
      octets[Math.floor(random.fraction() * octets.length)] = Math.floor(random.fraction() * 256);
      using client = await Talk.open(server.at);
      client.send(octets);
      client.send("\r\n\r\n\r\nQUIT\r\n");
      // One that asks for more than comes is cut off by its time; it is not waited for here.
      const said = await Promise.race([
        client.rest(),
        new Promise<string>((resolve) => setTimeout(() => resolve(""), 20)),
      ]);
      assert.match(said, /^(?:220 [^\n]*\n)?(?:5\d\d [^\n]*\n|221 [^\n]*\n)*$/);
    }
  });
});
