/** Reports on TLS: those of others as received, our own, and anything else. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { pick, seededRandom } from "#base/random";
import { fields, parseHeader, valueOf } from "#formats/message";
import { decodeBody, describeMessage } from "#formats/mime";
import {
  formatTlsReport,
  packTlsReport,
  parseTlsReport,
  parseTlsRptRecord,
  type TlsReport,
  tlsReportMail,
} from "#formats/tls-report";

const folder = new URL("../../../tests/conformance/reports/tlsrpt/", import.meta.url);
const octetsOf = (name: string): Buffer => readFileSync(new URL(name, folder));

const ours: TlsReport = {
  organization: "Example",
  beginMs: Date.UTC(2026, 0, 5),
  endMs: Date.UTC(2026, 0, 5, 23, 59, 59),
  contact: "postmaster@example.org",
  reportId: "0af3",
  policies: [
    {
      type: "tlsa",
      strings: ["3 1 1 00ff"],
      domain: "example.net",
      mxHosts: [],
      successes: 12,
      failures: 3,
      details: [
        {
          result: "tlsa-invalid",
          sessions: 3,
          sendingIp: "2001:db8::1",
          receivingHost: "mx.example.net",
          receivingIp: "192.0.2.1",
          reason: "no record matches",
        },
      ],
    },
    {
      type: "no-policy-found",
      strings: [],
      domain: "example.net",
      mxHosts: [],
      successes: 1,
      failures: 0,
      details: [],
    },
  ],
};

/** The attachments of a mail that are no text. */
function attachments(mail: Buffer): readonly Buffer[] {
  const { root } = describeMessage(mail);
  return root.parts
    .filter(({ type }) => type === "application")
    .map((part) => decodeBody(mail.subarray(part.bodyStart, part.bodyEnd), part.encoding));
}

describe("parseTlsReport() reads reports as received (RFC 8460 §4.4)", () => {
  for (const name of ["rpt01.json", "rpt01.eml"]) {
    test(name, () => {
      const [octets = Buffer.alloc(0)] = name.endsWith(".eml")
        ? attachments(octetsOf(name))
        : [octetsOf(name)];
      const read = parseTlsReport(octets);
      assert.ok(read.ok);
      const { policies, ...head } = read.value;
      assert.deepEqual(head, {
        organization: "Company-X",
        beginMs: Date.UTC(2016, 3, 1),
        endMs: Date.UTC(2016, 3, 1, 23, 59, 59),
        contact: "sts-reporting@company-x.example",
        reportId: "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
      });
      assert.equal(policies.length, 1);
      const [policy] = policies;
      assert.deepEqual(
        [policy?.type, policy?.domain, policy?.successes, policy?.failures],
        ["sts", "company-y.example", 5326, 303],
      );
      assert.deepEqual(policy?.mxHosts, ["*.mail.company-y.example"]);
      assert.deepEqual(
        policy?.details.map(({ result, sessions }) => [result, sessions]),
        [
          ["certificate-expired", 100],
          ["starttls-not-supported", 200],
          ["validation-failure", 3],
        ],
      );
      assert.equal(policy?.details[0]?.sendingIp, "2001:db8:abcd:12::1");
    });
  }

  test("rpt03.json: policies without a domain, and a type that nobody knows", () => {
    const read = parseTlsReport(octetsOf("rpt03.json"));
    assert.ok(read.ok);
    assert.deepEqual(
      read.value.policies.map(({ type, domain, successes, details }) => [
        type,
        domain,
        successes,
        details.length,
      ]),
      [
        ["no-policy-found", "", 1, 0],
        ["other", "", 1, 0],
      ],
    );
  });
});

test("parseTlsReport() reads what we write, packed and not", () => {
  for (const octets of [packTlsReport(ours), Buffer.from(formatTlsReport(ours))]) {
    assert.deepEqual(parseTlsReport(octets), { ok: true, value: ours });
  }
});

test("tlsReportMail() is as RFC 8460 §5.3 has it, and travels without TLS (RFC 8689 §3)", () => {
  const mail = tlsReportMail({
    report: ours,
    domain: "example.net",
    submitter: "mail.example.org",
    from: { name: "Example", email: "reports@example.org" },
    to: ["tls@example.net"],
    madeAtMs: ours.endMs,
  });
  const header = parseHeader(mail);
  const value = (name: string): string =>
    fields(header, name)
      .map((one) => valueOf(header, one))
      .join("|");
  assert.equal(
    value("Subject"),
    "Report Domain: example.net Submitter: mail.example.org Report-ID: <0af3@mail.example.org>",
  );
  assert.equal(value("TLS-Report-Domain"), "example.net");
  assert.equal(value("TLS-Report-Submitter"), "mail.example.org");
  assert.equal(value("TLS-Required"), "No");
  assert.match(value("Content-Type"), /^multipart\/report;\s+report-type=tlsrpt;\s+boundary=/);
  const text = mail.toString("latin1");
  assert.match(text, /mail\.example\.org!example\.net!1767571200!1767657599!0af3\.json\.gz/);
  const [octets = Buffer.alloc(0)] = attachments(mail);
  assert.deepEqual(parseTlsReport(octets), { ok: true, value: ours });
});

