import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { createResolver } from "#base/dns";
import { pick, seededRandom, systemRandom } from "#base/random";
import { checkSpf, formatMacroString } from "#identity/spf";
import { startFakeDns, type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";
import { expandDomain, expandMacros, parseMacroString } from "./macro.ts";
import { parseSpfRecord } from "./record.ts";

const question = {
  ip: "192.0.2.1",
  helo: "mail.example.org",
  mailFrom: "user@example.org",
  receiver: "mx.receiver.example",
};

const check = (zone: Zone, more: Partial<typeof question> = {}, clock: Clock = systemClock) =>
  checkSpf({ ...question, ...more }, zoneResolver(zone), clock);

const record = (text: string): Zone => ({ "example.org": [{ TXT: text }] });

describe("checkSpf()", () => {
  test("names the term that decided", async () => {
    const verdict = await check(record("v=spf1 ip4:192.0.2.0/24 -all"));
    assert.deepEqual(verdict, {
      method: "spf",
      identity: "mailfrom",
      domain: "example.org",
      result: "pass",
      why: "ip4:192.0.2.0/24 in the record of example.org",
    });
    const failed = await check(record("v=spf1 -all"));
    assert.equal(failed.why, "-all in the record of example.org");
    assert.equal((await check(record("v=spf1 a"))).result, "neutral");
  });

  test("judges HELO when the reverse path is null (§2.4)", async () => {
    const zone = { "mail.example.org": [{ TXT: "v=spf1 a -all" }, { A: "192.0.2.1" }] };
    const verdict = await check(zone, { mailFrom: "" });
    assert.equal(verdict.identity, "helo");
    assert.equal(verdict.domain, "mail.example.org");
    assert.equal(verdict.result, "pass");
  });

  test("takes an IPv4-mapped client for IPv4, and a compatible one not", async () => {
    const zone = record("v=spf1 ip4:192.0.2.1 -all");
    assert.equal((await check(zone, { ip: "::ffff:192.0.2.1" })).result, "pass");
    assert.equal((await check(zone, { ip: "::192.0.2.1" })).result, "fail");
    assert.equal((await check(zone, { ip: "nonsense" })).result, "permerror");
  });

  test("looks up an internationalised domain in its ASCII form", async () => {
    const zone = { "xn--gre-6ka8i.example": [{ TXT: "v=spf1 +all" }] };
    const verdict = await check(zone, { mailFrom: "a@größe.example" });
    assert.equal(verdict.domain, "xn--gre-6ka8i.example");
    assert.equal(verdict.result, "pass");
  });

  test("names no more of a greeting than a domain can have (RFC 1035 §2.3.4)", async () => {
    const verdict = await check({}, { helo: "h".repeat(500), mailFrom: "" });
    assert.deepEqual([verdict.result, verdict.domain.length], ["none", 253]);
  });

  test("takes nothing for a domain that could not be one (§4.3)", async () => {
    for (const helo of [
      "host",
      "[192.0.2.1]",
      "a b.example",
      "a;b.example",
      "a\r\nb.example",
      "a..b",
    ]) {
      const verdict = await check({}, { helo, mailFrom: "" });
      assert.deepEqual([verdict.result, verdict.identity], ["none", "helo"], helo);
    }
  });

  test("says what stood in the way of an answer", async () => {
    const timeout = await check({ "example.org": ["TIMEOUT"] });
    assert.deepEqual([timeout.result, timeout.why], ["temperror", "TXT of example.org: timeout"]);
    const broken = await check(record("v=spf1 ip4:1.2.3 -all"));
    assert.equal(broken.why, "the SPF record of example.org is faulty at character 7: bad-network");
    const none = await check({});
    assert.deepEqual([none.result, none.why], ["none", "example.org publishes no SPF record"]);
  });

  test("stops after 20 seconds (§4.6.4)", async () => {
    let ms = 0;
    const slow: Clock = { ...systemClock, tickMs: () => (ms += 7000) };
    const verdict = await check(record("v=spf1 a a:b.example a:c.example -all"), {}, slow);
    assert.equal(verdict.result, "temperror");
    assert.match(verdict.why, /20 seconds/);
  });

  test("asks little even for a record made to cost much", async () => {
    const zone: Record<string, Zone[string]> = {};
    for (let at = 0; at < 30; at += 1) {
      const includes = Array.from(
        { length: 10 },
        (_, n) => `include:d${(at + n + 1) % 30}.example`,
      );
      zone[`d${at}.example`] = [{ TXT: `v=spf1 ${includes.join(" ")} -all` }];
    }
    const resolver = zoneResolver(zone);
    const asked = { ...question, mailFrom: "a@d0.example" };
    const verdict = await checkSpf(asked, resolver, systemClock);
    assert.equal(verdict.result, "permerror");
    assert.ok(resolver.queries.length <= 11);
  });

  test("makes an explanation safe to show (§6.2)", async () => {
    const zone = {
      "example.org": [{ TXT: "v=spf1 -all exp=why.example.org" }],
      "why.example.org": [{ TXT: "%{h} may not, see http://example.org/?u=%{L}" }],
    };
    const verdict = await check(zone, { helo: "a\r\nb.example", mailFrom: "ü x@example.org" });
    assert.equal(verdict.explanation, "a??b.example may not, see http://example.org/?u=%C3%BC%20x");
  });

  test("needs the network once while the answers are fresh", async () => {
    await using server = await startFakeDns({
      "example.org": [
        { TXT: "v=spf1 mx include:other.example -all" },
        { MX: [1, "mx.example.org"] },
      ],
      "mx.example.org": [{ A: "192.0.2.9" }],
      "other.example": [{ TXT: "v=spf1 ip4:192.0.2.1 -all" }],
    });
    const dns = createResolver({
      servers: [server.endpoint],
      clock: systemClock,
      random: systemRandom,
      timeoutMs: 1000,
      attempts: 1,
      cacheEntries: 100,
    });
    for (let round = 0; round < 3; round += 1) {
      assert.equal((await checkSpf(question, dns, systemClock)).result, "pass");
    }
    assert.equal(server.queries.length, 4);
  });
});

describe("parseSpfRecord()", () => {
  const faults = [
    ["v=spf1 a:ctrl.example.com\rptr -all", "bad-character", 7],
    ["v=spf1 mx/33", "bad-prefix", 7],
    ["v=spf1 mx//129", "bad-prefix", 7],
    ["v=spf1 a:", "bad-domain", 7],
    ["v=spf1 -all redirect=a.example redirect=b.example", "repeated", 31],
    ["v=spf1 exists:%{x}.example", "bad-macro", 7],
    ["v=spf1 exists:%{d0}.example", "bad-macro", 7],
    ["v=spf1 include", "bad-domain", 7],
    ["v=spf1 all:x", "bad-term", 7],
    ["v=spf1 -toString", "bad-term", 7],
  ] as const;
  for (const [text, fault, at] of faults) {
    test(`refuses "${text.slice(7).replace("\r", "\\r")}"`, () => {
      assert.deepEqual(parseSpfRecord(text), { ok: false, fault, at });
    });
  }

  test("neither throws nor hangs on noise, and points into it", () => {
    const random = seededRandom(7208);
    const pieces = [
      "v=spf1",
      " ",
      "a",
      "mx",
      ":",
      "/",
      "//",
      "%{",
      "}",
      "d",
      "r",
      "0",
      "12",
      ".",
      "-",
      "include:",
      "redirect=",
      "exp=",
      "x=",
      "ip4:",
      "1.2.3.4",
      "ip6:",
      "::",
      "\0",
      "ÿ",
      "%%",
      "%_",
      "all",
      "~",
      "?",
      "example",
    ];
    for (let round = 0; round < 30_000; round += 1) {
      const length = pick(random, 24);
      const noise = Array.from({ length }, () => pieces[pick(random, pieces.length)]).join("");
      const read = parseSpfRecord(`v=spf1 ${noise}`);
      if (!read.ok) assert.ok(read.at >= 0 && read.at <= noise.length + 7);
    }
  });

  test("is linear in 64 KiB of anything", () => {
    const startedAt = performance.now();
    for (const piece of ["a:/", "%{d", "%", "a/1", "x", " ", "mx/", "-all ", "a.", "x=%{d}"]) {
      parseSpfRecord(`v=spf1 ${piece.repeat(65_536 / piece.length)}`);
      parseSpfRecord(`v=spf1 a:${piece.repeat(65_536 / piece.length)}`);
    }
    assert.ok(performance.now() - startedAt < 1000);
  });
});

describe("macros (§7.4)", () => {
  const values = {
    s: "strong-bad@email.example.com",
    l: "strong-bad",
    o: "email.example.com",
    d: "email.example.com",
    i: "192.0.2.3",
    p: "mx.example.org",
    v: "in-addr",
    h: "h",
    c: "192.0.2.3",
    r: "r",
    t: "0",
  };
  const examples = [
    ["%{s}", "strong-bad@email.example.com"],
    ["%{d4}", "email.example.com"],
    ["%{d2}", "example.com"],
    ["%{d1}", "com"],
    ["%{dr}", "com.example.email"],
    ["%{d2r}", "example.email"],
    ["%{l-}", "strong.bad"],
    ["%{lr-}", "bad.strong"],
    ["%{l1r-}", "strong"],
    ["%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"],
    ["%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"],
    ["%{S}", "strong-bad%40email.example.com"],
    ["%%%_%-", "% %20"],
  ] as const;
  for (const [text, expanded] of examples) {
    test(`${text} is ${expanded}`, () => {
      const parsed = parseMacroString(text, "domain");
      assert.equal(parsed.ok && expandMacros(parsed.value, values, 400), expanded);
    });
  }

  for (const text of [
    "%{ir}.%{v}._spf.%{d2}",
    "%{L2r-+}.a.example",
    "a%%b%_c%-d.%{d}",
    "x.example",
  ]) {
    test(`${text} is printed as it was published`, () => {
      const parsed = parseMacroString(text, "domain");
      assert.equal(parsed.ok && formatMacroString(parsed.value), text);
    });
  }

  test("a name is cut from the left, however many macros it has (§7.3)", () => {
    const parsed = parseMacroString(`${"%{d}.".repeat(500)}%{i}.example.`, "domain");
    assert.ok(parsed.ok);
    const name = expandDomain(parsed.value, values);
    const whole = expandMacros(parsed.value, values, 100_000).slice(0, -1);
    assert.ok(whole.endsWith(`.${name}`) && name.length <= 253 && name.length > 253 - 64);
  });
});
