import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { systemNet } from "#base/net";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import {
  type Answers,
  agreement,
  type FakeMilter,
  indexed,
  packet,
  startFakeMilter,
} from "../../../tests/kit/milter.ts";
import { askMilter } from "./ask.ts";
import { stepBits } from "./protocol.ts";
import type { MilterAnswer, MilterMail } from "./types.ts";

const ports = { net: systemNet, clock: systemClock };

function mailOf(text: string, more: Partial<MilterMail> = {}): MilterMail {
  const octets = Buffer.from(text, "latin1");
  return {
    id: "f00d",
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.7",
      clientPort: 4711,
      helo: "mx.example.net",
      extended: true,
      tls: { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" },
      authenticated: "partner",
    },
    envelope: {
      reversePath: "eve@example.net",
      recipients: [{ path: "ana@example.org" }, { path: "ben@example.org" }],
    },
    receivedBy: "mail.example.org",
    octets,
    sizeBytes: octets.length,
    ...more,
  };
}

const mail = mailOf("Subject: a\r\n b\r\nX:c\r\n\r\nbody\r\n");

/** Resolves when the milter has heard all, and its connection is gone. */
async function ask(milter: FakeMilter, shown = mail, timeoutMs = 20_000): Promise<MilterAnswer> {
  const answer = await askMilter({ ...milter, timeoutMs, maxBytes: 1_000_000 }, shown, ports);
  for (let turn = 0; milter.open.size > 0 && turn < 200; turn += 1) {
    await new Promise((done) => setTimeout(done, 10));
  }
  assert.equal(milter.open.size, 0, "a connection stayed open");
  return answer;
}

async function judged(answers: Answers): Promise<MilterAnswer> {
  await using milter = await startFakeMilter(answers);
  return await ask(milter);
}

const verdict = (kind: string, why = ""): object => ({
  kind: "judged",
  verdict: kind === "accept" ? { kind } : { kind, why },
  fields: [],
  refused: [],
});
const unavailable = (why: string): object => ({ kind: "unavailable", why });

