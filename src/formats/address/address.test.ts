/** S8, S18: one strict grammar for envelope addresses, a forgiving one for headers. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  isIpv6,
  parseAddressList,
  parseDomain,
  parseMailbox,
  scanPath,
  splitPath,
} from "#formats/address";

interface Vector {
  readonly id: string;
  readonly address: string;
  readonly category: string;
}

const vectors = JSON.parse(
  readFileSync(new URL("../../../tests/conformance/addresses/tests.json", import.meta.url), "utf8"),
) as Vector[];
const control = /[\u2400-\u241f]/g;

describe("S18 isemail vectors", () => {
  const mailbox = new Set(["ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN", "ISEMAIL_RFC5321"]);
  for (const { id, address, category } of vectors) {
    const text = address.replace(control, (char) =>
      String.fromCharCode(char.charCodeAt(0) - 0x2400),
    );
    // Valid in SMTP's grammar, though RFC 5952 would write the zeros out.
    const oneGroup = text === "test@[IPv6:1111:2222:3333:4444:5555:6666::8888]";
    const wanted = mailbox.has(category) || oneGroup;
    test(`S18 #${id} is ${wanted ? "taken" : "refused"}`, () => {
      assert.equal(parseMailbox(text).ok, wanted, JSON.stringify(text));
    });
  }
});

describe("scanPath()", () => {
  const forms = [
    ["<a@b.example>", "a@b.example"],
    ["<A.b+c@B.Example>", "A.b+c@b.example"],
    ["<>", ""],
    ["<PostMaster>", "postmaster"],
    ["<@one.example,@two.example:a@b.example>", "a@b.example"],
    ['<"john"@b.example>', "john@b.example"],
    ['<"j\\ohn d\\"oe"@b.example>', '"john d\\"oe"@b.example'],
    ['<"a@evil.example"@b.example>', '"a@evil.example"@b.example'],
    ["<a%c.example@b.example>", "a%c.example@b.example"],
    ["<c.example!a@b.example>", "c.example!a@b.example"],
    ["<a@[192.0.2.1]>", "a@[192.0.2.1]"],
    ["<a@[ipv6:2001:DB8::1]>", "a@[IPv6:2001:db8::1]"],
    ["<a@[IPv6:1:2:3:4:5:6:7]>", null],
    ["<a@[X400:c=de]>", null],
    ["<a@b.example.>", null],
    ["<a@-b.example>", null],
    ["<a@b_c.example>", null],
    ["<a@b@c.example>", null],
    ["<a b@c.example>", null],
    ["<a(c)@b.example>", null],
    ["<a@(c)b.example>", null],
    ["<a..b@c.example>", null],
    ["<a@b.example", null],
    ["a@b.example", null],
    ["<root>", null],
    ["<=?utf-8?q?a=40evil.example=3e?=@b.example>", "=?utf-8?q?a=40evil.example=3e?=@b.example"],
    ["<;ls@b.example>", null],
    [`<${"x".repeat(64)}@b.example>`, `${"x".repeat(64)}@b.example`],
    [`<${"x".repeat(65)}@b.example>`, null],
    [`<a@${"x".repeat(63)}.example>`, `a@${"x".repeat(63)}.example`],
    [`<a@${"x".repeat(64)}.example>`, null],
    [`<a@${"x.".repeat(130)}example>`, null],
  ] as const;
  for (const [text, path] of forms) {
    test(`S8 reads ${text.slice(0, 50)} as ${path}`, () => {
      const scanned = scanPath(text, 0, false);
      assert.equal(scanned.ok ? scanned.value.path : null, path);
      if (scanned.ok) assert.equal(scanned.value.end, text.length);
    });
  }

  test("S18 Unicode never becomes another domain", () => {
    const read = (text: string): string | null => {
      const parsed = parseMailbox(text, true);
      return parsed.ok ? splitPath(parsed.value).domain : null;
    };
    assert.equal(read("jörg@Bücher.example"), "xn--bcher-kva.example");
    assert.equal(read("a@straße.example"), "xn--strae-oqa.example");
    for (const domain of [
      "ｅxample.com",
      "ex\u00adample.com",
      "a。example",
      "ex%61mple.é",
      "é\u202e.example",
    ]) {
      assert.equal(read(`a@${domain}`), null, domain);
    }
    assert.equal(parseMailbox("jörg@b.example").ok, false);
    assert.equal(parseMailbox("a\u0080b@b.example", true).ok, false);
    assert.equal(parseMailbox("\u{1f600}".repeat(17) + "@b.example", true).ok, false);
  });
});

describe("parseAddressList()", () => {
  const lists = [
    ["a@b.example", [{ name: null, email: "a@b.example" }]],
    ["Ann Lee <ann@b.example>", [{ name: "Ann Lee", email: "ann@b.example" }]],
    [
      '"Lee, Ann" <ann@b.example>, c@d.example',
      [
        { name: "Lee, Ann", email: "ann@b.example" },
        { name: null, email: "c@d.example" },
      ],
    ],
    ["=?utf-8?q?J=C3=B6rg?= <j@b.example>", [{ name: "Jörg", email: "j@b.example" }]],
    [
      "team: a@b.example, Bo <b@b.example>; c@d.example",
      [
        { name: null, email: "a@b.example", group: "team" },
        { name: "Bo", email: "b@b.example", group: "team" },
        { name: null, email: "c@d.example" },
      ],
    ],
    ["undisclosed-recipients:;", []],
    ["a@b.example (Ann (the one) Lee)", [{ name: "Ann (the one) Lee", email: "a@b.example" }]],
    ["Ann (x) <a . b @ (y) c . example>", [{ name: "Ann", email: "a.b@c.example" }]],
    ["<@r.example,@s.example:a@b.example>", [{ name: null, email: "a@b.example" }]],
    ["Joe Q. Public <j@b.example>", [{ name: "Joe Q. Public", email: "j@b.example" }]],
    ["a@evil.example <b@c.example>", [{ name: "a@evil.example", email: "b@c.example" }]],
    [
      "<a@b.example> <c@d.example>",
      [
        { name: null, email: "a@b.example" },
        { name: null, email: "c@d.example" },
      ],
    ],
    ['"a@evil.example" <b@c.example>', [{ name: "a@evil.example", email: "b@c.example" }]],
    ['"a b"@c.example', [{ name: null, email: '"a b"@c.example' }]],
    ["Ann\r\n\tLee\r\n <ann@b.example>", [{ name: "Ann Lee", email: "ann@b.example" }]],
    [
      "=?utf-8?q?a=40evil.example=2C?= <b@c.example>",
      [{ name: "a@evil.example,", email: "b@c.example" }],
    ],
    ["a@[192.0.2.1]", [{ name: null, email: "a@[192.0.2.1]" }]],
    ["", []],
    [",, ,", []],
  ] as const;
  for (const [text, wanted] of lists) {
    test(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(parseAddressList(text), wanted));
  }

  test("S10 hostile lists cost linear time", () => {
    const seconds = (text: string): number => {
      const start = performance.now();
      parseAddressList(text);
      return (performance.now() - start) / 1000;
    };
    for (const part of [
      "(",
      '"',
      "<",
      "a@b.example,",
      "a:",
      "[",
      "\\",
      "@",
      "a ",
      "(\\",
      "=?a?q?",
      ":;",
      '"\\',
      "<a@",
    ]) {
      assert.ok(seconds(part.repeat(Math.floor(500_000 / part.length))) < 2, part);
    }
    assert.equal(parseAddressList("a@b.example,".repeat(20_000)).length, 10_000);
  });
});

test("no parser of addresses throws on random text (seeded)", () => {
  const alphabet = [
    '"',
    "\\",
    "<",
    ">",
    "(",
    ")",
    "@",
    ".",
    ",",
    ":",
    ";",
    "[",
    "]",
    " ",
    "a",
    "é",
    "\0",
    "\r\n",
    "=?",
    "?=",
    "\ud800",
  ];
  for (let seed = 0; seed < 20_000; seed += 1) {
    const random = seededRandom(seed);
    const text = Array.from(
      { length: pick(random, 30) },
      () => alphabet[pick(random, alphabet.length)],
    ).join("");
    parseAddressList(text);
    const scanned = scanPath(`<${text}`, 0, true);
    if (scanned.ok) {
      // What was taken once is taken again, and means the same.
      const again = scanPath(`<${scanned.value.path}>`, 0, true);
      assert.equal(again.ok && again.value.path, scanned.value.path, `seed ${seed}`);
    } else assert.ok(scanned.at <= text.length + 1);
    parseDomain(text, true);
    isIpv6(text);
  }
});
