/** A second opinion on generated records and questions: pyspf, of the Debian package python3-spf. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "#base/clock";
import { pick, type Random, seededRandom } from "#base/random";
import { checkSpf } from "#identity/spf";
import type { SpfVerdict } from "#model/verdict";
import { type Zone, type ZoneEntry, zoneResolver } from "../../../tests/kit/fake-dns.ts";

const python = "/usr/bin/python3";
const installed = existsSync("/usr/lib/python3/dist-packages/spf.py");
const driver = fileURLToPath(new URL("../../../tests/conformance/spf/pyspf.py", import.meta.url));
const rounds = 600;

interface Case {
  readonly zone: Zone;
  readonly ip: string;
  readonly helo: string;
  readonly mailFrom: string;
}

interface Opinion {
  readonly result: string;
  /** Of an error, which one it is. */
  readonly explanation: string;
}

/** Where the two differ, and why ours stands. */
const reasons: readonly (readonly [
  string,
  (ours: SpfVerdict, theirs: Opinion, asked: Case) => boolean,
])[] = [
  [
    "pyspf refuses a record that includes itself before it looks at any term; RFC 7208 §4.6 evaluates from left to right, and a term before it decided",
    (_, theirs) => isError(theirs, "trivial recursion"),
  ],
  [
    "pyspf counts each question without an answer; RFC 7208 §4.6.4 counts terms, so an exchange without address or an include without record is none",
    (_, theirs) => isError(theirs, "Void lookup limit"),
  ],
  [
    "pyspf follows aliases itself and takes a ring of them for no record; a resolver fails (RFC 1034 §3.6.2), which is temperror (RFC 7208 §4.4)",
    (ours, _, { zone }) =>
      ours.result === "temperror" &&
      Object.keys(zone).some((name) => ours.why.includes(` of ${name}:`) && isRing(zone, name)),
  ],
  [
    "pyspf gives up when the name of a pointer has no answer; RFC 7208 §5.5 passes over that name",
    (_, theirs, { zone }) =>
      theirs.result === "temperror" && fails(zone["1.2.0.192.in-addr.arpa"], zone, "PTR"),
  ],
  [
    "pyspf asks for the addresses of all exchanges before it compares; ours stops at the first that matches",
    (_, theirs, { zone }) =>
      theirs.result === "temperror" &&
      Object.values(zone).some((entries) => fails(entries, zone, "MX")),
  ],
];

function isError({ result, explanation }: Opinion, text: string): boolean {
  return result === "permerror" && explanation.includes(text);
}

/** Does a record of the type lead to a name whose questions fail? */
function fails(entries: readonly ZoneEntry[] = [], zone: Zone, type: "PTR" | "MX"): boolean {
  return entries.some((entry) => {
    if (typeof entry !== "object" || !(type in entry)) return false;
    const [target] = zone[String([entry[type]].flat().at(-1))] ?? [];
    return typeof target === "string" || (target !== undefined && "CNAME" in target);
  });
}

function isRing(zone: Zone, start: string): boolean {
  const passed = new Set<string>();
  for (let name = start; !passed.has(name); ) {
    passed.add(name);
    const alias = zone[name]?.find((entry) => typeof entry === "object" && "CNAME" in entry);
    if (typeof alias !== "object") return false;
    name = String(alias.CNAME);
  }
  return true;
}

const addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.65", "2001:db8::1", "2001:db8:0:1::2"];
const owners = [
  "d.example",
  "e.example",
  "f.example",
  "g.example",
  "mail.h.example",
  "void.example",
];

