import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { authenticate } from "mailauth";
import { pick, seededRandom } from "#base/random";
import { parseHeader } from "#formats/message";
import { arcSeal, checkArc } from "#identity/arc";
import { bodyDigests, hashBody } from "#identity/dkim";
import type { ArcVerdict } from "#model/verdict";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";
import { ed25519Key, rsaKey, signOctets, type TestKey, zoneOf } from "../dkim/fixture.test.ts";
import { readSeenDmarc } from "./results.ts";

const rsa = rsaKey("rsa");
const ed25519 = ed25519Key("ed");
const domains = ["one.example", "two.example", "three.example"];
const zone: Zone = Object.assign({}, ...domains.map((domain) => zoneOf([rsa, ed25519], domain)));

const message =
  "From: Ann <ann@example.org>\r\nTo: list@example.net\r\nSubject: Lunch\r\n\r\nAt noon?\r\n";

function check(
  text: string,
  trustedSealers: readonly string[] = [],
  ports = zone,
): Promise<ArcVerdict> {
  const octets = Buffer.from(text, "latin1");
  const header = parseHeader(octets);
  const digests = bodyDigests(header);
  digests.write(octets.subarray(header.end));
  digests.finish();
  const resolver = zoneResolver(ports);
  return checkArc({ header, digests }, { resolver, nowMs: Date.now(), trustedSealers });
}

interface Sealing {
  readonly results?: string;
  readonly key?: TestKey;
  readonly verdict?: ArcVerdict;
  /** What the sealer makes of the message before it seals. */
  readonly alter?: (text: string) => string;
}

async function seal(text: string, domain: string, sealing: Sealing = {}): Promise<string> {
  const { results = `mx.${domain}; dmarc=pass header.from=example.org`, key = rsa } = sealing;
  const verdict = sealing.verdict ?? (await check(text));
  const out = sealing.alter?.(text) ?? text;
  const octets = Buffer.from(out, "latin1");
  const header = parseHeader(octets);
  const fields = await arcSeal({
    header,
    bodyHash: hashBody([octets], header.end),
    verdict,
    results,
    domain,
    selector: key.selector,
    algorithm: key.algorithm,
    signedAtMs: Date.now(),
    sign: async (input) => signOctets(key, input),
  });
  return fields + out;
}

/** Sealed by all three, the second of which puts a footer below. */
async function threeSeals(): Promise<string> {
  const once = await seal(message, "one.example", {
    results: "mx.one.example; dmarc=fail (p=none) header.from=Example.ORG",
  });
  const twice = await seal(once, "two.example", { alter: (text) => `${text}-- list\r\n` });
  return seal(twice, "three.example", { key: ed25519 });
}

describe("checkArc()", () => {
  test("finds none where there is no chain", async () => {
    const verdict = await check(message, domains);
    assert.deepEqual([verdict.result, verdict.trusted, verdict.sealers], ["none", false, []]);
  });

  test("passes a chain of three, and says since when the message is unchanged", async () => {
    const verdict = await check(await threeSeals());
    assert.equal(verdict.result, "pass", verdict.why);
    assert.equal(verdict.why, "3 sets, unchanged since i=2 (oldest-pass)");
    assert.deepEqual(verdict.sealers, ["three.example", "two.example", "one.example"]);
    assert.deepEqual([verdict.trusted, verdict.saw], [false, undefined]);
  });

  const trust: readonly (readonly [readonly string[], boolean, string | undefined])[] = [
    [[], false, undefined],
    [["one.example", "two.example"], false, undefined],
    [["three.example"], true, "pass"],
    [["three.example", "one.example"], true, "pass"],
    [["three.example", "two.example"], true, "pass"],
    [domains, true, "fail"],
    [["example"], false, undefined],
  ];
  for (const [trusted, isTrusted, dmarc] of trust) {
    test(`with ${trusted.join(" and ") || "nobody"} trusted, believes ${dmarc ?? "nothing"}`, async () => {
      const verdict = await check(await threeSeals(), trusted);
      assert.equal(verdict.result, "pass", verdict.why);
      assert.equal(verdict.trusted, isTrusted);
      const saw = dmarc === undefined ? undefined : { dmarc, fromDomain: "example.org" };
      assert.deepEqual(verdict.saw, saw);
    });
  }

  const altered: readonly (readonly [string, (text: string) => string, RegExp])[] = [
    ["the body", (text) => text.replace("noon", "nine"), /Message-Signature i=3.*body was changed/],
    [
      "the Subject",
      (text) => text.replace("Lunch", "Launch"),
      /Message-Signature i=3.*does not fit/,
    ],
    ["an old result", (text) => text.replace("dmarc=fail", "dmarc=pass"), /Seal i=3.*does not fit/],
    [
      "an old seal's time",
      (text) => text.replace(/(i=1; cv=none;[^;]*;[^;]*;[^;]*; t=)1/, "$12"),
      /does not fit/,
    ],
    [
      "a set",
      (text) => text.replace(/ARC-Seal: i=2[\s\S]*?(?=ARC-Seal: i=1)/, ""),
      /^i=2: the set is not whole$/,
    ],
    ["an instance", (text) => text.replaceAll("i=3;", "i=4;"), /^i=3: the set is not whole$/],
    ["cv=", (text) => text.replace("i=3; cv=pass", "i=3; cv=none"), /^i=3: ARC-Seal has cv=none$/],
    ["the end", (text) => text.replace("i=3; cv=pass", "i=3; cv=fail"), /newest seal says/],
  ];
  for (const [what, alter, why] of altered) {
    test(`fails when ${what} is altered`, async () => {
      const text = await threeSeals();
      assert.notEqual(alter(text), text);
      const verdict = await check(alter(text), domains);
      assert.deepEqual([verdict.result, verdict.trusted, verdict.saw], ["fail", false, undefined]);
      assert.match(verdict.why, why);
    });
  }

  test("gives temperror while the DNS is silent, and fail when there is no key", async () => {
    const text = await threeSeals();
    const silent: Zone = { ...zone, "rsa._domainkey.two.example": ["TIMEOUT"] };
    assert.equal((await check(text, domains, silent)).result, "temperror");
    const gone: Zone = { ...zone, "rsa._domainkey.two.example": [] };
    assert.equal((await check(text, domains, gone)).result, "fail");
  });

  test("looks at 50 sets and no more (RFC 8617 §4.2.1)", async () => {
    let text = message;
    for (let count = 0; count < 51; count += 1) {
      const verdict: ArcVerdict = {
        method: "arc",
        result: count === 0 ? "none" : "pass",
        sealers: [],
        trusted: false,
        why: "",
      };
      const next = await seal(text, "one.example", { key: ed25519, verdict });
      assert.equal(next === text, count === 50);
      text = next;
    }
    assert.equal((await check(text)).result, "pass");
    const more = `ARC-Seal: i=51; cv=pass; a=rsa-sha256; d=a; s=b; b=AAAA\r\n${text}`;
    assert.equal((await check(more)).result, "fail");
  });

  test("neither throws nor passes on noise, and takes a million octets in a line", async () => {
    const random = seededRandom(8617);
    const text = await threeSeals();
    const end = text.indexOf("From: Ann");
    const pieces = [
      "",
      " ",
      "\r\n",
      "\r\n ",
      "i=1;",
      "i=2;",
      "cv=fail",
      ";",
      "=",
      "ARC-Seal: ",
      "\xff",
      "\0",
    ];
    for (let round = 0; round < 600; round += 1) {
      const at = pick(random, end);
      const piece = pieces[pick(random, pieces.length)] ?? "";
      const altered = text.slice(0, at) + piece + text.slice(at + pick(random, 4));
      const verdict = await check(altered, domains);
      const even = (one: string): string => one.replace(/\s/g, "").toLowerCase();
      if (verdict.result === "pass")
        assert.equal(even(altered), even(text), JSON.stringify(altered));
    }
    const startedAt = performance.now();
    for (const piece of [
      "i=1;",
      "(",
      '"',
      "ARC-Seal: i=1\r\n",
      " ",
      "a=b;",
      "ARC-Authentication-Results: i=1;\r\n",
    ]) {
      const million = piece.repeat(1e6 / piece.length);
      await check(`ARC-Seal: i=1\r\n${million}\r\n\r\n`, domains);
      await check(`ARC-Authentication-Results: ${million}\r\n\r\n`, domains);
    }
    assert.ok(performance.now() - startedAt < 5000);
  });
});

