import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { describe, test } from "node:test";
import { defaultsOf } from "#base/parameters";
import { pick, seededRandom } from "#base/random";
import {
  type ClientOutcome,
  deliver,
  smtpClientParameters,
  timeoutsOf,
} from "#transport/smtp-client";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { codes, common } from "../../../tests/kit/client.ts";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

const words = [
  ..."220 a\r\n|220-a\r\n|250 a\r\n|250-PIPELINING\r\n|250-SIZE\r\n|250-SIZE 99999999999999999999\r\n".split(
    "|",
  ),
  ..."250-CHUNKING\r\n|250 DSN\r\n|354 go\r\n|451 x\r\n|550 5.1.1 x\r\n|221 x\r\n|421 x\r\n|334 x\r\n".split(
    "|",
  ),
  ..."250-AUTH PLAIN SCRAM-SHA-256\r\n|250-LIMITS RCPTMAX=1 MAILMAX=1\r\n|250-STARTTLS\r\n".split(
    "|",
  ),
  ..."235 in\r\n|334 cj1h\r\n|535 no\r\n|250-REQUIRETLS\r\n|250 AUTH\r\n".split("|"),
  ..."\r\n|\n|\r|\0|999 x\r\n|25|250|xyz\r\n|250 2.0.0\r\n".split("|"),
];

/** By the first four letters of a line. */
const honestly: Readonly<Record<string, string>> = {
  ...{
    EHLO: "250-x\r\n250 PIPELINING\r\n",
    LHLO: "250-x\r\n250 PIPELINING\r\n",
    HELO: "250 x\r\n",
  },
  ...{ MAIL: "250 x\r\n", RCPT: "250 x\r\n", DATA: "354 x\r\n", QUIT: "221 x\r\n" },
  ...{ ".": "250 kept\r\n250 kept\r\n" },
};

const quick = { ...timeoutsOf(defaultsOf(smtpClientParameters)), totalMs: 40, quitMs: 5 };

