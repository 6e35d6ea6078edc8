import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type ClientOutcome, deliver, openSession } from "#transport/smtp-client";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { type ClientTest, codes, common, content } from "../../../tests/kit/client.ts";
import { type SinkOptions, SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

const certificate = selfSigned("sink.test");
const proof = { kind: "authority", names: ["sink.test"], authorities: [certificate.cert] } as const;

interface Options extends ClientTest {
  readonly sink?: SinkOptions;
  readonly withoutChunking?: boolean;
}

async function run(options: Options): Promise<{ sink: SmtpSink; outcome: ClientOutcome }> {
  const sink = new SmtpSink(options.sink);
  const [ours, theirs] = streamPair();
  sink.serve(theirs);
  const { withoutChunking } = options;
  const more = withoutChunking === undefined ? {} : { withoutChunking };
  const outcome = await deliver({ ...common(options), ...more, stream: ours });
  return { sink, outcome };
}

async function slowly(stream: Duplex, replies: readonly string[]): Promise<void> {
  for (const reply of replies) {
    await pause(5);
    for (const part of `${reply}\r\n`) stream.write(part);
  }
}

const mailLine = (sink: SmtpSink): string | undefined =>
  sink.lines.find((line) => line.startsWith("MAIL"));

describe("REQUIRETLS (RFC 8689)", () => {
  const envelope = { requireTls: true };
  const extensions = ["REQUIRETLS", "8BITMIME"];

  test("CAP-49 is asked for over TLS that is proven", async () => {
    const tls = { level: "required", proof } as const;
    const { sink, outcome } = await run({ envelope, tls, sink: { extensions, tls: certificate } });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
    assert.equal(mailLine(sink), "MAIL FROM:<a@us.test> BODY=8BITMIME REQUIRETLS");
  });

  for (const [name, options] of [
    ["in the clear", { tls: { level: "none" }, sink: { extensions } }],
    ["over TLS that was not demanded", { tls: { proof }, sink: { extensions, tls: certificate } }],
    [
      "over TLS that is not proven",
      { tls: { level: "required" }, sink: { extensions, tls: certificate } },
    ],
    [
      "to a server that does not offer it",
      { tls: { level: "required", proof }, sink: { tls: certificate } },
    ],
  ] as const) {
    test(`CAP-49 mail that asks for it does not go ${name}`, async () => {
      const { sink, outcome } = await run({ envelope, ...options });
      assert.deepEqual(codes(outcome), ["mail 550 5.7.30"]);
      assert.equal(mailLine(sink), undefined);
    });
  }
});

describe("SMTPUTF8 (RFC 6531)", () => {
  const utf8 = { envelope: { utf8: true } };
  const header = Buffer.from("Subject: größe\r\n\r\nx\r\n");
  const body = Buffer.from("Subject: x\r\n\r\ngröße\r\n");

  test("an address beyond ASCII needs it, asked for or not", async () => {
    const to = ["größe@sink.test"];
    assert.deepEqual(codes((await run({ to })).outcome), ["mail 550 5.6.7"]);
    const { sink } = await run({ to, sink: { extensions: ["SMTPUTF8"] } });
    assert.equal(mailLine(sink), "MAIL FROM:<a@us.test> SMTPUTF8");
  });

  test("a header beyond ASCII needs it where it was asked for (§3.5)", async () => {
    const { outcome, sink } = await run({ ...utf8, content: header });
    assert.deepEqual(codes(outcome), ["mail 550 5.6.9"]);
    assert.equal(mailLine(sink), undefined);
    const offered = await run({ ...utf8, content: header, sink: { extensions: ["SMTPUTF8"] } });
    assert.deepEqual(offered.sink.mails[0]?.octets, header);
  });

  test("a wish that nothing in the message needs does not keep it from being sent", async () => {
    for (const octets of [body, content, Buffer.from("no header at all")]) {
      const { outcome, sink } = await run({ ...utf8, content: octets });
      assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
      assert.equal(mailLine(sink), "MAIL FROM:<a@us.test>");
    }
  });

  test("the header is found wherever the content is cut, and what is not read is let go", async () => {
    for (const [octets, expected] of [
      [header, "mail 550 5.6.9"],
      [body, "end 250 2.0.0"],
    ] as const) {
      for (let cut = 1; cut < octets.length; cut += 1) {
        let isClosed = false;
        async function* pieces() {
          try {
            yield octets.subarray(0, cut);
            yield octets.subarray(cut);
          } finally {
            isClosed = true;
          }
        }
        const sink = new SmtpSink();
        const [ours, theirs] = duplexPair();
        sink.serve(theirs);
        const mail = { ...common({ ...utf8, content: octets }), content: pieces() };
        assert.deepEqual(codes(await deliver({ ...mail, stream: ours })), [expected]);
        assert.ok(isClosed);
        if (expected.startsWith("end")) assert.deepEqual(sink.mails[0]?.octets, octets);
      }
    }
  });
});

describe("8BITMIME and BINARYMIME (docs/decisions/0029)", () => {
  const octets = Buffer.from("Subject: x\r\n\r\ngr\u00f6\u00dfe\r\n");

  test("8-bit content reaches a server without 8BITMIME octet for octet", async () => {
    const { sink } = await run({ envelope: { body: "8bitmime" }, content: octets });
    assert.equal(mailLine(sink), "MAIL FROM:<a@us.test>");
    assert.deepEqual(sink.mails[0]?.octets, octets);
  });

  test("binary content goes nowhere", async () => {
    const extensions = ["BINARYMIME", "CHUNKING", "8BITMIME"];
    const { outcome } = await run({ envelope: { body: "binarymime" }, sink: { extensions } });
    assert.deepEqual(codes(outcome), ["mail 554 5.6.3"]);
  });
});

describe("DSN parameters (RFC 3461)", () => {
  test("only what is well-formed there is passed on", async () => {
    for (const [original, expected] of [
      ["rfc822;a+2Bb@x.test", " ORCPT=rfc822;a+2Bb@x.test"],
      ["rfc822;a+b@x.test", ""], // "+" begins an escape (§4)
      ["rfc822;a+0D+0A@x.test", ""],
      ["a@x.test", ""],
      [";a", ""],
      ["rfc822;", ""],
      ["rfc822;a b", ""],
      ["rfc822;größe@x.test", ""],
      [`rfc822;${"a".repeat(494)}`, ""],
    ] as const) {
      const recipients = [{ path: "b@sink.test", originalRecipient: original }];
      const { sink } = await run({ envelope: { recipients }, sink: { extensions: ["DSN"] } });
      assert.equal(sink.lines[2], `RCPT TO:<b@sink.test>${expected}`);
    }
    for (const [envelopeId, expected] of [
      ["a b+c=d", " ENVID=a+20b+2Bc+3Dd"],
      ["größe", ""],
      ["a\r\nDATA", ""],
      ["=".repeat(33), ` ENVID=${"+3D".repeat(33)}`],
      ["=".repeat(34), ""],
      ["", ""],
    ] as const) {
      const { sink } = await run({ envelope: { envelopeId }, sink: { extensions: ["DSN"] } });
      assert.equal(mailLine(sink), `MAIL FROM:<a@us.test>${expected}`);
    }
  });
});

describe("LIMITS (RFC 9422)", () => {
  test("RCPTMAX: the recipients above it wait", async () => {
    const to = ["a@x.test", "b@x.test", "c@x.test"];
    for (const extensions of [["LIMITS RCPTMAX=2"], ["PIPELINING", "LIMITS MAILMAX=5 RCPTMAX=2"]]) {
      const { sink, outcome } = await run({ to, sink: { extensions } });
      assert.deepEqual(codes(outcome), ["end 250 2.0.0", "end 250 2.0.0", "recipient 452 4.5.3"]);
      assert.equal(sink.lines.filter((line) => line.startsWith("RCPT")).length, 2);
    }
  });

  test("MAILMAX: the session is of no more use after so many messages", async () => {
    const sink = new SmtpSink({ extensions: ["LIMITS MAILMAX=2 RCPTMAX=7"] });
    const [ours, theirs] = duplexPair();
    sink.serve(theirs);
    const opening = await openSession({ ...common({}), stream: ours });
    assert.ok(opening.ok);
    const { session } = opening;
    assert.deepEqual(session.limits, { messages: 2, recipients: 7 });
    await session.send(common({}));
    assert.equal(session.usable, true);
    await session.send(common({}));
    assert.equal(session.usable, false);
    await session.quit();
    assert.equal(sink.lines.at(-1), "QUIT");
  });

  test("what cannot be read limits nothing", async () => {
    const extensions = ["LIMITS RCPTMAX=0 MAILMAX=x RCPTMAX=1234567 OTHER"];
    const { outcome } = await run({ sink: { extensions } });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
  });
});

describe("PIPELINING (RFC 2920)", () => {
  test("replies that come late, one by one and in pieces belong to their commands", async () => {
    const [ours, theirs] = streamPair();
    const replies = ["250 ok", "550 5.1.1 no", "250-two\r\n250 lines", "450 4.2.0 later"];
    theirs.write("220 x\r\n");
    theirs.once("data", () => {
      theirs.write("250-x\r\n250 PIPELINING\r\n");
      theirs.once("data", (group: Buffer) => {
        assert.equal(group.toString().match(/\r\n/g)?.length, 4);
        void slowly(theirs, replies).then(() => {
          theirs.once("data", () => {
            theirs.write("354 go\r\n");
            theirs.once("data", () => {
              theirs.write("250 2.0.0 kept\r\n");
              theirs.once("data", () => theirs.end());
            });
          });
        });
      });
    });
    const to = ["no@x.test", "yes@x.test", "later@x.test"];
    const outcome = await deliver({ ...common({ to }), stream: ours });
    assert.deepEqual(codes(outcome), [
      "recipient 550 5.1.1",
      "end 250 2.0.0",
      "recipient 450 4.2.0",
    ]);
  });
});

describe("CHUNKING (RFC 3030)", () => {
  const extensions = ["CHUNKING"];
  const large = Buffer.from("0123456789abcdef0123456789abcd\r\n".repeat(20_000));

  test("a server that does not know BDAT after all gets no more of the message", async () => {
    for (const [octets, at] of [
      [content, "."],
      [large, "BDAT"],
    ] as const) {
      for (const code of [500, 502]) {
        const answer = (line: string) => (line === at ? `${code} what?` : undefined);
        const sink = new SmtpSink({ extensions, answer });
        const [ours, theirs] = streamPair();
        sink.serve(theirs);
        const opening = await openSession({ ...common({}), stream: ours });
        assert.ok(opening.ok);
        const { session } = opening;
        const [outcome] = await session.send(common({ content: octets }));
        assert.equal(outcome?.reply.code, 451);
        assert.equal(outcome.delivered, false);
        assert.deepEqual([session.hasBrokenChunking, session.usable], [true, false]);
      }
    }
    const other = await run({ sink: { extensions }, withoutChunking: true });
    assert.deepEqual(other.sink.lines.at(-2), "DATA");
  });

  test("other refusals of a chunk are about the message", async () => {
    const answer = (line: string) => (line === "BDAT" ? "552 5.3.4 too large" : undefined);
    const { outcome } = await run({ content: large, sink: { extensions, answer } });
    assert.deepEqual(codes(outcome), ["data 552 5.3.4"]);
  });
});
