/** Zones that cost, loop, lie or stay silent (attack A6): bounded work, and never a pass. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { createResolver, type DnsAnswer, type RecordType, type Resolver } from "#base/dns";
import { systemRandom } from "#base/random";
import { parseHeader } from "#formats/message";
import { checkSenderId } from "#identity/sender-id";
import { checkSpf } from "#identity/spf";
import type { SpfResult } from "#model/verdict";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import {
  startFakeDns,
  type Zone,
  type ZoneEntry,
  zoneResolver,
} from "../../../tests/kit/fake-dns.ts";

const times = <Item>(count: number, make: (at: number) => Item): Item[] =>
  Array.from({ length: count }, (_, at) => make(at));
const terms = (count: number, make: (at: number) => string): string => times(count, make).join(" ");
const txt = (text: string | readonly string[]): ZoneEntry => ({ TXT: text });
const names = (count: number, make: (at: number) => readonly ZoneEntry[]): Zone =>
  Object.fromEntries(times(count, (at) => [`d${at}.example`, make(at)]));
const top = (text: string, more: Zone = {}): Zone => ({ "d.example": [txt(text)], ...more });

const pointer = "1.2.0.192.in-addr.arpa";
const stranger: ZoneEntry = { A: "203.0.113.7" };

/** What the zone does, the zone, the only right result, and every question that it may cost. */
const zones: readonly (readonly [string, Zone, SpfResult, number])[] = [
  ["an include of itself", top("v=spf1 include:d.example +all"), "permerror", 11],
  [
    "two includes of each other",
    top("v=spf1 include:e.example +all", { "e.example": [txt("v=spf1 include:d.example +all")] }),
    ...(["permerror", 11] as const),
  ],
  [
    "a tree of includes, ten wide",
    top(
      `v=spf1 ${terms(10, (at) => `include:d${at}.example`)} +all`,
      names(10, (at) => [
        txt(`v=spf1 ${terms(10, (n) => `include:d${(at + n) % 10}.example`)} +all`),
      ]),
    ),
    ...(["permerror", 11] as const),
  ],
  ["a redirect to itself", top("v=spf1 redirect=d.example"), "permerror", 11],
  [
    "a ring of redirects",
    top(
      "v=spf1 redirect=d0.example",
      names(20, (at) => [txt(`v=spf1 redirect=d${(at + 1) % 20}.example`)]),
    ),
    ...(["permerror", 11] as const),
  ],
  [
    "includes by a name that grows without end",
    {
      "d.example": [txt("v=spf1 include:x.%{d} +all")],
      "*.d.example": [txt("v=spf1 include:y.%{d} +all")],
    },
    ...(["permerror", 3] as const),
  ],
  [
    "a ring of aliases",
    { "d.example": [{ CNAME: "e.example" }], "e.example": [{ CNAME: "d.example" }] },
    ...(["temperror", 1] as const),
  ],
  [
    "an address behind a ring of aliases",
    top("v=spf1 a:e.example +all", { "e.example": [{ CNAME: "e.example" }] }),
    ...(["temperror", 2] as const),
  ],
  [
    "an exchange behind a ring of aliases",
    top("v=spf1 mx:m.example +all", {
      "m.example": [{ MX: [1, "e.example"] }],
      "e.example": [{ CNAME: "e.example" }],
    }),
    ...(["temperror", 3] as const),
  ],
  [
    "eleven exists",
    top(
      `v=spf1 ${terms(11, (at) => `-exists:d${at}.example`)} +all`,
      names(11, () => [{ MX: [1, "x.example"] }]),
    ),
    ...(["permerror", 4] as const),
  ],
  [
    "eleven exists that find something, but not the client",
    top(
      `v=spf1 ${terms(11, (at) => `a:d${at}.example`)} +all`,
      names(11, () => [stranger]),
    ),
    ...(["permerror", 11] as const),
  ],
  [
    "eleven includes, each sound",
    top(
      `v=spf1 ${terms(11, (at) => `include:d${at}.example`)} +all`,
      names(11, () => [txt("v=spf1 -all")]),
    ),
    ...(["permerror", 11] as const),
  ],
  [
    "three names that are not there",
    top("v=spf1 a:x.example a:y.example a:z.example +all"),
    "permerror",
    4,
  ],
  [
    "void look-ups spread over includes",
    top(
      "v=spf1 a:x.example include:d0.example +all",
      names(2, (at) => [txt(`v=spf1 mx:v${at}.example include:d1.example -all`)]),
    ),
    ...(["permerror", 6] as const),
  ],
  [
    "eleven exchanges",
    top("v=spf1 mx:m.example +all", {
      "m.example": times(11, (at) => ({ MX: [at, `d${at}.example`] })),
      ...names(11, () => [stranger]),
    }),
    ...(["permerror", 2] as const),
  ],
  [
    "ten thousand exchanges",
    top("v=spf1 mx:m.example +all", {
      "m.example": times(10_000, (at) => ({ MX: [at, `d${at}.example`] })),
    }),
    ...(["permerror", 2] as const),
  ],
  [
    "the most that is allowed: ten times ten exchanges",
    top(`v=spf1 ${terms(10, (at) => `mx:m${at}.example`)} -all`, {
      ...Object.fromEntries(
        times(10, (at) => [`m${at}.example`, times(10, (n) => ({ MX: [n, `d${n}.example`] }))]),
      ),
      ...names(10, () => [stranger]),
    }),
    ...(["fail", 111] as const),
  ],
  [
    "ten thousand pointers, the client's own behind the tenth",
    top("v=spf1 ptr:d10.example -all", {
      [pointer]: times(10_000, (at) => ({ PTR: `d${at}.example` })),
      ...names(10, () => [stranger]),
      "d10.example": [{ A: "192.0.2.1" }],
    }),
    ...(["fail", 12] as const),
  ],
  [
    "pointers asked for again by each macro",
    top(`v=spf1 ${terms(9, (at) => `a:%{p}.d${at}.example`)} ptr:other.example -all`, {
      [pointer]: times(100, (at) => ({ PTR: `d${at}.example` })),
      ...names(10, () => [stranger]),
      ...Object.fromEntries(times(9, (at) => [`unknown.d${at}.example`, [stranger]])),
    }),
    ...(["fail", 21] as const),
  ],
  ["a pointer that times out", top("v=spf1 ptr -all", { [pointer]: ["TIMEOUT"] }), "fail", 2],
  [
    "a record as long as the DNS can carry",
    top(`v=spf1 ${"ip4:203.0.113.7 ".repeat(4000)}-all`),
    "fail",
    1,
  ],
  [
    "a term as long as the DNS can carry",
    top(`v=spf1 a:${"x".repeat(65_000)}.example -all`),
    "fail",
    2,
  ],
  [
    "names of sixteen thousand macros",
    top(
      `v=spf1 exists:${"%{s}".repeat(8000)}.example -exists:${"%{S}".repeat(8000)}.x.example -all`,
    ),
    ...(["fail", 3] as const),
  ],
  [
    "a record cut between two strings",
    { "d.example": [txt(["v=spf1 ip4:192.0.2.1", "+all"])] },
    "permerror",
    1,
  ],
  ["a version cut between two strings", { "d.example": [txt(["v=sp", "f1 -all"])] }, "fail", 1],
  ["a NUL after the version", top("v=spf1\0 +all"), "none", 1],
  ["a NUL in a term", top("v=spf1 a:d.exam\0ple +all"), "permerror", 1],
  ["eight-bit octets in a term", top("v=spf1 include:bänk.example +all"), "permerror", 1],
  ["line ends for spaces", top("v=spf1 ip4:192.0.2.1\r\n+all"), "permerror", 1],
  [
    "ten thousand records that are none",
    { "d.example": times(10_000, (at) => txt(`v=spf10 ${at} +all`)) },
    "none",
    1,
  ],
  [
    "ten thousand SPF records",
    { "d.example": times(10_000, () => txt("v=spf1 +all")) },
    "permerror",
    1,
  ],
  ["a server that fails", { "d.example": ["SERVFAIL"] }, "temperror", 1],
  ["silence", { "d.example": ["TIMEOUT"] }, "temperror", 1],
  [
    "silence three includes below",
    top("v=spf1 include:d0.example +all", {
      ...names(2, (at) => [txt(`v=spf1 include:d${at + 1}.example +all`)]),
      "d2.example": ["TIMEOUT"],
    }),
    ...(["temperror", 4] as const),
  ],
  [
    "a failure behind a redirect",
    top("v=spf1 redirect=e.example", { "e.example": ["SERVFAIL"] }),
    "temperror",
    2,
  ],
  [
    "a failure of an address",
    top("v=spf1 -a:e.example +all", { "e.example": ["SERVFAIL"] }),
    "temperror",
    2,
  ],
  [
    "a failure of exchanges",
    top("v=spf1 -mx:e.example +all", { "e.example": ["TIMEOUT"] }),
    "temperror",
    2,
  ],
  [
    "a failure of the last exchange's address",
    top("v=spf1 -mx:m.example +all", {
      "m.example": times(10, (at) => ({ MX: [at, `d${at}.example`] })),
      ...names(9, () => [stranger]),
      "d9.example": ["SERVFAIL"],
    }),
    ...(["temperror", 12] as const),
  ],
  [
    "a failure of exists",
    top("v=spf1 -exists:e.example +all", { "e.example": ["TIMEOUT"] }),
    "temperror",
    2,
  ],
  [
    "an include of nothing",
    top("v=spf1 include:e.example +all", { "e.example": [stranger] }),
    "permerror",
    2,
  ],
  [
    "a failing explanation",
    top("v=spf1 -all exp=e.example", { "e.example": ["TIMEOUT"] }),
    ...(["fail", 2] as const),
  ],
  [
    "an explanation as long as the DNS can carry",
    top("v=spf1 -all exp=e.example", { "e.example": [txt("%{S}%{P} ".repeat(7000))] }),
    ...(["fail", 3] as const),
  ],
];

