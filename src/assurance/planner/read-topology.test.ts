import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hostRules, layoutText, makePlan, readTopology, zoneRules } from "#assurance/planner";
import { Misconfigured } from "#base/errors";
import { pick as pickOf, seededRandom } from "#base/random";
import { manifests } from "./fixture.ts";

const base = layoutText("postern");

function faultOf(text: string): string {
  try {
    readTopology(text, "plan.toml");
  } catch (error) {
    assert.ok(error instanceof Misconfigured, String(error));
    return error.message;
  }
  return "";
}

describe("readTopology()", () => {
  const faults = [
    ["[zone", /^plan\.toml:1:\d+: /],
    ["x = 1", /\[x\] is not known/],
    [`["\\u001b]0;x\\u0007${"a".repeat(1000)}"]`, /: \[\?\]0;x\?a{54}\] is not known/],
    [`${base}[host.zone-firewall]\nzone = "dmz"\naddresses = ["192.0.2.9"]`, /plan rules/],
    ["[hosts.a]", /\[hosts\] is not known; did you mean \[host\]\?/],
    ["zone = 1", /write \[zone\]/],
    ["[zone]\ndmz = 1", /write \[zone\.NAME\]/],
    ["[host.a]", /there is no \[zone\.NAME\]/],
    [
      "[zone.dmz]\nnetwork = []",
      /plan\.toml:1: \[zone\.dmz\]: "network" is not known; did you mean networks\?/,
    ],
    ["[zone.dmz]", /networks must name a network/],
    ["[zone.other]\nnetworks = ['10.0.0.0/8']", /kind is missing/],
    ["[zone.internet]\nnetworks = ['10.0.0.0/8']", /it is the rest/],
    ["[zone.dmz]\nnetworks = ['10.0.0.1/8']", /"10\.0\.0\.1\/8" is not a network/],
    ["[zone.dmz]\nnetworks = ['10.0.0.0/33']", /is not a network/],
    [
      "[zone.dmz]\nnetworks = ['10.0.0.0/8']\n[zone.lan]\nnetworks = ['10.1.0.0/16']",
      /also lies in lan/,
    ],
    [`${base}[host.x]\nzone = "dmy"`, /"dmy" is not known; did you mean "dmz"\?/],
    [
      `${base}[host.x]\nzone = "dmz"\naddresses = ["10.20.0.9"]`,
      /10\.20\.0\.9 lies outside zone dmz/,
    ],
    [`${base}[host.x]\nzone = "dmz"\naddresses = ["192.0.2.10"]`, /"192\.0\.2\.10" stands twice/],
    [`${base}[host.lan]\nzone = "dmz"\naddresses = ["192.0.2.9"]`, /"lan" stands twice/],
    [
      `${base}[host.x]\nzone = "dmz"\naddresses = ["192.0.2.9"]\nroles = ["hubb"]`,
      /did you mean "hub"\?/,
    ],
    [
      `${base}[host.x]\nzone = "dmz"\naddresses = ["192.0.2.9"]\ndirectory = ["hub"]`,
      /no domain-controller/,
    ],
    [`${base}[link.a]\nbetween = ["hub"]\nby = "ipsec"`, /must have two entries/],
    [`${base}[link.a]\nbetween = ["hub", "hub"]\nby = "ipsec"`, /names the same end twice/],
    [`${base}[link.a]\nbetween = ["hub", "edge"]\nby = "vlan"`, /vlan is missing/],
    [`${base}[link.a]\nbetween = ["hub", "edge"]\nby = "wireguard"`, /tunnel is missing/],
    [`${base}[ports]\nsmtp = 0`, /smtp must be a whole number from 1 to 65535/],
    [`${base}[provider]\nranges = ["provider.example"]`, /is not a network/],
    [`${base}[flow.a]\nfrom = "hub"\nto = "edge"\nports = ["70000/tcp"]`, /is not ports as/],
  ] as const;
  for (const [text, expected] of faults) {
    test(`says what is wrong: ${expected.source}`, () => assert.match(faultOf(text), expected));
  }

  test("names the line of a wrong key", () => {
    const text = base.replace('zone = "inside"', 'zone = "outside"');
    const line = text.split("\n").indexOf('zone = "outside"') + 1;
    assert.match(faultOf(text), new RegExp(`^plan\\.toml:${line}: \\[host\\.hub\\] zone`));
  });

  test("no name or sentence can leave its place in a generated rule", () => {
    const escapes = [
      '"a b"',
      '"a\\n"',
      '"a;drop"',
      '"A"',
      '"-a"',
      '"a}"',
      '"ü"',
      '""',
      '"a#b"',
      '"__proto__"',
    ];
    for (const name of escapes) {
      const host = `[host.${name}]\nzone = "dmz"\naddresses = ["192.0.2.99"]`;
      assert.match(faultOf(`${base}${host}`), /a name is a lower-case letter/, name);
      const zone = `[zone.${name}]\nkind = "lan"\nnetworks = ["10.99.0.0/16"]`;
      assert.notEqual(faultOf(`${base}${zone}`), "", name);
    }
    for (const sentence of ["two\\nlines", "a\\u2028b", "a\\u0000", "a\\rb", ""]) {
      const flow = `[flow.a]\nfrom = "hub"\nto = "edge"\nports = ["1/tcp"]\nreason = "${sentence}"\nbreaks = "x"`;
      assert.match(faultOf(`${base}${flow}`), /reason must be one line/, sentence);
    }
    assert.match(
      faultOf(base.replace("[zone.dmz]", '[zone.dmz]\ninterface = "eth0\\"; drop"')),
      /must be an interface name/,
    );
  });

  test("a sentence that is let through stays a comment of one line", () => {
    const reason = '"; } accept # \\"quoted\\" ${x} `y` */';
    const text = `${base}[flow.a]\nfrom = "hub"\nto = "edge"\nports = ["1/tcp"]\nreason = ${JSON.stringify(reason)}\nbreaks = "x"`;
    const plan = makePlan(readTopology(text, "x"), manifests);
    for (const rules of [hostRules(plan, "hub"), zoneRules(plan)]) {
      const holding = rules.split("\n").filter((line) => line.includes("quoted"));
      assert.ok(holding.length > 0 && holding.every((line) => line.trimStart().startsWith("#")));
    }
  });

  test("3,000 damaged files are read or refused with words, never worse", () => {
    const random = seededRandom(5);
    const pieces = [
      "[",
      "]",
      '"',
      "=",
      "\n",
      "host",
      "zone",
      ".",
      "0",
      "-1",
      "[[",
      "{",
      "}",
      "\u0000",
      "ü",
      "'",
    ];
    const whole = `${base}[link.a]\nbetween = ["lan", "hub"]\nby = "ipsec"\n[provider]\nranges = ["203.0.113.0/24"]\n`;
    const pick = (below: number): number => pickOf(random, below);
    let readable = 0;
    for (let round = 0; round < 3000; round += 1) {
      let text = whole;
      for (let edits = pick(4) + 1; edits > 0; edits -= 1) {
        const at = pick(text.length);
        const piece = pieces[pick(pieces.length)] ?? "";
        text = text.slice(0, at) + piece + text.slice(at + pick(6));
      }
      const fault = faultOf(text);
      assert.ok(fault.length < 1000 && !fault.includes("\u0000"));
      if (fault === "") readable += 1;
    }
    assert.ok(readable > 0);
  });
});