describe("arcSeal()", () => {
  test("is verified by mailauth, and not after a change", async () => {
    const text = await threeSeals();
    const resolver = async (name: string): Promise<string[][]> => {
      const [entry] = zone[name] ?? [];
      return [[typeof entry === "object" ? String(entry["TXT"]) : ""]];
    };
    const ask = async (one: string): Promise<unknown> => {
      const options = { ip: "192.0.2.1", helo: "a.example", sender: "a@example.org", resolver };
      const { arc } = await authenticate(Buffer.from(one, "latin1"), options as never);
      return (arc as { status?: { result?: string } }).status?.result;
    };
    assert.equal(await ask(text), "pass");
    assert.equal(await ask(text.replace("noon", "nine")), "fail");
  });

  test("marks a broken chain once, with a seal over its own set (RFC 8617 §5.1.2)", async () => {
    const broken = (await threeSeals()).replace("noon", "nine");
    const marked = await seal(broken, "one.example");
    assert.match(marked, /^ARC-Seal: i=4; cv=fail;/);
    assert.equal(await seal(marked, "two.example"), marked);
  });

  test("adds nothing while the chain cannot be judged", async () => {
    const verdict: ArcVerdict = {
      method: "arc",
      result: "temperror",
      sealers: [],
      trusted: false,
      why: "",
    };
    assert.equal(await seal(message, "one.example", { verdict }), message);
  });
});

describe("readSeenDmarc()", () => {
  const cases: readonly (readonly [string, string | undefined, string?])[] = [
    ["i=1; mx.example; dmarc=pass header.from=Example.org", "pass", "example.org"],
    [
      "i=1; mx.example; spf=fail; DMARC = Fail (p=none; x) header.from = ann@example.org",
      "fail",
      "example.org",
    ],
    ["i=1; mx.example; dmarc/1=none", "none", ""],
    [
      'i=1; mx.example; dmarc=pass reason="header.from=evil.example" header.from=example.org',
      "pass",
      "example.org",
    ],
    ['i=1; mx.example; dkim=pass reason="a; dmarc=pass header.from=evil.example"', undefined],
    ["i=1; mx.example; dkim=pass (; dmarc=pass header.from=evil.example)", undefined],
    ["i=1; mx.example; dkim=pass (\\) ; dmarc=pass (x) )", undefined],
    ["i=1; mx.example; dmarc=fail; dmarc=pass", undefined],
    ["i=1; mx.example; dmarc=pass header.from=a.example header.from=b.example", "pass", ""],
    ["i=1; mx.example; dmarc=pass header.from=a..example", "pass", ""],
    ["i=1; mx.example; x=y dmarc=pass", undefined],
    ["i=1; mx.example; none", undefined],
  ];
  for (const [text, dmarc, fromDomain] of cases) {
    test(`reads ${text}`, () => {
      assert.deepEqual(
        readSeenDmarc(text),
        dmarc === undefined ? undefined : { dmarc, fromDomain },
      );
    });
  }
});
