import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "#base/clock";
import { defaultsOf } from "#base/parameters";
import { deliver, openSession, smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import { mayRunPostfix, startPostfix } from "../../../tests/kit/postfix.ts";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { Talk } from "../../../tests/kit/talk.ts";

const vectors = join(
  import.meta.dirname,
  "../../../tests/conformance/smtp-smuggling/eod-sequences.json",
);
/** What other servers were found to take for the end of data (CVE-2023-51764 and its kin). */
const { outbound_end_of_data_sequences: known } = JSON.parse(readFileSync(vectors, "utf8")) as {
  readonly outbound_end_of_data_sequences: readonly string[];
};
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
    tls: { level: "none", serverName: "sink.test", minVersion: "TLSv1.2" },
    timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
    clock: systemClock,
    envelope: { reversePath: "a@us.test", recipients: [{ path: "b@sink.test" }] },
    content: pieces(),
    sizeBytes: content.length,
  });
  assert.ok(outcome.opened && outcome.recipients[0]?.delivered);
  return sink;
}

/** Parameters of Postfix: whatever line end, nothing is refused for it. */
const lenient = "smtpd_forbid_bare_newline = no\nsmtpd_forbid_unauth_pipelining = no\n";

const bodies = [...known, ...generated];

describe("deliver() keeps smuggled mail inside (S2)", () => {
  for (const extensions of [[], ["PIPELINING", "CHUNKING", "8BITMIME"]]) {
    const how = extensions.length === 0 ? "DATA" : "BDAT";
    for (const body of bodies) {
      test(`S2 ${how} with ${JSON.stringify(body)}`, async () => {
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

  test("S2 a real Postfix gets exactly one message each time", {
    skip: mayRunPostfix ? false : "only root may start a Postfix",
    timeout: 120_000,
  }, async () => {
    assert.deepEqual([known.length, generated.length], [9, 72]);
    await using postfix = await startPostfix("peer.test", lenient);
    const toPostfix = smuggled.replace("sink.test", "peer.test").replace("admin.test", "peer.test");
    for (const withoutChunking of [true, false]) {
      const opening = await openSession({
        stream: connect(postfix.port, "127.0.0.1"),
        heloName: "us.test",
        tls: { level: "none", serverName: "peer.test", minVersion: "TLSv1.2" },
        withoutChunking,
        timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
        clock: systemClock,
      });
      assert.ok(opening.ok);
      const verb = withoutChunking ? "DATA" : "BDAT";
      for (const [at, body] of bodies.entries()) {
        const marker = `${verb} ${at}.`;
        const content = Buffer.from(`Subject: ${marker}\r\n\r\ntext${body}${toPostfix}`, "latin1");
        const [outcome] = await opening.session.send({
          envelope: { reversePath: "a@us.test", recipients: [{ path: "b@peer.test" }] },
          content,
          sizeBytes: content.length,
        });
        assert.ok(outcome?.delivered, JSON.stringify(outcome));
      }
      await opening.session.quit();
      await postfix.waitFor(`Subject: ${verb} ${bodies.length - 1}.`);
    }
    await pause(1000); // a smuggled message would come behind its carrier
    const arrived = postfix.delivered();
    for (const verb of ["DATA", "BDAT"]) {
      const counts = bodies.map(
        (_, at) => arrived.filter((one) => one.includes(`\nSubject: ${verb} ${at}.`)).length,
      );
      assert.ok(counts.every((count) => count === 1));
      console.log(
        `Postfix, ${verb}: ${bodies.length} bodies sent, ${counts.length} messages arrived`,
      );
    }
    assert.equal(arrived.length, 2 * bodies.length);
    assert.ok(arrived.every((one) => one.startsWith("Return-Path: <a@us.test>")));
    // Had one of them got out as it was, the same server would have made two of it.
    for (const [at, body] of ["\n.\n", "\n.\r\n", "\r\n.\n"].entries()) {
      await sendRaw(postfix.port, `Subject: raw ${at}.\r\n\r\ntext${body}${toPostfix}`);
    }
    const splits = (): number =>
      postfix.delivered().filter((one) => one.startsWith("Return-Path: <forged@peer.test>")).length;
    for (let tries = 0; splits() < 3 && tries < 300; tries += 1) await pause(100);
    assert.equal(splits(), 3);
    for (const at of [0, 1, 2]) {
      assert.doesNotMatch(await postfix.waitFor(`Subject: raw ${at}.`), /forged@peer\.test/);
    }
  });
});

/** As a client that smuggles: the body goes out octet for octet. */
async function sendRaw(port: number, content: string): Promise<void> {
  using client = await Talk.open({ host: "127.0.0.1", port }, undefined, 30_000);
  await client.reply();
  for (const line of ["EHLO us.test", "MAIL FROM:<a@us.test>", "RCPT TO:<b@peer.test>", "DATA"]) {
    assert.match(await client.ask(line), /^[23]\d\d/);
  }
  client.send(content);
  assert.match(await client.reply(), /^250 /);
  // What was smuggled is answered, too: MAIL, RCPT, DATA, and its own end.
  for (const code of ["250", "250", "354", "250"]) {
    assert.equal((await client.reply()).slice(0, 3), code);
  }
}
