/** Received, Return-Path and Authentication-Results. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { claimsAuthservId, formatAuthResults } from "#formats/auth-results";
import { formatReceived, formatReturnPath, parseReceived } from "#formats/received";

const connection = {
  ...{
    listener: "smtp",
    clientAddress: "192.0.2.1",
    clientPort: 1,
    helo: "out.example",
    extended: true,
  },
};
const facts = { connection, receivedBy: "mx.example", id: "ab12", receivedAtMs: 0 };

describe("formatReceived()", () => {
  test("names one recipient, TLS and the protocol", () => {
    const tls = { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" };
    const field = formatReceived({
      ...{ ...facts, connection: { ...connection, tls, authenticated: "a@b.example" } },
      recipient: "x@known.example",
      utf8: true,
    });
    assert.equal(
      field,
      "Received: from out.example ([192.0.2.1])\r\n" +
        "\tby mx.example with UTF8SMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n" +
        "\tid ab12\r\n\tfor <x@known.example>;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n",
    );
  });

  test("writes the client's name where it is known, so that it is read back", () => {
    const cases: readonly (readonly [string, string, string, string])[] = [
      ["out.example", "192.0.2.1", "mx.out.example", "out.example (mx.out.example [192.0.2.1])"],
      ["", "192.0.2.1", "mx.out.example", "[192.0.2.1] (mx.out.example [192.0.2.1])"],
      ["a b", "192.0.2.1", "mx.example", "[192.0.2.1] (mx.example [192.0.2.1] helo=a b)"],
      ["x", "2001:db8::1", "198.51.100.7", "x (198.51.100.7 [IPv6:2001:db8::1])"],
      ["out.example", "192.0.2.1", "a) by evil (", "out.example ([192.0.2.1])"],
    ];
    for (const [helo, clientAddress, reverseName, expected] of cases) {
      const named = { ...connection, helo, clientAddress, reverseName };
      const field = formatReceived({ ...facts, connection: named });
      assert.equal(field.slice(0, field.indexOf("\r\n")), `Received: from ${expected}`);
      const read = parseReceived(field.slice("Received:".length));
      assert.equal(read.address, clientAddress, expected);
    }
  });

  test("keeps a strange HELO in a comment that it cannot leave", () => {
    const strange = {
      ...connection,
      helo: "x) by evil\r\nX: y",
      clientAddress: "2001:db8::1",
      extended: false,
    };
    const field = formatReceived({ ...facts, connection: strange });
    assert.match(
      field,
      /^Received: from \[IPv6:2001:db8::1\] \(helo=x\? by evil\?\?X: y\)\r\n\tby mx\.example with SMTP\r\n/,
    );
  });
});

test("formatReturnPath() writes the null path too", () => {
  assert.equal(formatReturnPath(""), "Return-Path: <>\r\n");
});

describe("Authentication-Results", () => {
  test("quotes what is no token and cannot be broken out of", () => {
    const spf = {
      method: "spf",
      result: "fail",
      domain: "a.example",
      identity: "mailfrom",
      why: "-all (of\r\nit)",
    } as const;
    const auth = { method: "auth", result: "pass", login: 'a"; spf=pass@x' } as const;
    assert.equal(
      formatAuthResults("mx.example", [spf, { ...spf, identity: "helo", why: "" }, auth]),
      "Authentication-Results: mx.example;\r\n" +
        "\tspf=fail (-all \\(of??it\\)) smtp.mailfrom=a.example;\r\n" +
        "\tspf=fail smtp.helo=a.example;\r\n" +
        '\tauth=pass smtp.auth="a\\"? spf?pass@x"\r\n',
    );
    assert.equal(
      formatAuthResults("mx.example", []),
      "Authentication-Results: mx.example;\r\n\tnone\r\n",
    );
  });

  for (const [body, ours] of [
    [" mx.example; spf=pass", true],
    ["(c (d)) MX.Example 1; none", true],
    ['\r\n "mx.exa\\mple"; none', true],
    [" other.example; spf=pass smtp.mailfrom=mx.example", false],
    [" mx.example.; dkim=pass", true],
    [" mx.example.evil.example; none", false],
    ["; mx.example spf=pass", true],
    [" mx.example=; spf=pass", true],
    ["", false],
  ] as const) {
    test(`S17 ${JSON.stringify(body)} ${ours ? "claims" : "does not claim"} to be ours`, () => {
      assert.equal(claimsAuthservId(body, "mx.example"), ours);
    });
  }
});
