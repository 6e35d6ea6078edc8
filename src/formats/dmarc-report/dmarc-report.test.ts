import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { performance } from "node:perf_hooks";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { constants, crc32, deflateRawSync, gzipSync } from "node:zlib";
import { pick, seededRandom } from "#base/random";
import {
  type AggregateReport,
  formatAggregateReport,
  openReport,
  parseAggregateReport,
  reportMail,
} from "#formats/dmarc-report";

const report: AggregateReport = {
  schema: "rfc9990",
  orgName: "Fish & Chips <Ltd>",
  email: "dmarc@us.test",
  extraContactInfo: "https://us.test/",
  reportId: "abc123",
  beginMs: Date.UTC(2026, 10, 20),
  endMs: Date.UTC(2026, 10, 21) - 1000,
  errors: ["_dmarc.a.example.com has several records", 'rua: "x" is not a URI'],
  generator: "Postern",
  policy: {
    domain: "example.com",
    p: "reject",
    sp: "quarantine",
    np: "none",
    adkim: "s",
    aspf: "r",
    fo: "1:d",
    testing: true,
    discoveryMethod: "treewalk",
  },
  records: [
    {
      sourceIp: "2001:db8::1",
      count: 7,
      disposition: "pass",
      dkim: "pass",
      spf: "fail",
      reasons: [],
      headerFrom: "example.com",
      envelopeFrom: "",
      envelopeTo: "us.test",
      dkimResults: [
        { domain: "example.com", selector: "s1", result: "pass" },
        { domain: "esp.example", selector: "", result: "permerror", humanResult: "no key ]]>" },
      ],
      spfResults: [{ domain: "esp.example", scope: "mfrom", result: "softfail" }],
    },
    {
      sourceIp: "192.0.2.1",
      count: 1,
      disposition: "none",
      dkim: "fail",
      spf: "fail",
      reasons: [{ type: "policy_test_mode", comment: "t=y" }, { type: "local_policy" }],
      headerFrom: "a.example.com",
      dkimResults: [],
      spfResults: [],
    },
  ],
};

describe("formatAggregateReport()", () => {
  test("says to the parser what it was told", () => {
    const errors = [report.errors.join("; ")]; // RFC 9990 appendix A has one element for all
    assert.deepEqual(parseAggregateReport(formatAggregateReport(report)), {
      ok: true,
      value: { ...report, errors },
    });
  });

  const old: AggregateReport = {
    schema: "rfc7489",
    orgName: "o\u0000\ud800o",
    email: "",
    reportId: "x",
    beginMs: 0,
    endMs: 999,
    errors: [],
    policy: { domain: "example.com", p: "none" },
    records: [
      {
        ...(report.records[1] ?? assert.fail()),
        reasons: [{ type: "forwarded" }, { type: "sampled_out" }],
        spfResults: [
          { domain: "mail.example.com", scope: "helo", result: "pass" },
          { domain: "example.com", scope: "mfrom", result: "none" },
        ],
        dkimResults: Array.from({ length: 150 }, () => ({
          domain: "example.com",
          selector: "s",
          result: "fail" as const,
        })),
      },
    ],
  };

  const isThere = spawnSync("xmllint", ["--version"]).status === 0;
  const skip = isThere ? false : "xmllint of libxml2-utils is not installed";
  for (const [name, one] of Object.entries({ whole: report, "from older rules": old })) {
    test(`is valid by the schema of RFC 9990: ${name}`, { skip }, () => {
      const path = new URL("../../../tests/conformance/reports/rfc9990.xsd", import.meta.url);
      const { status, stderr } = spawnSync(
        "xmllint",
        ["--noout", "--nonet", "--schema", fileURLToPath(path), "-"],
        { input: formatAggregateReport(one), encoding: "utf8" },
      );
      assert.equal(status, 0, stderr);
    });
  }

  test("writes nothing that RFC 9990 has dropped", () => {
    const xml = formatAggregateReport(old);
    assert.doesNotMatch(xml, /helo|forwarded|sampled_out/);
    assert.equal(xml.split("<dkim>").length - 1, 101); // 100 signatures and the evaluation
    assert.match(xml, /<sp>none<\/sp>/);
  });
});

