import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { domainToASCII } from "node:url";
import { displayAddress, displayDomain, lookAlikes } from "#identity/sender";

/** What it is, the domain in Unicode, and whether it may be shown so. */
const domains: readonly (readonly [what: string, unicode: string, shown: boolean])[] = [
  ["plain ASCII", "example.com", true],
  ["German", "bücher.example", true],
  ["sharp s", "straße.example", true],
  ["French", "café-noël.example", true],
  ["Polish", "łódź.example", true],
  ["Czech", "žluťoučký.example", true],
  ["Turkish", "güneş.example", true],
  ["Romanian", "științe.example", true],
  ["Russian", "почта.example", true],
  ["Russian below its own suffix", "сора.рф", true],
  ["Greek", "παράδειγμα.example", true],
  ["Japanese", "メール.example", true],
  ["Japanese with Latin", "mailメール日本.example", true],
  ["Chinese", "邮件.example", true],
  ["Korean", "메일.example", true],
  ["Arabic", "بريد.example", true],
  ["Hebrew", "דואר.example", true],
  ["Hindi", "डाक.example", true],
  ["Thai", "เมล.example", true],
  ["all Cyrillic, and reads as Latin", "аррӏе.com", false],
  ["the same with digits", "рау24.com", false],
  ["all Greek, and reads as Latin", "οοο.com", false],
  ["one Cyrillic letter in Latin", "pаypal.com", false],
  ["one Greek letter in Latin", "gοogle.com", false],
  ["one Armenian letter in Latin", "exampӏe.com", false],
  ["Cyrillic and Greek", "почτα.example", false],
  ["Cyrillic and Han", "почта邮.example", false],
  ["a doubtful label below a good one", "bücher.pаypal.com", false],
  ["a good label below a doubtful one", "pаypal.bücher.com", false],
  ["dotless i", "pıypal.com", false],
  ["script g", "ɡoogle.com", false],
  ["a dot below", "ạmazon.com", false],
  ["a hook", "ɓank.com", false],
  ["a letter for a click, as l", "paypaǀ.com", false],
  ["a Cyrillic combining mark", "почта҃а.example", true],
  ["Devanagari and Latin", "mailडाक.example", false],
  ["Thai and Latin", "mailเมล.example", false],
];

describe("displayDomain()", () => {
  for (const [what, unicode, shown] of domains) {
    test(`A13 ${what}: ${shown ? "in its letters" : "in A-labels"}`, () => {
      const ascii = domainToASCII(unicode);
      assert.notEqual(ascii, "");
      assert.equal(displayDomain(ascii), shown ? unicode : ascii);
      assert.equal(displayDomain(unicode), shown ? unicode : ascii);
    });
  }

  for (const [what, given, expected] of [
    ["capitals", "EXAMPLE.com", "example.com"],
    ["an A-label that is none", "xn--a.com", "xn--a.com"],
    ["an A-label of ASCII", "xn--paypal-.com", "xn--paypal-.com"],
    ["a zero-width space", "pay\u200bpal.com", "paypal.com"],
    ["an override of direction", "moc.\u202elapyap", "moc.\\u{202e}lapyap"],
    ["nothing", "", ""],
    ["no domain at all", "a b\0", "a b\\u{0}"],
  ] as const) {
    test(`A13 ${what}`, () => assert.equal(displayDomain(given), expected));
  }
});

describe("displayAddress()", () => {
  for (const [what, given, expected] of [
    ["plain", "Jo.Doe@example.com", "Jo.Doe@example.com"],
    ["a doubtful domain", "a@xn--pypal-4ve.com", "a@xn--pypal-4ve.com"],
    ["a good one", "a@xn--bcher-kva.example", "a@bücher.example"],
    ["a local part of one script", "почта@example.com", "почта@example.com"],
    [
      "one that reads as Latin",
      "раура@example.com",
      "\\u{440}\\u{430}\\u{443}\\u{440}\\u{430}@example.com",
    ],
    ["a mixed one", "pаypal@example.com", "p\\u{430}ypal@example.com"],
    ["an override", "a\u202eb@example.com", "a\\u{202e}b@example.com"],
    ["NUL", "a\0b@example.com", "a\\u{0}b@example.com"],
    ["no domain", "root", "root"],
  ] as const) {
    test(`A13 ${what}`, () => assert.equal(displayAddress(given), expected));
  }
});

describe("lookAlikes()", () => {
  const known = lookAlikes([
    "example.com",
    "paypal.com",
    "modern-bank.de",
    "firma.co.uk",
    "abc.com",
    "xn--bcher-kva.de",
    "example.org",
  ]);

  for (const [what, domain, passesFor] of [
    ["itself", "example.com", undefined],
    ["one below it", "mail.example.com", undefined],
    ["another known one", "example.org", undefined],
    ["something else", "weather.net", undefined],
    ["a digit for a letter", "examp1e.com", "example.com"],
    ["a zero for an o", "m0dern-bank.de", "modern-bank.de"],
    ["rn for m", "exarnple.com", "example.com"],
    ["vv and others", "paypai.com", "paypal.com"],
    ["a letter less", "exmple.com", "example.com"],
    ["a letter more", "exaample.com", "example.com"],
    ["a letter else", "exanple.com", "example.com"],
    ["two swapped", "exmaple.com", "example.com"],
    ["a hyphen more", "exam-ple.com", "example.com"],
    ["a hyphen less", "modernbank.de", "modern-bank.de"],
    ["another suffix", "paypal.net", "paypal.com"],
    ["another double suffix", "firma.com.au", "firma.co.uk"],
    ["a mark more", "xn--exmple-cua.com", "example.com"],
    ["Cyrillic letters", domainToASCII("раураl.com"), "paypal.com"],
    ["all Cyrillic, and a letter less", domainToASCII("раурӏ.com"), "paypal.com"],
    ["the U-label without its mark", "bucher.de", "xn--bcher-kva.de"],
    ["one below a look-alike", "login.examp1e.com", "example.com"],
    ["the known one in front", "example.com.evil.net", "example.com"],
    ["the known one inside", "mail.example.com.evil.net", "example.com"],
    ["a short name with a slip", "abd.com", undefined],
    ["a short name with another suffix", "abc.net", undefined],
    ["two slips", "exumplu.com", undefined],
    ["a suffix alone", "com", undefined],
    ["nothing", "", undefined],
  ] as const) {
    test(`${what}: ${domain} passes for ${passesFor}`, () => {
      assert.equal(known.find(domain), passesFor);
    });
  }

  test("knows nothing where nothing is known", () => {
    assert.equal(lookAlikes([]).find("example.com"), undefined);
  });

  test("costs a few look-ups however many domains are known", () => {
    const many = lookAlikes(
      Array.from({ length: 5000 }, (_, index) => `partner-number-${index * 7919}.example`),
    );
    const longest = `${"a-".repeat(30)}a.`.repeat(4).slice(0, 250);
    const startMs = performance.now();
    for (let round = 0; round < 200; round += 1) {
      many.find("some-other-name.example");
      many.find(longest);
      many.find("a.".repeat(127));
    }
    const eachMs = (performance.now() - startMs) / 200;
    assert.ok(eachMs < 50, `${eachMs} ms each`);
  });
});
