import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { explainStatus, formatDsn, type Notification, parseDeliveryStatus } from "#formats/dsn";

const about: Notification = {
  reportingHost: "out.us.test",
  to: "alice@us.test",
  id: "0123456789abcdef",
  madeAtMs: Date.UTC(2026, 0, 5, 12),
  arrivedAtMs: Date.UTC(2026, 0, 5, 11),
  envelopeId: "QQ314159",
  recipients: [
    {
      recipient: "bob@sink.test",
      originalRecipient: "rfc822;b+2Bob@sink.test",
      action: "failed",
      status: "5.1.1",
      remoteHost: "mx.sink.test",
      diagnostic: "550 5.1.1 nobody of that name",
      isSmtp: true,
      lastAttemptAtMs: Date.UTC(2026, 0, 5, 12),
    },
  ],
  original: Buffer.from("From: alice@us.test\r\nSubject: x\r\n"),
  originalIsWhole: false,
};

/** The content of the part of that type, as any MIME reader would cut it out. */
function partOf(message: Buffer, type: string): string {
  const boundary = /boundary="([^"]+)"/.exec(message.toString())?.[1] ?? "";
  const parts = message.toString().split(`\r\n--${boundary}`);
  const part = parts.find((one) => one.includes(`Content-Type: ${type}`)) ?? "";
  return part.slice(part.indexOf("\r\n\r\n") + 4);
}

describe("formatDsn()", () => {
  test("writes a multipart/report of three parts (RFC 6522, RFC 3464)", () => {
    const message = formatDsn(about);
    const text = message.toString();
    assert.match(text, /^From: Mail Delivery System <mailer-daemon@out\.us\.test>\r\n/);
    assert.match(text, /\r\nTo: <alice@us\.test>\r\n/);
    assert.match(text, /\r\nAuto-Submitted: auto-replied\r\n/);
    assert.match(text, /\r\nContent-Type: multipart\/report; report-type=delivery-status;/);
    assert.match(partOf(message, "text/plain"), /does not exist there\.\r\nCheck the spelling/);
    assert.equal(partOf(message, "text/rfc822-headers"), about.original.toString());
    assert.match(text, /\r\n--=_0123456789abcdef--\r\n$/);
    assert.doesNotMatch(text, /[^\r]\n|\r[^\n]/);
  });

  test("says to the parser what it was told", () => {
    const read = parseDeliveryStatus(
      Buffer.from(partOf(formatDsn(about), "message/delivery-status")),
    );
    assert.deepEqual(read, {
      ok: true,
      value: {
        reportingHost: "out.us.test",
        envelopeId: "QQ314159",
        recipients: [
          {
            recipient: "bob@sink.test",
            originalRecipient: "b+ob@sink.test",
            action: "failed",
            status: "5.1.1",
            remoteHost: "mx.sink.test",
            diagnostic: "550 5.1.1 nobody of that name",
          },
        ],
      },
    });
  });

  test("lets nobody's words forge a field or a line", () => {
    const [one] = about.recipients;
    assert.ok(one);
    const diagnostic = `x\r\nAction: delivered\r\n\r\n--=_0123456789abcdef${"y".repeat(5000)}`;
    const message = formatDsn({ ...about, recipients: [{ ...one, diagnostic }] });
    const fields = partOf(message, "message/delivery-status");
    assert.equal(fields.match(/^Action:/gm)?.length, 1);
    for (const line of message.toString().split("\r\n")) assert.ok(line.length < 998);
    const read = parseDeliveryStatus(Buffer.from(fields));
    assert.equal(read.ok && read.value.recipients.length, 1);
  });

  test("promises to go on when the message is only late", () => {
    const [one] = about.recipients;
    assert.ok(one);
    const late = { ...one, action: "delayed", status: "4.4.1", isSmtp: false } as const;
    const until = Date.UTC(2026, 0, 10, 11);
    const message = formatDsn({ ...about, recipients: [{ ...late, willRetryUntilMs: until }] });
    assert.match(partOf(message, "text/plain"), /We keep trying until .*10 Jan 2026/);
    const fields = partOf(message, "message/delivery-status");
    assert.match(fields, /Will-Retry-Until: .*10 Jan 2026/);
    assert.match(fields, /Diagnostic-Code: x-postern; /);
  });

  test("uses the global types where an address needs UTF-8 (RFC 6533)", () => {
    const [one] = about.recipients;
    assert.ok(one);
    const recipients = [{ ...one, recipient: "größe@sink.test" }];
    const message = formatDsn({ ...about, recipients, originalIsWhole: true });
    const fields = partOf(message, "message/global-delivery-status");
    assert.match(fields, /Final-Recipient: utf-8; größe@sink\.test/);
    assert.notEqual(partOf(message, "message/global\r\n"), "");
  });
});