describe("parseTlsRptRecord() (RFC 8460 §3)", () => {
  const cases: readonly (readonly [readonly string[], unknown])[] = [
    [["v=TLSRPTv1;rua=mailto:reports@example.com"], { mail: ["reports@example.com"], https: [] }],
    [
      ["v=spf1 -all", "v=TLSRPTv1; rua=https://r.example/v1,mailto:a%40b@example.com?x , ftp://c"],
      { mail: [], https: ["https://r.example/v1"] },
    ],
    [["v=TLSRPTv1; rua=mailto:tls+x@b.example;later=1;"], { mail: ["tls+x@b.example"], https: [] }],
    [[], "none"],
    [["v=TLSRPTv2; rua=mailto:a@b"], "none"],
    [["v=TLSRPTv1; rua=mailto:a@b", "v=TLSRPTv1; rua=mailto:a@b"], "several"],
    [["v=TLSRPTv1;"], "bad-record"],
    [["v=TLSRPTv1; rua=gopher://x"], "bad-record"],
    [["v=TLSRPTv1; rua=http://x.example/"], "bad-record"],
    [["v=TLSRPTv1; rua="], "bad-record"],
  ];
  for (const [texts, expected] of cases) {
    test(JSON.stringify(texts).slice(0, 80), () => {
      const read = parseTlsRptRecord(texts);
      assert.deepEqual(read.ok ? read.value : read.fault, expected);
    });
  }
});

describe("parseTlsReport() and bad input", () => {
  const refused = [
    ["", "not-a-report"],
    ["null", "not-a-report"],
    ["[]", "not-a-report"],
    ["{}", "not-a-report"],
    ["[".repeat(200_000), "not-a-report"],
    [`{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, "not-a-report"],
  ] as const;
  for (const [text, fault] of refused) {
    test(text.slice(0, 20) || "nothing", () => {
      const read = parseTlsReport(Buffer.from(text));
      assert.equal(read.ok ? "accepted" : read.fault, fault);
    });
  }

  test("a bomb is too large, half a gzip is none", () => {
    const bomb = parseTlsReport(gzipSync(Buffer.alloc(100 * 1024 * 1024)));
    assert.equal(bomb.ok ? "" : bomb.fault, "too-large");
    const half = parseTlsReport(packTlsReport(ours).subarray(0, 100));
    assert.equal(half.ok ? "" : half.fault, "bad-archive");
  });

  test("only so many policies and failures are kept, of all policies together", () => {
    const detail = { "result-type": "x", "failed-session-count": 1 };
    const policy = { policy: {}, "failure-details": Array.from({ length: 600 }, () => detail) };
    const whole = {
      ...JSON.parse(formatTlsReport(ours)),
      policies: Array.from({ length: 1100 }, () => policy),
    };
    const read = parseTlsReport(gzipSync(JSON.stringify(whole)));
    assert.ok(!read.ok || read.value.policies.length === 1000);
    const less = { ...whole, policies: Array.from({ length: 20 }, () => policy) };
    const bounded = parseTlsReport(Buffer.from(JSON.stringify(less)));
    assert.ok(bounded.ok);
    assert.equal(
      bounded.value.policies.reduce((sum, { details }) => sum + details.length, 0),
      5000,
    );
  });

  test("fuzz: 20,000 damaged reports are read or refused", () => {
    const random = seededRandom(8460);
    const whole = formatTlsReport(ours);
    const pieces = [
      "{",
      "}",
      "[",
      "]",
      '"',
      ":",
      ",",
      "null",
      "-1",
      "1e999",
      "\\u0000",
      "\ufeff",
      "true",
      '"policies"',
    ];
    let accepted = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const at = pick(random, whole.length);
      const piece = pieces[pick(random, pieces.length)] ?? "";
      const damaged = whole.slice(0, at) + piece + whole.slice(at + pick(random, 12));
      const read = parseTlsReport(Buffer.from(damaged));
      if (read.ok) {
        accepted += 1;
        for (const one of read.value.policies) {
          assert.ok(Number.isSafeInteger(one.successes) && one.successes >= 0);
        }
      }
      parseTlsReport(random.bytes(pick(random, 80)));
      parseTlsRptRecord([`v=TLSRPTv1;${damaged.slice(0, 200)}`]);
    }
    console.log(`20,000 rounds, ${accepted} accepted`);
    assert.ok(accepted > 100);
  });
});
