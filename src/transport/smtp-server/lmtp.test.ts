/** The server as an LMTP server (RFC 2033). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Unavailable } from "#base/errors";
import type { Reply } from "#model/reply";
import { Talk } from "../../../tests/kit/talk.ts";
import { messageRoom } from "./room.ts";
import { type TestServer, type TestWishes, testServer } from "./testing.ts";

/** Keeps everything, and answers each recipient by the first letter of its name. */
function lmtpServer(wishes: TestWishes = {}): Promise<TestServer> {
  return testServer({
    protocol: "lmtp",
    handler: {
      begin: ({ envelope }) => ({
        write() {},
        end: () => envelope.recipients.map(({ path }) => replyTo(path)),
        abort() {},
      }),
    },
    ...wishes,
  });
}

function replyTo(path: string): Reply {
  if (path.startsWith("f")) return { code: 452, status: "4.2.2", text: "mailbox full" };
  return { code: 250, status: "2.0.0", text: `kept for ${path}` };
}

async function begun(server: TestServer, ...names: readonly string[]): Promise<Talk> {
  const talk = await Talk.open(server.at);
  assert.equal(await talk.reply(), "220 mx.known.example LMTP Postern");
  assert.match(await talk.ask("LHLO mta.inside"), /^250-mx\.known\.example\n250-PIPELINING\n/);
  assert.match(await talk.ask("MAIL FROM:<a@b.example>"), /^250 /);
  for (const name of names) await talk.ask(`RCPT TO:<${name}>`);
  return talk;
}

describe("LMTP (RFC 2033)", () => {
  test("§4.1: LHLO alone; an SMTP server does not know it", async () => {
    await using server = await lmtpServer();
    using talk = await Talk.open(server.at);
    await talk.reply();
    for (const verb of ["EHLO", "HELO"]) assert.match(await talk.ask(`${verb} c.example`), /^502 /);
    assert.match(await talk.ask("MAIL FROM:<>"), /^503 /);
    await using smtp = await testServer();
    using other = await Talk.open(smtp.at);
    assert.match(await other.reply(), / ESMTP /);
    assert.match(await other.ask("LHLO c.example"), /^502 /);
  });

  for (const how of ["DATA", "BDAT"] as const) {
    test(`§4.2: ${how} ends with a reply for each accepted recipient, in order`, async () => {
      await using server = await lmtpServer();
      const to = ["a@known.example", "x@other.example", "full@known.example", "a@known.example"];
      using talk = await begun(server, ...to);
      if (how === "DATA") {
        assert.match(await talk.ask("DATA"), /^354 /);
        talk.send("Subject: x\r\n\r\nwords\r\n.\r\n");
      } else {
        talk.send("BDAT 12\r\nSubject: x\r\nBDAT 9 LAST\r\n\r\nwords\r\n");
        assert.equal(await talk.reply(), "250 2.0.0 12 octets taken");
      }
      assert.equal(await talk.reply(), "250 2.0.0 kept for a@known.example");
      assert.equal(await talk.reply(), "452 4.2.2 mailbox full");
      assert.equal(await talk.reply(), "250 2.0.0 kept for a@known.example");
      assert.match(await talk.ask("NOOP"), /^250 /);
    });
  }

  test("§4.2: without a recipient there is no message", async () => {
    await using server = await lmtpServer();
    using talk = await begun(server, "x@other.example");
    assert.match(await talk.ask("DATA"), /^503 /);
  });

  test("one outcome for all is said to each: too large, and a handler that fails", async () => {
    const end = async (): Promise<never> => Promise.reject(new Unavailable("disk"));
    const failing = { begin: () => ({ write() {}, end, abort() {} }) };
    for (const [wishes, code] of [
      [{ limits: { maxMessageBytes: 10 } }, "552"],
      [{ handler: failing }, "451"],
    ] as const) {
      await using server = await lmtpServer(wishes);
      using talk = await begun(server, "a@known.example", "b@known.example");
      assert.match(await talk.ask("DATA"), /^354 /);
      talk.send("Subject: much too long\r\n\r\nwords\r\n.\r\n");
      for (let count = 0; count < 2; count += 1) {
        assert.ok((await talk.reply()).startsWith(code));
      }
      assert.match(await talk.ask("NOOP"), /^250 /);
    }
  });

  test("a chunk that is not the last has one reply, also when it is refused", async () => {
    await using server = await lmtpServer({ limits: { maxMessageBytes: 10 } });
    using talk = await begun(server, "a@known.example", "b@known.example");
    talk.send("BDAT 19\r\nSubject: too long\r\n");
    assert.match(await talk.reply(), /^552 /);
    assert.match(await talk.ask("RSET"), /^250 /);
  });

  test("where there is no room the last chunk has a reply for each recipient, too", async () => {
    const room = messageRoom(100_000);
    await using server = await lmtpServer({ room });
    using talk = await begun(server, "a@known.example", "b@known.example");
    room.hold(90_000);
    talk.send("BDAT 12 LAST\r\nSubject: x\r\n");
    for (let count = 0; count < 2; count += 1) assert.match(await talk.reply(), /^452 4\.3\.1 /);
    assert.match(await talk.ask("NOOP"), /^250 /);
  });
});
