import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ClientOutcome, deliver } from "#transport/smtp-client";
import { codes, common } from "../../../tests/kit/client.ts";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

interface Options {
  readonly to: readonly string[];
  /** Behind the content. */
  readonly end: string;
  readonly extensions?: readonly string[];
  readonly rcpt?: (line: string) => string | undefined;
  readonly content?: Buffer;
}

async function run(options: Options): Promise<{ sink: SmtpSink; outcome: ClientOutcome }> {
  const { to, end, extensions = [], rcpt, content } = options;
  const offers = ["lmtp.test", ...extensions];
  const answer = (line: string): string | undefined => {
    if (line.startsWith("LHLO")) {
      return offers.map((one, at) => `250${at < offers.length - 1 ? "-" : " "}${one}`).join("\r\n");
    }
    if (line.startsWith("RCPT")) return rcpt?.(line);
    return line === "." ? end : undefined;
  };
  const sink = new SmtpSink({ answer });
  const [ours, theirs] = streamPair();
  sink.serve(theirs);
  const mail = common({ to, tls: { level: "none" }, ...(content && { content }) });
  return { sink, outcome: await deliver({ ...mail, protocol: "lmtp", stream: ours }) };
}

describe("LMTP (RFC 2033)", () => {
  for (const extensions of [[], ["PIPELINING"], ["PIPELINING", "CHUNKING"]]) {
    const how = extensions.join(" ") || "no extension";

    test(`each recipient has its own outcome behind the content, with ${how}`, async () => {
      const to = ["a@x.test", "no@x.test", "b@x.test", "c@x.test"];
      const rcpt = (line: string) => (line.includes("<no@") ? "550 5.1.1 nobody" : undefined);
      const end = "250 2.0.0 a\r\n552 5.2.2 b is full\r\n451-4.2.0 c\r\n451 4.2.0 later";
      const { sink, outcome } = await run({ to, end, extensions, rcpt });
      assert.equal(sink.lines[0], "LHLO us.test");
      assert.deepEqual(codes(outcome), [
        "end 250 2.0.0",
        "recipient 550 5.1.1",
        "end 552 5.2.2",
        "end 451 4.2.0",
      ]);
      assert.ok(outcome.opened);
      const delivered = outcome.recipients.map((one) => one.delivered);
      assert.deepEqual(delivered, [true, false, false, false]);
    });
  }

  test("recipients whose reply never comes wait; those before it are delivered", async () => {
    const [ours, theirs] = streamPair();
    const replies = ["250 x\r\n", "250 x\r\n", "250 x\r\n", "250 x\r\n", "354 go\r\n"];
    theirs.write("220 x\r\n");
    theirs.on("data", (chunk: Buffer) => {
      if (replies.length > 0) theirs.write(replies.shift());
      else if (chunk.toString().endsWith(".\r\n")) theirs.end("250 2.0.0 first\r\n");
    });
    const mail = common({ to: ["a@x.test", "b@x.test"], tls: { level: "none" } });
    const outcome = await deliver({ ...mail, protocol: "lmtp", stream: ours });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0", "end 421 4.4.2"]);
  });

  test("content in several chunks has one reply each, and then those of the recipients", async () => {
    const content = Buffer.from("0123456789abcdef0123456789abcd\r\n".repeat(20_000));
    const to = ["a@x.test", "b@x.test"];
    const end = "250 2.0.0 a\r\n250 2.0.0 b";
    const { outcome } = await run({ to, end, content, extensions: ["CHUNKING"] });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0", "end 250 2.0.0"]);
  });

  test("there is no older greeting to fall back to (§4.1)", async () => {
    const sink = new SmtpSink({
      answer: (line) => (line.startsWith("LHLO") ? "500 what?" : undefined),
    });
    const [ours, theirs] = streamPair();
    sink.serve(theirs);
    const mail = common({ tls: { level: "none" } });
    const outcome = await deliver({ ...mail, protocol: "lmtp", stream: ours });
    assert.deepEqual(codes(outcome), ["hello 5.0.0"]);
    assert.deepEqual(sink.lines, ["LHLO us.test", "QUIT"]);
  });
});
