import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { last, mail, password, startImap } from "./fixture.test.ts";

describe("before login", () => {
  test("greets with capabilities, offers PLAIN and no STARTTLS (RFC 8314)", async () => {
    await using imap = await startImap();
    const client = await imap.connect();
    const [line = ""] = await client.command("CAPABILITY");
    const offered = line.split(" ");
    for (const one of ["IMAP4rev1", "IMAP4rev2", "AUTH=PLAIN", "SASL-IR", "LITERAL-"]) {
      assert.ok(offered.includes(one), one);
    }
    assert.ok(!offered.includes("STARTTLS") && !offered.includes("LOGINDISABLED"));
    assert.match(last(await client.command("STARTTLS")), /^BAD/);
    assert.match(last(await client.command("SELECT INBOX")), /^BAD/);
    assert.match(last(await client.command("LOGOUT")), /^OK/);
    assert.match(await client.untilClosed(), /^$/);
  });

  test("answers an unknown name as a wrong password, and ends after three", async () => {
    await using imap = await startImap();
    const client = await imap.connect();
    const wrong = await client.command("LOGIN alice wrong");
    const unknown = await client.command("LOGIN nobody wrong");
    assert.deepEqual(wrong, ["NO [AUTHENTICATIONFAILED] Wrong name or password"]);
    assert.deepEqual(unknown, wrong);
    client.send("x LOGIN alice wrong\r\n");
    assert.match(await client.untilClosed(), /^x NO /);
  });

  test("takes AUTHENTICATE PLAIN with and without an initial response", async () => {
    await using imap = await startImap();
    const secret = Buffer.from(`\0alice\0${password}`).toString("base64");
    const first = await imap.connect();
    assert.match(last(await first.command(`AUTHENTICATE PLAIN ${secret}`)), /^OK \[CAPABILITY /);
    const second = await imap.connect();
    second.send("a AUTHENTICATE PLAIN\r\n");
    await second.until(/^\+ /);
    second.send(`${secret}\r\n`);
    assert.match(last(await second.completion("a")), /^OK/);
    const third = await imap.connect();
    third.send("a AUTHENTICATE PLAIN\r\n");
    await third.until(/^\+ /);
    third.send("*\r\n");
    assert.match(last(await third.completion("a")), /^BAD/);
    const asBob = Buffer.from(`bob\0alice\0${password}`).toString("base64");
    assert.match(last(await third.command(`AUTHENTICATE PLAIN ${asBob}`)), /^NO/);
    assert.match(last(await third.command("AUTHENTICATE PLAIN %%%")), /^BAD/);
    assert.match(last(await third.command("AUTHENTICATE CRAM-MD5")), /^NO/);
  });

  test("takes name and password as literals", async () => {
    await using imap = await startImap();
    const client = await imap.connect();
    client.send("a LOGIN {5}\r\n");
    await client.until(/^\+ /);
    client.send(`alice {${password.length}+}\r\n${password}\r\n`);
    assert.match(last(await client.completion("a")), /^OK/);
  });
});

describe("commands without arguments", () => {
  test("each is carried out and answered under its own name", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    for (const name of ["CAPABILITY", "NOOP", "NAMESPACE", "ID NIL", "CHECK", "UNSELECT"]) {
      if (name === "CHECK") await client.command("SELECT INBOX");
      const [word = ""] = name.split(" ");
      assert.match(last(await client.command(name)), new RegExp(`^OK ${word} completed`, "i"));
    }
    await client.command("SELECT INBOX");
    assert.match(last(await client.command("CLOSE")), /^OK CLOSE/i);
    assert.match(last(await client.command("UNSELECT")), /^BAD/, "CLOSE left the mailbox selected");
    client.send("i IDLE\r\n");
    await client.until(/^\+ /);
    client.send("DONE\r\n");
    assert.match(last(await client.completion("i")), /^OK/);
    assert.match(last(await client.command("LOGOUT")), /^OK LOGOUT/i);
  });
});

