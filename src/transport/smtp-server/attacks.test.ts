/** What hostile clients try on an SMTP server, by the numbers of the attack catalogue. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createSecureContext } from "node:tls";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { Talk } from "../../../tests/kit/talk.ts";
import { type TestServer, testServer } from "./testing.ts";

const context = createSecureContext(selfSigned("mx.known.example"));
const tls = () => context;
const auth = {
  required: false,
  verify: async (name: string, password: string) =>
    name === "ann" && password === "päss"
      ? ({ ok: true, address: "ann@known.example" } as const)
      : ({ ok: false, reason: "refused" } as const),
};
const plainLogin = Buffer.from("\0ann\0päss").toString("base64");
const secondMs = 1000;

async function greeted(server: TestServer): Promise<Talk> {
  const client = await Talk.open(server.at);
  await client.reply();
  await client.ask("EHLO c.example");
  return client;
}

async function ready(server: TestServer): Promise<Talk> {
  const client = await greeted(server);
  await client.ask("MAIL FROM:<a@c.example>");
  await client.ask("RCPT TO:<x@known.example>");
  return client;
}

test("S3 who talks before the greeting is refused", async () => {
  await using server = await testServer({ limits: { greetingDelayMs: 50 } });
  using client = await Talk.open(server.at);
  client.send("EHLO c.example\r\n");
  assert.match(await client.rest(), /^554 5\.5\.1 [^\n]*\n$/);
});

test("S3 content or commands behind DATA in one packet end the session", async () => {
  for (const behind of ["Subject: x\r\n\r\nx\r\n.\r\n", "RSET\r\n"]) {
    await using server = await testServer();
    using client = await ready(server);
    client.send(`DATA\r\n${behind}`);
    assert.match(await client.rest(), /^503 5\.5\.0 [^\n]*\n$/);
    assert.equal(server.delivered.length, 0);
  }
});

test("S3 commands out of order get 503", async () => {
  await using server = await testServer();
  using client = await Talk.open(server.at);
  await client.reply();
  for (const command of ["MAIL FROM:<>", "RCPT TO:<x@known.example>", "DATA"]) {
    assert.match(await client.ask(command), /^503 5\.5\.1 /);
  }
  await client.ask("EHLO c.example");
  assert.match(await client.ask("DATA"), /^503 5\.5\.1 /);
  await client.ask("MAIL FROM:<>");
  assert.match(await client.ask("MAIL FROM:<>"), /^503 5\.5\.1 /);
  assert.match(await client.ask("DATA"), /^503 5\.5\.1 /);
});

describe("S4 BDAT", () => {
  test("S4 chunks join to one message, and 0 LAST ends it", async () => {
    await using server = await testServer();
    using client = await ready(server);
    client.send("BDAT 6\r\nab\r\n.\rBDAT 4\r\n\ncd\r");
    assert.match(await client.reply(), /^250 2\.0\.0 6 octets/);
    assert.match(await client.reply(), /^250 2\.0\.0 4 octets/);
    client.send("BDAT 1\r\n\nBDAT 0 LAST\r\n");
    await client.reply();
    assert.match(await client.reply(), /^250 2\.0\.0 kept/);
    assert.equal(server.delivered[0]?.content.toString(), "ab\r\n.\r\ncd\r\n");
  });

  test("S4 a message may not stop between CR and LF", async () => {
    await using server = await testServer();
    using client = await ready(server);
    client.send("BDAT 2 LAST\r\na\r");
    assert.match(await client.rest(), /^550 5\.6\.0 /);
    assert.equal(server.delivered.length, 0);
  });

  test("S4 DATA and RCPT between chunks are refused, RSET forgets the chunks", async () => {
    await using server = await testServer();
    using again = await ready(server);
    again.send("BDAT 3\r\nx\r\nDATA\r\nRCPT TO:<y@known.example>\r\nRSET\r\nBDAT 0 LAST\r\n");
    const codes: string[] = [];
    for (let count = 0; count < 5; count += 1) codes.push((await again.reply()).slice(0, 3));
    assert.deepEqual(codes, ["250", "503", "503", "250", "503"]);
    assert.deepEqual(server.delivered, []);
  });

  test("S4 octets of a refused chunk are never read as commands", async () => {
    await using server = await testServer();
    using client = await greeted(server);
    const inside = "MAIL FROM:<a@b.example>\r\n";
    client.send(`BDAT ${inside.length} LAST\r\n${inside}NOOP\r\n`);
    assert.match(await client.reply(), /^503 5\.5\.1 /);
    assert.match(await client.reply(), /^250 2\.0\.0 /);
  });

  for (const size of ["-1", "x", "1e3", "0x10", "", "1 FIRST", "1 LAST LAST", "9".repeat(30)]) {
    test(`S4 "BDAT ${size}" ends the session`, async () => {
      await using server = await testServer();
      using client = await ready(server);
      client.send(`BDAT ${size}\r\n`);
      assert.match(await client.rest(), /^501 5\.5\.4 /);
    });
  }

  test("S4 a chunk far beyond the limit is not even read", async () => {
    await using server = await testServer();
    using client = await ready(server);
    client.send("BDAT 99999999999999999999 LAST\r\n");
    assert.match(await client.rest(), /^552 5\.3\.4 /);
  });

  test("S4 chunks beyond the limit together are refused, and the session goes on", async () => {
    await using server = await testServer({ limits: { maxMessageBytes: 100 } });
    using client = await ready(server);
    const line = `${"x".repeat(58)}\r\n`;
    client.send(`BDAT 60\r\n${line}BDAT 60 LAST\r\n${line}NOOP\r\n`);
    assert.match(await client.reply(), /^250 /);
    assert.match(await client.reply(), /^552 5\.3\.4 /);
    assert.match(await client.reply(), /^250 /);
    assert.deepEqual(server.aborted, ["too large"]);
  });
});

describe("S5 STARTTLS", () => {
  for (const injected of ["RSET\r\n", "EHLO evil\r\nMAIL FROM:<e@v.il>\r\n", "NOOP\r\nNO"]) {
    test(`S5 nothing of ${JSON.stringify(injected)} survives the handshake`, async () => {
      await using server = await testServer({ tls, auth });
      using client = await greeted(server);
      await client.ask("MAIL FROM:<a@c.example>");
      client.send(`STARTTLS\r\n${injected}`);
      assert.match(await client.reply(), /^220 2\.0\.0 /);
      await client.secure();
      // EHLO, envelope and buffered commands are all forgotten.
      assert.match(await client.ask("MAIL FROM:<b@c.example>"), /^503 5\.5\.1 say EHLO/);
      const offer = await client.ask("EHLO c.example");
      assert.doesNotMatch(offer, /STARTTLS/);
      assert.match(offer, /AUTH PLAIN LOGIN/);
      assert.match(await client.ask("RCPT TO:<x@known.example>"), /^503 5\.5\.1 /);
      assert.match(await client.ask("STARTTLS"), /^502 5\.5\.1 /);
    });
  }

  test("S5 the message after it knows its TLS", async () => {
    await using server = await testServer({ tls });
    using client = await greeted(server);
    await client.ask("STARTTLS");
    await client.secure();
    await client.ask("EHLO c.example");
    await client.ask("MAIL FROM:<>");
    await client.ask("RCPT TO:<x@known.example>");
    await client.ask("DATA");
    assert.match(await client.ask("x\r\n."), /^250 /);
    const { connection } = server.delivered[0]?.transaction ?? {};
    assert.equal(connection?.tls?.version, "TLSv1.3");
    assert.match(connection?.tls?.cipher ?? "", /^TLS_/);
  });

  test("S5 rubbish instead of a handshake ends the connection only", async () => {
    await using server = await testServer({ tls });
    using client = await greeted(server);
    await client.ask("STARTTLS");
    client.send("EHLO still in clear\r\n");
    await client.rest();
    using other = await greeted(server);
    assert.match(await other.ask("NOOP"), /^250 /);
  });
});

describe("S7 AUTH", () => {
  test("S7 is neither offered nor taken before TLS", async () => {
    await using server = await testServer({ tls, auth });
    using client = await Talk.open(server.at);
    await client.reply();
    const offer = await client.ask("EHLO c.example");
    assert.match(offer, /STARTTLS/);
    assert.doesNotMatch(offer, /AUTH/);
    assert.match(await client.ask(`AUTH PLAIN ${plainLogin}`), /^538 5\.7\.11 /);
  });

  test("S7 PLAIN and LOGIN work on implicit TLS, mail needs them where required", async () => {
    await using server = await testServer({
      tls,
      implicitTls: true,
      auth: { ...auth, required: true },
    });
    for (const login of [
      [`AUTH PLAIN ${plainLogin}`],
      ["AUTH PLAIN", plainLogin],
      ["AUTH LOGIN", "YW5u", Buffer.from("päss").toString("base64")],
      ["AUTH LOGIN YW5u", Buffer.from("päss").toString("base64")],
    ]) {
      using client = await Talk.open(server.at, { rejectUnauthorized: false });
      await client.reply();
      await client.ask("EHLO c.example");
      assert.match(await client.ask("MAIL FROM:<ann@known.example>"), /^530 5\.7\.0 /);
      let said = "";
      for (const line of login) said = await client.ask(line);
      assert.match(said, /^235 2\.7\.0 /);
      assert.match(await client.ask(`AUTH PLAIN ${plainLogin}`), /^503 /);
      assert.match(await client.ask("MAIL FROM:<ann@known.example>"), /^250 /);
    }
  });

  test("S7 wrong passwords, other people and broken base64 do not get in", async () => {
    await using server = await testServer({ tls, implicitTls: true, auth });
    using client = await Talk.open(server.at, { rejectUnauthorized: false });
    await client.reply();
    await client.ask("EHLO c.example");
    const as = (text: string): string => Buffer.from(text).toString("base64");
    assert.match(await client.ask("AUTH PLAIN !!!"), /^501 /);
    assert.match(await client.ask(`AUTH PLAIN ${as("bob\0ann\0päss")}`), /^501 /);
    assert.match(await client.ask("AUTH CRAM-MD5"), /^504 /);
    await client.ask("AUTH LOGIN");
    assert.match(await client.ask("*"), /^501 5\.7\.0 /);
    for (const _ of [1, 2]) {
      assert.match(await client.ask(`AUTH PLAIN ${as("\0ann\0wrong")}`), /^535 5\.7\.8 /);
    }
    client.send(`AUTH PLAIN ${as("\0ann\0wrong")}\r\n`);
    assert.match(await client.rest(), /^535 [^\n]*\n421 4\.7\.0 /);
  });
});

test("S10 the 101st recipient is put off, and the others are served", async () => {
  await using server = await testServer();
  using client = await greeted(server);
  await client.ask("MAIL FROM:<>");
  for (let count = 0; count < 150; count += 1) client.send(`RCPT TO:<r${count}@known.example>\r\n`);
  const codes: string[] = [];
  for (let count = 0; count < 150; count += 1) codes.push((await client.reply()).slice(0, 9));
  assert.equal(codes.filter((code) => code === "250 2.1.5").length, 100);
  assert.equal(codes.filter((code) => code === "452 4.5.3").length, 50);
});

test("S10 a flood of errors, or of commands that lead nowhere, ends the session", async () => {
  await using server = await testServer();
  using guesser = await greeted(server);
  guesser.send("RUBBISH\r\n".repeat(100_000));
  assert.equal((await guesser.rest()).split("\r\n").length, 22);
  using idler = await greeted(server);
  idler.send("NOOP\r\n".repeat(100_000));
  assert.match(await idler.rest(), /421 4\.7\.0 too many errors\r\n$/);
});

test("S11 long lines are answered by rule", async () => {
  await using server = await testServer({ limits: { maxTextLineBytes: 1000 } });
  using client = await greeted(server);
  client.send(`NOOP ${"x".repeat(3000)}\r\n`);
  assert.match(await client.rest(), /^500 5\.5\.2 /);
  for (const [length, code] of [
    [998, /^250 /],
    [999, /^550 5\.6\.0 /],
  ] as const) {
    using sender = await ready(server);
    await sender.ask("DATA");
    sender.send(`${"y".repeat(length)}\r\n.\r\n`);
    assert.match(await sender.reply(), code);
  }
});

test("S11 UTF-8 needs SMTPUTF8, and must be UTF-8", async () => {
  await using server = await testServer();
  using client = await greeted(server);
  assert.match(await client.ask("MAIL FROM:<jörg@bücher.example>"), /^553 5\.6\.7 /);
  assert.match(await client.ask("MAIL FROM:<a@c.example>"), /^250 /);
  assert.match(await client.ask("RCPT TO:<jörg@known.example>"), /^553 5\.6\.7 /);
  await client.ask("RSET");
  client.send(Buffer.from("MAIL FROM:<j\xf6rg@c.example> SMTPUTF8\r\n", "latin1"));
  assert.match(await client.reply(), /^500 5\.5\.2 not UTF-8/);
  assert.match(await client.ask("MAIL FROM:<jörg@bücher.example> SMTPUTF8"), /^250 /);
  assert.match(await client.ask("RCPT TO:<jörg@known.example>"), /^250 /);
  await client.ask("DATA");
  await client.ask("x\r\n.");
  assert.equal(server.delivered[0]?.transaction.envelope.reversePath, "jörg@xn--bcher-kva.example");
});

test("S11 8-bit content passes unchanged", async () => {
  await using server = await testServer();
  using client = await ready(server);
  await client.ask("DATA");
  const content = Buffer.from(Array.from({ length: 242 }, (_, index) => index + 14));
  client.send(Buffer.concat([content, Buffer.from("\r\n.\r\n")]));
  assert.match(await client.reply(), /^250 /);
  const { content: kept } = server.delivered[0] ?? {};
  assert.deepEqual(kept?.subarray(0, -2), content);
});

test("S11 a message beyond SIZE is refused at MAIL, or at its end, with the session intact", async () => {
  await using server = await testServer({ limits: { maxMessageBytes: 100 } });
  using client = await ready(server);
  await client.ask("RSET");
  assert.match(await client.ask("MAIL FROM:<> SIZE=101"), /^552 5\.3\.4 /);
  await client.ask("MAIL FROM:<> SIZE=10");
  await client.ask("RCPT TO:<x@known.example>");
  await client.ask("DATA");
  assert.match(await client.ask(`${"line\r\n".repeat(100)}.`), /^552 5\.3\.4 /);
  assert.match(await client.ask("NOOP"), /^250 /);
  assert.deepEqual(server.aborted, ["too large"]);
});

describe("S12 slow clients", () => {
  const cases = [
    ["a command", false, 300],
    ["a message", true, 90],
  ] as const;
  for (const [what, inData, within] of cases) {
    test(`S12 one octet every 50 s does not prolong ${what}`, async () => {
      const clock = fakeClock();
      await using server = await testServer({ clock });
      using client = inData ? await ready(server) : await greeted(server);
      if (inData) await client.ask("DATA");
      let said: string | undefined;
      void client.rest().then((text) => {
        said = text;
      });
      for (let seconds = 0; seconds < within + 60 && said === undefined; seconds += 50) {
        client.send("x");
        await clock.advance(50 * secondMs);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      assert.match(said ?? "", /^421 4\.4\.2 /);
    });
  }

  test("S12 nobody stays longer than a session may last", async () => {
    const clock = fakeClock();
    await using server = await testServer({
      clock,
      limits: { maxIdleCommands: 1000, sessionTimeoutMs: 600_000 },
    });
    using client = await greeted(server);
    for (let minute = 0; minute < 9; minute += 1) {
      await clock.advance(60 * secondMs);
      assert.match(await client.ask("NOOP"), /^250 /);
    }
    await clock.advance(65 * secondMs);
    assert.match(await client.rest(), /^421 4\.4\.2 /);
  });
});

test("S13 caps hold for an address, and a place is free again when one leaves", async () => {
  await using server = await testServer({ limits: { connectionsPerAddress: 3 } });
  const clients = [await greeted(server), await greeted(server), await greeted(server)];
  using fourth = await Talk.open(server.at);
  assert.match(await fourth.rest(), /^421 4\.7\.0 /);
  clients[0]?.[Symbol.dispose]();
  while (server.server.connections() > 2) await new Promise((resolve) => setTimeout(resolve, 2));
  using again = await greeted(server);
  assert.match(await again.ask("NOOP"), /^250 /);
  for (const client of clients) client[Symbol.dispose]();
});

test("S17 clients cannot choose who they are", async () => {
  await using server = await testServer({ proxyTrusted: ["198.51.100.0/24"] });
  using client = await greeted(server);
  assert.match(await client.ask("XCLIENT ADDR=192.0.2.1"), /^502 /);
  assert.match(await client.ask("XFORWARD ADDR=192.0.2.1"), /^502 /);
  using proxy = await Talk.open(server.at);
  await proxy.reply();
  assert.match(await proxy.ask("PROXY TCP4 192.0.2.1 192.0.2.2 1 25"), /^500 /);
});

describe("PROXY protocol", () => {
  const binary = Buffer.concat([
    Buffer.from("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "latin1"),
    Buffer.from([192, 0, 2, 9, 192, 0, 2, 1, 0x10, 0, 0, 25]),
  ]);
  const headers = [
    ["PROXY TCP4 192.0.2.9 192.0.2.1 4096 25\r\n", "192.0.2.9"],
    ["PROXY TCP6 2001:db8::9 2001:db8::1 4096 25\r\n", "2001:db8::9"],
    [binary, "192.0.2.9"],
    ["PROXY UNKNOWN\r\n", "127.0.0.1"],
  ] as const;
  for (const [header, address] of headers) {
    test(`from a trusted proxy makes the client ${address}`, async () => {
      await using server = await testServer({ proxyTrusted: ["127.0.0.0/8"] });
      using client = await Talk.open(server.at);
      client.send(header.slice(0, 7));
      client.send(header.slice(7));
      await client.reply();
      await client.ask("EHLO c.example");
      await client.ask("MAIL FROM:<>");
      await client.ask("RCPT TO:<x@known.example>");
      await client.ask("DATA");
      await client.ask("x\r\n.");
      assert.equal(server.delivered[0]?.transaction.connection.clientAddress, address);
    });
  }

  test("rubbish from a trusted proxy ends the connection", async () => {
    await using server = await testServer({ proxyTrusted: ["127.0.0.0/8"] });
    for (const header of [
      "EHLO x\r\n",
      "PROXY TCP4 999.0.2.9 1 1 1\r\n",
      `PROXY ${"x".repeat(200)}`,
    ]) {
      using client = await Talk.open(server.at);
      client.send(header);
      assert.equal(await client.rest(), "");
    }
  });
});

describe("S8 open relay", () => {
  const strangers = [
    "x@other.example",
    "x%other.example@known.example.other.example",
    "@known.example:x@other.example",
    '"x@known.example"@other.example',
    "x@[192.0.2.1]",
    "x@KNOWN.EXAMPLE.",
    "other.example!x",
    "x@known.example@other.example",
  ];
  for (const path of strangers) {
    test(`S8 ${path} is not relayed, whoever the sender claims to be`, async () => {
      await using server = await testServer();
      using client = await greeted(server);
      for (const from of ["", "boss@known.example", "a@c.example"]) {
        await client.ask(`MAIL FROM:<${from}>`);
        assert.match(await client.ask(`RCPT TO:<${path}>`), /^(?:550 5\.7\.1|501 5\.1\.3) /);
        assert.match(await client.ask("DATA"), /^503 /);
        await client.ask("RSET");
      }
    });
  }

  test("S8 handlers see one canonical form", async () => {
    const seen: string[] = [];
    await using server = await testServer({
      handler: { recipient: (_, path) => void seen.push(path) },
    });
    using client = await greeted(server);
    await client.ask("MAIL FROM:<>");
    for (const path of ['"ann"@Known.Example', "@a.example,@b.example:ann@known.EXAMPLE"]) {
      await client.ask(`RCPT TO:<${path}>`);
    }
    assert.deepEqual(seen, ["ann@known.example", "ann@known.example"]);
  });
});

test("PROXY and the TLS handshake may come in one packet on a port that is all TLS", async () => {
  await using server = await testServer({ tls, implicitTls: true, proxyTrusted: ["127.0.0.0/8"] });
  using client = await Talk.open(server.at);
  client.send("PROXY TCP4 192.0.2.9 192.0.2.1 4096 465\r\n");
  await client.secure();
  assert.match(await client.reply(), /^220 /);
});
