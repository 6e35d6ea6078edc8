import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { parseTarget } from "./target.ts";

describe("parseTarget() refuses whatever two readers could take for two things (W3)", () => {
  const refused: readonly (readonly [string, string])[] = [
    ["http://mail.example/mail/", "not-origin-form"],
    ["https://evil.example/", "not-origin-form"],
    ["mail.example:443", "not-origin-form"],
    ["*", "not-origin-form"],
    ["", "not-origin-form"],
    ["mail/", "not-origin-form"],
    ["//evil.example/", "empty-segment"],
    ["/mail//x", "empty-segment"],
    ["/mail///", "empty-segment"],
    ["/./mail/", "dot-segment"],
    ["/mail/..", "dot-segment"],
    ["/mail/../jmap/api", "dot-segment"],
    ["/mail/../../etc/passwd", "dot-segment"],
    ["/mail/%2e%2e/jmap", "dot-segment"],
    ["/mail/%2E./jmap", "dot-segment"],
    ["/mail/.%2e/jmap", "dot-segment"],
    ["/mail/.../x", "dot-segment"],
    ["/mail./x", "dot-segment"],
    ["/mail/x.", "dot-segment"],
    ["/mail/a%2fb", "encoded-delimiter"],
    ["/mail/a%2Fb", "encoded-delimiter"],
    ["/mail/..%2f..%2fetc", "encoded-delimiter"],
    ["/mail/a%5cb", "encoded-delimiter"],
    ["/mail/a%5Cb", "encoded-delimiter"],
    ["/mail/a%3bb", "encoded-delimiter"],
    ["/mail/%00", "bad-character"],
    ["/mail/x%00.html", "bad-character"],
    ["/mail/%0d%0aSet-Cookie:a", "bad-character"],
    ["/mail/%0a", "bad-character"],
    ["/mail/%7f", "bad-character"],
    ["/mail/%252e%252e", "double-encoded"],
    ["/mail/%25", "double-encoded"],
    ["/mail/%2541", "double-encoded"],
    ["/mail/%", "bad-escape"],
    ["/mail/%4", "bad-escape"],
    ["/mail/%4g", "bad-escape"],
    ["/mail/%zz", "bad-escape"],
    ["/mail/%u0041", "bad-escape"],
    ["/mail/%c0%af", "bad-utf8"],
    ["/mail/%c0%ae%c0%ae/", "bad-utf8"],
    ["/mail/%e0%80%af", "bad-utf8"],
    ["/mail/%f0%80%80%af", "bad-utf8"],
    ["/mail/%ff", "bad-utf8"],
    ["/mail/%80", "bad-utf8"],
    ["/mail/%ed%a0%80", "bad-utf8"],
    ["/mail/%c3", "bad-utf8"],
    ["/mail;jsessionid=1/", "bad-character"],
    ["/mail/;/x", "bad-character"],
    ["/mail/a\\b", "bad-character"],
    ["/mail/..\\x", "bad-character"],
    ["/mail/a b", "bad-character"],
    ["/mail/a\tb", "bad-character"],
    ["/mail/#top", "bad-character"],
    ["/mail/?q#top", "bad-character"],
    ["/mail/ä", "bad-character"],
    ["/mail/\u00ff", "bad-character"],
    ["/mail/<x>", "bad-character"],
    ['/mail/"', "bad-character"],
    ["/mail/{x}", "bad-character"],
    ["/mail/a|b", "bad-character"],
    ["/mail/a^b", "bad-character"],
    ["/mail/`", "bad-character"],
    ["/mail/[x]", "bad-character"],
    ["/mail/?a=%00", "bad-character"],
    ["/mail/?a=%0d%0a", "bad-character"],
    ["/mail/?a=%2541", "double-encoded"],
    ["/mail/?a=%2", "bad-escape"],
    ["/mail/?a=<script>", "bad-character"],
    [`/mail/${"a".repeat(4096)}`, "too-long"],
  ];
  for (const [text, fault] of refused) {
    test(`${JSON.stringify(text.slice(0, 40))}: ${fault}`, () => {
      const read = parseTarget(text);
      assert.equal(read.ok ? "accepted" : read.fault, fault);
    });
  }
});

describe("parseTarget() gives one spelling to what it accepts", () => {
  const accepted: readonly (readonly [string, string, string])[] = [
    ["/", "/", ""],
    ["/mail", "/mail", ""],
    ["/mail/", "/mail/", ""],
    ["/%6d%61%69%6c/", "/mail/", ""],
    ["/mail/%41-%7e_", "/mail/A-~_", ""],
    ["/jmap/download/a/b/r%C3%A9sum%c3%a9.pdf", "/jmap/download/a/b/r%C3%A9sum%C3%A9.pdf", ""],
    ["/.well-known/jmap", "/.well-known/jmap", ""],
    ["/jmap/events?types=*&ping=30", "/jmap/events", "types=*&ping=30"],
    ["/jmap/download/a/b/c?type=image%2Fpng", "/jmap/download/a/b/c", "type=image%2Fpng"],
    ["/login?", "/login", ""],
  ];
  for (const [text, path, query] of accepted) {
    test(text, () => {
      const read = parseTarget(text);
      assert.ok(read.ok);
      assert.deepEqual([read.value.path, read.value.query], [path, query]);
      const again = parseTarget(read.value.path);
      assert.ok(again.ok && again.value.path === path, "normal form is stable");
    });
  }
});

test("parseTarget() neither throws nor lets a delimiter through, whatever comes", () => {
  const random = seededRandom(20261121);
  const alphabet = [
    "/",
    ".",
    "%",
    "2",
    "f",
    "e",
    "5",
    "c",
    "0",
    ";",
    "\\",
    "?",
    "a",
    "\u0000",
    "é",
  ];
  for (let run = 0; run < 20_000; run += 1) {
    const length = pick(random, 24);
    let text = "/";
    for (let at = 0; at < length; at += 1) text += alphabet[pick(random, alphabet.length)];
    const read = parseTarget(text);
    if (!read.ok) continue;
    assert.ok(!read.value.segments.some((one) => /[/\\;\0]/.test(one) || /^\.+$/.test(one)), text);
    assert.match(read.value.path, /^\/[\x21-\x7e]*$/);
  }
});