describe("hostile input", () => {
  test("I1: a literal out of range is BAD and nothing is kept for it", async () => {
    await using imap = await startImap();
    const client = await imap.connect();
    for (const size of ["4294967296", "99999999999999999999", "-1", "4294967295"]) {
      const before = process.memoryUsage().arrayBuffers;
      assert.match(last(await client.command(`LOGIN {${size}}`)), /^BAD/, size);
      assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000, size);
      assert.match(last(await client.command("NOOP")), /^OK/);
    }
  });

  test("I1: before login a command has 8 KiB, after it 64 KiB", async () => {
    await using imap = await startImap();
    const stranger = await imap.connect();
    stranger.send(`a LOGIN ${"x".repeat(9000)}`);
    assert.match(await stranger.untilClosed(), /BAD Command too long\r\n\* BYE/);
    const alice = await imap.login();
    const set = Array.from({ length: 9000 }, (_, index) => index + 1).join(",");
    await alice.command("SELECT INBOX");
    assert.match(last(await alice.command(`UID FETCH ${set} FLAGS`)), /^OK/);
    alice.send(`a UID FETCH ${"1,".repeat(40_000)}`);
    assert.match(await alice.untilClosed(), /BYE/);
  });

  test("I1: an unasked literal above 4096 octets ends the connection", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    client.send(`a SELECT {4097+}\r\n${"x".repeat(4097)}\r\nb LOGOUT\r\n`);
    const text = await client.untilClosed();
    assert.match(text, /^a BAD .*\r\n\* BYE /);
    assert.ok(!text.includes("b OK"));
  });

  test("I2: nesting, floods of nonsense and long patterns stay cheap", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await client.command("SELECT INBOX");
    const deep = `SEARCH ${"(".repeat(20_000)}ALL${")".repeat(20_000)}`;
    assert.match(last(await client.command(deep)), /^BAD/);
    const startMs = performance.now();
    assert.match(last(await client.command(`LIST "" "${"*%".repeat(400)}x"`)), /^OK/);
    assert.match(last(await client.command(`LIST "" "${"%a".repeat(400)}"`)), /^OK/);
    assert.ok(performance.now() - startMs < 1000);
    for (let count = 0; count < 25; count += 1) client.send("nonsense\r\n");
    assert.match(await client.untilClosed(), /BYE Too many bad commands/);
  });

  const odd = [
    ["NUL", "a NO\0OP\r\n", /^a BAD/],
    ["a bare LF", "a NOOP\n", /^a BAD/],
    ["a long tag", `${"t".repeat(500)} NOOP\r\n`, /^\* BAD/],
    ["a tag with +", "a+ NOOP\r\n", /^\* BAD/],
    ["UTF-7 of another spelling", "a SELECT &AEEAYg-\r\n", /^a NO/],
    ["broken UTF-8", 'a SELECT "\xc3\x28"\r\n', /^a BAD/],
    ["CR inside a string", 'a SELECT "a\rb"\r\n', /^a BAD/],
  ] as const;
  test("I3: odd octets are refused and the next command is read", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    for (const [name, input, answer] of odd) {
      client.send(`${input}z NOOP\r\n`);
      assert.match(await client.until(/z OK .*\r\n$/), answer, name);
    }
  });

  test("random octets never make it hang or fall", async () => {
    await using imap = await startImap();
    const random = seededRandom(31);
    const pieces = [
      "a ",
      "SELECT INBOX",
      "\r\n",
      "\n",
      "{3}",
      "{3+}",
      '"',
      "(",
      ")",
      "IDLE",
      "DONE",
    ];
    pieces.push("APPEND INBOX {10}", "FETCH 1 BODY[", "SEARCH OR", "\0", "\xff", "* ", "UID ");
    for (let run = 0; run < 40; run += 1) {
      const client = await imap.login();
      for (let count = 0; count < 60; count += 1) {
        client.send(pieces[pick(random, pieces.length)] ?? "");
      }
      client.socket.destroy();
    }
    const client = await imap.login();
    assert.match(last(await client.command("NOOP")), /^OK/);
  });
});

