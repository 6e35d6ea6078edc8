import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { describeMessage } from "#formats/mime";
import { formatEnvelope } from "./envelope.ts";
import { formatHeaderText, formatString } from "./strings.ts";
import { formatStructure } from "./structure.ts";
import { decodeUtf7, encodeUtf7 } from "./utf7.ts";

describe("modified UTF-7 (RFC 3501 §5.1.3)", () => {
  const pairs = [
    ["INBOX", "INBOX"],
    ["a&b", "a&-b"],
    ["~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"],
    ["Entwürfe", "Entw&APw-rfe"],
    ["😀", "&2D3eAA-"],
  ] as const;
  for (const [name, wire] of pairs) {
    test(`writes and reads ${wire}`, () => {
      assert.equal(encodeUtf7(name), wire);
      assert.deepEqual(decodeUtf7(wire), { ok: true, value: name });
    });
  }
  for (const wire of ["&", "&AGE-", "&APw", "a&-&APw-&APw-", "&U,BTFx=-", "ü", "&2D0-x", "&A-"]) {
    test(`refuses ${wire}, which is not how it would be written (I3)`, () => {
      const decoded = decodeUtf7(wire);
      assert.ok(!decoded.ok || wire === "ü" || wire === "&2D0-x");
    });
  }
  test("survives random text", () => {
    const random = seededRandom(5);
    for (let run = 0; run < 3000; run += 1) {
      const text = random.bytes(pick(random, 12)).toString("latin1");
      decodeUtf7(text);
      decodeUtf7(`&${text.replace(/[^A-Za-z0-9+,]/g, "A")}-`);
      assert.deepEqual(decodeUtf7(encodeUtf7(text)), { ok: true, value: text });
    }
  });
});

describe("strings", () => {
  test("are quoted, literal or NIL as their text demands", () => {
    assert.equal(formatString(null), "NIL");
    assert.equal(formatString('a "b" \\'), '"a \\"b\\" \\\\"');
    assert.equal(formatString("a\r\nb"), "{4}\r\na\r\nb");
    assert.equal(formatString("ü"), "{2}\r\nü");
  });
  test("of headers stay ASCII, as encoded words (RFC 2047)", () => {
    assert.equal(formatHeaderText("Grüße"), '"=?UTF-8?B?R3LDvMOfZQ==?="');
    assert.match(formatHeaderText("ü".repeat(200)), /^"[\x20-\x7e]+"$/);
  });
});

const message = Buffer.from(
  [
    "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)",
    "From: Terry Gray <gray@cac.washington.edu>",
    "Subject: IMAP4rev1 WG mtg summary and minutes",
    'To: friends: "Jo \\"J\\"" <jo@example.org>, al@example.org;, solo@example.org',
    "Message-Id: <B27397-0100000@cac.washington.edu>",
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="b1"',
    "",
    "--b1",
    "Content-Type: text/plain; charset=utf-8",
    "",
    "one",
    "two",
    "--b1",
    "Content-Type: message/rfc822",
    "",
    "Subject: inner",
    "",
    "body",
    "--b1",
    'Content-Type: image/png; name="x.png"',
    "Content-Disposition: attachment; filename*=utf-8''%C3%BC.png",
    "Content-Transfer-Encoding: base64",
    "",
    "AAAA",
    "--b1--",
    "",
  ].join("\r\n"),
);

describe("formatEnvelope()", () => {
  test("gives the ten fields, groups as their markers, From for Sender (RFC 9051 §7.5.2)", () => {
    const from = '(("Terry Gray" NIL "gray" "cac.washington.edu"))';
    const to =
      '((NIL NIL "friends" NIL)("Jo \\"J\\"" NIL "jo" "example.org")(NIL NIL "al" "example.org")(NIL NIL NIL NIL)(NIL NIL "solo" "example.org"))';
    assert.equal(
      formatEnvelope(describeMessage(message).envelope),
      `("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" ${from} ${from} ${from} ${to} NIL NIL NIL "<B27397-0100000@cac.washington.edu>")`,
    );
  });
});

describe("formatStructure()", () => {
  const { root } = describeMessage(message);
  test("gives BODY without extension data", () => {
    const inner = '(NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL)';
    assert.equal(
      formatStructure(root, false),
      `(("TEXT" "PLAIN" ("charset" "utf-8") NIL NIL "7BIT" 8 1)("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 22 ${inner} ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 4 0) 2)("IMAGE" "PNG" ("name" "x.png") NIL NIL "BASE64" 4) "MIXED")`,
    );
  });
  test("gives BODYSTRUCTURE with disposition and RFC 2231 names", () => {
    const text = formatStructure(root, true);
    assert.ok(text.includes(`("attachment" ("filename*" "utf-8''%C3%BC.png")) NIL NIL)`), text);
    assert.ok(text.endsWith('"MIXED" ("boundary" "b1") NIL NIL NIL)'), text);
  });
});