function generate(random: Random): Case {
  const one = <Item>(items: readonly Item[]): Item => items[pick(random, items.length)] as Item;
  const some = <Item>(most: number, make: () => Item): Item[] =>
    Array.from({ length: pick(random, most + 1) }, make);
  const length = (): string => one(["", "", "/24", "/31", "/0", "/32"]);
  const bits6 = (): string => one(["", "", "//64", "//128", "//0"]);
  const name = (): string =>
    one([
      ...owners,
      ...owners,
      "%{d}",
      "%{o}",
      "%{h}",
      "%{l}.x.example",
      "%{ir}.%{v}.x.example",
      "%{p}",
    ]);
  const target = (): string => one(["", `:${name()}`]);
  const network = (): string =>
    one([
      `ip4:192.0.2.${pick(random, 80)}${length()}`,
      `ip6:2001:db8::${one(["", "/32", "/64", "/127"])}`,
    ]);
  const odd = [
    "a:",
    "ip4:1.2.3",
    "all:x",
    "include",
    "mx/33",
    "exists:%{x}.example",
    "what",
    "redirect=",
  ];
  const term = (): string => {
    const sign = one(["", "", "+", "-", "~", "?"]);
    if (pick(random, 60) === 0) return one(odd);
    return (
      sign +
      one([
        () => network(),
        () => network(),
        () => `a${target()}${length()}${bits6()}`,
        () => `mx${target()}${length()}${bits6()}`,
        () => `include:${name()}`,
        () => `exists:${name()}`,
        () => `ptr${target()}`,
        () => "all",
      ])()
    );
  };
  const record = (): ZoneEntry => {
    const end = one([
      "",
      " -all",
      " ~all",
      " ?all",
      " -all exp=why.example",
      ` redirect=${name()}`,
    ]);
    return { TXT: `v=spf1 ${some(4, term).join(" ")}${end}` };
  };
  const address = (): ZoneEntry => {
    const text = one(addresses);
    return text.includes(":") ? { AAAA: text } : { A: text };
  };
  const entries = (): readonly ZoneEntry[] => {
    const chance = pick(random, 30);
    if (chance === 0) return [one(["TIMEOUT", "SERVFAIL"])];
    if (chance === 1) return [{ CNAME: one(owners) }];
    return [
      ...(pick(random, 8) > 0 ? [record()] : []),
      ...(pick(random, 20) === 0 ? [record()] : []),
      ...some(2, address),
      ...some(2, (): ZoneEntry => ({ MX: [10, one(owners)] })),
    ];
  };
  const zone: Record<string, readonly ZoneEntry[]> = {};
  for (const owner of owners.slice(0, -1)) zone[owner] = entries();
  zone["why.example"] = [{ TXT: "%{i} is not %{o}, says %{r}" }];
  zone["1.2.0.192.in-addr.arpa"] = some(2, (): ZoneEntry => ({ PTR: one(owners) }));
  const [ip, helo] = [one(addresses), one(owners)];
  return { zone, ip, helo, mailFrom: one(["a@d.example", "a@d.example", "a.b-c@e.example", ""]) };
}

test(`pyspf gives the same result on ${rounds} generated questions, but for the listed reasons`, {
  skip: installed ? false : "the Debian package python3-spf is not installed",
}, async (context) => {
  const random = seededRandom(7208);
  const cases = Array.from({ length: rounds }, () => generate(random));
  const run = spawnSync(python, ["-I", driver], { input: JSON.stringify(cases), encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  const theirs: readonly Opinion[] = JSON.parse(run.stdout);
  const counts = new Map<string, number>();
  for (const [index, one] of cases.entries()) {
    const their = theirs[index] ?? assert.fail();
    const question = { ...one, receiver: "receiver.example" };
    const ours = await checkSpf(question, zoneResolver(one.zone), systemClock);
    const same =
      ours.result === their.result &&
      (ours.result !== "fail" || (ours.explanation ?? "DEFAULT") === their.explanation);
    const reason = same
      ? `both ${ours.result}`
      : reasons.find(([, explains]) => explains(ours, their, one))?.[0];
    if (reason === undefined) assert.fail(JSON.stringify({ one, ours, their }, null, 1));
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  for (const [reason, count] of counts) context.diagnostic(`${count}: ${reason}`);
  const differing = reasons.reduce((sum, [reason]) => sum + (counts.get(reason) ?? 0), 0);
  assert.ok(differing < rounds / 20, "the reasons are for corners");
});