describe("bounds", () => {
  test("closes who does not log in, and who says nothing for long", async () => {
    const clock = fakeClock();
    await using imap = await startImap({ clock });
    const stranger = await imap.connect();
    const alice = await imap.login();
    const idler = await imap.login();
    await idler.command("SELECT INBOX");
    idler.send("i IDLE\r\n");
    await idler.until(/^\+/);
    await clock.advance(66_000);
    assert.match(await stranger.untilClosed(), /BYE Login took too long/);
    await clock.advance(20 * 60_000);
    assert.match(last(await alice.command("NOOP")), /^OK/);
    await clock.advance(11 * 60_000);
    assert.match(await idler.untilClosed(), /BYE Silent for too long/);
    assert.match(last(await alice.command("NOOP")), /^OK/);
  });

  test("W8 a new password, or a sign-out everywhere, ends what the account has open", async () => {
    const clock = fakeClock();
    const ended = new Map<string, number>();
    const revocations = (account: string): number => ended.get(account) ?? 0;
    await using imap = await startImap({ clock, revocations });
    const before = await imap.login();
    await before.command("SELECT INBOX");
    before.send("i IDLE\r\n");
    await before.until(/^\+/);
    ended.set("alice", 1);
    const after = await imap.login();
    await clock.advance(6_000);
    assert.match(await before.untilClosed(), /BYE Signed out everywhere/);
    assert.match(last(await after.command("NOOP")), /^OK/);
  });

  test("W8 an app password that is removed ends what was opened with it, and nothing else", async () => {
    const clock = fakeClock();
    const removed = new Set<string>();
    await using imap = await startImap({ clock, removed });
    const phone = await imap.login("alice", "app phone");
    phone.send("i IDLE\r\n");
    await phone.until(/^\+/);
    const laptop = await imap.login("alice", "app laptop");
    const own = await imap.login();
    removed.add("app phone");
    await clock.advance(6_000);
    assert.match(await phone.untilClosed(), /BYE The app password was removed/);
    for (const other of [laptop, own]) assert.match(last(await other.command("NOOP")), /^OK/);
  });

  test("counts connections by address and by account", async () => {
    const limits = { maxConnectionsPerAddress: 3, maxConnectionsPerAccount: 2 };
    await using imap = await startImap({ limits });
    await imap.login();
    const second = await imap.login();
    const third = await imap.connect();
    third.send(`a LOGIN alice "${password}"\r\n`);
    assert.match(await third.untilClosed(), /^a NO \[LIMIT\]/);
    await imap.login("bob");
    const fourth = await imap.connect();
    assert.match(await fourth.untilClosed(), /^$/);
    second.socket.destroy();
    while (imap.server.connections() > 2) await new Promise((done) => void setTimeout(done, 5));
    assert.match(last(await (await imap.connect()).command("NOOP")), /^OK/);
  });

  test("holds little for a client that asks and does not read", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await client.append("INBOX", mail("large", "0123456789abcde\r\n".repeat(50_000)));
    await client.command("SELECT INBOX");
    client.socket.pause();
    for (let count = 0; count < 200; count += 1) client.send(`f${count} FETCH 1 BODY.PEEK[]\r\n`);
    await new Promise((done) => void setTimeout(done, 300));
    const before = process.memoryUsage();
    await new Promise((done) => void setTimeout(done, 300));
    const after = process.memoryUsage();
    assert.ok(after.arrayBuffers - before.arrayBuffers < 8_000_000);
    assert.ok(after.arrayBuffers < 100_000_000, String(after.arrayBuffers));
    const other = await imap.login("bob");
    assert.match(last(await other.command("NOOP")), /^OK/);
  });

  test("answers pipelined commands in order", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    client.send(
      "a SELECT INBOX\r\nb NOOP\r\nc STATUS INBOX (MESSAGES)\r\nd UNSELECT\r\ne NOOP\r\n",
    );
    const text = await client.until(/e OK .*\r\n$/);
    assert.deepEqual(text.match(/^[a-e] \w+/gm), ["a OK", "b OK", "c OK", "d OK", "e OK"]);
  });

  test("drains: running commands end, then everybody gets a BYE", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    const drained = imap.server.drain();
    assert.match(await client.untilClosed(), /^\* BYE /);
    await drained;
    assert.equal(imap.server.connections(), 0);
  });
});