describe("deliver() to a hostile server", () => {
  for (const protocol of ["smtp", "lmtp"] as const) {
    test(`always ends with an outcome over ${protocol}, and calls nothing delivered without a 2xx (seeded)`, async () => {
      const random = seededRandom(21);
      let delivered = 0;
      for (let round = 0; round < 600; round += 1) {
        const [ours, theirs] = streamPair();
        const server = halfHonest(theirs, random, round % 3 === 0);
        const outcome = await deliver({
          ...common({ to: ["b@x.test", "c@x.test"], tls: { level: "none" } }),
          ...{ protocol, stream: ours, timeouts: quick },
        });
        if (!outcome.opened) continue;
        assert.equal(outcome.recipients.length, 2);
        const count = outcome.recipients.filter((one) => one.delivered).length;
        delivered += count;
        if (count > 0) assert.ok(server.twosAfterData > 0);
      }
      console.log(`${protocol}: 600 servers, ${delivered} recipients delivered`);
      assert.ok(delivered > 100);
    });
  }

  /** Mostly says what belongs there, sometimes anything, sometimes more of it. */
  function halfHonest(
    stream: Duplex,
    random: ReturnType<typeof seededRandom>,
    talks: boolean,
  ): { twosAfterData: number } {
    const server = { twosAfterData: 0 };
    let sawData = false;
    const say = (word: string): void => {
      if (stream.destroyed) return;
      if (sawData && word.startsWith("2")) server.twosAfterData += 1;
      stream.write(word);
      if (talks && pick(random, 4) === 0) setImmediate(() => say(anything()));
    };
    const anything = (): string => words[pick(random, words.length)] ?? "";
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => {
      if (pick(random, 60) === 0) return stream.destroy();
      const text = chunk.toString("latin1");
      sawData ||= text.startsWith("DATA") || text.startsWith("BDAT");
      for (const line of text.split("\r\n").slice(0, -1)) {
        const honest = honestly[line.slice(0, 4)];
        if (honest !== undefined) say(pick(random, 12) === 0 ? anything() : honest);
      }
    });
    say(pick(random, 20) === 0 ? anything() : "220 x\r\n");
    return server;
  }

  /** Speaks first, and then says one of `answers` for each thing that it hears. */
  async function meet(first: string | Buffer, answers: readonly string[] = []): Promise<string[]> {
    const [ours, theirs] = streamPair();
    theirs.on("error", () => {});
    theirs.write(first);
    const left = [...answers];
    theirs.on("data", () => {
      const answer = left.shift();
      if (answer === undefined) theirs.end();
      else theirs.write(answer);
    });
    return codes(
      await deliver({ ...common({}), stream: ours, timeouts: { ...quick, totalMs: 5000 } }),
    );
  }

  test("breaks off when a server floods it with replies", async () => {
    assert.deepEqual(await meet(Buffer.from("220 x\r\n".repeat(5000))), ["greeting 4.5.0"]);
  });

  test("takes no reply for an answer that came before its command", async () => {
    assert.deepEqual(await meet("220 x\r\n250 x\r\n"), ["hello 4.5.0"]);
    assert.deepEqual(await meet("220 x\r\n250"), ["hello 4.5.0"]);
    assert.deepEqual(await meet("220 x\r\n", ["250 x\r\n250 x\r\n"]), ["mail 421 4.5.0"]);
    const extra = ["250 x\r\n", "250 x\r\n", "250 x\r\n354 x\r\n250 x\r\n"];
    assert.deepEqual(await meet("220 x\r\n", extra), ["data 421 4.5.0"]);
  });

  test("hears 421 whenever it comes (RFC 5321 §3.8)", async () => {
    assert.deepEqual(await meet("220 x\r\n421 4.3.2 going down\r\n"), ["hello 4.3.2"]);
    assert.deepEqual(await meet("220 x\r\n", ["250 x\r\n421 4.3.2 x\r\n"]), ["mail 421 4.3.2"]);
  });

  for (const [name, reply] of [
    ["a million continuation lines", Buffer.from("250-x\r\n".repeat(1_000_000))],
    ["an EHLO reply of long lines", Buffer.from(`250-${"X".repeat(2000)}\r\n`.repeat(200))],
    ["a line without end", Buffer.alloc(10_000_000, "x")],
    ["a reply line without end", Buffer.from(`250 ${"x".repeat(10_000_000)}`)],
    ["ten million NULs", Buffer.alloc(10_000_000)],
  ] as const) {
    test(`costs little: ${name}`, async () => {
      const before = process.memoryUsage().heapUsed;
      const start = performance.now();
      const [ours, theirs] = streamPair();
      theirs.on("error", () => {});
      theirs.write("220 x\r\n");
      let sent = 0;
      theirs.once("data", () => {
        const more = (): void => {
          if (theirs.destroyed || sent >= reply.length) return;
          theirs.write(reply.subarray(sent, (sent += 65_536)), () => setImmediate(more));
        };
        more();
      });
      const outcome = await deliver({ ...common({}), stream: ours });
      const tookMs = performance.now() - start;
      theirs.destroy();
      assert.deepEqual(codes(outcome), ["hello 4.5.0"]);
      const grewKb = Math.round((process.memoryUsage().heapUsed - before) / 1024);
      console.log(`${name}: ${tookMs.toFixed(0)} ms, read ${sent} octets, heap ${grewKb} KiB`);
      assert.ok(tookMs < 1000 && sent < 1_000_000);
    });
  }

  for (const [what, answers, expected] of [
    ["334 to MAIL", ["250 x\r\n", "334 x\r\n"], ["mail 451 4.5.0"]],
    ["354 to RCPT", ["250 x\r\n", "250 x\r\n", "354 x\r\n"], ["recipient 451 4.5.0"]],
    ["300 to DATA", ["250 x\r\n", "250 x\r\n", "250 x\r\n", "300 x\r\n"], ["data 451 4.5.0"]],
    ["300 to EHLO", ["300 x\r\n"], ["hello 4.5.0"]],
    ["199 to EHLO", ["199 x\r\n"], ["hello 4.5.0"]],
    ["600 to MAIL", ["250 x\r\n", "600 x\r\n"], ["mail 421 4.5.0"]],
    ["two codes in one reply", ["250-x\r\n550 x\r\n"], ["hello 4.5.0"]],
    ["NUL in a reply", ["250 x\r\n", "550 5.1.1 a\0b\r\n"], ["mail 550 5.1.1"]],
    ["a bare LF, which is let pass", ["250 x\n", "550 5.1.1 x\n"], ["mail 550 5.1.1"]],
    ["a bare CR, which ends nothing", ["250 x\r250 y\r\n", "550 5.1.1 x\r\n"], ["mail 550 5.1.1"]],
  ] as const) {
    test(`understands ${what}`, async () => {
      assert.deepEqual(await meet("220 x\r\n", answers), expected);
    });
  }
});

