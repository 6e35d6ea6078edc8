import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { pick, seededRandom } from "#base/random";
import { checkSpf } from "#identity/spf";
import {
  characterStrings,
  composeSpf,
  expandSpf,
  expansionLines,
  planLines,
  planSpf,
  replaySpf,
  type SpfAnswers,
  spfFacts,
  suggestAnswers,
} from "#identity/spf-advice";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";

const nothing: SpfAnswers = {
  inboundServersMaySend: false,
  aMaySend: false,
  addresses: [],
  providers: [],
  smartHosts: [],
  directFallback: false,
  others: "softfail",
};

async function plan(zone: Zone, answers: Partial<SpfAnswers>, domain = "example.org") {
  const resolver = zoneResolver(zone);
  const facts = await spfFacts(domain, resolver);
  return await planSpf({ ...nothing, ...answers }, facts, resolver, systemClock);
}

const judged = ({ samples }: Awaited<ReturnType<typeof plan>>) =>
  samples.map(({ who, ip, result }) => [who, ip, result]);

describe("planSpf()", () => {
  const mx: Zone = {
    "example.org": [{ MX: [10, "mail.example.org"] }],
    "mail.example.org": [{ A: "192.0.2.25" }],
  };

  test("CAP-52 one server that receives and sends: v=spf1 mx ~all", async () => {
    const found = await plan(mx, { inboundServersMaySend: true });
    assert.equal(found.record, "v=spf1 mx ~all");
    assert.deepEqual(found.strings, ["v=spf1 mx ~all"]);
    assert.equal(found.lookups, 1);
    assert.deepEqual(judged(found), [
      ["your inbound server mail.example.org", "192.0.2.25", "pass"],
      ["a stranger", "203.0.113.77", "softfail"],
    ]);
    assert.deepEqual(found.findings, []);
  });

  test("CAP-52 two inside servers, a provider's three, direct delivery when it is down", async () => {
    const found = await plan(mx, {
      addresses: ["198.51.100.10", "198.51.100.11"],
      smartHosts: ["203.0.113.1", "203.0.113.2", "203.0.113.3"],
      directFallback: true,
    });
    assert.equal(
      found.record,
      "v=spf1 ip4:198.51.100.10 ip4:198.51.100.11 ip4:203.0.113.1 ip4:203.0.113.2 ip4:203.0.113.3 ~all",
    );
    assert.equal(found.lookups, 0);
    assert.deepEqual(judged(found), [
      ["your inbound server mail.example.org", "192.0.2.25", "softfail"],
      ["your own server, delivering directly", "198.51.100.10", "pass"],
      ["your own server, delivering directly", "198.51.100.11", "pass"],
      ["smart host 203.0.113.1", "203.0.113.1", "pass"],
      ["smart host 203.0.113.2", "203.0.113.2", "pass"],
      ["smart host 203.0.113.3", "203.0.113.3", "pass"],
      ["a stranger", "203.0.113.77", "softfail"],
    ]);
    assert.deepEqual(found.findings, []);
  });

  test("counts what each term costs, and offers networks in place of a dear include", async () => {
    const names = Array.from({ length: 9 }, (_, index) => `n${index}.big.example`);
    const zone: Zone = {
      ...mx,
      "big.example": [{ TXT: `v=spf1 ${names.map((name) => `include:${name}`).join(" ")} ~all` }],
      ...Object.fromEntries(
        names.map((name, index) => [name, [{ TXT: `v=spf1 ip4:203.0.113.${index} -all` }]]),
      ),
    };
    const found = await plan(zone, { inboundServersMaySend: true, providers: ["big.example"] });
    assert.equal(found.lookups, 11);
    assert.deepEqual(found.costs, [
      { term: "include:big.example", lookups: 10 },
      { term: "mx", lookups: 1 },
    ]);
    assert.equal(found.flatten?.term, "include:big.example");
    assert.equal(found.flatten?.networks.length, 9);
    // The evaluator agrees: it stops with an error at the eleventh.
    assert.deepEqual(judged(found).at(-1), ["a stranger", "203.0.113.77", "permerror"]);
    assert.match(found.findings[0]?.text ?? "", /needs 11 look-ups, 10 are allowed/);
  });

  const warned = [
    ["two records now", { TXT: "v=spf1 -all" }, {}, /publishes 2 SPF records now/],
    ["+all cannot be asked for, but is lost", { MX: [10, "m.example"] }, {}, /also has \+all/],
    ["a sender of the present record", {}, {}, /also has \+all/],
    ["mx without MX", {}, { inboundServersMaySend: true }, /no MX record/],
    ["a without address", {}, { aMaySend: true }, /has no address/],
    ["a private address", {}, { addresses: ["10.1.2.3"] }, /10\.1\.2\.3 is not a public address/],
    ["a huge range", {}, { addresses: ["44.0.0.0/8"] }, /44\.0\.0\.0\/8: so large a share/],
    ["a wide range", {}, { addresses: ["45.10.0.0/16"] }, /45\.10\.0\.0\/16: a very wide range/],
    ["a rented range", {}, { addresses: ["3.5.140.0/24"] }, /part of a cloud that rents/],
    [
      "a provider without record",
      {},
      { providers: ["no.example"] },
      /no SPF record: receivers give/,
    ],
    [
      "a fallback without own servers",
      {},
      { smartHosts: ["203.0.113.1"], directFallback: true },
      /deliver directly .* none is listed/,
    ],
    ["nothing about strangers", {}, { others: "neutral" }, /says nothing about strangers/],
  ] as const;
  for (const [what, entry, answers, text] of warned) {
    test(`warns of ${what}`, async () => {
      const zone = { "example.org": [{ TXT: "v=spf1 +all" }, entry] };
      const { findings } = await plan(zone, answers as Partial<SpfAnswers>);
      assert.ok(
        findings.some((one) => text.test(one.text)),
        JSON.stringify(findings, null, 1),
      );
    });
  }

  test("nobody may send: v=spf1 -all", async () => {
    assert.equal((await plan({}, { others: "fail" })).record, "v=spf1 -all");
  });

  test("every line of its text fits into 80 columns, but for the record", async () => {
    const found = await plan(mx, {
      inboundServersMaySend: true,
      addresses: Array.from({ length: 40 }, (_, index) => `198.51.100.${index}`),
    });
    const lines = planLines(found).filter((line) => !/v=spf1|^ {2}"/.test(line));
    assert.deepEqual(
      lines.filter((line) => line.length > 80),
      [],
    );
  });
});

describe("suggestAnswers() and composeSpf()", () => {
  const records = [
    "v=spf1 mx ~all",
    "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 mx a a:out.example.net include:p.example -all",
    "v=spf1 ?all",
  ];
  for (const record of records) {
    test(`a record becomes answers and the same record: ${record}`, () => {
      const found = suggestAnswers(record, "example.org") ?? assert.fail();
      assert.deepEqual(found.left, []);
      assert.equal(composeSpf(found.answers), record);
    });
  }

  test("names the terms that no answer stands for", () => {
    const record =
      "v=spf1 exists:%{i}.example.org ptr mx:other.example a/24 ?include:x.example +all";
    const found = suggestAnswers(record, "example.org");
    assert.deepEqual(found?.left, record.split(" ").slice(1));
  });
});

describe("characterStrings()", () => {
  test("each has at most 255 octets, and joined they are the text (RFC 7208 §3.3)", () => {
    for (const length of [0, 1, 255, 256, 510, 511, 2000]) {
      const text = "ip4:192.0.2.1 ".repeat(200).slice(0, length);
      const strings = characterStrings(text);
      assert.equal(strings.join(""), text);
      assert.ok(strings.every((one) => one.length <= 255));
      assert.deepEqual(characterStrings("x".repeat(length)).join("").length, length);
    }
  });
});

describe("expandSpf()", () => {
  test("CAP-53 says in words what another organisation's record means", async () => {
    const zone: Zone = {
      "example.org": [
        { TXT: "v=spf1 mx ip4:192.0.2.0/24 include:_spf.example.net ~all" },
        { TXT: "spf2.0/pra ip4:192.0.2.0/23 ?all" },
        { MX: [10, "mail.example.org"] },
      ],
      "mail.example.org": [{ A: "192.0.2.25" }, { AAAA: "2001:db8::25" }],
      "_spf.example.net": [{ TXT: "v=spf1 ip4:198.51.100.0/25 -ip4:203.0.113.1 ?all" }],
    };
    const found = await expandSpf("Example.org", zoneResolver(zone));
    assert.equal(found.lookups, 2);
    assert.deepEqual(found.voids, { ipv4: 0, ipv6: 0 });
    // 192.0.2.25 lies in the /24 and counts once.
    assert.deepEqual(found.addresses, { ipv4: "384", ipv6: "1" });
    assert.deepEqual(found.senderId, ["spf2.0/pra ip4:192.0.2.0/23 ?all"]);
    assert.deepEqual(found.findings, []);
    const text = expansionLines(found).join("\n");
    assert.match(text, /ip4:192\.0\.2\.0\/24 +256 addresses, 192\.0\.2\.0 to 192\.0\.2\.255/);
    assert.match(text, /everything else: soft fail: "probably not ours"/);
    assert.match(text, /\| -ip4:203\.0\.113\.1 +1 address: fail/);
    assert.match(text, /mail\.example\.org\s+\(192\.0\.2\.25,\s+2001:db8::25\)/);
    assert.deepEqual(
      text.split("\n").filter((line) => line.length > 80),
      [],
    );
  });

  const faults: readonly (readonly [string, Zone[string], RegExp])[] = [
    ["no record", [], /publishes no SPF record/],
    ["two records", [{ TXT: "v=spf1 -all" }, { TXT: "v=spf1 mx" }], /2 SPF records where one/],
    ["a typing error", [{ TXT: "v=spf1 ip4:192.0.2.300 -all" }], /character 7: not an IP address/],
    ["DNS that fails", ["SERVFAIL"], /TXT of example\.org: server failure/],
    ["a loop", [{ TXT: "v=spf1 include:example.org -all" }], /includes itself/],
    ["+all", [{ TXT: "v=spf1 +all" }], /the whole world/],
    ["no all", [{ TXT: "v=spf1 ip4:192.0.2.1" }], /no "all" at its end/],
    ["ptr", [{ TXT: "v=spf1 ptr -all" }], /ptr is slow and unreliable/],
    ["terms behind all", [{ TXT: "v=spf1 -all mx" }], /mx stands behind "all"/],
    [
      "names that are missing",
      [{ TXT: "v=spf1 a:a.example a:b.example a:c.example -all" }],
      /3 look-ups that? find nothing|3 look-ups find nothing/,
    ],
  ];
  for (const [what, entries, text] of faults) {
    test(`finds ${what}`, async () => {
      const { findings } = await expandSpf("example.org", zoneResolver({ "example.org": entries }));
      assert.ok(
        findings.some((one) => text.test(one.text)),
        JSON.stringify(findings),
      );
    });
  }

  test("nothing of a record can move the cursor of a terminal", async () => {
    const zone = { "example.org": [{ TXT: "v=spf1 \u001b[2J\u009b1A -all" }] };
    const found = await expandSpf("example.org", zoneResolver(zone));
    assert.match(found.record.text ?? "", /^[ -~]+$/);
  });

  test("a thousand includes, chains and trees of them stay within bounds", async () => {
    const wide = Array.from({ length: 1000 }, (_, index) => `include:w${index}.example`).join(" ");
    const zones: Zone[] = [
      {
        "example.org": [{ TXT: `v=spf1 ${wide} -all` }],
        "*.example": [{ TXT: "v=spf1 mx a -all" }],
      },
      { "example.org": [{ TXT: `v=spf1 ${wide} -all` }], "*.example": ["SERVFAIL"] },
      {
        "example.org": [{ TXT: "v=spf1 include:a.example -all" }],
        // Each of its names includes ten more, and they again.
        "*.example": [{ TXT: `v=spf1 ${wide}` }],
      },
    ];
    for (const zone of zones) {
      const resolver = zoneResolver(zone);
      const found = await expandSpf("example.org", resolver);
      assert.ok(resolver.queries.length <= 300, String(resolver.queries.length));
      assert.ok(found.lookups > 10);
      assert.ok(found.findings.some(({ level }) => level === "bad"));
      assert.ok(expansionLines(found).length < 20_000);
    }
  });

  test("its errors are those that a receiver meets: random trees, judged by the evaluator", async () => {
    const random = seededRandom(4408);
    const one = <Value>(values: readonly Value[]): Value =>
      values[pick(random, values.length)] ?? assert.fail();
    const names = Array.from({ length: 8 }, (_, index) => `n${index}.example`);
    let broken = 0;
    for (let round = 0; round < 1500; round += 1) {
      const term = (): string =>
        one([
          () => `a:${one(names)}`,
          () => `mx:${one(names)}`,
          () => `include:${one(names)}`,
          () => `include:${one(names)}`,
          () => "ip4:192.0.2.0/24",
          () => `exists:gone${pick(random, 4)}.example`,
          () => `-a:gone${pick(random, 4)}.example`,
        ])();
      const record = (): string => {
        const terms = Array.from({ length: pick(random, 4) }, term);
        return `v=spf1 ${[...terms, one(["-all", "~all", "?all", `redirect=${one(names)}`])].join(" ")}`;
      };
      const zone = Object.fromEntries(
        names.map((name) => [
          name,
          [
            ...(pick(random, 12) === 0 ? [] : [{ SPF: record() }]),
            { A: "192.0.2.1" },
            { AAAA: "2001:db8::1" },
            ...(pick(random, 4) === 0 ? [] : [{ MX: [10, one(names)] }]),
          ],
        ]),
      );
      const resolver = zoneResolver(zone);
      const { findings, record: root } = await expandSpf("n0.example", resolver);
      const isBroken = findings.some(
        ({ level, text }) => level === "bad" && !/IPv6|protects nobody/.test(text),
      );
      const question = { ip: "203.0.113.9", helo: "x", mailFrom: "x@n0.example", receiver: "r" };
      const { result, why } = await checkSpf(question, resolver, systemClock);
      const expected = isBroken ? (root.problem?.kind === "none" ? "none" : "permerror") : "other";
      const got = result === "permerror" || result === "none" ? result : "other";
      assert.equal(got, expected, `${JSON.stringify(zone)} ${why} ${JSON.stringify(findings)}`);
      if (isBroken) broken += 1;
    }
    assert.ok(broken > 300 && broken < 1200, String(broken));
  });

  test("random records never break it", async () => {
    const random = seededRandom(7208);
    const words = [
      "v=spf1",
      " ",
      "a",
      "mx",
      "include:",
      "example.org",
      "%{",
      "i}",
      "ip4:",
      "ip6:",
      "1.2.3.4",
      "::",
      "/",
      "24",
      "-",
      "?",
      "all",
      "redirect=",
      "exp=",
      "ptr",
      "\u0000",
      "é",
      ":",
    ];
    for (let round = 0; round < 2000; round += 1) {
      const text = Array.from(
        { length: pick(random, 14) },
        () => words[pick(random, words.length)],
      );
      const zone = { "example.org": [{ TXT: `v=spf1 ${text.join("")}` }, { A: "192.0.2.1" }] };
      const found = await expandSpf("example.org", zoneResolver(zone));
      const lines = expansionLines(found);
      assert.ok(
        lines.every((line) => /^[ -~]*$/.test(line)),
        JSON.stringify(lines),
      );
    }
  });
});

describe("replaySpf()", () => {
  test("says which of the sent mail a record would refuse", async () => {
    const zone = { "example.org": [{ MX: [10, "m.example"] }], "m.example": [{ A: "192.0.2.1" }] };
    const mails = [
      { ip: "192.0.2.1", count: 40 },
      { ip: "198.51.100.9", mailFrom: "news@example.org", count: 3 },
      { ip: "198.51.100.9", mailFrom: "", helo: "example.org" },
      { ip: "198.51.100.8", mailFrom: "x@other.example" },
    ];
    const context = { domain: "example.org", resolver: zoneResolver(zone), clock: systemClock };
    assert.deepEqual(await replaySpf("v=spf1 mx -all", mails, context), {
      totals: { pass: 40, fail: 4 },
      refused: [
        {
          ip: "198.51.100.9",
          count: 4,
          result: "fail",
          why: "-all in the record of example.org",
        },
      ],
      others: 1,
    });
  });
});
