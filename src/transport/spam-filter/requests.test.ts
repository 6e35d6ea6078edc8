import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatRspamdRequest, formatSpamdRequest } from "./requests.ts";
import type { SpamMail } from "./types.ts";

const nowMs = Date.UTC(2026, 0, 5, 12);

const mail: SpamMail = {
  octets: [Buffer.from("Subject: x\r\n\r\n")],
  sizeBytes: 14,
  clientAddress: "192.0.2.1",
  helo: "mx.example.org",
  mailFrom: "ann@example.org",
  recipients: ["bea@example.com", "cem@example.com"],
  queueId: "q1",
  receivedBy: "mail.example.com",
};

describe("formatRspamdRequest()", () => {
  test("tells the envelope in fields", () => {
    assert.equal(
      formatRspamdRequest(mail).toString(),
      "POST /checkv2 HTTP/1.0\r\nContent-Length: 14\r\nQueue-Id: q1\r\nIP: 192.0.2.1\r\n" +
        "From: <ann@example.org>\r\nHelo: mx.example.org\r\n" +
        "Rcpt: <bea@example.com>\r\nRcpt: <cem@example.com>\r\n\r\n",
    );
  });

  test("tells the login and the client's name only where there are such", () => {
    const known = { ...mail, authenticated: "ann@example.org", clientName: "mx.example.org" };
    const text = formatRspamdRequest(known).toString();
    assert.match(text, /\r\nUser: ann@example\.org\r\n/);
    assert.match(text, /\r\nHostname: mx\.example\.org\r\n/);
    assert.doesNotMatch(
      formatRspamdRequest({ ...mail, helo: "" }).toString(),
      /Helo|User|Hostname/,
    );
  });

  test("has the null path as <>", () => {
    assert.match(formatRspamdRequest({ ...mail, mailFrom: "" }).toString(), /\r\nFrom: <>\r\n/);
  });

  test("stops telling recipients before rspamd's limit for a header", () => {
    const recipients = Array.from({ length: 10_000 }, (_, index) => `${"ü".repeat(400)}${index}@x`);
    const head = formatRspamdRequest({ ...mail, recipients });
    assert.ok(head.length < 34_000, `${head.length} octets`);
    assert.ok(head.includes("Rcpt: <ü"));
    assert.ok(head.toString().endsWith("\r\n\r\n"));
  });
});

describe("formatSpamdRequest()", () => {
  test("puts the envelope into trace fields and counts them", () => {
    const [head = "", trace = ""] = formatSpamdRequest(mail, nowMs).toString().split("\r\n\r\n");
    assert.equal(head, `SYMBOLS SPAMC/1.5\r\nContent-length: ${Buffer.byteLength(trace) + 14}`);
    assert.equal(
      trace,
      "Return-Path: <ann@example.org>\r\nReceived: from mx.example.org ([192.0.2.1])\r\n" +
        "\tby mail.example.com with ESMTP\r\n\tid q1;\r\n\tMon, 5 Jan 2026 12:00:00 +0000\r\n",
    );
  });

  test("tells IPv6, the client's name and that somebody logged in", () => {
    const text = formatSpamdRequest(
      { ...mail, clientAddress: "2001:db8::1", clientName: "mx.example.org", authenticated: "a" },
      nowMs,
    ).toString();
    assert.ok(text.includes("(mx.example.org [IPv6:2001:db8::1])"));
    assert.ok(text.includes(" with ESMTPA\r\n"));
  });
});

describe("nothing that a stranger says can add a field", () => {
  const evil = 'x\r\nUser: root\r\n\r\nGET / HTTP/1.0\n\r\0\x7f\x85) by y (\\;"<>';
  const keys = [
    "clientAddress",
    "clientName",
    "helo",
    "mailFrom",
    "queueId",
    "authenticated",
  ] as const;

  for (const key of [...keys, "receivedBy", "recipients"] as const) {
    test(key, () => {
      const marked = (value: string): SpamMail => ({
        ...mail,
        [key]: key === "recipients" ? [value] : value,
      });
      for (const format of [
        formatRspamdRequest,
        (one: SpamMail) => formatSpamdRequest(one, nowMs),
      ]) {
        const lines = (value: string): number =>
          format(marked(value))
            .toString()
            .split(/[\r\n]+/).length;
        assert.equal(lines(evil), lines("x"));
        assert.doesNotMatch(format(marked(evil)).toString("latin1"), /[\0\x7f]/);
      }
    });
  }
});
