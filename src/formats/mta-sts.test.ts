/** MTA-STS records and policies, as the RFC shows them and as strangers write them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  formatStsPolicy,
  formatStsRecord,
  listsHost,
  maxPolicyBytes,
  parseStsPolicy,
  parseStsRecord,
} from "#formats/mta-sts";

const policy = (text: string) => parseStsPolicy(Buffer.from(text, "latin1"));

describe("parseStsRecord() (RFC 8461 §3.1)", () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["v=STSv1; id=20160831085700Z;"], "20160831085700Z"],
    [["v=STSv1;id=a"], "a"],
    [["v=STSv1 ; id=a ; later=x=y;"], "a"],
    [["v=spf1 -all", "v=STSv1; id=a", "v=STSv1x; id=b"], "a"],
    [[], "none"],
    [["v=STSv2; id=a"], "none"],
    [["V=STSv1; id=a"], "none"],
    [["v=STSv1"], "none"],
    [[" v=STSv1; id=a"], "none"],
    [["v=STSv1; id=a", "v=STSv1; id=a"], "several"],
    [["v=STSv1;"], "bad-record"],
    [["v=STSv1; id="], "bad-record"],
    [["v=STSv1; id=a-b"], "bad-record"],
    [["v=STSv1; id=a; id=b"], "bad-record"],
    [["v=STSv1; id=a; nonsense"], "bad-record"],
    [[`v=STSv1; id=${"a".repeat(33)}`], "bad-record"],
    [[`v=STSv1; id=a; x=${"a".repeat(3000)}`], "bad-record"],
  ];
  for (const [texts, expected] of cases) {
    test(`${JSON.stringify(texts).slice(0, 70)}: ${expected}`, () => {
      const read = parseStsRecord(texts);
      assert.equal(read.ok ? read.value : read.fault, expected);
    });
  }

  test("reads what we publish", () => {
    assert.deepEqual(parseStsRecord([formatStsRecord("0af3")]), { ok: true, value: "0af3" });
  });
});

describe("parseStsPolicy() (RFC 8461 §3.2)", () => {
  const head = "version: STSv1\n";
  test("takes CRLF and LF, blanks and keys that are not known", () => {
    const text =
      "version:STSv1 \r\nmode:   enforce\nmx: Mail.Example.com.\r\nfuture_key: \t x\nmx: *.example.net\n\nmax_age: 604800\r\n\r\n";
    assert.deepEqual(policy(text), {
      ok: true,
      value: { mode: "enforce", mx: ["mail.example.com", "*.example.net"], maxAge: 604_800 },
    });
  });

  test("of a key that comes again, the first counts", () => {
    const read = policy(`${head}mode: none\nmode: enforce\nmax_age: 1\nmax_age: 2`);
    assert.deepEqual(read, { ok: true, value: { mode: "none", mx: [], maxAge: 1 } });
  });

  const faults = [
    ["", "bad-version"],
    ["mode: none\nmax_age: 1", "bad-version"],
    [`version: STSv2\nmode: none\nmax_age: 1`, "bad-version"],
    [`${head}max_age: 1`, "bad-mode"],
    [`${head}mode: Enforce\nmx: a\nmax_age: 1`, "bad-mode"],
    [`${head}mode: none`, "bad-max-age"],
    [`${head}mode: none\nmax_age: -1`, "bad-max-age"],
    [`${head}mode: none\nmax_age: 31557601`, "bad-max-age"],
    [`${head}mode: none\nmax_age: 00000000001`, "bad-max-age"],
    [`${head}mode: enforce\nmax_age: 1`, "no-mx"],
    [`${head}mode: testing\nmax_age: 1`, "no-mx"],
    [`${head}mx: a..b`, "bad-mx"],
    [`${head}mx: a.*.b`, "bad-mx"],
    [`${head}mx: *`, "bad-mx"],
    [`${head}mx: b\xfccher.example`, "bad-mx"],
    [`${head}mx:`, "bad-mx"],
    [`${head}no colon`, "bad-line"],
    [`${head}: x`, "bad-line"],
    [`${head}<html>: x`, "bad-line"],
    [`${head}${"mx: a\n".repeat(101)}`, "too-many-mx"],
    ["x".repeat(maxPolicyBytes + 1), "too-long"],
  ] as const;
  for (const [text, fault] of faults) {
    test(`${JSON.stringify(text).slice(0, 60)}: ${fault}`, () => {
      const read = policy(text);
      assert.equal(read.ok ? "accepted" : read.fault, fault);
    });
  }

  test("reads what we write", () => {
    const ours = {
      mode: "testing",
      mx: ["mx.example.org", "*.example.net"],
      maxAge: 86_400,
    } as const;
    assert.deepEqual(policy(formatStsPolicy(ours)), { ok: true, value: ours });
  });
});

describe("listsHost() (RFC 8461 §4.1)", () => {
  const mx = ["mail.example.com", "*.example.net"];
  const cases = [
    ["mail.example.com", true],
    ["MAIL.example.com.", true],
    ["a.mail.example.com", false],
    ["example.com", false],
    ["mx.example.net", true],
    ["a.b.example.net", false],
    ["example.net", false],
    [".example.net", false],
    ["mxexample.net", false],
    ["net", false],
    ["", false],
  ] as const;
  for (const [host, listed] of cases) {
    test(`${host}: ${listed}`, () => assert.equal(listsHost({ mx }, host), listed));
  }
});

test("fuzz: 20,000 records and policies are read or refused, with the offence inside", () => {
  const random = seededRandom(8461);
  const pieces = [
    "version: STSv1",
    "mode: enforce",
    "mx: *.a.example",
    "max_age: 60",
    "\r\n",
    "\n",
    ":",
    " ",
    "v=STSv1;",
    "id=a",
    ";",
    "\0",
    "\xff",
    "x",
  ];
  let accepted = 0;
  for (let round = 0; round < 20_000; round += 1) {
    let text = "";
    for (let count = pick(random, 14); count > 0; count -= 1) {
      text += pieces[pick(random, pieces.length)] ?? "";
      if (random.fraction() < 0.3) text += "\n";
    }
    if (random.fraction() < 0.3) text = `version: STSv1\nmode: none\nmax_age: 5\n${text}`;
    const read = policy(text);
    if (read.ok) accepted += 1;
    else assert.ok(read.at >= 0 && read.at <= text.length);
    const record = parseStsRecord([text]);
    if (record.ok) assert.match(record.value, /^[A-Za-z0-9]{1,32}$/);
  }
  console.log(`20,000 rounds, ${accepted} policies accepted`);
  assert.ok(accepted > 100);
});

test("a policy of 64 KiB that is all one line, all line ends or all colons is refused at once", () => {
  for (const text of ["a", "\n", ":", "mx: a\n", " ", "\r"]) {
    const startMs = performance.now();
    policy(text.repeat(Math.floor(maxPolicyBytes / text.length)));
    parseStsRecord([`v=STSv1;${text.repeat(60_000)}`]);
    assert.ok(performance.now() - startMs < 500);
  }
});