const question = {
  ip: "192.0.2.1",
  helo: "d.example",
  mailFrom: "somebody@d.example",
  receiver: "mx.receiver.example",
};
const source = { kind: "direct", address: question.ip, helo: question.helo, passed: 0 } as const;
const header = parseHeader(Buffer.from("From: somebody@d.example\r\n\r\n"));
const asked = {
  header,
  mailFrom: "",
  source,
  receiver: question.receiver,
  mode: "rfc4407",
} as const;

type Counting = Resolver & { readonly queries: readonly unknown[] };
type Check = (resolver: Resolver, clock?: Clock) => Promise<{ result: SpfResult; why: string }>;

const spf: Check = (resolver, clock = systemClock) => checkSpf(question, resolver, clock);
const senderId: Check = (resolver, clock = systemClock) => checkSenderId(asked, resolver, clock);

/** The same zone with records of Sender ID's own kind. */
const ofSenderId = (zone: Zone): Zone =>
  Object.fromEntries(
    Object.entries(zone).map(([name, entries]) => [
      name,
      entries.map((entry) =>
        typeof entry === "object" && "TXT" in entry
          ? txt(
              [entry.TXT]
                .flat()
                .join("")
                .replace(/^v=spf1(?=[ 0\0])/, "spf2.0/pra"),
            )
          : entry,
      ),
    ]),
  );

