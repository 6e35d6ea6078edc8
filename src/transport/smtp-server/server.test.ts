/** Dialogues with the SMTP server over loopback. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { Denied, Full, Unavailable } from "#base/errors";
import { Talk, talk } from "../../../tests/kit/talk.ts";
import { testServer } from "./testing.ts";

const hello = `
  S: 220 mx.known.example ESMTP Postern
  C: EHLO client.example
  S: 250-mx.known.example
  S: 250-PIPELINING
  S: 250-SIZE 52428800
  S: 250-8BITMIME
  S: 250-SMTPUTF8
  S: 250-CHUNKING
  S: 250-ENHANCEDSTATUSCODES
  S: 250-DSN
  S: 250 LIMITS RCPTMAX=100 MAILMAX=1000
`;

describe("the SMTP server", () => {
  test("takes a message, unstuffs its dots and hashes what it hands on", async () => {
    await using server = await testServer();
    await talk(
      server.at,
      `${hello}
      C: MAIL FROM:<"a b"@Client.Example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2By
      S: 250 2.1.0 …
      C: RCPT TO:<b@KNOWN.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@known.example
      S: 250 2.1.5 …
      C: DATA
      S: 354 …
      C: Subject: x
      C:
      C: ..dot
      C: .
      S: 250 2.0.0 kept
      C: QUIT
      S: 221 2.0.0 …
      S: (closed)`,
    );
    const [one] = server.delivered;
    const content = "Subject: x\r\n\r\n.dot\r\n";
    assert.equal(one?.content.toString(), content);
    assert.deepEqual(one?.facts, {
      contentId: createHash("sha256").update(content).digest("hex"),
      sizeBytes: content.length,
    });
    assert.match(one?.transaction.id ?? "", /^[0-9a-f]{32}$/);
    assert.deepEqual(one?.transaction.envelope, {
      reversePath: '"a b"@client.example',
      body: "8bitmime",
      dsnReturn: "headers",
      envelopeId: "x+y",
      recipients: [
        {
          path: "b@known.example",
          notify: ["failure", "delay"],
          originalRecipient: "rfc822;b@known.example",
        },
      ],
    });
  });

  test("answers a pipelined group in order and forgets a transaction on RSET", async () => {
    await using server = await testServer();
    using client = await Talk.open(server.at);
    await client.reply();
    await client.ask("EHLO c.example");
    client.send(
      "MAIL FROM:<>\r\nRCPT TO:<x@known.example>\r\nRCPT TO:<y@other.example>\r\n" +
        "RSET\r\nRCPT TO:<x@known.example>\r\nNOOP\r\n",
    );
    const codes: string[] = [];
    for (let count = 0; count < 6; count += 1) codes.push((await client.reply()).slice(0, 9));
    assert.deepEqual(codes, [
      ...["250 2.1.0", "250 2.1.5", "550 5.7.1", "250 2.0.0", "503 5.5.1", "250 2.0.0"],
    ]);
  });

  test("keeps order when handlers take their time", async () => {
    const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
    await using server = await testServer({
      handler: {
        mail: () => wait().then(() => undefined),
        recipient: async (_, path) => {
          await wait();
          return path.startsWith("no") ? { code: 550, status: "5.1.1", text: "no" } : undefined;
        },
      },
    });
    using client = await Talk.open(server.at);
    await client.reply();
    await client.ask("EHLO c.example");
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<no@known.example>\r\n");
    client.send("RCPT TO:<yes@known.example>\r\nDATA\r\n");
    const codes: string[] = [];
    for (let count = 0; count < 4; count += 1) codes.push((await client.reply()).slice(0, 3));
    assert.deepEqual(codes, ["250", "550", "250", "354"]);
    client.send("x\r\n.\r\n");
    assert.equal(await client.reply(), "250 2.0.0 kept");
  });

  test("stops reading while the sink is busy, and goes on", async () => {
    let most = 0;
    let open = 0;
    await using server = await testServer({
      handler: {
        begin: () => ({
          async write() {
            open += 1;
            most = Math.max(most, open);
            await new Promise((resolve) => setImmediate(resolve));
            open -= 1;
          },
          end: ({ sizeBytes }) => ({ code: 250, status: "2.0.0", text: `${sizeBytes}` }),
          abort() {},
        }),
      },
    });
    using client = await Talk.open(server.at);
    await client.reply();
    await client.ask("EHLO c.example");
    await client.ask("MAIL FROM:<>");
    await client.ask("RCPT TO:<x@known.example>");
    await client.ask("DATA");
    client.send("\r\n");
    const line = `${"x".repeat(98)}\r\n`;
    for (let count = 0; count < 50; count += 1) client.send(line.repeat(1000));
    client.send(".\r\n");
    assert.equal(await client.reply(), "250 2.0.0 5000002");
    assert.equal(most, 1);
  });

  const failures = [
    ["Unavailable", () => new Unavailable("secret"), "451 4.3.0"],
    ["Full", () => new Full("secret"), "452 4.3.1"],
    ["Denied", () => new Denied("secret"), "550 5.7.1"],
    ["any other error", () => new TypeError("secret"), "451 4.3.0"],
  ] as const;
  for (const [name, make, code] of failures) {
    test(`answers ${code} when a handler throws ${name}, and says nothing of it`, async () => {
      for (const where of ["mail", "recipient", "begin", "write", "end"] as const) {
        const fail = (): never => {
          throw make();
        };
        const sink = {
          write: where === "write" ? async () => fail() : () => {},
          end: where === "end" ? async () => fail() : () => ({ code: 250, text: "kept" }),
          abort() {},
        };
        await using server = await testServer({
          handler: {
            ...(where === "mail" && { mail: fail }),
            recipient: where === "recipient" ? async () => fail() : () => undefined,
            begin: where === "begin" ? fail : () => sink,
          },
        });
        using client = await Talk.open(server.at);
        await client.reply();
        await client.ask("EHLO c.example");
        const said = [
          await client.ask("MAIL FROM:<>"),
          await client.ask("RCPT TO:<x@known.example>"),
        ];
        if (where !== "mail" && where !== "recipient") said.push(await client.ask("DATA"));
        if (where === "write" || where === "end") said.push(await client.ask("x\r\n."));
        assert.ok(
          said.some((one) => one.startsWith(code)),
          `${where}: ${said}`,
        );
        assert.doesNotMatch(said.join(), /secret/);
        assert.match(await client.ask("NOOP"), /^250 /);
      }
    });
  }

  test("aborts the sink when the client goes away in the middle", async () => {
    await using server = await testServer();
    {
      using client = await Talk.open(server.at);
      await client.reply();
      await client.ask("EHLO c.example");
      await client.ask("MAIL FROM:<>");
      await client.ask("RCPT TO:<x@known.example>");
      await client.ask("DATA");
      client.send("half a mess");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    while (server.server.connections() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(server.aborted, ["connection lost"]);
    assert.equal(server.delivered.length, 0);
  });

  test("lets the administrator of the domain be reached without a domain", async () => {
    await using server = await testServer();
    using client = await Talk.open(server.at);
    await client.reply();
    await client.ask("HELO c");
    await client.ask("MAIL FROM:<>");
    assert.match(await client.ask("RCPT TO:<Postmaster>"), /^250 /);
    await client.ask("DATA");
    await client.ask("x\r\n.");
    const [one] = server.delivered;
    assert.equal(one?.transaction.envelope.recipients[0]?.path, "postmaster@known.example");
    assert.equal(one?.transaction.connection.extended, false);
  });

  test("drain() lets a message end, and turns idle clients away", async () => {
    const server = await testServer();
    using idle = await Talk.open(server.at);
    await idle.reply();
    using busy = await Talk.open(server.at);
    await busy.reply();
    await busy.ask("EHLO c.example");
    await busy.ask("MAIL FROM:<>");
    await busy.ask("RCPT TO:<x@known.example>");
    await busy.ask("DATA");
    const drained = server.server.drain(5000);
    assert.match(await idle.rest(), /^421 4\.3\.2 /);
    busy.send("x\r\n.\r\n");
    assert.match(await busy.rest(), /^250 2\.0\.0 kept\r\n421 4\.3\.2 /);
    await drained;
    assert.equal(server.delivered.length, 1);
  });
});
