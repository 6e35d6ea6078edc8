/** Milters: real ones asked as the hub asks them, and a whole installation that lives with them. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "#base/clock";
import { systemNet } from "#base/net";
import { askMilter, type MilterAnswer } from "#transport/milter";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { type FakeMilter, packet, startFakeMilter } from "../kit/milter.ts";
import {
  eicar,
  noClamav,
  noOpendkim,
  startClamavMilter,
  startOpendkim,
  startRspamdMilter,
} from "../kit/milters.ts";
import { type Daemon, noRspamd } from "../kit/rspamd.ts";
import { sendMail } from "../kit/smtp-dialogue.ts";

const head =
  "From: Eve <eve@example.net>\r\nTo: ana@postern.test\r\nDate: Sun, 04 Jan 2026 10:00:00 +0000\r\n" +
  "MIME-Version: 1.0\r\n";

function plain(marker: string, text = "hello"): string {
  return `${head}Subject: ${marker}\r\nMessage-ID: <${marker}@example.net>\r\n\r\n${text}\r\n`;
}

function withVirus(marker: string): string {
  const file = Buffer.from(eicar).toString("base64");
  return (
    `${head}Subject: ${marker}\r\nMessage-ID: <${marker}@example.net>\r\n` +
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n" +
    "Content-Type: application/octet-stream; name=a.com\r\n" +
    `Content-Transfer-Encoding: base64\r\n\r\n${file}\r\n--b--\r\n`
  );
}

/** The line that every spam filter takes for spam, so that it can be tried. */
const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

function ask({ port }: Daemon, text: string): Promise<MilterAnswer> {
  const octets = Buffer.from(text, "latin1");
  const mail = {
    id: "f00d",
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.7",
      clientPort: 4711,
      helo: "mx.example.net",
      extended: true,
    },
    envelope: { reversePath: "eve@example.net", recipients: [{ path: "ana@postern.test" }] },
    receivedBy: "mail.postern.test",
    octets,
    sizeBytes: octets.length,
  };
  const milter = {
    name: "milter",
    endpoint: { host: "127.0.0.1", port },
    timeoutMs: 30_000,
    maxBytes: 1_000_000,
  };
  return askMilter(milter, mail, { net: systemNet, clock: systemClock });
}

/** Verdict and fields; what a milter names itself and its host after is cut off. */
function summary(answer: MilterAnswer): unknown {
  if (answer.kind !== "judged") return answer;
  const { verdict, fields } = answer;
  const why = "why" in verdict ? ` ${verdict.why}` : "";
  return [`${verdict.kind}${why}`, ...fields.map(({ name, value }) => `${name}:${value}`)];
}

describe("real milters", () => {
  test("opendkim says what it thinks of a signature", { skip: noOpendkim }, async () => {
    await using opendkim = await startOpendkim();
    const [verdict, field] = summary(await ask(opendkim, plain("signed"))) as string[];
    assert.equal(verdict, "accept");
    assert.match(field ?? "", /^Authentication-Results: dkim\.test; dkim=none/);
  });

  test("rspamd takes the test line for spam", { skip: noRspamd }, async () => {
    await using rspamd = await startRspamdMilter();
    assert.deepEqual(summary(await ask(rspamd, plain("fine"))), ["accept"]);
    assert.deepEqual(summary(await ask(rspamd, plain("spam", gtube))), [
      "reject 554 5.7.1 Gtube pattern",
    ]);
  });

  test("clamav-milter finds the test virus", { skip: noClamav }, async () => {
    await using clamav = await startClamavMilter();
    const clean = summary(await ask(clamav, plain("clean"))) as string[];
    assert.equal(clean[0], "accept");
    assert.ok(clean.includes("X-Virus-Status: Clean"), clean.join("\n"));
    const infected = summary(await ask(clamav, withVirus("virus"))) as string[];
    assert.equal(infected[0], "reject 550 5.7.1 found Eicar-Test-Signature.UNOFFICIAL");
  });
});

