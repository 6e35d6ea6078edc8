import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { parseHeader } from "#formats/message";
import { type Author, readAuthor } from "./author.ts";

const read = (text: string, encoding: BufferEncoding = "utf8"): Author =>
  readAuthor(parseHeader(Buffer.from(text, encoding)));

/** What the reader is to trust: the kind, or the only address. */
const outcome = (author: Author): string => (author.kind === "one" ? author.address : author.kind);

const bank = "service@bank.example";
const evil = "x@evil.example";

/** What it is, the whole header, and what must come of it. */
const forms: readonly (readonly [what: string, header: string, outcome: string])[] = [
  ["an address alone", `From: ${bank}\r\n\r\n`, bank],
  ["a name and an address", `From: Bank <${bank}>\r\n\r\n`, bank],
  ["a quoted name", `From: "Bank, Inc." <${bank}>\r\n\r\n`, bank],
  ["a name with a dot", `From: J. R. Doe <${bank}>\r\n\r\n`, bank],
  ["an encoded name", `From: =?utf-8?q?B=C3=A4nk?= <${bank}>\r\n\r\n`, bank],
  ["an encoded name with a comma", `From: =?utf-8?q?Doe=2C_Jane?= <${bank}>\r\n\r\n`, bank],
  ["a name behind, as a comment", `From: ${bank} (Bank)\r\n\r\n`, bank],
  ["a folded field", `From:\r\n Bank\r\n\t<${bank}>\r\n\r\n`, bank],
  ["bare line feeds", `From: Bank\n <${bank}>\n\nx`, bank],
  ["a domain in capitals", "FROM: Service@BANK.Example\r\n\r\n", "Service@bank.example"],
  ["a U-label", "From: a@bücher.example\r\n\r\n", "a@xn--bcher-kva.example"],
  ["an address as its own name", `From: "${bank}" <${bank}>\r\n\r\n`, bank],
  ["an address of another as name", `From: "${bank}" <${evil}>\r\n\r\n`, evil],
  ["a list that names the writer", `From: "${bank} via List" <${evil}>\r\n\r\n`, evil],
  ["a quoted local part", 'From: "a b"@bank.example\r\n\r\n', "unreadable"],
  ["another field that mentions From", `Subject: From: ${bank}\r\nFrom: ${evil}\r\n\r\n`, evil],
  ["a line of mbox on top", `From x Mon Jan 1 10:00:00 2024\r\nFrom: ${evil}\r\n\r\n`, evil],

  ["no From", `To: ${bank}\r\n\r\n`, "none"],
  ["an empty From", "From: \r\n\r\n", "none"],
  ["a null address", "From: MAILER-DAEMON <>\r\n\r\n", "none"],
  ["a name alone", "From: The Bank\r\n\r\n", "none"],
  ["an empty group", "From: undisclosed:;\r\n\r\n", "none"],

  ["two From fields", `From: ${bank}\r\nFrom: ${evil}\r\n\r\n`, "several"],
  ["two of one address", `From: ${bank}\r\nFrom: ${bank}\r\n\r\n`, "several"],
  ["two in two cases", `from: ${bank}\r\nFROM: ${evil}\r\n\r\n`, "several"],
  ["two mailboxes", `From: ${bank}, ${evil}\r\n\r\n`, "several"],
  ["two mailboxes, names", `From: A <${bank}>, B <${evil}>\r\n\r\n`, "several"],
  ["two angle addresses", `From: <${bank}> <${evil}>\r\n\r\n`, "several"],
  ["two nested ones", `From: <${bank}<${evil}>>\r\n\r\n`, "several"],
  ["a group of two", `From: Team: ${bank}, ${evil};\r\n\r\n`, "several"],
  ["an address before a group", `From: ${bank}, Team: ${evil};\r\n\r\n`, "several"],
  ["two groups (VU#517845)", `From: A: ${bank};, B: ${evil};\r\n\r\n`, "several"],
  ["an address as name of a group", `From: ${bank}:; <${evil}>\r\n\r\n`, "several"],

  ["a group of one", `From: Team: ${bank};\r\n\r\n`, "unreadable"],
  ["a source route", `From: <@bank.example:${evil}>\r\n\r\n`, "unreadable"],
  ["a route that reads as an address", `From: <@${bank},@a.example:${evil}>\r\n\r\n`, "unreadable"],
  ["NUL in the address", "From: service@bank.example\0.evil.example\r\n\r\n", "unreadable"],
  ["NUL in the name", `From: a\0 <${bank}>\r\n\r\n`, "unreadable"],
  ["NUL in an encoded name", `From: =?utf-8?b?YQBi?= <${bank}>\r\n\r\n`, "unreadable"],
  ["a bare CR", `From: ${bank}\r<${evil}>\r\n\r\n`, "unreadable"],
  ["an empty fold", `From: ${bank}\r\n \r\n <${evil}>\r\n\r\n`, "unreadable"],
  ["an address before the brackets", `From: ${bank} <${evil}>\r\n\r\n`, "unreadable"],
  ["an address behind the brackets", `From: <${bank}> ${evil}\r\n\r\n`, "unreadable"],
  ["text behind the brackets", `From: <${bank}> Bank\r\n\r\n`, "unreadable"],
  ["an open bracket", `From: Bank <${bank}\r\n\r\n`, "unreadable"],
  ["two at signs", "From: <a@bank.example@evil.example>\r\n\r\n", "unreadable"],
  ["brackets in a quoted name", `From: "<${bank}>" <${evil}>\r\n\r\n`, "unreadable"],
  ["a list in a quoted name", `From: "${bank}, " <${evil}>\r\n\r\n`, "unreadable"],
  ["a quote that ends early", `From: "a\\" <${bank}>" <${evil}>\r\n\r\n`, "unreadable"],
  ["an open quote", `From: "Bank <${bank}>\r\n\r\n`, "unreadable"],
  [
    "an encoded list as name",
    `From: =?utf-8?q?service=40bank=2Eexample=2C?= <${evil}>\r\n\r\n`,
    "unreadable",
  ],
  [
    "encoded brackets as name",
    `From: =?utf-8?b?PHNlcnZpY2VAYmFuay5leGFtcGxlPg==?= <${evil}>\r\n\r\n`,
    "unreadable",
  ],
  [
    "an encoded word for an address",
    "From: =?utf-8?q?service=40bank=2Eexample?=\r\n\r\n",
    "unreadable",
  ],
  [
    "an encoded word in the address",
    "From: <=?utf-8?q?service=40bank.example=2C?=@evil.example>\r\n\r\n",
    "unreadable",
  ],
  ["a comment with an address", `From: ${evil} (${bank})\r\n\r\n`, "unreadable"],
  ["a comment in the address", "From: a(x)@bank.example\r\n\r\n", "unreadable"],
  ["a comment in the brackets", `From: <(${bank})${evil}>\r\n\r\n`, "unreadable"],
  ["a comment that hides brackets", `From: (<${bank}>) <${evil}>\r\n\r\n`, "unreadable"],
  ["an at sign in quotes", 'From: "service@bank.example"@evil.example\r\n\r\n', "unreadable"],
  ["a quoted pair in the local part", 'From: "a\\b"@bank.example\r\n\r\n', "unreadable"],
  ["a final dot", `From: ${bank}.\r\n\r\n`, "unreadable"],
  ["an empty label", "From: a@bank..example\r\n\r\n", "unreadable"],
  ["a semicolon for a comma", `From: ${bank};${evil}\r\n\r\n`, "several"],
  ["an address literal", "From: a@[192.0.2.1]\r\n\r\n", "unreadable"],
  ["no domain", "From: root\r\n\r\n", "unreadable"],
  ["a mix of U-label and A-label", "From: a@bücher.xn--bcher-kva\r\n\r\n", "unreadable"],
  ["a full-width domain", "From: a@ｂank.example\r\n\r\n", "unreadable"],
  ["a zero-width space in the domain", "From: a@ba\u200bnk.example\r\n\r\n", "unreadable"],
  ["white space in the address", "From: <service @bank.example>\r\n\r\n", "unreadable"],

  ["a space before the colon", `From : ${bank}\r\n\r\n`, "unreadable"],
  ["a tab before the colon", `From\t: ${bank}\r\n\r\n`, "unreadable"],
  ["a folded name of the field", `From\r\n : ${bank}\r\n\r\n`, "unreadable"],
  ["the same, not on top", `To: a@b.example\r\nFrom\r\n : ${bank}\r\n\r\n`, "unreadable"],
  ["an odd one beside a plain one", `From : ${bank}\r\nFrom: ${evil}\r\n\r\n`, "unreadable"],
  ["a continuation on top", ` From: ${bank}\r\nFrom: ${evil}\r\n\r\n`, "unreadable"],
  ["a second continuation on top", ` x\r\n\tFrom: ${bank}\r\nFrom: ${evil}\r\n\r\n`, "unreadable"],
  ["a From behind a bare CR", `X: y\rFrom: ${bank}\r\nFrom: ${evil}\r\n\r\n`, "unreadable"],
  ["NUL before the name", `\0From: ${bank}\r\nFrom: ${evil}\r\n\r\n`, "unreadable"],
  ["NUL in the name of the field", `Fr\0om: ${bank}\r\nFrom: ${evil}\r\n\r\n`, "unreadable"],
  ["a byte order mark", `\ufeffFrom: ${bank}\r\nFrom: ${evil}\r\n\r\n`, "unreadable"],
  ["a header that is too long", `From: ${bank}\r\n${"A: b\r\n".repeat(50_000)}\r\n`, "unreadable"],
  ["a value that is too long", `From: ${"a ".repeat(6000)}<${bank}>\r\n\r\n`, "unreadable"],
];