describe("reportMail() (RFC 9990 §3.5)", () => {
  test("names, describes and packs a report, each time alike", () => {
    const mail = reportMail(report, "mail.us.test");
    assert.equal(
      mail.subject,
      "Report Domain: example.com Submitter: mail.us.test Report-ID: <abc123>",
    );
    assert.equal(mail.fileName, "mail.us.test!example.com!1795132800!1795219199!abc123.xml.gz");
    assert.equal(mail.contentType, "application/gzip");
    const opened = openReport(mail.octets);
    assert.ok(opened.ok);
    assert.equal(Buffer.from(opened.value).toString(), formatAggregateReport(report));
    assert.deepEqual(reportMail(report, "mail.us.test"), mail);
  });

  test("leaves a Report-ID that is no unique-id out of the file name", () => {
    const mail = reportMail({ ...report, reportId: "a.b@us.test" }, "us.test");
    assert.match(mail.fileName, /!1795219199\.xml\.gz$/);
    assert.match(mail.subject, /Report-ID: <a\.b@us\.test>$/);
  });
});

/** A zip of one or more files, made by hand. */
function zip(
  content: Buffer,
  method: 0 | 8,
  entries = 1,
  packed: Buffer = method === 8 ? deflateRawSync(content) : content,
): Buffer {
  const name = Buffer.from("report.xml");
  const sizes = Buffer.alloc(12);
  sizes.writeUInt32LE(crc32(content), 0);
  sizes.writeUInt32LE(packed.length, 4);
  sizes.writeUInt32LE(content.length, 8);
  const local = Buffer.alloc(30);
  local.write("PK\x03\x04", "latin1");
  local.writeUInt16LE(method, 8);
  sizes.copy(local, 14);
  local.writeUInt16LE(name.length, 26);
  const central = Buffer.alloc(46);
  central.write("PK\x01\x02", "latin1");
  central.writeUInt16LE(method, 10);
  sizes.copy(central, 16);
  central.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries, 8);
  end.writeUInt16LE(entries, 10);
  end.writeUInt32LE(central.length + name.length, 12);
  end.writeUInt32LE(local.length + name.length + packed.length, 16);
  return Buffer.concat([local, name, packed, central, name, end]);
}

const xml = Buffer.from(formatAggregateReport(report));

describe("openReport()", () => {
  const shapes = { plain: xml, gzip: gzipSync(xml), stored: zip(xml, 0), deflated: zip(xml, 8) };
  for (const [name, octets] of Object.entries(shapes)) {
    test(`opens ${name}`, () => {
      const opened = openReport(octets);
      assert.ok(opened.ok);
      assert.ok(xml.equals(opened.value));
    });
  }

  test("refuses what is no report", () => {
    const faultOf = (octets: Buffer) => {
      const opened = openReport(octets);
      return opened.ok ? "" : opened.fault;
    };
    assert.equal(faultOf(Buffer.alloc(0)), "not-a-report");
    assert.equal(faultOf(Buffer.from("%PDF")), "not-a-report");
    assert.equal(faultOf(gzipSync(xml).subarray(0, 100)), "bad-archive");
    assert.equal(faultOf(zip(xml, 8, 2)), "bad-archive");
    assert.equal(faultOf(zip(xml, 8).subarray(0, 200)), "bad-archive");
  });

  test("refuses bombs of a gigabyte within bounded time and memory", () => {
    const zeros = Buffer.alloc(64 * 1024 * 1024);
    const sixteen = (piece: Buffer) => Array.from({ length: 16 }, () => piece);
    const open = deflateRawSync(zeros, { finishFlush: constants.Z_FULL_FLUSH });
    const packed = Buffer.concat([...sixteen(open), deflateRawSync(Buffer.alloc(0))]);
    const bombs = [zip(zeros, 8, 1, packed), Buffer.concat(sixteen(gzipSync(zeros)))];
    const before = process.memoryUsage().rss;
    const began = performance.now();
    for (const octets of bombs) {
      assert.ok(octets.length < 1_100_000);
      assert.deepEqual(openReport(octets), { ok: false, fault: "too-large", at: 0 });
    }
    assert.equal(openReport(Buffer.concat([xml, zeros])).ok, false);
    assert.ok(performance.now() - began < 15_000);
    assert.ok(process.memoryUsage().rss - before < 256 * 1024 * 1024);
  });

  test("opens a bomb in a bomb once only", () => {
    const opened = openReport(gzipSync(gzipSync(xml)));
    assert.ok(opened.ok);
    assert.equal(faultOf(opened.value), "bad-xml");
  });

  test("never throws on damaged archives", () => {
    const random = seededRandom(9990);
    for (let round = 0; round < 3000; round += 1) {
      const octets = Buffer.from([zip(xml, 8), zip(xml, 0), gzipSync(xml)][round % 3] ?? xml);
      for (let hit = 0; hit < 3; hit += 1) octets[pick(random, octets.length)] = pick(random, 256);
      openReport(octets.subarray(0, 1 + pick(random, octets.length)));
      octets.writeUInt32LE(pick(random, 0xffff_ffff), octets.length - 6);
      openReport(octets);
    }
  });
});

