import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { OutboundConnector } from "#model/connector";
import { chooseOutbound, defaultOutbound, formatSpace, parseSpace } from "./index.ts";

function connector(name: string, spaces: readonly string[], cost = 0): OutboundConnector {
  const read = spaces.map((text) => parseSpace(text) ?? assert.fail(text));
  return { ...defaultOutbound, name, spaces: read, cost };
}

describe("parseSpace()", () => {
  const read = [
    ["example.net", "example.net"],
    ["Example.NET.", "example.net"],
    [".example.net", ".example.net"],
    [".Bücher.example.", ".xn--bcher-kva.example"],
    ["localhost", "localhost"],
    ["*", "*"],
  ] as const;
  for (const [text, expected] of read) {
    test(`reads ${text} as ${expected}`, () => {
      const space = parseSpace(text);
      assert.ok(space);
      assert.equal(formatSpace(space), expected);
    });
  }

  test("refuses what is no space", () => {
    const none = ["", ".", "..", "*.example.net", "..a", "a..b", "a b", "a@b", "[192.0.2.1]", "-a"];
    for (const text of none) assert.equal(parseSpace(text), undefined, text);
  });

  test("never throws, whatever it is given", () => {
    const random = seededRandom(421);
    const alphabet = ["a", "B", ".", "*", "-", "ü", "\0", "[", "]", "%", "xn--", "\ud800", " "];
    for (let round = 0; round < 20_000; round += 1) {
      const letters = Array.from({ length: pick(random, 12) }, () => alphabet[pick(random, 13)]);
      const space = parseSpace(letters.join(""));
      if (space) assert.deepEqual(parseSpace(formatSpace(space)), space);
    }
  });
});

describe("chooseOutbound()", () => {
  const connectors = [
    connector("all", ["*"]),
    connector("exact", ["example.net", "bücher.example"]),
    connector("below", [".example.net"]),
    connector("deep", [".mail.example.net"]),
    connector("dear", ["partner.example"], 10),
    connector("cheap", ["partner.example"], 5),
  ];
  const cases = [
    ["example.net", "exact"],
    ["EXAMPLE.net.", "exact"],
    ["bücher.example", "exact"],
    ["xn--bcher-kva.example", "exact"],
    ["mail.example.net", "below"],
    ["a.mail.example.net", "deep"],
    ["notexample.net", "all"],
    ["example.net.evil.example", "all"],
    ["partner.example", "cheap"],
    ["[192.0.2.1]", "all"],
    ["[IPv6:2001:db8::1]", "all"],
    ["", "all"],
  ] as const;
  for (const [domain, expected] of cases) {
    test(`CAP-42 sends ${domain || "no domain"} by ${expected}`, () => {
      assert.equal(chooseOutbound(connectors, domain)?.name, expected);
    });
  }

  test("CAP-42 leaves domains alone that no connector lists", () => {
    const listed = connectors.filter(({ name }) => name !== "all");
    for (const domain of ["example.org", "net", "[192.0.2.1]", "example.net.org"]) {
      assert.equal(chooseOutbound(listed, domain), undefined, domain);
    }
  });

  test("CAP-42 takes the first name when spaces and costs are equal, in any order", () => {
    const twins = [connector("b", ["*"]), connector("a", ["*"]), connector("c", ["*"])];
    assert.equal(chooseOutbound(twins, "a.example")?.name, "a");
    assert.equal(chooseOutbound(twins.toReversed(), "a.example")?.name, "a");
  });

  test("CAP-42 agrees with a plain reading of the rule on 30,000 random sets", (t) => {
    const random = seededRandom(42);
    let chosen = 0;
    for (let round = 0; round < 3_000; round += 1) {
      const set = Array.from({ length: 1 + pick(random, 6) }, (_, index) =>
        connector(
          `c${index}`,
          Array.from({ length: 1 + pick(random, 3) }, () => randomSpace(random)),
          pick(random, 3),
        ),
      );
      for (let asked = 0; asked < 10; asked += 1) {
        const domain = randomName(random, 4);
        const expected = plainly(set, domain);
        assert.equal(chooseOutbound(set, domain)?.name, expected, domain);
        if (expected !== undefined) chosen += 1;
      }
    }
    t.diagnostic(`30,000 look-ups, ${chosen} of them with a connector`);
    assert.ok(chosen > 10_000 && chosen < 30_000, `${chosen}`);
  });
});

type Seeded = ReturnType<typeof seededRandom>;

/** Few labels, so that names meet. */
function randomName(random: Seeded, most: number): string {
  const labels = Array.from({ length: 1 + pick(random, most) }, () => "abc"[pick(random, 3)]);
  return labels.join(".");
}

function randomSpace(random: Seeded): string {
  const kind = pick(random, 5);
  if (kind === 0) return "*";
  return kind < 3 ? randomName(random, 3) : `.${randomName(random, 3)}`;
}

/** The rule once more, label by label: the name itself, then each name above it, then "*". */
function plainly(set: readonly OutboundConnector[], domain: string): string | undefined {
  const labels = domain.split(".");
  const above = labels.slice(1).map((_, index) => `.${labels.slice(index + 1).join(".")}`);
  for (const wanted of [domain, ...above, "*"]) {
    const holders = set.filter(({ spaces }) => spaces.map(formatSpace).includes(wanted));
    const cost = Math.min(...holders.map((holder) => holder.cost));
    const names = holders.filter((holder) => holder.cost === cost).map(({ name }) => name);
    if (names.length > 0) return names.sort()[0];
  }
  return undefined;
}
