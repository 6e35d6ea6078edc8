import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { parseTarget } from "./target.ts";

/** What comes of a target under rules of that kind. */
function read(text: string, rules: "plain" | "mail"): string {
  const target = parseTarget(text);
  if (!target.ok) return target.fault;
  const strict = rules === "plain" ? target.value.notPlain : undefined;
  return strict ?? target.value.path;
}

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
      assert.equal(read(text, "plain"), fault);
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
      const target = parseTarget(text);
      assert.ok(target.ok && target.value.notPlain === undefined);
      assert.deepEqual([target.value.path, target.value.query], [path, query]);
      const again = parseTarget(target.value.path);
      assert.ok(again.ok && again.value.path === path, "normal form is stable");
    });
  }
});

describe("CAP-20 rules for mail refuse tricks and open whatever a subject holds", () => {
  const opened: readonly (readonly [string, string])[] = [
    ["/owa/Inbox/100%25%20sure.EML", "/owa/Inbox/100%25%20sure.EML"],
    ["/owa/Inbox/50%25%20off%20%26%20more.EML", "/owa/Inbox/50%25%20off%20%26%20more.EML"],
    ["/owa/Inbox/Re%3A%20a..b.EML", "/owa/Inbox/Re%3A%20a..b.EML"],
    ["/owa/Inbox/..hidden%20news.EML", "/owa/Inbox/..hidden%20news.EML"],
    ["/owa/Inbox/and%20so%20on....EML", "/owa/Inbox/and%20so%20on....EML"],
    ["/owa/Inbox/%f0%9f%8e%89%20party.EML", "/owa/Inbox/%F0%9F%8E%89%20party.EML"],
    ["/owa/Inbox/gr%c3%bc%c3%9fe.EML", "/owa/Inbox/gr%C3%BC%C3%9Fe.EML"],
    ["/owa/Inbox/a;b".replace(";", "%3b"), "/owa/Inbox/a%3Bb"],
    ["/owa/Inbox/1+1=2%3f.EML", "/owa/Inbox/1+1=2%3F.EML"],
    ["/owa/Inbox/%3cb%3e%20%22x%22.EML", "/owa/Inbox/%3Cb%3E%20%22x%22.EML"],
    ["/owa/Inbox/C%23%20and%20%40you.EML", "/owa/Inbox/C%23%20and%20%40you.EML"],
    ["/owa/Inbox/100%25af.EML", "/owa/Inbox/100%25af.EML"],
    ["/owa/Inbox/%2525%20of%20it.EML", "/owa/Inbox/%2525%20of%20it.EML"],
    ["/owa/Inbox/%5Blist%5D%20hi.EML", "/owa/Inbox/%5Blist%5D%20hi.EML"],
    ["/SOGo/so/ana/Mail/0/folderAcme%20Inc.", "/SOGo/so/ana/Mail/0/folderAcme%20Inc."],
    ["/SOGo/dav/ana@example.org/Calendar/a:b.ics", "/SOGo/dav/ana@example.org/Calendar/a:b.ics"],
    ["/roundcube/?_task=mail&_mbox=INBOX&_search=100%2525", "/roundcube/"],
    ["/roundcube/?_list[]=1&_q=a%26b%3D..%F0%9F%8E%89", "/roundcube/"],
    ["/roundcube/?_redirect=https%3A%2F%2Fx.example%2F", "/roundcube/"],
  ];
  for (const [text, path] of opened)
    test(`opens ${text}`, () => assert.equal(read(text, "mail"), path));

  const tricks: readonly (readonly [string, string])[] = [
    ["/owa/../ecp", "dot-segment"],
    ["/owa/./ecp", "dot-segment"],
    ["/owa/.../ecp", "dot-segment"],
    ["/owa/%2e%2e/ecp", "dot-segment"],
    ["/owa/.%2E/ecp", "dot-segment"],
    ["/owa/..", "dot-segment"],
    ["/owa/..%20/ecp", "dot-segment"],
    ["/owa/%20../ecp", "dot-segment"],
    ["/owa/%20", "dot-segment"],
    ["/owa/..%3b/ecp", "dot-segment"],
    ["/owa/..%3Bx=1/ecp", "dot-segment"],
    ["/owa/%3b/ecp", "dot-segment"],
    ["/owa/..;/ecp", "bad-character"],
    ["/owa/;x=1/ecp", "bad-character"],
    ["/owa;x/ecp", "bad-character"],
    ["/owa//ecp", "empty-segment"],
    ["//ecp", "empty-segment"],
    ["///", "empty-segment"],
    ["/owa/a%2fb", "encoded-delimiter"],
    ["/owa/a%2Fb", "encoded-delimiter"],
    ["/owa/a%5cb", "encoded-delimiter"],
    ["/owa/..%5c..%5cwinnt", "encoded-delimiter"],
    ["/owa/..\\ecp", "bad-character"],
    ["/owa/%252e%252e/ecp", "double-encoded"],
    ["/owa/%252e./ecp", "double-encoded"],
    ["/owa/%25252e%25252e/ecp", "double-encoded"],
    ["/owa/a%252fb", "double-encoded"],
    ["/owa/a%252Fb", "double-encoded"],
    ["/owa/a%255cb", "double-encoded"],
    ["/owa/a%25255cb", "double-encoded"],
    ["/owa/a%253bb", "double-encoded"],
    ["/owa/a%2500b", "double-encoded"],
    ["/owa/a%250d%250ab", "double-encoded"],
    ["/owa/a%25c0%25afb", "double-encoded"],
    ["/owa/a%25c1%259cb", "double-encoded"],
    ["/owa/a%25e0%2580%25af", "double-encoded"],
    ["/owa/a%25u002fb", "double-encoded"],
    ["/owa/a%25u2215b", "double-encoded"],
    [`/owa/%${"25".repeat(2000)}2f`, "double-encoded"],
    ["/owa/a%u002fb", "bad-escape"],
    ["/owa/a%", "bad-escape"],
    ["/owa/a%2", "bad-escape"],
    ["/owa/a%g0", "bad-escape"],
    ["/owa/a%2 f", "bad-escape"],
    ["/owa/a%00b", "bad-character"],
    ["/owa/a%0ab", "bad-character"],
    ["/owa/a%0d%0aX:%20y", "bad-character"],
    ["/owa/a%7fb", "bad-character"],
    ["/owa/a%1bb", "bad-character"],
    ["/owa/%c0%af", "bad-utf8"],
    ["/owa/%c0%ae%c0%ae/ecp", "bad-utf8"],
    ["/owa/%c1%9c", "bad-utf8"],
    ["/owa/%e0%80%af", "bad-utf8"],
    ["/owa/%f0%80%80%af", "bad-utf8"],
    ["/owa/%fc%80%80%80%80%af", "bad-utf8"],
    ["/owa/%ed%a0%80", "bad-utf8"],
    ["/owa/%f4%90%80%80", "bad-utf8"],
    ["/owa/%80", "bad-utf8"],
    ["/owa/\u00e4", "bad-character"],
    ["/owa/\u2215ecp", "bad-character"],
    ["/owa/\uff0e\uff0e/ecp", "bad-character"],
    ["/owa/a b", "bad-character"],
    ["/owa/a\tb", "bad-character"],
    ["/owa/a\r\nb", "bad-character"],
    ["/owa/a\u0000b", "bad-character"],
    ["/owa/#x", "bad-character"],
    ["/owa/<x>", "bad-character"],
    ["/owa/a|b", "bad-character"],
    ["/owa/?a=%00", "bad-character"],
    ["/owa/?a=%0d%0aSet-Cookie:%20x=y", "bad-character"],
    ["/owa/?a=b#c", "bad-character"],
    ["/owa/?a= b", "bad-character"],
    ["/owa/?a=%", "bad-escape"],
    ["/owa/?a=%u0027", "bad-escape"],
    ["https://mail.example/owa/", "not-origin-form"],
    ["\\owa", "not-origin-form"],
    ["*", "not-origin-form"],
    ["?x", "not-origin-form"],
    [`/owa/${"a".repeat(8192)}`, "too-long"],
  ];
  for (const [text, fault] of tricks) {
    test(`W3 ${JSON.stringify(text.slice(0, 40))}: ${fault}`, () => {
      assert.equal(read(text, "mail"), fault);
    });
  }
  test("W3 the corpus is as large as promised", () => assert.ok(tricks.length >= 60));
});

