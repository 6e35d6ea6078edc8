import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  type FeedbackReport,
  formatFeedbackMail,
  formatFeedbackReport,
  parseFeedbackReport,
} from "#formats/feedback-report";
import { describeMessage } from "#formats/mime";

const failure: FeedbackReport = {
  feedbackType: "auth-failure",
  userAgent: "Postern",
  arrivedAtMs: Date.UTC(2026, 10, 20, 12),
  incidents: 3,
  originalEnvelopeId: "QQ1",
  originalMailFrom: "",
  originalRcptTo: ["alice@us.test", "bob@us.test"],
  reportingMta: "mail.us.test",
  sourceIp: "2001:db8::1",
  sourcePort: 4711,
  authenticationResults: ["mail.us.test; dmarc=fail header.from=example.com"],
  reportedDomain: ["example.com"],
  reportedUri: ["https://example.com/"],
  authFailure: "dmarc",
  deliveryResult: "reject",
  identityAlignment: ["dkim", "spf"],
  dkimDomain: "example.com",
  dkimIdentity: "@example.com",
  dkimSelector: "s1",
  spfDns: ['txt : "example.com" : "v=spf1 -all"'],
};

const read = (text: string) => parseFeedbackReport(Buffer.from(text));

describe("formatFeedbackReport()", () => {
  test("says to the parser what it was told (RFC 5965, RFC 6591, RFC 9991)", () => {
    assert.deepEqual(read(formatFeedbackReport(failure)), { ok: true, value: failure });
    const complaint: FeedbackReport = {
      feedbackType: "abuse",
      userAgent: "Postern",
      incidents: 1,
      originalRcptTo: [],
      authenticationResults: [],
      reportedDomain: [],
      reportedUri: [],
      spfDns: [],
    };
    assert.deepEqual(read(formatFeedbackReport(complaint)), { ok: true, value: complaint });
  });

  test("has the three fields that each report must have (RFC 5965 §3)", () => {
    assert.match(
      formatFeedbackReport(failure),
      /^Feedback-Type: auth-failure\r\nUser-Agent: Postern\r\nVersion: 1\r\n/,
    );
  });

  test("names no mechanism where none failed to align (RFC 9991 §4)", () => {
    const text = formatFeedbackReport({ ...failure, identityAlignment: [] });
    assert.match(text, /\r\nIdentity-Alignment: none\r\n/);
    const parsed = read(text);
    assert.deepEqual(parsed.ok && parsed.value.identityAlignment, []);
  });

  test("lets nobody forge a field", () => {
    const evil = "x\r\nSource-IP: 192.0.2.9\r\n\r\n\u2028y";
    const text = formatFeedbackReport({ ...failure, userAgent: evil, originalRcptTo: [evil] });
    assert.equal(text.match(/^Source-IP:/gm)?.length, 1);
    const long = formatFeedbackReport({ ...failure, reportedUri: ["u".repeat(5000)] });
    assert.ok(long.split("\r\n").every((line) => line.length < 998));
  });
});

describe("formatFeedbackMail()", () => {
  test("writes a multipart/report of three parts (RFC 5965 §2)", () => {
    const mail = formatFeedbackMail({
      from: "dmarc@us.test",
      to: ["ruf@example.com", `${"r".repeat(64)}@${"d.".repeat(90)}example`, "x@a.example"],
      subject: "Failure of example.com\r\nBcc: all@us.test",
      id: "0123abcd",
      madeAtMs: Date.UTC(2026, 10, 20, 12),
      text: "A message of example.com was refused: nobody vouches for it.",
      report: failure,
      originalHeader: Buffer.from("From: x@example.com\r\nSubject: y\r\n"),
    });
    const { root } = describeMessage(mail);
    assert.deepEqual(
      root.parts.map((part) => `${part.type}/${part.subtype}`),
      ["text/plain", "message/feedback-report", "text/rfc822-headers"],
    );
    assert.deepEqual(
      root.parameters.find(([name]) => name === "report-type"),
      ["report-type", "feedback-report"],
    );
    const part = root.parts[1];
    const parsed = parseFeedbackReport(mail.subarray(part?.bodyStart, part?.bodyEnd));
    assert.deepEqual(parsed, { ok: true, value: failure });
    assert.doesNotMatch(mail.toString(), /^Bcc:|[^\r]\n|\r[^\n]/m);
    assert.match(mail.toString(), /^To: <ruf@example.com>,\r\n <r+@[d.]+example>,\r\n <x@a/m);
  });
});

describe("parseFeedbackReport()", () => {
  test("takes older and sloppier forms", () => {
    const parsed = read(
      "feedback-type: Abuse (spam)\nUser-Agent: x\n\ty\nReceived-Date: Thu, 8 Mar 2005 14:00:00 EDT\n" +
        "Source-IP: 192.0.2.1 (mail.example)\nIncidents: many\nSource-Port: 99999\nReporting-MTA: dns;a\n",
    );
    assert.ok(parsed.ok);
    const { feedbackType, userAgent, arrivedAtMs, sourceIp, incidents, sourcePort, reportingMta } =
      parsed.value;
    assert.deepEqual(
      [feedbackType, userAgent, arrivedAtMs, sourceIp, incidents, sourcePort, reportingMta],
      ["abuse", "x\ty", Date.UTC(2005, 2, 8, 18), "192.0.2.1", 1, undefined, "a"],
    );
  });

  test("refuses what says no type, and too much", () => {
    assert.deepEqual(read("Version: 1\r\n"), { ok: false, fault: "no-type", at: 0 });
    assert.equal(parseFeedbackReport(Buffer.alloc(2_000_000)).ok, false);
    const many = read(`Feedback-Type: abuse\r\n${"Reported-URI: a\r\n".repeat(5000)}`);
    assert.equal(many.ok && many.value.reportedUri.length, 50);
  });

  test("never throws, and needs little time for evil input", () => {
    const random = seededRandom(5965);
    const pieces = [
      "Feedback-Type",
      ":",
      " ",
      "\r\n",
      "Source-IP",
      "a",
      "(",
      ";",
      ",",
      "<",
      "\xff",
    ];
    for (let round = 0; round < 3000; round += 1) {
      const length = pick(random, 40);
      const text = Array.from({ length }, () => pieces[pick(random, pieces.length)]).join("");
      parseFeedbackReport(Buffer.from(`Feedback-Type: a\r\n${text}`, "latin1"));
      parseFeedbackReport(random.bytes(length));
    }
    const began = performance.now();
    for (const one of [
      "a",
      ":",
      " ",
      "\n",
      "Identity-Alignment: ,",
      "Reporting-MTA: a ",
      "\r\n\t",
    ]) {
      read(`Feedback-Type: a\r\n${one.repeat(1_000_000 / one.length)}`);
      read(`Feedback-Type: a\r\nReporting-MTA: ${one.repeat(200_000 / one.length)}`);
    }
    assert.ok(performance.now() - began < 10_000);
  });
});