describe("parseDeliveryStatus()", () => {
  const faults = [
    ["", "no-recipient"],
    ["Reporting-MTA: dns; x\r\n", "no-recipient"],
    ["Reporting-MTA: dns; x\r\n\r\nAction: failed\r\nStatus: 5.0.0\r\n", "no-recipient"],
    ["A: b\n\nFinal-Recipient: rfc822; a@b\nAction: lost\nStatus: 5.0.0\n", "bad-action"],
    ["A: b\n\nFinal-Recipient: rfc822; a@b\nAction: failed\nStatus: 9.0.0\n", "bad-status"],
    ["no field\r\n", "bad-field"],
    [" folded first\r\n", "bad-field"],
    ["x".repeat(300_000), "too-long"],
    ["A: b\n\n".repeat(2000), "too-long"],
  ] as const;
  for (const [text, fault] of faults) {
    test(`refuses ${JSON.stringify(text.slice(0, 40))} as ${fault}`, () => {
      const read = parseDeliveryStatus(Buffer.from(text));
      assert.equal(read.ok ? "ok" : read.fault, fault);
    });
  }

  test("joins folded lines, passes comments over and takes the first of repeated fields", () => {
    const text =
      "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822;\n a@b\nAction: Failed\n" +
      "Status: 5.1.1 (bad)\nStatus: 4.0.0\n more\n";
    const read = parseDeliveryStatus(Buffer.from(text));
    assert.deepEqual(read.ok && read.value.recipients, [
      { recipient: "a@b", action: "failed", status: "5.1.1" },
    ]);
  });

  test("neither throws nor hangs on what was damaged (seeded)", () => {
    const random = seededRandom(3);
    const good = Buffer.from(partOf(formatDsn(about), "message/delivery-status"));
    for (let round = 0; round < 5000; round += 1) {
      const bad = Buffer.from(good);
      for (let count = pick(random, 8); count >= 0; count -= 1) {
        bad[pick(random, bad.length)] = pick(random, 3) === 0 ? 10 : pick(random, 256);
      }
      const read = parseDeliveryStatus(bad.subarray(0, pick(random, bad.length + 1)));
      if (!read.ok) assert.ok(read.at >= 0 && read.at <= bad.length);
    }
    const startMs = performance.now();
    for (const unit of ["\n", ":", " \n", "A:\n ", "A: b\n x\n", ";"]) {
      parseDeliveryStatus(Buffer.from(`A: b\n${unit.repeat(60_000)}`));
    }
    assert.ok(performance.now() - startMs < 2000);
  });
});

describe("explainStatus()", () => {
  test("has words for every code, however odd", () => {
    for (const status of ["5.1.1", "4.7.999", "5.9.9", "", "x", "5.constructor.x", "5.-1.0"]) {
      const { cause, advice } = explainStatus(status);
      assert.match(cause, /^[A-Z].*\.$/);
      assert.match(advice, /^[A-Z].*\.$/);
    }
  });
});
