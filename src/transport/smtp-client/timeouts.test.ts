import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { type ClientOutcome, deliver } from "#transport/smtp-client";
import { codes, common } from "../../../tests/kit/client.ts";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";

describe("time-outs (V5, RFC 5321 §4.5.3.2)", () => {
  const steps: readonly (readonly [
    step: string,
    match: string,
    waitS: number,
    expected: string,
  ])[] = [
    ["EHLO", "EHLO", 300, "hello 4.4.2"],
    ["MAIL", "MAIL", 300, "mail 421 4.4.2"],
    ["RCPT", "RCPT", 300, "recipient 421 4.4.2"],
    ["DATA", "DATA", 120, "data 421 4.4.2"],
    ["the end of the content", ".", 600, "end 421 4.4.2"],
  ];
  for (const [step, match, waitS, expected] of steps) {
    test(`gives up ${waitS} s after ${step}, not before`, async () => {
      const clock = fakeClock();
      const answer = (line: string) => (line.startsWith(match) ? "" : undefined);
      const sink = new SmtpSink({ answer });
      const [ours, theirs] = duplexPair();
      sink.serve(theirs);
      let outcome: ClientOutcome | undefined;
      void deliver({ ...common({}), clock, stream: ours }).then((value) => {
        outcome = value;
      });
      await clock.advance(0);
      await clock.advance(waitS * 1000 - 1);
      assert.equal(outcome, undefined);
      await clock.advance(1);
      assert.ok(outcome);
      assert.deepEqual(codes(outcome), [expected]);
    });
  }

  async function silent(move: (stream: ReturnType<typeof duplexPair>[1]) => void, large = false) {
    const clock = fakeClock();
    const [ours, theirs] = duplexPair();
    move(theirs);
    let outcome: ClientOutcome | undefined;
    const body = Buffer.alloc(large ? 1_000_000 : 100, "x\r\n");
    void deliver({ ...common({ content: body }), clock, stream: ours }).then((value) => {
      outcome = value;
    });
    await clock.advance(0);
    return { clock, read: () => outcome };
  }

  test("gives up 300 s after connecting to a server that never greets", async () => {
    const { clock, read } = await silent(() => {});
    await clock.advance(299_999);
    assert.equal(read(), undefined);
    await clock.advance(1);
    assert.deepEqual(codes(read() as ClientOutcome), ["greeting 4.4.2"]);
  });

  test("gives up 180 s after a server stopped to read", async () => {
    const { clock, read } = await silent((theirs) => {
      theirs.write("220 x\r\n250 x\r\n250 x\r\n250 x\r\n354 x\r\n");
    }, true);
    await clock.advance(179_999);
    assert.equal(read(), undefined);
    await clock.advance(1);
    assert.deepEqual(codes(read() as ClientOutcome), ["data 421 4.4.2"]);
  });

  test("gives up after an hour on a server that always says a little more", async () => {
    const { clock, read } = await silent((theirs) => theirs.write("220-"));
    assert.equal(read(), undefined);
    await clock.advance(3_600_000);
    assert.ok(read());
  });
});