describe("an installation with milters", () => {
  let installation: Installation;
  let clamav: Daemon | undefined;
  let fake: FakeMilter;
  const started = new AsyncDisposableStack();
  /** Of the fake, changed as a test wants it. */
  const answers: Record<string, Buffer | "close" | "silence"> = {};

  before(async () => {
    if (noClamav === false) clamav = started.use(await startClamavMilter());
    fake = started.use(await startFakeMilter(answers));
    const sockets = [fake.name, ...(clamav ? [`inet:${clamav.port}@127.0.0.1`] : [])];
    const config = `[milters]\nsockets = ${JSON.stringify(sockets)}\ntimeoutMs = 2000\n`;
    installation = started.use(await startInstallation({ config }));
  });
  after(() => started.disposeAsync());

  const send = async (text: string): Promise<string> => {
    const { smtp, accounts } = installation.ready();
    const to = [accounts[0]?.address ?? ""];
    return (await sendMail(smtp, { from: "eve@example.net", to, octets: text })) ?? "no reply";
  };
  const traceOf = async (id: string): Promise<string> =>
    (await installation.cli("trace", "show", id)).stdout;
  /** An edge reports what was refused after a while. */
  const untilTraced = async (text: string): Promise<void> => {
    let seen = "";
    for (let turn = 0; turn < 40; turn += 1) {
      const found = await installation.cli("trace", "find", "eve@example.net");
      const refused = found.stdout.split("\n").filter((line) => line.includes(" refused "));
      seen = "";
      for (const line of refused) seen += await traceOf(idOf(line));
      if (seen.includes(text)) return;
      await pause(250);
    }
    assert.fail(`no trace says "${text}":\n${seen}`);
  };
  const idOf = (reply: string): string => /[0-9a-f]{32}/.exec(reply)?.[0] ?? "";

  test("refuses what a milter rejects, with our words; the milter's stand in the trace", async (t) => {
    if (clamav === undefined) return t.skip(String(noClamav));
    const reply = await send(withVirus("infected"));
    assert.match(reply, /^550 5\.7\.1 refused by the policy of this site/);
    await untilTraced("550 5.7.1 found Eicar-Test-Signature");
  });

  test("puts the fields of milters on top, and changes nothing below", async () => {
    answers["E"] = Buffer.concat([packet("h", "X-Fake\0folded;\n\ttwice\0"), packet("c")]);
    const reply = await send(plain("fields"));
    assert.match(reply, /^250 /);
    const account = installation.ready().accounts[0]?.address ?? "";
    const why = ["--account", account, "--reason", "test"];
    const { stdout } = await installation.cli("message", "read", idOf(reply), ...why);
    assert.match(stdout, /X-Fake: folded;\r?\n\ttwice\r?\n/);
    if (clamav !== undefined) assert.match(stdout, /X-Virus-Status: Clean/);
  });

  const faults = [
    ["breaks off", "close", "cut-off"],
    ["hangs", "silence", "timeout"],
    ["talks nonsense", Buffer.from("\0\0\0\x03zzz", "latin1"), "bad-answer"],
  ] as const;
  for (const [what, answer, why] of faults) {
    test(`V1 a milter that ${what} costs a 451, and nothing is lost when it is back`, async () => {
      answers["E"] = answer;
      const marker = `v1-${why}`;
      assert.match(await send(plain(marker)), /^451 4\.3\.0 a check of the message gave no answer/);
      await untilTraced(`no answer (${why})`);
      answers["E"] = packet("c");
      assert.match(await send(plain(marker)), /^250 /);
    });
  }

  test("V1 a slow milter delays the answer, and the message arrives", async () => {
    answers["E"] = "silence";
    const sent = send(plain("v1-slow"));
    for (let turn = 0; fake.open.size === 0 && turn < 100; turn += 1) await pause(20);
    await pause(500);
    for (const socket of fake.open) socket.write(packet("c"));
    const reply = await sent;
    answers["E"] = packet("c");
    assert.match(reply, /^250 /);
    assert.match(await traceOf(idOf(reply)), /milter inet:\d+@127\.0\.0\.1: accept/);
  });

  test("V1 a milter that is gone costs a 451", async () => {
    await fake[Symbol.asyncDispose]();
    assert.match(await send(plain("v1-gone")), /^451 4\.3\.0 /);
  });
});