test("parseTarget() keeps what is reserved as it came, and the query octet for octet", () => {
  const target = parseTarget("/a%2d%41/@:%40%3A+%2B?x=%41+%2b&y=a%20b");
  assert.ok(target.ok);
  assert.equal(target.value.path, "/a-A/@:%40%3A+%2B");
  assert.equal(target.value.query, "x=%41+%2b&y=a%20b");
});

test("W3 parseTarget() neither throws nor lets a delimiter through, whatever comes", () => {
  const random = seededRandom(20261121);
  const alphabet = [
    ...Array.from("/.%2fe5c0;\\?a3bu1d\u0000é"),
    "%2e",
    "%25",
    "%2f",
    "%c0",
    "%af",
    "..",
    "/../",
  ];
  const turned = (text: string): string =>
    text.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  for (let run = 0; run < 50_000; run += 1) {
    let text = "/";
    for (let at = pick(random, 24); at > 0; at -= 1)
      text += alphabet[pick(random, alphabet.length)];
    const target = parseTarget(text);
    if (!target.ok) continue;
    const { path } = target.value;
    assert.match(path, /^\/[\x21-\x7e]*$/);
    const again = parseTarget(path);
    assert.ok(again.ok && again.value.path === path, text);
    // However often somebody decodes it, the segments stay the same ones.
    let decoded = path;
    const slashes = path.split("/").length;
    for (let turn = 0; turn < 4; turn += 1) {
      decoded = turned(decoded);
      assert.equal(decoded.split(/[/\\]/).length, slashes, text);
      assert.ok(!decoded.split("/").some((one) => /^\.+$/.test(one)), text);
    }
  }
});

test("parseTarget() takes time in proportion to the length of hostile targets", () => {
  const hostile = [`/${"%25".repeat(2700)}`, `/%${"25".repeat(4000)}`, `/${".".repeat(8000)}`];
  for (const text of [...hostile, `/${"a/".repeat(4000)}`, `/?${"%25".repeat(2700)}`]) {
    const startedMs = performance.now();
    for (let turn = 0; turn < 10; turn += 1) parseTarget(text);
    assert.ok(performance.now() - startedMs < 1000, text.slice(0, 20));
  }
});