describe("askMilter()", () => {
  test("shows the whole message in the order of a session, with macros", async () => {
    await using milter = await startFakeMilter();
    assert.deepEqual(await ask(milter), verdict("accept"));
    const shown = milter.heard.map(({ letter, data }) => `${letter} ${data.replaceAll("\0", "|")}`);
    assert.deepEqual(shown.slice(1), [
      "D Cj|mail.example.org|_|[192.0.2.7]|{daemon_name}|smtp|{client_addr}|192.0.2.7|{client_name}|unknown|{client_port}|4711|",
      "C [192.0.2.7]|4\x12\x67192.0.2.7|",
      "H mx.example.net|",
      "D Mi|f00d|{mail_addr}|eve@example.net|{auth_authen}|partner|{tls_version}|TLSv1.3|{cipher}|TLS_AES_128_GCM_SHA256|",
      "M <eve@example.net>|",
      "D R{rcpt_addr}|ana@example.org|",
      "R <ana@example.org>|",
      "D R{rcpt_addr}|ben@example.org|",
      "R <ben@example.org>|",
      "T ",
      "L Subject|a\n b|",
      "L X|c|",
      "N ",
      "B body\r\n",
      "D Ei|f00d|",
      "E ",
      "Q ",
    ]);
  });

  test("leaves out the steps that it does not want, and waits for no answer where none comes", async () => {
    const { connect, helo, mail: from, data, body, header } = stepBits;
    const steps = connect.leaveOut | helo.leaveOut | from.noAnswer | data.leaveOut | body.leaveOut;
    await using milter = await startFakeMilter({
      O: agreement(steps | header.noAnswer | 0x10_0000),
      M: "silence",
      L: "silence",
    });
    assert.deepEqual(await ask(milter), verdict("accept"));
    const shown = milter.heard.filter(({ letter }) => letter !== "D");
    assert.equal(shown.map(({ letter }) => letter).join(""), "OMRRLLNEQ");
    assert.equal(shown.find(({ letter }) => letter === "L")?.data, "Subject\0 a\n b\0");
  });

  test("cuts a body into pieces, and stops where the milter has seen enough", async () => {
    const shown = mailOf(`A: b\r\n\r\n${"x".repeat(200_000)}`);
    await using whole = await startFakeMilter();
    await ask(whole, shown);
    const sizes = (milter: FakeMilter): number[] =>
      milter.heard.filter(({ letter }) => letter === "B").map(({ data }) => data.length);
    assert.deepEqual(sizes(whole), [65_535, 65_535, 65_535, 3395]);
    await using skipping = await startFakeMilter({ B: packet("s") });
    assert.deepEqual(await ask(skipping, shown), verdict("accept"));
    assert.deepEqual(sizes(skipping), [65_535]);
  });

  test("shows as body what stands behind a line that is no field: nothing stays unseen", async () => {
    await using milter = await startFakeMilter();
    await ask(milter, mailOf("A: b\r\nno field\r\nC: d\r\n\r\nbody\r\n"));
    const of = (letter: string): string[] =>
      milter.heard.flatMap((one) => (one.letter === letter ? [one.data] : []));
    assert.deepEqual(of("L"), ["A\0b\0"]);
    assert.deepEqual(of("B"), ["no field\r\nC: d\r\n\r\nbody\r\n"]);
  });

  const verdicts: readonly (readonly [what: string, answers: Answers, answer: object])[] = [
    ["accepts at once", { C: packet("a") }, verdict("accept")],
    ["rejects at MAIL", { M: packet("r") }, verdict("reject")],
    ["has no time at HELO", { H: packet("t") }, verdict("defer")],
    ["rejects in the header", { L: packet("y", "554 no\0") }, verdict("reject", "554 no")],
    ["rejects at the end", { E: packet("r") }, verdict("reject")],
    [
      "throws away",
      { E: packet("d") },
      verdict("quarantine", "it would have thrown the message away"),
    ],
    [
      "quarantines",
      { E: Buffer.concat([packet("q", "odd\0"), packet("c")]) },
      verdict("quarantine", "odd"),
    ],
    [
      "quarantines and rejects",
      { E: Buffer.concat([packet("q", "odd\0"), packet("r")]) },
      verdict("reject"),
    ],
    [
      "refuses every recipient",
      { R: packet("r") },
      verdict("reject", "every recipient was refused"),
    ],
    [
      "is long at work",
      { E: Buffer.concat([packet("p"), packet("p"), packet("c")]) },
      verdict("accept"),
    ],
  ];
  for (const [what, answers, answer] of verdicts) {
    test(`heeds a milter that ${what}`, async () => {
      assert.deepEqual(await judged(answers), answer);
    });
  }

  test("gives the fields that it wants, and tells what is not done", async () => {
    const E = Buffer.concat([
      packet("h", "X-Scanned\0by us\0"),
      indexed("m", 1, "Subject\0***SPAM***\0"),
      indexed("i", 0, "X-Top\0a;\n\tb\0"),
      packet("c"),
    ]);
    assert.deepEqual(await judged({ E }), {
      ...verdict("accept"),
      fields: [
        { name: "X-Scanned", value: " by us" },
        { name: "X-Top", value: " a;\r\n\tb" },
      ],
      refused: ["another Subject"],
    });
  });

  const hostile: readonly (readonly [what: string, answers: Answers, why: string])[] = [
    ["closes before it agrees", { O: "close" }, "cut-off"],
    ["closes in the middle", { R: "close" }, "cut-off"],
    ["closes at the end", { E: "close" }, "cut-off"],
    ["says nothing", { O: "silence" }, "timeout"],
    ["stops answering", { N: "silence" }, "timeout"],
    ["is at work for ever", { E: "flood" }, "answer-too-long"],
    ["is no milter", { O: Buffer.from("220 mx.example.net ESMTP\r\n") }, "answer-too-long"],
    ["speaks another version", { O: agreement(0, 0, 99) }, "no-agreement"],
    ["replaces the body", { E: Buffer.concat([packet("b", "x"), packet("c")]) }, "bad-answer"],
    ["adds a recipient", { E: Buffer.concat([packet("+", "<x@y>\0"), packet("c")]) }, "bad-answer"],
    ["breaks out of a field", { E: packet("h", "X\0a\r\n\r\nevil\0") }, "bad-answer"],
    ["skips what cannot be skipped", { M: packet("s") }, "bad-answer"],
    ["quarantines before it has seen all", { M: packet("q", "x\0") }, "bad-answer"],
    [
      "asks for a thousand fields",
      { E: Buffer.concat(Array.from({ length: 1000 }, () => packet("h", "X\0y\0"))) },
      "answer-too-long",
    ],
  ];
  for (const [what, answers, why] of hostile) {
    test(`V1 bears a milter that ${what}`, async () => {
      await using milter = await startFakeMilter(answers);
      const answer = await ask(milter, mail, why === "timeout" ? 300 : 20_000);
      assert.deepEqual(answer, unavailable(why));
    });
  }

  test("V1 is not held by one that takes nothing", async () => {
    const milter = await startFakeMilter();
    await milter[Symbol.asyncDispose]();
    assert.deepEqual(await ask(milter), unavailable("no-connection"));
    const clock = fakeClock();
    const net = { dial: () => new Promise<never>(() => {}) };
    const asked = askMilter({ ...milter, timeoutMs: 5000, maxBytes: 1000 }, mail, { net, clock });
    await clock.advance(5000);
    assert.deepEqual(await asked, unavailable("timeout"));
    assert.equal(clock.pending(), 0);
  });

  test("does not show what is too large, whole or in one field", async () => {
    await using milter = await startFakeMilter();
    const large = mailOf("", { sizeBytes: 1_000_001 });
    assert.deepEqual(await ask(milter, large), unavailable("too-large"));
    const long = mailOf(`A: ${"b".repeat(70_000)}\r\n\r\n`);
    assert.deepEqual(await ask(milter, long), unavailable("too-large"));
    assert.deepEqual(milter.heard, []);
  });
});