describe("readAuthor()", () => {
  for (const [what, header, expected] of forms) {
    test(`A4 ${what}: ${expected}`, () => {
      assert.equal(outcome(read(header)), expected);
    });
  }

  test("gives the parts", () => {
    assert.deepEqual(read("From: =?utf-8?q?J=C3=A4n?= <J.D@bücher.Example>\r\n\r\n"), {
      kind: "one",
      address: "J.D@xn--bcher-kva.example",
      localPart: "J.D",
      domain: "xn--bcher-kva.example",
      name: "Jän",
    });
  });

  test("reads a name of any charset, but an address of UTF-8 only (RFC 6532 §3.1)", () => {
    const name = read("From: J\xfcrgen <a@bank.example>\r\n\r\n", "latin1");
    assert.equal(name.kind === "one" && name.name, "Jürgen");
    assert.equal(read("From: <\xfc@bank.example>\r\n\r\n", "latin1").kind, "unreadable");
  });

  test("shows what a forgiving program shows, twenty at most", () => {
    const author = read(`From: ${`${bank}, `.repeat(30)}${evil}\r\n\r\n`);
    assert.ok(author.kind === "several");
    assert.equal(author.shown.length, 20);
  });

  test("never throws, and never makes up an address (seeded)", () => {
    const random = seededRandom(41);
    const pieces = [
      bank,
      evil,
      "<",
      ">",
      ",",
      ":",
      ";",
      '"',
      "(",
      ")",
      "\\",
      "@",
      " ",
      "\r\n ",
      "\0",
    ];
    pieces.push("=?utf-8?q?a=40b?=", "From", "From:", "\r\nFrom: ", "a", ".", "ü", "\r", "[", "]");
    let one = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const text = Array.from(
        { length: pick(random, 9) },
        () => pieces[pick(random, pieces.length)],
      );
      const header = `From: ${text.join("")}\r\n\r\n`;
      const author = read(header);
      if (author.kind !== "one") continue;
      one += 1;
      assert.ok(header.includes(author.localPart), header);
      const others = [bank, evil].filter((other) => header.includes(`<${other}>`));
      assert.ok(
        others.every((other) => other === author.address),
        header,
      );
    }
    assert.ok(one > 100);
  });
});
