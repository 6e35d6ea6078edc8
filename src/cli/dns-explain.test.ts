import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { explainRecord } from "./dns-explain.ts";

const rsa = (bits: number): string =>
  generateKeyPairSync("rsa", { modulusLength: bits })
    .publicKey.export({ type: "spki", format: "der" })
    .toString("base64");

describe("explainRecord()", () => {
  const sha256 = "a".repeat(64);
  const cases: readonly (readonly [
    text: string,
    kind: string,
    part: string,
    words: RegExp,
    level?: string,
  ])[] = [
    ["v=spf1 ip4:192.0.2.0/24 ~all", "SPF", "ip4:192.0.2.0/24", /256 addresses/],
    ["v=spf1 ip4:192.0.2.0/24 ~all", "SPF", "~all", /soft fail: "probably not ours"/],
    ["v=spf1 ptr +all", "SPF", "+all", /everything else: may send/, "bad"],
    ["v=spf1 ptr +all", "SPF", "ptr", /reverse name/, "warn"],
    ["v=spf1 mx", "SPF", "all", /is missing/, "warn"],
    ["v=spf1 ipv4:192.0.2.1", "SPF", "ipv4:192.0.2.1", /from character 7/, "bad"],
    ["spf2.0/pra,mfrom a -all", "Sender ID", "spf2.0/pra,mfrom", /people see and the return path/],
    ['"v=spf1 ip4:192.0." "2.1 -all"', "SPF", "ip4:192.0.2.1", /1 address/],
    ["v=DMARC1; p=none; rua=mailto:a@example.org", "DMARC", "p=none", /only watch/, "warn"],
    ["v=DMARC1; p=none; rua=mailto:a@example.org", "DMARC", "rua=mailto:a@example.org", /daily/],
    ["v=DMARC1; p=reject; pct=50", "DMARC", "pct=50", /RFC 9989 took it out/, "warn"],
    ["v=DMARC1; p=refuse", "DMARC", "p=refuse", /one of none, quarantine, reject/, "bad"],
    ["v=DMARC1; rua=a@example.org", "DMARC", "rua=a@example.org", /no address to report/, "bad"],
    ["v=DMARC1; p=reject p=none", "DMARC", "p=reject p=none", /must be one of/, "bad"],
    ["v=STSv1; id=20260105", "MTA-STS", "id=20260105", /must change whenever/],
    ["v=STSv1; id=2026-01-05", "MTA-STS", "id=2026-01-05", /letters and digits/, "bad"],
    ["v=STSv1;", "MTA-STS", "id=", /is missing/, "bad"],
    ["v=TLSRPTv1; rua=mailto:t@example.org", "TLS-RPT", "rua=mailto:t@example.org", /TLS failures/],
    [`v=DKIM1; k=rsa; p=${rsa(2048)}`, "DKIM", "k=rsa", /RSA/],
    ["v=DKIM1; p=", "DKIM", "p=", /withdrawn/, "warn"],
    ["v=DKIM1; k=ed25519; p=AAAA", "DKIM", "p=AAAA", /not 32 octets/, "bad"],
    ["k=rsa; t=y; p=AAAA", "DKIM", "t=y", /testing/, "warn"],
    [`3 1 1 ${sha256}`, "TLSA", "3", /own certificate/],
    [`3 1 2 ${sha256}`, "TLSA", sha256, /has 64 digits, must have 128/, "bad"],
    [`1 0 1 ${sha256}`, "TLSA", "1", /do not use it/, "warn"],
    [`3 1 1 ${sha256.slice(32)} ${sha256.slice(32)}`, "TLSA", sha256, /must match/],
    ["10 mail.example.org.", "MX", "mail.example.org.", /no CNAME/],
    ["10 192.0.2.1", "MX", "192.0.2.1", /a host name must stand here/, "bad"],
    ["0 .", "MX", "0 .", /takes no mail/],
    ["0 1 993 mail.example.org.", "SRV", "993", /port/],
    ["0 0 0 .", "SRV", "0 0 0 .", /there is none/],
  ];
  for (const [text, kind, part, words, level] of cases) {
    test(`${text.slice(0, 44)}: ${part.slice(0, 30)}`, () => {
      const found = explainRecord(text);
      assert.equal(found?.kind, kind);
      const one = found?.parts.find((candidate) => candidate.part === part);
      assert.match(one?.words ?? `no part: ${JSON.stringify(found?.parts)}`, words);
      assert.equal(one?.level, level);
    });
  }

  for (const [bits, level] of [
    [1024, "warn"],
    [2048, undefined],
    [512, "bad"],
  ] as const) {
    test(`an RSA key of ${bits} bits`, () => {
      const parts = explainRecord(`v=DKIM1; p=${rsa(bits)}`)?.parts ?? [];
      assert.match(parts[1]?.words ?? "", new RegExp(`${bits} bits`));
      assert.equal(parts[1]?.level, level);
    });
  }

  test("reads the policy file of MTA-STS", () => {
    const file = "version: STSv1\r\nmode: testing\r\nmx: *.example.org\r\nmax_age: 604800\r\n";
    assert.deepEqual(
      explainRecord(file)?.parts.map(({ words }) => words),
      [
        "an MTA-STS policy",
        "failures are only reported; mail is delivered anyway",
        "any server one label below example.org",
        "senders may keep the policy for 7 days",
      ],
    );
  });

  test("knows the service by the record's name", () => {
    const found = explainRecord("0 1 465 mail.example.org.", "_submissions._tcp.example.org");
    assert.match(found?.parts[2]?.words ?? "", /sending mail, with TLS from the start/);
  });

  test("says nothing of what is no record of mail", () => {
    for (const text of [
      "",
      "hello world",
      "google-site-verification=abc",
      "a=b; c=d",
      "1",
      "1 2",
    ]) {
      assert.ok(explainRecord(text) === undefined || text === "1 2", text);
    }
  });

  test("random text never breaks it, and nothing unprintable comes out", () => {
    const random = seededRandom(9989);
    const words = [
      "v=DMARC1",
      "v=spf1",
      "v=DKIM1",
      "v=STSv1",
      "v=TLSRPTv1",
      "spf2.0/",
      ";",
      " ",
      "p=",
      "rua=",
      "none",
      "version: STSv1\n",
      "\n",
      "mx:",
      "max_age: 9",
      "1 1 1 ",
      "abcdef0123456789",
      ".",
      '"',
      "\\",
      "k=",
      "=",
      "constructor=1",
      "__proto__=",
      "toString: x",
      "\u001b[2J",
      "\u009b",
      "é",
      "\u0000",
      "%{",
      "10 ",
      "99999 ",
    ];
    for (let round = 0; round < 20_000; round += 1) {
      const parts = Array.from(
        { length: 1 + pick(random, 10) },
        () => words[pick(random, words.length)],
      );
      const found = explainRecord(parts.join(""), "_dmarc.example.org");
      for (const { part, words: says } of found?.parts ?? []) {
        assert.match(`${part}${says}`, /^[ -~]*$/, JSON.stringify(parts));
      }
    }
  });

  test("a million octets take no longer than what is read of them", () => {
    for (const piece of [
      "v=DKIM1; p=",
      "1 ",
      '"',
      "\\",
      "v=spf1 a",
      "a=b;",
      "version: STSv1\n",
      " ",
      "\n",
    ]) {
      const startedMs = performance.now();
      explainRecord(piece.repeat(Math.ceil(1e6 / piece.length)));
      explainRecord(`v=spf1 ${piece.repeat(Math.ceil(1e6 / piece.length))}`);
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs < 1000, `${JSON.stringify(piece)}: ${tookMs}`);
    }
  });
});
