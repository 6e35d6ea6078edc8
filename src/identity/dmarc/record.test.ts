import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { type DmarcRecord, parseDmarcRecord } from "#identity/dmarc";

function read(text: string): DmarcRecord {
  const parsed = parseDmarcRecord(text);
  assert.ok(parsed.ok, text);
  return parsed.value;
}

describe("parseDmarcRecord()", () => {
  test("reads every tag (RFC 9989 §4.7)", () => {
    const record = read(
      "v=DMARC1;p=quarantine;sp=reject;np=none;adkim=s;aspf=s;psd=n;t=y;fo=1:d:s;" +
        "rua=mailto:a@example.com,mailto:b@example.net!10m;ruf=mailto:c@example.com",
    );
    assert.deepEqual(record, {
      policies: { p: "quarantine", sp: "reject", np: "none" },
      adkim: "s",
      aspf: "s",
      psd: "n",
      testing: true,
      rua: [
        {
          uri: "mailto:a@example.com",
          mailbox: { address: "a@example.com", domain: "example.com" },
        },
        {
          uri: "mailto:b@example.net",
          mailbox: { address: "b@example.net", domain: "example.net" },
        },
      ],
      ruf: [
        {
          uri: "mailto:c@example.com",
          mailbox: { address: "c@example.com", domain: "example.com" },
        },
      ],
      fo: ["1", "d", "s"],
      faults: [],
    });
  });

  test("has defaults for everything (RFC 9989 §4.7)", () => {
    const record = read("v=DMARC1; p=none");
    const { adkim, aspf, psd, testing, rua, ruf, fo } = record;
    assert.deepEqual(
      { adkim, aspf, psd, testing, rua, ruf, fo },
      { adkim: "r", aspf: "r", psd: "u", testing: false, rua: [], ruf: [], fo: ["0"] },
    );
  });

  const fo = { "0:d": "0:d", "s:1": "1:s", "0:1": "0", "d:d": "0", "d:x": "0", "D:S": "d:s" };
  for (const [given, found] of Object.entries(fo)) {
    test(`fo=${given} is ${found} (RFC 9989 §4.8)`, () => {
      assert.equal(
        read(`v=DMARC1; p=none; ruf=mailto:a@example.com; fo=${given}`).fo.join(":"),
        found,
      );
    });
  }

  const uris: Readonly<Record<string, string | undefined>> = {
    "mailto:reports@EXAMPLE.com": "reports@example.com",
    "MAILTO:a%2Bb@example.com?subject=x": "a+b@example.com",
    "mailto:a%40b%40example.com": undefined,
    "mailto:": undefined,
    "mailto:@example.com": undefined,
    "mailto:a@[192.0.2.1]": undefined,
    "a@example.com": undefined,
    "mailto:a@exa mple.com": undefined,
    "mailto:a%0d%0aBcc:b@example.com": undefined,
  };
  for (const [uri, address] of Object.entries(uris)) {
    test(`rua=${uri} is ${address ?? "discarded"}`, () => {
      const record = read(`v=DMARC1; rua=${uri}`);
      assert.equal(record.rua[0]?.mailbox?.address, address);
      assert.deepEqual(record.policies, address === undefined ? "missing" : { p: "none" });
    });
  }

  test("a URI of another scheme counts, but nothing is sent there (RFC 9989 §4.7)", () => {
    const record = read("v=DMARC1; rua=https://example.com/dmarc");
    assert.deepEqual(record.rua, [{ uri: "https://example.com/dmarc" }]);
    assert.deepEqual(record.policies, { p: "none" });
  });

  test("says what it discards", () => {
    const { faults } = read("v=DMARC1; p=rejct; adkim=x; a b; p=none; rua=nobody; fo=7\u00e9; t=1");
    assert.deepEqual(faults, [
      '"a b" is not a tag',
      "p stands there twice",
      '"fo=7?" is not a tag',
      'rua: "nobody" is not a URI',
      "p=rejct means nothing",
      "adkim=x means nothing",
      "t=1 means nothing",
    ]);
  });

  test("is bounded", () => {
    assert.deepEqual(parseDmarcRecord(`v=DMARC1;${" ".repeat(9000)}`), {
      ok: false,
      fault: "too-long",
      at: 8192,
    });
    const list = Array.from({ length: 100 }, (_, at) => `mailto:a${at}@example.com`).join(",");
    assert.equal(read(`v=DMARC1; rua=${list}`).rua.length, 10);
    assert.equal(read(`v=DMARC1;${"x;".repeat(4000)}`).faults.length, 20);
  });

  test("never throws, and needs little time for evil input", () => {
    const random = seededRandom(9989);
    const pieces = [
      "v=DMARC1",
      ";",
      "=",
      " ",
      "p",
      "reject",
      "rua",
      "mailto:a@b.c",
      ",",
      "!1",
      "%",
    ];
    for (let round = 0; round < 5000; round += 1) {
      const length = pick(random, 30);
      const text = Array.from({ length }, () => pieces[pick(random, pieces.length)]).join("");
      parseDmarcRecord(text);
      parseDmarcRecord(`v=DMARC1;${text}`);
      parseDmarcRecord(random.bytes(length).toString("latin1"));
    }
    const evil = ["v=", " ", "=", ";", "v=DMARC1;rua=", "!", "%41", "mailto:", "\t"];
    const began = performance.now();
    for (const one of evil) {
      parseDmarcRecord(one.repeat(1_000_000 / one.length));
      parseDmarcRecord(`v=DMARC1; p=none; rua=${one.repeat(8000 / one.length)}`);
      parseDmarcRecord(`v=DMARC1; p=none; rua=mailto:${one.repeat(8000 / one.length)}`);
    }
    assert.ok(performance.now() - began < 10_000);
  });
});
