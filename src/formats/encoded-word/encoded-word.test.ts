import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  decodeCharset,
  decodeWords,
  encodeWords,
  formatParameter,
  parseParameters,
} from "#formats/encoded-word";

describe("decodeWords()", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["=?ISO-8859-1?Q?a?= b", "a b"], // the next ones are those of RFC 2047 §8
    ["=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"],
    ["=?ISO-8859-1?Q?a?=  \r\n =?ISO-8859-1?Q?b?=", "ab"],
    ["=?ISO-8859-1?Q?a_b?=", "a b"],
    ["=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"],
    ["=?utf-8?B?w7w=?=", "ü"],
    ["=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"], // a character split between words
    ["=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"],
    ["=?cp932?B?k/qWew==?=", "日本"],
    ["=?utf-7?Q?+APw-x?=", "üx"],
    ["=?us-ascii*EN?Q?Keith?=", "Keith"],
    ["=?nonsense?Q?=FC?=", "ü"],
    ["=?utf-8?X?a?= =?utf-8?Q?open", "=?utf-8?X?a?= =?utf-8?Q?open"],
    ["=?=?=?=", "=?=?=?="],
    ["plain", "plain"],
  ];
  for (const [from, to] of cases) {
    test(`reads ${JSON.stringify(from)}`, () => assert.equal(decodeWords(from), to));
  }

  test("never throws and is linear", () => {
    const random = seededRandom(3);
    const letters = "=?utf-8QB_ab Cw7w\0ü";
    for (let round = 0; round < 3000; round += 1) {
      decodeWords(Array.from({ length: 80 }, () => letters[pick(random, letters.length)]).join(""));
    }
    const start = performance.now();
    for (const piece of ["=?", "=?a?q?", "=?a?q?b?= ", "=?utf-8?b?w7w=?="])
      decodeWords(piece.repeat(50_000));
    assert.ok(performance.now() - start < 1000);
  });
});

describe("encodeWords()", () => {
  for (const text of [
    "plain",
    "ü",
    "日本語".repeat(40),
    "a=?b",
    "x".repeat(1200),
    "🎉".repeat(50),
    " ü ",
  ]) {
    test(`is read back: ${text.slice(0, 12)}`, () => {
      const encoded = encodeWords(text);
      assert.match(encoded, /^[\x20-\x7e]*$/);
      assert.ok(encoded.split(" ").every((word) => word.length <= 75));
      assert.equal(decodeWords(encoded), text);
    });
  }
  test("lets no line break through", () => {
    assert.equal(encodeWords("a\r\nBcc: b"), "a Bcc: b");
  });
});

describe("parseParameters()", () => {
  const cases: readonly (readonly [string, string, readonly (readonly [string, string])[]])[] = [
    ["text/plain; charset=us-ascii (Plain text)", "text/plain", [["charset", "us-ascii"]]],
    [
      'a; b="c;\\"d"; e=f',
      "a",
      [
        ["b", 'c;"d'],
        ["e", "f"],
      ],
    ],
    [
      'message/external-body; URL*0="ftp://"; URL*1="cs.utk.edu/x"',
      "message/external-body",
      [["url", "ftp://cs.utk.edu/x"]],
    ],
    [
      "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
      "application/x-stuff",
      [["title", "This is ***fun***"]],
    ],
    [
      "a; t*0*=us-ascii'en'This%20is%20even%20; t*1*=%2A%2A%2Afun%2A%2A%2A%20; t*2=\"isn't it!\"",
      "a",
      [["t", "This is even ***fun*** isn't it!"]],
    ],
    ["a; filename=old.txt; filename*=utf-8''n%C3%A9w.txt", "a", [["filename", "néw.txt"]]],
    ["a; x*0=a; x*2=c", "a", [["x", "a"]]],
    ["a;;; b ; =c; d=", "a", [["d", ""]]],
    ["a; filename=my file (1).pdf", "a", [["filename", "my file (1).pdf"]]],
    ['a; b="open', "a", [["b", "open"]]],
    ["", "", []],
  ];
  for (const [text, value, parameters] of cases) {
    test(`reads ${text.slice(0, 50)}`, () =>
      assert.deepEqual(parseParameters(text), { value, parameters }));
  }

  test("formatParameter() is read back, however long and foreign (RFC 2231)", () => {
    for (const value of ["a", 'a "b" \\c', "ü".repeat(90), "x".repeat(300), "it's 100%"]) {
      const lines = formatParameter("filename", value);
      assert.ok(lines.every((line) => /^[\x20-\x7e]{1,76}$/.test(line)));
      assert.deepEqual(parseParameters(`a; ${lines.join("; ")}`).parameters, [["filename", value]]);
    }
  });
});

test("decodeCharset() takes the names mail uses", () => {
  const cases: readonly (readonly [string, number[], string])[] = [
    ["cp949", [0xb0, 0xa1], "가"],
    ["cp936", [0xc4, 0xe3], "你"],
    ["KOI8-R", [0xc1], "а"],
    ["latin-1", [0xe9], "é"],
    ["utf-16le", [0x41, 0x00], "A"],
    ["", [0xc3, 0xa9], "é"],
    ["us-ascii", [0xe9], "é"],
    ["x-unknown", [0xe9], "é"],
  ];
  for (const [label, octets, text] of cases) {
    assert.equal(decodeCharset(Buffer.from(octets), label), text, label);
  }
});