const head =
  "<feedback><report_metadata><org_name>o</org_name><report_id>1</report_id><date_range>" +
  "<begin>1</begin><end>2</end></date_range></report_metadata><policy_published>" +
  "<domain>example.com</domain><p>none</p></policy_published>";
const record =
  "<record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated>" +
  "<disposition>none</disposition></policy_evaluated></row><identifiers><header_from>a" +
  "</header_from></identifiers><auth_results/></record>";

function faultOf(text: string | Uint8Array): string {
  const parsed = parseAggregateReport(text);
  return parsed.ok ? "" : parsed.fault;
}

describe("parseAggregateReport()", () => {
  test("reads the least that counts as a report", () => {
    assert.equal(faultOf(`${head}${record}</feedback>`), "");
    assert.equal(faultOf("<feedback/>"), "not-a-report");
    assert.equal(faultOf(`${head.replaceAll("feedback", "fed")}</fed>`), "not-a-report");
  });

  const forms: Readonly<Record<string, readonly [text: string, fault: string]>> = {
    "comments, CDATA and instructions": [
      `<?xml version='1.0'?><!-- <a> -->${head}<!-- - -->${record.replace(">a<", "><![CDATA[a]]><")}</feedback>\n`,
      "",
    ],
    "a namespace with a prefix": [
      `${head}${record}</feedback>`
        .replace(/<(\/?)/g, "<$1d:")
        .replace("feedback", 'feedback xmlns:d="urn:ietf:params:xml:ns:dmarc-2.0"'),
      "",
    ],
    "attributes with angle brackets": [
      `${head.replace("<p>", "<p a='>' b=\">\">")}</feedback>`,
      "",
    ],
    "a document type": [`<!DOCTYPE feedback>${head}</feedback>`, "doctype"],
    "an entity of its own": [`${head.replace(">o<", ">&o;<")}</feedback>`, "entity"],
    "a reference to nothing": [`${head.replace(">o<", ">&#0;<")}</feedback>`, "entity"],
    "a reference beyond Unicode": [`${head.replace(">o<", ">&#x110000;<")}</feedback>`, "entity"],
    "a lone ampersand": [`${head.replace(">o<", ">R & D<")}</feedback>`, "entity"],
    "tags that cross": [`${head}<a><b></a></b></feedback>`, "bad-xml"],
    "two roots": [`${head}</feedback><feedback/>`, "bad-xml"],
    "text behind the root": [`${head}</feedback>x`, "bad-xml"],
    "an open end": [head, "bad-xml"],
    "an address that is none": [`${head}${record.replace("192.0", "x")}</feedback>`, "bad-field"],
    "a count below zero": [`${head}${record.replace(">1<", ">-1<")}</feedback>`, "bad-field"],
    "a disposition of no meaning": [
      `${head}${record.replace(">none<", ">eat<")}</feedback>`,
      "bad-field",
    ],
    "a domain that is missing": [`${head.replace("example.com", "")}</feedback>`, "bad-field"],
  };
  for (const [name, [text, fault]] of Object.entries(forms)) {
    test(`${name}: ${fault === "" ? "read" : fault}`, () => assert.equal(faultOf(text), fault));
  }

  test("reads references and old words", () => {
    const text = `${head.replace(">o<", ">&lt;&#x41;&#66;&amp;amp;&gt;<")}${record.replace(
      "<auth_results/>",
      "<auth_results><dkim><domain>A.example</domain><result>Pass</result></dkim>" +
        "<spf><domain>a</domain><result>hardfail</result></spf>" +
        "<spf><domain>a</domain><result>unknown</result></spf></auth_results>",
    )}</feedback>`;
    const parsed = parseAggregateReport(text);
    assert.ok(parsed.ok);
    assert.equal(parsed.value.orgName, "<AB&amp;>");
    const [only] = parsed.value.records;
    assert.deepEqual(only?.dkimResults, [{ domain: "a.example", selector: "", result: "pass" }]);
    assert.deepEqual(only?.spfResults.map(({ result }) => result).join(), "fail,temperror");
  });

  test("reads the charset of the declaration where it can", () => {
    const text = `${head.replace(">o<", ">caf\u00e9<")}</feedback>`;
    const latin = Buffer.from(`<?xml version="1.0" encoding="windows-1252"?>${text}`, "latin1");
    const parsed = parseAggregateReport(latin);
    assert.ok(parsed.ok);
    assert.equal(parsed.value.orgName, "caf\u00e9");
    assert.equal(
      faultOf(Buffer.from(`<?xml version="1.0" encoding="utf-16"?>${text}`)),
      "bad-charset",
    );
  });

  test("refuses what would grow, within bounded time", () => {
    const laughs = Array.from({ length: 10 }, (_, at) => `<!ENTITY l${at + 1} "&l${at};&l${at};">`);
    const cases: readonly (readonly [string, string])[] = [
      [`<!DOCTYPE a [${laughs.join("")}]><feedback>&l9;</feedback>`, "doctype"],
      [`<feedback>${"<a>".repeat(10_000)}`, "too-deep"],
      [`${head}${"<record/>".repeat(1_000_000)}</feedback>`, "bad-field"],
      [`${head}${record.repeat(60_000)}</feedback>`, "too-large"],
      [`${head}<extension>${"<a/>".repeat(1_000_000)}</extension></feedback>`, "too-large"],
      ["x".repeat(17_000_000), "too-large"],
      [`<feedback ${'a="b" '.repeat(150_000)}>`, "bad-xml"],
    ];
    for (const [text, fault] of cases) {
      const began = performance.now();
      assert.equal(faultOf(text), fault, text.slice(0, 60));
      assert.ok(performance.now() - began < 15_000, text.slice(0, 60));
    }
  });

  test("is linear in evil input of 1e6 octets", () => {
    for (const one of [
      "<",
      ">",
      "&",
      "&#",
      "&#x41;",
      "<!--",
      "<![CDATA[",
      "<?",
      "</",
      "<a ",
      '="',
      "]]>",
      " ",
    ]) {
      for (const before of ["", "<feedback>", `${head}<extension>`]) {
        const began = performance.now();
        parseAggregateReport(before + one.repeat(1_000_000 / one.length));
        assert.ok(performance.now() - began < 10_000, before + one);
      }
    }
  });

  test("never throws", () => {
    const random = seededRandom(9990);
    const whole = formatAggregateReport(report);
    const pieces = [
      "<",
      ">",
      "/",
      "&",
      ";",
      "&#",
      "]]>",
      "<!--",
      "<record>",
      "</row>",
      '"',
      "\u0000",
    ];
    for (let round = 0; round < 4000; round += 1) {
      const at = pick(random, whole.length);
      const piece = pieces[pick(random, pieces.length)] ?? "";
      const parsed = parseAggregateReport(
        whole.slice(0, at) + piece + whole.slice(at + pick(random, 9)),
      );
      if (!parsed.ok) assert.ok(parsed.at >= 0 && parsed.at <= whole.length + 9);
      parseAggregateReport(random.bytes(pick(random, 60)));
    }
  });
});