async function judge(check: Check, resolver: Counting, expected: SpfResult, most: number) {
  const startedAt = performance.now();
  const { result, why } = await check(resolver);
  assert.equal(result, expected, why);
  assert.equal(resolver.queries.length, most, why);
  assert.ok(why.length < 1000);
  assert.ok(performance.now() - startedAt < 2000);
}

for (const [what, zone, expected, most] of zones) {
  test(`A6 ${what}: ${expected} after ${most} questions`, async () => {
    await judge(spf, zoneResolver(zone), expected, most);
    await judge(senderId, zoneResolver(zone), expected, most);
    await judge(senderId, zoneResolver(ofSenderId(zone)), expected, most);
  });
}

test("A6 there are at least 25 zones, and none of them ends with pass", () => {
  const results: readonly string[] = zones.map(([, , expected]) => expected);
  assert.ok(zones.length >= 25);
  assert.ok(!results.includes("pass"));
});

/** Answers from a zone, each after its time. */
function slowResolver(zone: Zone, clock: Clock, delayMs: number): Counting {
  const { query, queries } = zoneResolver(zone);
  const slow = <Type extends RecordType>(name: string, type: Type): Promise<DnsAnswer<Type>> =>
    new Promise((resolve) => void clock.after(delayMs, () => resolve(query(name, type))));
  return { cached: () => undefined, query: slow, queries };
}

for (const [name, check] of [
  ["SPF", spf],
  ["Sender ID", senderId],
] as const) {
  describe(`A6 time, ${name}`, () => {
    const slow = top(
      "v=spf1 a:d0.example a:d1.example a:d2.example +all",
      names(3, () => [stranger]),
    );

    for (const [delayMs, expected, asked] of [
      [4900, "pass", 4],
      [7000, "temperror", 2],
      [19_999, "temperror", 1],
      [25_000, "temperror", 0],
      [Number.MAX_SAFE_INTEGER, "temperror", 0],
    ] as const) {
      test(`answers after ${delayMs} ms each: ${expected}, at the latest after 20 s`, async () => {
        const clock = fakeClock();
        const resolver = slowResolver(slow, clock, delayMs);
        const verdict = check(resolver, clock);
        await clock.advance(20_000);
        assert.equal((await verdict).result, expected);
        assert.equal(resolver.queries.length, asked);
      });
    }
  });

  test(`A6 on the wire, ${name}: aliases in a ring, and records that fill a whole answer`, async () => {
    const long = "v=spf1 ".concat("ip4:203.0.113.7 ".repeat(3900));
    await using server = await startFakeDns(
      {
        "d.example": [txt(`v=spf1 include:long.example a:ring.example +all`)],
        "long.example": [txt(`${long}-all`)],
        "ring.example": [{ CNAME: "gnir.example" }],
        "gnir.example": [{ CNAME: "ring.example" }],
      },
      { leaveAliases: true },
    );
    const dns = createResolver({
      servers: [server.endpoint],
      clock: systemClock,
      random: systemRandom,
      timeoutMs: 5000,
      attempts: 1,
      cacheEntries: 100,
    });
    const { result, why } = await check(dns);
    assert.deepEqual([result, why], ["temperror", "A of ring.example: too many aliases"]);
    assert.equal(server.queries.length, 1 + 2 + 8); // the long one by UDP and TCP; eight hops
  });
}
