import assert from "node:assert/strict";
import { Duplex, duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { type ClientOutcome, deliver } from "#transport/smtp-client";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { type ClientTest, codes, common } from "../../../tests/kit/client.ts";
import { type FakeClock, fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import { type SinkOptions, SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

interface Case {
  readonly step: string;
  readonly waitS: number;
  readonly expected: string;
  /** Falls silent at the line that begins so. */
  readonly silentAt?: string;
  readonly sink?: SinkOptions;
  readonly mail?: ClientTest & { readonly protocol?: "lmtp"; readonly login?: boolean };
}

const large = Buffer.alloc(1_000_000, "x\r\n");

/** RFC 5321 §4.5.3.2.1 to §4.5.3.2.6, and the steps of the extensions. */
const cases: readonly Case[] = [
  { step: "EHLO", silentAt: "EHLO", waitS: 300, expected: "hello 4.4.2" },
  {
    step: "LHLO",
    silentAt: "LHLO",
    waitS: 300,
    expected: "hello 4.4.2",
    mail: { protocol: "lmtp" },
  },
  { step: "MAIL", silentAt: "MAIL", waitS: 300, expected: "mail 421 4.4.2" },
  { step: "RCPT", silentAt: "RCPT", waitS: 300, expected: "recipient 421 4.4.2" },
  {
    step: "RCPT in a pipeline",
    silentAt: "RCPT",
    waitS: 300,
    expected: "recipient 421 4.4.2",
    sink: { extensions: ["PIPELINING"] },
  },
  { step: "DATA", silentAt: "DATA", waitS: 120, expected: "data 421 4.4.2" },
  {
    step: "a chunk",
    silentAt: "BDAT",
    waitS: 180,
    expected: "data 421 4.4.2",
    sink: { extensions: ["CHUNKING"] },
    mail: { content: large },
  },
  { step: "the end of the content", silentAt: ".", waitS: 600, expected: "end 421 4.4.2" },
  {
    step: "the last chunk",
    silentAt: ".",
    waitS: 600,
    expected: "end 421 4.4.2",
    sink: { extensions: ["CHUNKING"] },
  },
  {
    step: "STARTTLS",
    silentAt: "STARTTLS",
    waitS: 60,
    expected: "tls 4.4.2",
    sink: { extensions: ["STARTTLS"] },
  },
  {
    step: "220 to STARTTLS",
    waitS: 60,
    expected: "tls 4.7.5",
    sink: {
      extensions: ["STARTTLS"],
      answer: (line) => (line === "STARTTLS" ? "220 go" : undefined),
    },
  },
];

interface Waiting {
  readonly clock: FakeClock;
  read(): string[] | undefined;
}

function begin(
  serve: (stream: ReturnType<typeof duplexPair>[1]) => void,
  options: Case["mail"] = {},
): Waiting {
  const clock = fakeClock();
  const [ours, theirs] = streamPair();
  serve(theirs);
  let outcome: ClientOutcome | undefined;
  const { protocol } = options;
  const mail = { ...common(options), ...(protocol && { protocol }) };
  void deliver({ ...mail, clock, stream: ours }).then((value) => {
    outcome = value;
  });
  return { clock, read: () => outcome && codes(outcome) };
}

async function givesUpAfter({ clock, read }: Waiting, waitS: number): Promise<string[]> {
  await settle(200); // all that the server answers, over a stream that takes its turns
  await clock.advance(waitS * 1000 - 1);
  assert.equal(read(), undefined);
  await clock.advance(1);
  await settle(20);
  const outcome = read();
  assert.ok(outcome);
  return outcome;
}

describe("time-outs (V5, RFC 5321 §4.5.3.2)", () => {
  for (const { step, silentAt, waitS, expected, sink, mail } of cases) {
    test(`V5 gives up ${waitS} s after ${step}, not before`, async () => {
      const silent = (line: string): string | undefined =>
        silentAt !== undefined && line.startsWith(silentAt) ? "" : undefined;
      const server = new SmtpSink({ answer: silent, ...sink });
      const waiting = begin((stream) => server.serve(stream), mail);
      assert.deepEqual(await givesUpAfter(waiting, waitS), [expected]);
    });
  }

  test("V5 gives up 300 s after connecting to a server that never greets", async () => {
    assert.deepEqual(
      await givesUpAfter(
        begin(() => {}),
        300,
      ),
      ["greeting 4.4.2"],
    );
  });

  test("V5 gives up 60 s into a handshake from the first octet", async () => {
    const tls = { level: "required", implicit: true } as const;
    assert.deepEqual(
      await givesUpAfter(
        begin(() => {}, { tls }),
        60,
      ),
      ["tls 4.7.5"],
    );
  });

  test("V5 gives up 180 s after a server stopped to read", async () => {
    const [ours, theirs] = duplexPair();
    const clock = fakeClock();
    let outcome: ClientOutcome | undefined;
    void deliver({ ...common({ content: large }), clock, stream: ours }).then((value) => {
      outcome = value;
    });
    const replies = ["250 x\r\n", "250 x\r\n", "250 x\r\n", "354 x\r\n"];
    theirs.write("220 x\r\n");
    theirs.on("data", () => {
      theirs.write(replies.shift() ?? "");
      if (replies.length === 0) theirs.pause();
    });
    const waiting = { clock, read: () => outcome && codes(outcome) };
    assert.deepEqual(await givesUpAfter(waiting, 180), ["data 421 4.4.2"]);
  });

  test("V5 waits as long for each recipient of LMTP at the end", async () => {
    const server = new SmtpSink({ answer: (line) => (line === "." ? "250 one" : undefined) });
    const to = ["b@sink.test", "c@sink.test"];
    const waiting = begin((stream) => server.serve(stream), { protocol: "lmtp", to });
    assert.deepEqual(await givesUpAfter(waiting, 600), ["end 250 2.0.0", "end 421 4.4.2"]);
  });

  test("V5 a server that dribbles is over after an hour altogether", async () => {
    // Every wait is met in time but the sum is not: a line each 4 minutes, for ever.
    const waiting = begin((stream) => {
      const dribble = (): void => {
        if (stream.destroyed) return;
        stream.write("220-still here\r\n");
        waiting.clock.after(240_000, dribble);
      };
      setImmediate(dribble);
    });
    await settle(20);
    await waiting.clock.advance(299_999);
    assert.equal(waiting.read(), undefined);
    await waiting.clock.advance(1);
    await settle(20);
    assert.deepEqual(waiting.read(), ["greeting 4.4.2"]);
  });

  test("V5 one message takes no longer than the total, however slowly its recipients are taken", async () => {
    const to = Array.from({ length: 40 }, (_, at) => `r${at}@sink.test`);
    const waiting = begin(
      (stream) => {
        stream.write("220 x\r\n");
        stream.on("data", (chunk: Buffer) => {
          const say = (): void => void (stream.destroyed || stream.write("250 x\r\n"));
          if (chunk.toString().startsWith("RCPT")) waiting.clock.after(200_000, say);
          else say();
        });
      },
      { to },
    );
    await settle(50);
    for (let passed = 0; passed < 3_600_000; passed += 50_000) {
      assert.equal(waiting.read(), undefined);
      await waiting.clock.advance(50_000);
      await settle(20);
    }
    const outcome = waiting.read();
    assert.equal(outcome?.length, 40);
    assert.equal(outcome[39], "recipient 421 4.4.2");
  });

  test("V5 a server that never says goodbye costs five seconds", async () => {
    const answer = (line: string) => (line === "QUIT" ? "" : undefined);
    const server = new SmtpSink({ answer, tls: selfSigned("sink.test") });
    const waiting = begin((stream) => server.serve(stream), { tls: { level: "none" } });
    assert.deepEqual(await givesUpAfter(waiting, 5), ["end 250 2.0.0"]);
  });
});

describe("V5 who watches may break off what waits for too long, until the end is sent", () => {
  const chunking = { extensions: ["CHUNKING"] };
  const may: readonly Omit<Case, "waitS">[] = [
    { step: "MAIL", silentAt: "MAIL", expected: "mail 421 4.4.2" },
    { step: "RCPT", silentAt: "RCPT", expected: "recipient 421 4.4.2" },
    { step: "DATA", silentAt: "DATA", expected: "data 421 4.4.2" },
    {
      step: "a chunk",
      silentAt: "BDAT",
      expected: "data 421 4.4.2",
      sink: chunking,
      mail: { content: large },
    },
  ];
  const mayNot: readonly Omit<Case, "waitS" | "expected">[] = [
    { step: "the end of the content", silentAt: "." },
    { step: "the last chunk", silentAt: ".", sink: chunking },
    { step: "the end of the content by LMTP", silentAt: ".", mail: { protocol: "lmtp" } },
  ];

  async function silence({ silentAt = "", sink, mail = {} }: Partial<Case>) {
    const answer = (line: string) => (line.startsWith(silentAt) ? "" : undefined);
    const server = new SmtpSink({ answer, ...sink });
    const [ours, theirs] = streamPair();
    server.serve(theirs);
    let last: { readonly breakOff?: () => void } | undefined;
    const watch = {
      waits: (breakOff?: () => void) => (last = { ...(breakOff && { breakOff }) }),
      goesOn: () => (last = undefined),
    };
    const { protocol } = mail;
    const options = { ...common(mail), ...(protocol && { protocol }), watch };
    const outcome = deliver({ ...options, clock: fakeClock(), stream: ours });
    await settle(200);
    return { last: () => last, outcome, server };
  }

  test("a line of ours that is slow is waited for in pieces", async () => {
    const clock = fakeClock();
    const server = new SmtpSink(chunking);
    const [inner, theirs] = streamPair();
    server.serve(theirs);
    // 64 KiB in six seconds: a chunk of 256 KiB takes 24.
    const ours = new Duplex({
      read: () => undefined,
      write(octets: Buffer, _encoding, done) {
        inner.write(octets);
        clock.after((octets.length / 65_536) * 6000, () => done());
      },
      final: (done) => void inner.end(() => done()),
      destroy(error, done) {
        inner.destroy();
        done(error);
      },
    });
    inner.on("data", (octets: Buffer) => ours.push(octets));
    let sinceTick: number | undefined;
    let longestMs = 0;
    const watch = {
      waits: () => (sinceTick = clock.tickMs()),
      goesOn: () => {
        longestMs = Math.max(longestMs, clock.tickMs() - (sinceTick ?? clock.tickMs()));
        sinceTick = undefined;
      },
    };
    const sent = deliver({ ...common({ content: large }), watch, clock, stream: ours });
    let isSent = false;
    void sent.then(() => (isSent = true));
    for (let seconds = 0; !isSent && seconds < 1000; seconds += 1) {
      await settle(20);
      await clock.advance(1000);
    }
    assert.deepEqual(codes(await sent), ["end 250 2.0.0"]);
    assert.ok(longestMs < 10_000, `${longestMs} ms`);
  });

  for (const { step, expected, ...some } of may) {
    test(`at ${step}`, async () => {
      const at = await silence(some);
      at.last()?.breakOff?.();
      assert.deepEqual(codes(await at.outcome), [expected]);
      assert.equal(at.last(), undefined, "nothing is waited for");
      await settle(20);
      assert.deepEqual([at.server.open, at.server.mails.length], [0, 0]);
    });
  }

  for (const { step, ...some } of mayNot) {
    test(`but not at ${step}`, async () => {
      const at = await silence(some);
      assert.deepEqual(at.last(), {});
    });
  }
});
