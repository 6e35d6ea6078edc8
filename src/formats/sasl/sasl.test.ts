import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  decodeBase64,
  encodeBase64,
  formatOAuthBearer,
  formatPlain,
  prepareSecret,
  readOAuthError,
  readPlain,
} from "#formats/sasl";

describe("prepareSecret()", () => {
  // RFC 4013 §3, but for the last row there, which breaks the bidirectional rule that is left out.
  for (const [given, prepared] of [
    ["I\u00adX", "IX"],
    ["user", "user"],
    ["USER", "USER"],
    ["\u00aa", "a"],
    ["\u2168", "IX"],
    ["\u0007", undefined],
    ["a\u00a0b", "a b"],
    ["a\u3000b", "a b"],
    ["pa\u0308ss", "p\u00e4ss"],
    ["", undefined],
    ["\u00ad", undefined],
    ["a\x7f", undefined],
    ["\ud800", undefined],
    ["\ue000", undefined],
    ["a\u202eb", undefined],
    ["x".repeat(1025), undefined],
  ] as const) {
    test(`makes ${JSON.stringify(given).slice(0, 20)} ${JSON.stringify(prepared)}`, () => {
      assert.equal(prepareSecret(given), prepared);
    });
  }
});

describe("PLAIN (RFC 4616)", () => {
  test("comes back as it was", () => {
    assert.equal(
      formatPlain({ user: "tim", secret: "tanstaaftanstaaf" }),
      "\0tim\0tanstaaftanstaaf",
    );
    const read = readPlain("\0tim\0tanstaaftanstaaf");
    assert.deepEqual(read.ok && read.value, { user: "tim", secret: "tanstaaftanstaaf" });
    assert.ok(readPlain("tim\0tim\0x").ok);
  });

  test("refuses what is not whole, and acting for somebody else", () => {
    for (const message of [
      "",
      "\0",
      "\0\0",
      "\0a\0",
      "\0\0b",
      "a\0b",
      "\0a\0b\0c",
      "\0a\0b\0c\0d",
    ]) {
      assert.equal(readPlain(message).ok, false, JSON.stringify(message));
    }
    const other = readPlain("Ursel\0Kurt\0xipj3plmq"); // RFC 4616 §4
    assert.equal(!other.ok && other.fault, "acts-for-another");
    assert.equal(formatPlain({ user: "a", secret: "b\0c" }), undefined);
    assert.equal(formatPlain({ user: "", secret: "b" }), undefined);
  });
});

describe("OAUTHBEARER (RFC 7628)", () => {
  test("is written as §3.1 says", () => {
    assert.equal(
      formatOAuthBearer("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
      "n,a=user@example.com,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01",
    );
  });

  test("carries no user or token that would break it", () => {
    assert.equal(formatOAuthBearer("a,b=c", "t"), "n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01");
    for (const [user, token] of [
      ["", "t"],
      ["a\x01", "t"],
      ["a", ""],
      ["a", "t\x01auth=x"],
      ["a", "t t"],
      ["a", "t".repeat(8193)],
    ] as const) {
      assert.equal(formatOAuthBearer(user, token), undefined);
    }
  });

  test("reads why the server refuses (§3.2.2)", () => {
    assert.equal(readOAuthError('{"status":"invalid_token","scope":"example"}'), "invalid_token");
    for (const text of [
      "",
      "{",
      "null",
      "[]",
      '{"status":1}',
      '{"status":"a b"}',
      "x".repeat(5000),
    ]) {
      assert.equal(readOAuthError(text), undefined);
    }
  });
});

test("base64 is taken in one form only", () => {
  assert.equal(decodeBase64(encodeBase64("größe")), "größe");
  assert.equal(decodeBase64(""), "");
  for (const text of ["A", "AA", "AAA", "A===", "AA=A", "AA A", "AAAA\n", "_-AA", "/w==", "AB=="]) {
    assert.equal(decodeBase64(text), undefined, text);
  }
});

test("no message makes a reader throw (seeded)", () => {
  const random = seededRandom(4616);
  for (let round = 0; round < 20_000; round += 1) {
    const text = random.bytes(pick(random, 40)).toString(round % 2 === 0 ? "latin1" : "utf8");
    readPlain(text);
    readOAuthError(text);
    decodeBase64(text);
    const prepared = prepareSecret(text);
    if (prepared !== undefined) assert.equal(prepareSecret(prepared), prepared);
  }
});
