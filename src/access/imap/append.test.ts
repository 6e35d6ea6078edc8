import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Client, type Fixture, last, mail, startImap } from "./fixture.test.ts";

async function messages(client: Client): Promise<number> {
  const [line = ""] = await client.command("STATUS INBOX (MESSAGES)");
  return Number(/MESSAGES (\d+)/.exec(line)?.[1]);
}

async function allGone(imap: Fixture, left: number): Promise<void> {
  while (imap.server.connections() > left) await new Promise((done) => void setTimeout(done, 5));
}

describe("APPEND", () => {
  test("keeps octets, flags and date, and tells the UID", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    const answer = await client.append(
      "INBOX",
      mail("ü"),
      '(\\Seen) "17-Jul-1996 02:44:25 -0700" ',
    );
    assert.match(last(answer), /^OK \[APPENDUID \d+ 1\]/);
    await client.command("SELECT INBOX");
    const text = (await client.command("FETCH 1 (INTERNALDATE BODY.PEEK[])")).join("\r\n");
    assert.ok(text.includes('"17-Jul-1996 09:44:25 +0000"'));
    assert.ok(text.includes(Buffer.from(mail("ü")).toString("latin1")));
  });

  test("refuses before the message comes what it would refuse after", async () => {
    await using imap = await startImap({ limits: { maxMessageBytes: 65_536 } });
    const client = await imap.login();
    const refused = [
      ["Nowhere {10}", /^NO \[TRYCREATE\]/],
      ["INBOX {65537}", /^NO \[TOOBIG\]/],
      ["INBOX {0}", /^NO/],
      ["INBOX (\\Bogus) {10}", /^BAD/],
      ['INBOX "yesterday" {10}', /^BAD/],
      ["INBOX {4294967296}", /^BAD/],
    ] as const;
    for (const [start, answer] of refused) {
      assert.match(last(await client.command(`APPEND ${start}`)), answer, start);
    }
    client.send("x APPEND Nowhere {5+}\r\nhello\r\ny NOOP\r\n");
    assert.match(await client.until(/y OK .*\r\n/), /^x NO \[TRYCREATE\] .*\r\ny OK/);
    const stranger = await imap.connect();
    assert.match(last(await stranger.command("APPEND INBOX {9000}")), /^BAD/);
    assert.equal(await messages(client), 0);
  });

  test("takes a small message unasked, NUL only as literal8, one message at a time", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    client.send("x APPEND INBOX {5+}\r\nhello\r\n");
    assert.match(last(await client.completion("x")), /^OK/);
    client.send("x APPEND INBOX {5+}\r\nhe\0lo\r\n");
    assert.match(last(await client.completion("x")), /^BAD/);
    client.send("x APPEND INBOX ~{5+}\r\nhe\0lo\r\n");
    assert.match(last(await client.completion("x")), /^OK/);
    client.send("x APPEND INBOX UTF8 (~{5+}\r\nhello)\r\n");
    assert.match(last(await client.completion("x")), /^OK/);
    client.send("x APPEND INBOX {5+}\r\nhello {5+}\r\nhello\r\ny NOOP\r\n");
    assert.match(await client.until(/y OK .*\r\n/), /^x BAD/);
    assert.equal(await messages(client), 3);
  });

  test("I5: a client that dies inside a message leaves nothing, at any place", async () => {
    await using imap = await startImap();
    const octets = Buffer.from(mail("cut", "0123456789abcde\r\n".repeat(20_000)));
    const watcher = await imap.login();
    const cuts = [0, 1, 100, 65_536, 200_000, octets.length - 1, octets.length];
    for (const cut of cuts) {
      const client = await imap.login();
      client.send(`x APPEND INBOX {${octets.length}}\r\n`);
      await client.until(/^\+/);
      client.send(octets.subarray(0, cut));
      if (cut > 0) await new Promise((done) => void setTimeout(done, 20));
      client.socket.destroy();
      await allGone(imap, 1);
    }
    assert.equal(await messages(watcher), 0);
    const aborted = imap.registry
      .samples()
      .find(({ name }) => name === "imap_appends_aborted_total");
    assert.equal(aborted?.value, cuts.length);
    assert.match(last(await watcher.append("INBOX", octets.toString())), /^OK/);
    assert.equal(await messages(watcher), 1);
  });

  test("I5: many at once into one mailbox all arrive, each with its own UID", async () => {
    await using imap = await startImap();
    const clients = await Promise.all(Array.from({ length: 8 }, () => imap.login()));
    const answers = await Promise.all(
      clients.map(async (client, index) => {
        const uids: string[] = [];
        for (let count = 0; count < 5; count += 1) {
          const answer = last(await client.append("INBOX", mail(`${index}-${count}`)));
          uids.push(/APPENDUID \d+ (\d+)/.exec(answer)?.[1] ?? answer);
        }
        return uids;
      }),
    );
    assert.equal(new Set(answers.flat()).size, 40);
  });
});
