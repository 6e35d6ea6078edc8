import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import { after, describe, test } from "node:test";
import { Unavailable } from "#base/errors";
import type { TlsDemand } from "#model/tls-policy";
import { type ClientOutcome, deliver, openSession } from "#transport/smtp-client";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { type ClientTest, codes, common, content } from "../../../tests/kit/client.ts";
import { type SinkOptions, SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

const full = ["PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING"];
const certificate = selfSigned("sink.test");
const anybodys = { kind: "authority", names: ["sink.test"] } as const;
const ours = { ...anybodys, authorities: [certificate.cert] };

interface Options extends ClientTest {
  readonly sink?: SinkOptions;
}

async function run(options: Options): Promise<{ sink: SmtpSink; outcome: ClientOutcome }> {
  const sink = new SmtpSink(options.sink);
  const [ours, theirs] = streamPair();
  sink.serve(theirs);
  const outcome = await deliver({
    ...common(options),
    stream: ours,
  });
  return { sink, outcome };
}

describe("deliver()", () => {
  test("speaks plain RFC 5321 to a server without extensions", async () => {
    const { sink, outcome } = await run({});
    assert.deepEqual(sink.lines, [
      "EHLO us.test",
      "MAIL FROM:<a@us.test>",
      "RCPT TO:<b@sink.test>",
      "DATA",
      "QUIT",
    ]);
    assert.equal(sink.mails[0]?.octets.toString(), "Subject: x\r\n\r\n..dot\r\n");
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
  });

  test("uses what the server offers, and passes DSN wishes on (RFC 3461)", async () => {
    const { sink } = await run({
      sink: { extensions: full },
      envelope: {
        recipients: [
          { path: "b@sink.test", notify: ["success", "failure"], originalRecipient: "rfc822;b@x" },
          { path: "c@sink.test", notify: ["never"] },
        ],
        dsnReturn: "headers",
        envelopeId: "id 1",
      },
    });
    assert.deepEqual(sink.lines.slice(1, 5), [
      "MAIL FROM:<a@us.test> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=id+201",
      "RCPT TO:<b@sink.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@x",
      "RCPT TO:<c@sink.test> NOTIFY=NEVER",
      "BDAT 20 LAST",
    ]);
    assert.deepEqual(sink.mails[0]?.octets, content);
  });

  test("falls back to HELO (RFC 5321 §3.2)", async () => {
    const answer = (line: string) => (line.startsWith("EHLO") ? "502 what?" : undefined);
    const { sink, outcome } = await run({ sink: { answer } });
    assert.equal(sink.lines[1], "HELO us.test");
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
  });

  test("sends large content in several chunks, octet for octet", async () => {
    const large = Buffer.from("0123456789abcdef0123456789abcd\r\n".repeat(20_000));
    const { sink } = await run({ sink: { extensions: ["CHUNKING"] }, content: large });
    assert.deepEqual(sink.mails[0]?.octets, large);
    const plain = await run({ content: large });
    assert.deepEqual(plain.sink.mails[0]?.octets, large);
  });

  test("keeps the outcome of each recipient apart", async () => {
    for (const extensions of [[], full]) {
      const answer = (line: string) => {
        if (line.startsWith("RCPT TO:<no@")) return "550 5.1.1 nobody";
        if (line.startsWith("RCPT TO:<later@")) return "450 4.2.0 grey";
        return undefined;
      };
      const to = ["no@sink.test", "yes@sink.test", "later@sink.test"];
      const { sink, outcome } = await run({ sink: { extensions, answer }, to });
      assert.deepEqual(codes(outcome), [
        "recipient 550 5.1.1",
        "end 250 2.0.0",
        "recipient 450 4.2.0",
      ]);
      assert.deepEqual(sink.mails[0]?.recipients, ["<yes@sink.test>"]);
    }
  });

  const verdicts: readonly (readonly [
    name: string,
    match: string,
    reply: string,
    expected: string,
  ])[] = [
    ["a refused sender", "MAIL", "550 5.7.1 no", "mail 550 5.7.1"],
    ["a deferred sender", "MAIL", "451 later", "mail 451 4.0.0"],
    ["a refused DATA", "DATA", "554 no", "data 554 5.0.0"],
    ["a 2xx where 354 belongs", "DATA", "250 ok", "data 451 4.5.0"],
    ["refused content", ".", "554 5.7.0 spam", "end 554 5.7.0"],
    ["deferred content", ".", "452 4.3.1 full", "end 452 4.3.1"],
    ["a status of the wrong class", ".", "550 2.0.0 odd", "end 550 5.0.0"],
    ["a break after content", ".", "close", "end 421 4.4.2"],
    ["a break after MAIL", "MAIL", "close", "mail 421 4.4.2"],
    ["words that are no reply", "MAIL", "what?", "mail 421 4.5.0"],
    ["a hello that is put off", "EHLO", "421 busy", "hello 4.0.0"],
  ];
  for (const [name, match, reply, expected] of verdicts) {
    test(`reports ${name}`, async () => {
      const answer = (line: string) => (line.startsWith(match) ? reply : undefined);
      const { outcome, sink } = await run({ sink: { answer } });
      assert.deepEqual(codes(outcome), [expected]);
      assert.equal(sink.mails.length, 0);
    });
  }

  test("does not send to a server that greets with a refusal (RFC 7504)", async () => {
    const { outcome, sink } = await run({ sink: { greeting: "521 5.3.2 no mail here" } });
    assert.deepEqual(codes(outcome), ["greeting 5.3.2"]);
    assert.deepEqual(sink.lines, ["QUIT"]);
  });

  test("respects the declared size without asking (RFC 1870 §6.1)", async () => {
    const { outcome, sink } = await run({ sink: { extensions: ["SIZE 10"] } });
    assert.deepEqual(codes(outcome), ["mail 552 5.3.4"]);
    assert.deepEqual(sink.lines, ["EHLO us.test", "QUIT"]);
  });

  test("never downgrades what needs SMTPUTF8 (RFC 6531 §3.5)", async () => {
    const to = ["größe@sink.test"];
    assert.deepEqual(codes((await run({ to })).outcome), ["mail 550 5.6.7"]);
    const { sink, outcome } = await run({
      to,
      sink: { extensions: ["SMTPUTF8"] },
      envelope: { utf8: true },
    });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
    assert.equal(sink.lines[1], "MAIL FROM:<a@us.test> SMTPUTF8");
  });

  test("never sends an address that would break a command (S2)", async () => {
    const to = ["b@sink.test>\r\nRCPT TO:<c@sink.test", "ok@sink.test", "x\n@sink.test"];
    const { sink, outcome } = await run({ to, sink: { extensions: full } });
    assert.deepEqual(codes(outcome), [
      "recipient 553 5.1.3",
      "end 250 2.0.0",
      "recipient 553 5.1.3",
    ]);
    assert.deepEqual(sink.mails[0]?.recipients, ["<ok@sink.test>"]);
    const forged = await run({ envelope: { reversePath: "a@b>\r\nDATA" } });
    assert.deepEqual(codes(forged.outcome), ["mail 553 5.1.3"]);
  });

  test("keeps remote words short and printable", async () => {
    const words = `\x1b[2J${"é".repeat(900)}`;
    const reply = Array.from({ length: 20 }, (_, at) => `550${at < 19 ? "-" : " "}5.1.1 ${words}`);
    const answer = (line: string) => (line.startsWith("RCPT") ? reply.join("\r\n") : undefined);
    const { outcome } = await run({ sink: { answer } });
    const text = outcome.opened ? outcome.recipients[0]?.reply.text : undefined;
    assert.ok(Array.isArray(text) && text.length === 10);
    for (const line of text) assert.match(line, /^[\x20-\x7e]{1,500}$/);
  });

  test("breaks off instead of ending a message that is not whole", async () => {
    for (const extensions of [[], ["CHUNKING"]]) {
      const sink = new SmtpSink({ extensions });
      const [ours, theirs] = duplexPair();
      sink.serve(theirs);
      async function* broken() {
        yield content;
        throw new Unavailable("the disk failed");
      }
      const options = { ...common({}), stream: ours, content: broken() };
      await assert.rejects(deliver(options), /the disk failed/);
      const short = { ...common({}), stream: duplexPair()[0], sizeBytes: content.length + 1 };
      const [here, there] = duplexPair();
      sink.serve(there);
      await assert.rejects(deliver({ ...short, stream: here }), Unavailable);
      assert.equal(sink.mails.length, 0);
    }
  });
});

describe("openSession()", () => {
  test("carries several messages, and resets after a failed one", async () => {
    const answer = (line: string) => (line.startsWith("RCPT TO:<no@") ? "550 no" : undefined);
    const sink = new SmtpSink({ extensions: full, answer });
    const [ours, theirs] = duplexPair();
    sink.serve(theirs);
    const opening = await openSession({ ...common({}), stream: ours });
    assert.ok(opening.ok);
    const { session } = opening;
    for (const path of ["one@sink.test", "no@sink.test", "two@sink.test"]) {
      await session.send(common({ to: [path] }));
      assert.ok(session.usable);
    }
    await session.quit();
    assert.equal(sink.sessions, 1);
    assert.deepEqual(
      sink.mails.map(({ recipients }) => recipients),
      [["<one@sink.test>"], ["<two@sink.test>"]],
    );
    assert.equal(sink.lines.filter((line) => line === "RSET").length, 1);
  });

  test("is of no more use after 421 (RFC 5321 §3.8)", async () => {
    const answer = (line: string) => (line.startsWith("MAIL") ? "421 4.3.2 bye" : undefined);
    const sink = new SmtpSink({ answer });
    const [ours, theirs] = duplexPair();
    sink.serve(theirs);
    const opening = await openSession({ ...common({}), stream: ours });
    assert.ok(opening.ok);
    await opening.session.send(common({}));
    assert.equal(opening.session.usable, false);
  });
});

describe("STARTTLS", () => {
  const sinks: SmtpSink[] = [];
  const sockets: Socket[] = [];
  after(async () => {
    for (const socket of sockets) socket.destroy();
    for (const sink of sinks) await sink.close();
  });

  async function overTcp(sinkOptions: SinkOptions, tls: Partial<TlsDemand>) {
    const sink = new SmtpSink(sinkOptions);
    sinks.push(sink);
    const stream = connect(await sink.listen(), "127.0.0.1");
    sockets.push(stream);
    return { sink, outcome: await deliver({ ...common({ tls }), stream }) };
  }

  for (const way of ["any stream", "a socket"]) {
    const go = (sink: SinkOptions, tls: Partial<TlsDemand> = {}) =>
      way === "a socket" ? overTcp(sink, tls) : run({ sink, tls });

    test(`protects what it can without asking who it is, over ${way} (RFC 7435)`, async () => {
      const { sink, outcome } = await go({ tls: certificate, extensions: full });
      assert.equal(sink.mails[0]?.tls, true);
      assert.deepEqual(sink.lines.slice(0, 3), ["EHLO us.test", "STARTTLS", "EHLO us.test"]);
      assert.ok(outcome.opened);
      assert.equal(outcome.tls?.version, "TLSv1.3");
      assert.match(outcome.tls?.cipher ?? "", /^TLS_/);
      assert.equal(outcome.tls?.proof, undefined);
      assert.equal(outcome.tls?.peerCertificate, undefined);
    });

    test(`verifies when required, over ${way} (S6)`, async () => {
      const good = await go({ tls: certificate }, { level: "required", proof: ours });
      assert.ok(good.outcome.opened);
      assert.match(good.outcome.tls?.peerCertificate ?? "", /^[0-9a-f]{64}$/);
      for (const proof of [{ ...ours, names: ["other.test"] }, anybodys]) {
        const bad = await go({ tls: certificate }, { level: "required", proof });
        assert.deepEqual(codes(bad.outcome), ["tls 4.7.5"]);
        assert.equal(bad.sink.mails.length, 0);
      }
    });
  }

  test("never goes on in the clear when TLS is required (S6)", async () => {
    const answer = (line: string) => (line === "STARTTLS" ? "454 4.7.0 not now" : undefined);
    const required = { level: "required" } as const;
    const stripped = await run({ tls: required });
    assert.deepEqual(codes(stripped.outcome), ["tls 4.7.5"]);
    const refused = await run({ sink: { tls: certificate, answer }, tls: required });
    assert.deepEqual(codes(refused.outcome), ["tls 4.7.0"]);
    assert.match(JSON.stringify(refused.outcome), /the server refused STARTTLS: not now/);
    assert.equal(refused.sink.mails.length + stripped.sink.mails.length, 0);
  });

  test("goes on in the clear when a server takes its offer back", async () => {
    const answer = (line: string) => (line === "STARTTLS" ? "454 4.7.0 not now" : undefined);
    const { outcome } = await run({ sink: { tls: certificate, answer } });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
  });

  test("S5 fails when somebody said more than 220 in the clear (RFC 3207 §4.2)", async () => {
    for (const [injected, expected] of [
      ["220 go on\r\n250-evil.test\r\n250 SIZE 1", "tls 4.7.5"],
      ["220 go on\r\n250-evil", "tls 4.7.5"],
      ["220 go on\r\n220 go on", "tls 4.7.5"],
      ["220 go on\r\n\x16\x03\x03", "tls 4.5.0"], // not even a reply
    ] as const) {
      const answer = (line: string) => (line === "STARTTLS" ? injected : undefined);
      const { sink, outcome } = await run({ sink: { tls: certificate, answer, extensions: full } });
      assert.deepEqual(codes(outcome), [expected]);
      assert.equal(sink.mails.length, 0);
    }
  });

  test("reports a failed handshake as such", async () => {
    const answer = (line: string) => (line === "STARTTLS" ? "220 go" : undefined);
    const [ours, theirs] = streamPair();
    const sink = new SmtpSink({ extensions: ["STARTTLS"], answer });
    sink.serve(theirs);
    theirs.on("data", (chunk: Buffer) => {
      if (chunk[0] === 22) theirs.write("this is no handshake\r\n");
    });
    const outcome = await deliver({ ...common({}), stream: ours });
    assert.deepEqual(codes(outcome), ["tls 4.7.5"]);
  });
});
