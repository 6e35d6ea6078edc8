/** Commands, replies and extensions of SMTP as text. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  decodeXtext,
  encodeXtext,
  formatReply,
  parseCommand,
  parseExtensions,
  ReplyParser,
  sizeLimit,
} from "#formats/smtp";

describe("parseCommand()", () => {
  const good = [
    ["EHLO mail.example", { verb: "EHLO", name: "mail.example" }],
    ["helo [192.0.2.1] ", { verb: "HELO", name: "[192.0.2.1]" }],
    ["EHLO my_pc", { verb: "EHLO", name: "my_pc" }],
    ["MAIL FROM:<>", { verb: "MAIL", reversePath: "" }],
    [
      "mail from: <a@b.example> size=10 body=7BIT",
      { verb: "MAIL", reversePath: "a@b.example", sizeBytes: 10, body: "7bit" },
    ],
    [
      "MAIL FROM:<a@b.example> AUTH=<> RET=FULL",
      { verb: "MAIL", reversePath: "a@b.example", dsnReturn: "full" },
    ],
    [
      "RCPT TO:<a@b.example> NOTIFY=NEVER",
      { verb: "RCPT", recipient: { path: "a@b.example", notify: ["never"] } },
    ],
    ["BDAT 10 last", { verb: "BDAT", sizeBytes: 10, last: true }],
    ["AUTH plain =", { verb: "AUTH", mechanism: "PLAIN", initial: "" }],
    ["DATA ", { verb: "DATA" }],
    ["NOOP what ever", { verb: "NOOP", text: "what ever" }],
  ] as const;
  for (const [line, command] of good) {
    test(`reads ${line}`, () =>
      assert.deepEqual(parseCommand(line, false), { ok: true, value: command }));
  }

  const bad = [
    ["", "unknown"],
    ["GET / HTTP/1.1", "unknown"],
    ["XCLIENT NAME=x", "not-offered"],
    ["EHLO", "syntax"],
    ["EHLO a b", "syntax"],
    ["EHLO a(b)", "syntax"],
    ["DATA now", "syntax"],
    ["NOOP \x07", "syntax"],
    ["MAIL TO:<a@b.example>", "syntax"],
    ["MAIL FROM :<a@b.example>", "syntax"],
    ["MAIL FROM:<a@b.example>SIZE=1", "syntax"],
    ["MAIL FROM:<a@b.example> =", "syntax"],
    ["MAIL FROM:a@b.example", "bad-sender"],
    ["MAIL FROM:<postmaster>", "bad-sender"],
    ["MAIL FROM:<ä@b.example>", "needs-utf8"],
    ["MAIL FROM:<a@b.example> SIZE=x", "bad-parameter"],
    ["MAIL FROM:<a@b.example> SIZE=1 size=2", "bad-parameter"],
    ["MAIL FROM:<a@b.example> ENVID=a+0Ab", "bad-parameter"],
    ["MAIL FROM:<a@b.example> HOLDFOR=1", "unknown-parameter"],
    ["RCPT TO:<>", "bad-recipient"],
    ["RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", "bad-parameter"],
    ["RCPT TO:<a@b.example> ORCPT=a@b.example", "bad-parameter"],
  ] as const;
  for (const [line, fault] of bad) {
    test(`refuses ${line} as ${fault}`, () => {
      const parsed = parseCommand(line, false);
      assert.equal(parsed.ok ? "ok" : parsed.fault, fault);
    });
  }

  test("never throws on mutated commands, and points into the line (seeded)", () => {
    for (let seed = 0; seed < 30_000; seed += 1) {
      const random = seededRandom(seed);
      const chars = Array.from(good[pick(random, good.length)]?.[0] ?? "");
      for (let count = pick(random, 4); count >= 0; count -= 1) {
        const odd = String.fromCodePoint(pick(random, 0x250));
        chars.splice(pick(random, chars.length), pick(random, 3), odd);
      }
      const line = chars.join("");
      const parsed = parseCommand(line, seed % 2 === 0);
      if (!parsed.ok) assert.ok(parsed.at <= line.length + 5);
    }
  });
});

describe("replies", () => {
  test("are formatted with code and status on each line, and nobody breaks out of one", () => {
    assert.equal(formatReply({ code: 250, status: "2.0.0", text: "ok" }), "250 2.0.0 ok\r\n");
    assert.equal(formatReply({ code: 250, text: ["mx", "SIZE 1"] }), "250-mx\r\n250 SIZE 1\r\n");
    assert.equal(formatReply({ code: 550, text: "a\r\n250 ö" }), "550 a?250 ?\r\n");
    assert.ok(formatReply({ code: 550, status: "5.0.0", text: "x".repeat(900) }).length <= 512);
  });

  test("are read from chunks of any size", () => {
    const wire =
      "220 hi\r\n250-mx\r\n250-SIZE 10\r\n250 AUTH PLAIN\r\n550-5.1.1 no\r\n550 5.1.1 body\r\n354\r\n";
    for (let size = 1; size < 20; size += 1) {
      const parser = new ReplyParser();
      const replies = [];
      for (let at = 0; at < wire.length; at += size) {
        const pushed = parser.push(Buffer.from(wire.slice(at, at + size)));
        assert.ok(pushed.ok);
        replies.push(...pushed.value);
      }
      assert.deepEqual(replies, [
        { code: 220, text: "hi" },
        { code: 250, text: ["mx", "SIZE 10", "AUTH PLAIN"] },
        { code: 550, status: "5.1.1", text: ["no", "body"] },
        { code: 354, text: "" },
      ]);
      assert.equal(parser.inReply, false);
    }
  });

  for (const [wire, fault] of [
    ["hello\r\n", "bad-line"],
    ["250-a\r\n550 b\r\n", "codes-differ"],
    [`250 ${"x".repeat(3000)}`, "too-long"],
    ["250-x\r\n".repeat(101), "too-long"],
  ] as const) {
    test(`are given up as ${fault}`, () => {
      const pushed = new ReplyParser().push(Buffer.from(wire));
      assert.equal(pushed.ok ? "ok" : pushed.fault, fault);
    });
  }

  test("tell what a server offers", () => {
    const offered = parseExtensions({
      code: 250,
      text: ["mx", "size 1000", "AUTH PLAIN", "AUTH=LOGIN", "?!"],
    });
    assert.equal(sizeLimit(offered), 1000);
    assert.deepEqual(offered.get("AUTH"), ["PLAIN", "LOGIN"]);
    assert.equal(offered.size, 2);
  });
});

test("xtext comes back as it was", () => {
  assert.equal(encodeXtext("a+b=c d"), "a+2Bb+3Dc+20d");
  assert.equal(decodeXtext(encodeXtext("a+b=c d")), "a+b=c d");
  assert.equal(decodeXtext("a+0D+0A"), null);
});
