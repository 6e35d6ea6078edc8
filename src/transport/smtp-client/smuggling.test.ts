import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { defaultsOf } from "#base/parameters";
import { deliver, smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";

/** What other servers were found to take for the end of data (CVE-2023-51764 and its kin). */
const known = [
  "\n.\n",
  "\n.\r",
  "\r.\n",
  "\r.\r",
  "\n.\r\n",
  "\r.\r\n",
  "\r\n.\r\r\n",
  "\r\r\n.\r\r\n",
  "\r\n\0.\r\n",
];
/** Every line end before and behind one or two dots. */
const ends = ["\n", "\r", "\r\n", "\r\r\n", "\n\r", "\0\r\n"];
const generated = ends.flatMap((before) =>
  ends.flatMap((behind) => [".", ".."].map((dots) => before + dots + behind)),
);

const smuggled =
  "MAIL FROM:<forged@admin.test>\r\nRCPT TO:<victim@sink.test>\r\nDATA\r\nbad\r\n.\r\n";

async function send(body: string, extensions: readonly string[], cut: number): Promise<SmtpSink> {
  const sink = new SmtpSink({ extensions });
  const [ours, theirs] = duplexPair();
  sink.serve(theirs);
  const content = Buffer.from(`Subject: x\r\n\r\ntext${body}${smuggled}`, "latin1");
  async function* pieces() {
    yield content.subarray(0, cut);
    yield content.subarray(cut);
  }
  const outcome = await deliver({
    stream: ours,
    heloName: "us.test",
    tls: { mode: "none", servername: "sink.test" },
    timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
    clock: systemClock,
    envelope: { reversePath: "a@us.test", recipients: [{ path: "b@sink.test" }] },
    content: pieces(),
    sizeBytes: content.length,
  });
  assert.ok(outcome.opened && outcome.recipients[0]?.delivered);
  return sink;
}

describe("deliver() keeps smuggled mail inside (S2)", () => {
  for (const extensions of [[], ["PIPELINING", "CHUNKING", "8BITMIME"]]) {
    const how = extensions.length === 0 ? "DATA" : "BDAT";
    for (const body of [...known, ...generated]) {
      test(`${how} with ${JSON.stringify(body)}`, async () => {
        for (const cut of [18, 19, 20, 21]) {
          const { mails } = await send(body, extensions, cut);
          assert.equal(mails.length, 1);
          const octets = mails[0]?.octets.toString("latin1") ?? "";
          assert.doesNotMatch(octets, /\0|\r(?!\n)|(?<!\r)\n/);
          if (how === "DATA") assert.doesNotMatch(octets, /(^|\n)\.(?!\.)/);
          assert.ok(octets.includes("forged@admin.test"));
        }
      });
    }
  }
});