describe("S5 the client's side of STARTTLS", () => {
  const certificate = selfSigned("sink.test");
  const proof = {
    kind: "authority",
    names: ["sink.test"],
    authorities: [certificate.cert],
  } as const;

  /** Between the client and an honest server: says more in the clear with the 220 to STARTTLS. */
  async function throughSomebody(
    injected: string,
    split: boolean,
  ): Promise<[ClientOutcome, SmtpSink]> {
    const sink = new SmtpSink({ tls: certificate, extensions: ["PIPELINING"] });
    const [ours, middleOurs] = streamPair();
    const [middleTheirs, theirs] = streamPair();
    sink.serve(theirs);
    pipe(middleOurs, middleTheirs);
    middleTheirs.on("data", (chunk: Buffer) => {
      if (!chunk.toString("latin1").startsWith("220 go")) return void middleOurs.write(chunk);
      if (!split) return void middleOurs.write(Buffer.concat([chunk, Buffer.from(injected)]));
      middleOurs.write(chunk);
      middleOurs.write(injected);
    });
    middleTheirs.on("error", () => {}).on("end", () => middleOurs.end());
    const tls = { level: "required", proof } as const;
    return [await deliver({ ...common({ tls }), stream: ours }), sink];
  }

  function pipe(from: Duplex, to: Duplex): void {
    from.on("data", (chunk: Buffer) => void to.write(chunk));
    from.on("end", () => to.end()).on("error", () => {});
    to.on("error", () => {});
  }

  const injections = [
    "250 ok\r\n",
    "250-PIPELINING\r\n250 AUTH PLAIN\r\n",
    "250-AUTH PLAIN\r\n",
    "220 again\r\n",
    "354 go\r\n",
    "421 bye\r\n",
    "554 no\r\n",
    "2",
    "\r\n",
    "\0",
    "\x15\x03\x03\x00\x02\x02\x28", // a TLS alert that no server sent
    "\x14\x03\x03\x00\x01\x01", // ChangeCipherSpec
    "\x17\x03\x03\x00\x13 application data",
    "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n250 2.0.0 kept\r\n221 bye\r\n",
  ];
  for (const injected of injections) {
    test(`S5 no mail leaves after ${JSON.stringify(injected).slice(0, 40)}`, async () => {
      for (const split of [false, true]) {
        const [outcome, sink] = await throughSomebody(injected, split);
        assert.ok(!outcome.opened);
        assert.equal(outcome.failure.phase, "tls");
        assert.equal(outcome.failure.answered, false);
        assert.equal(sink.mails.length, 0);
        assert.equal(sink.lines.filter((line) => line.startsWith("MAIL")).length, 0);
      }
    });
  }

  test("S5 nothing injected: mail leaves", async () => {
    const [outcome, sink] = await throughSomebody("", false);
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
    assert.equal(sink.mails.length, 1);
  });
});
