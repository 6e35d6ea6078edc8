import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  blastRadii,
  csvText,
  findingsOf,
  layoutNames,
  layoutText,
  layoutTopology,
  makePlan,
  openCount,
  type Plan,
  pictureText,
  readTopology,
  serviceText,
} from "#assurance/planner";
import { manifests } from "./fixture.ts";

const named = (name: (typeof layoutNames)[number]): Plan =>
  makePlan(layoutTopology(name), manifests);

const changed = (name: (typeof layoutNames)[number], more: string): Plan =>
  makePlan(readTopology(`${layoutText(name)}\n${more}`, name), manifests);

const between = (plan: Plan, from: string, to: string): readonly string[] =>
  plan.flows.filter((flow) => flow.from.name === from && flow.to.name === to).map(serviceText);

const levels = (plan: Plan, capability: string): readonly string[] =>
  findingsOf(plan, manifests)
    .filter((one) => one.capability === capability)
    .map(({ level }) => level);

/** The seed's lists, word for word as ports. */
const toDirectory = "53/udp 53/tcp 88/udp 88/tcp 135/tcp 389/tcp 3268/tcp 1025-65535/tcp".split(
  " ",
);
const toBackEnd = ["25/tcp", "80/tcp", "110/tcp", "143/tcp", "691/tcp"];

describe("port matrix of the legacy layout", () => {
  test("CAP-5 to the domain controllers is the seed's list, and nothing else", () => {
    assert.deepEqual(between(named("legacy"), "front-end", "dc1"), toDirectory);
  });

  test("CAP-6 to the back end is the seed's list, and nothing else", () => {
    const plan = named("legacy");
    assert.deepEqual(between(plan, "front-end", "back-end"), toBackEnd);
    const rest = plan.holes.filter(({ to }) => to.name !== "dc1" && to.name !== "back-end");
    assert.deepEqual([plan.holes.length, rest], [13, []]);
  });

  test("a port to the back end opens only for what the front end is used for", () => {
    const text = layoutText("legacy").replace(/^services = .*$/m, 'services = ["owa"]');
    const plan = makePlan(readTopology(text, "owa"), manifests);
    assert.deepEqual(between(plan, "front-end", "back-end"), ["80/tcp", "691/tcp"]);
    assert.deepEqual(plan.listeners.map(serviceText), ["443/tcp"]);
  });

  test("CAP-7 a static RPC port takes the place of the range", () => {
    const plan = changed("legacy", "[legacy]\nrpcPort = 4900");
    assert.equal(between(plan, "front-end", "dc1").at(-1), "4900/tcp");
    assert.deepEqual([openCount(plan.holes), levels(plan, "CAP-7")], [13, []]);
    assert.deepEqual(levels(named("legacy"), "CAP-7"), ["critical"]);
  });

  test("CAP-8 pinned directory hosts are the only ones asked", () => {
    const other =
      '[host.dc2]\nzone="inside"\naddresses=["10.20.0.21"]\nroles=["domain-controller"]';
    const loose = changed("legacy", other);
    assert.equal(between(loose, "front-end", "dc2").length, 8);
    assert.deepEqual(levels(loose, "CAP-8"), ["warning", "warning"]);
    const text = `${layoutText("legacy").replace(/^# directory = .*$/m, 'directory = ["dc2"]')}\n${other}`;
    const pinned = makePlan(readTopology(text, "pinned"), manifests);
    assert.deepEqual(between(pinned, "front-end", "dc1"), []);
    assert.equal(between(pinned, "front-end", "dc2").length, 8);
  });

  test("CAP-9 IPsec takes the place of the ports; AH is named obsolete", () => {
    const link = '[link.domain]\nbetween = ["front-end", "dc1"]\nby = "ipsec"\n';
    const plan = changed("legacy", link);
    const holes = plan.holes.filter(({ to }) => to.name === "dc1").map(serviceText);
    assert.deepEqual(holes, ["500/udp", "4500/udp", "esp"]);
    const hidden = plan.flows.filter(({ inside }) => inside === "domain").map(serviceText);
    assert.deepEqual(hidden, toDirectory);
    assert.deepEqual(levels(plan, "CAP-9"), []);
    const old = changed("legacy", `${link}ah = true`);
    assert.deepEqual(
      [old.holes.map(serviceText).includes("ah"), levels(old, "CAP-9")],
      [true, ["warning"]],
    );
  });

  test("CAP-10 a selector from anything to anything is critical, and worse than the ports", () => {
    const link = '[link.domain]\nbetween = ["front-end", "dc1"]\nby = "ipsec"\nselectors = "any"';
    const plan = changed("legacy", link);
    assert.deepEqual(levels(plan, "CAP-10"), ["critical"]);
    const radius = blastRadii(plan).find(({ host }) => host === "front-end");
    assert.ok(
      radius?.direct.some(({ host, service }) => host === "dc1" && service === "every port"),
    );
  });

  test("CAP-3 CAP-12 the front end in the DMZ is critical, and reaches inside when taken", () => {
    const plan = named("legacy");
    assert.deepEqual(levels(plan, "CAP-3"), ["critical"]);
    const radius = blastRadii(plan).find(({ host }) => host === "front-end");
    assert.equal(radius?.direct.filter(({ inside }) => inside).length, 13);
  });
});

describe("plan of our own layout", () => {
  test("CAP-6 opens 0 ports from the DMZ to the inside", () => {
    assert.deepEqual(named("postern").holes, []);
    assert.equal(named("proxy").holes.length, 1);
  });

  test("CAP-12 a taken edge reaches nothing inside, not even through others", () => {
    for (const { zone, direct, worst } of blastRadii(named("postern"))) {
      if (zone !== "dmz") continue;
      assert.deepEqual(
        [...direct, ...worst].filter(({ inside }) => inside),
        [],
      );
    }
  });

  test("CAP-4 CAP-11 every external listener is listed, all of them on the edge: 25 and 443", () => {
    const { listeners } = named("postern");
    assert.deepEqual(
      listeners.map(({ to }) => to.zone),
      ["dmz", "dmz"],
    );
    assert.deepEqual(listeners.map(serviceText), ["25/tcp", "443/tcp"]);
    const published = changed("postern", '[mail]\npublish = ["imaps"]\nredirect = true');
    assert.deepEqual(published.listeners.map(serviceText), [
      "25/tcp",
      "443/tcp",
      "80/tcp",
      "993/tcp",
    ]);
  });

  test("CAP-3 an inside role on the edge is critical", () => {
    const text = layoutText("postern").replace(
      'roles = ["edge-smtp", "edge-web"]',
      'roles = ["edge-web", "keyring"]',
    );
    const plan = makePlan(readTopology(text, "misplaced"), manifests);
    assert.deepEqual(levels(plan, "CAP-3"), ["critical"]);
    assert.deepEqual(plan.misplaced, ["keyring on edge"]);
  });

  test("CAP-13 with a managed provider, port 25 is open to its ranges alone", () => {
    const plan = changed("postern", '[provider]\nranges = ["203.0.113.0/24"]\nrelays = true');
    const only = plan.flows.filter(({ what }) => what === "SMTP").map((flow) => flow.only);
    assert.deepEqual(only, [["203.0.113.0/24"], ["203.0.113.0/24"]]);
  });

  test("a hole that the administrator adds is counted like any other", () => {
    const flow =
      '[flow.logs]\nfrom = "edge"\nto = "hub"\nports = ["514/udp"]\nreason = "logs"\nbreaks = "no logs"';
    const plan = changed("postern", flow);
    assert.deepEqual(plan.holes.map(serviceText), ["514/udp"]);
    assert.deepEqual(levels(plan, "CAP-12"), ["warning"]);
  });

  test("a listener that a manifest gains and the plan does not know is a finding", () => {
    const grown = manifests.map((one) =>
      one.name === "edge-web" ? { ...one, listens: [...one.listens, "gopher"] } : one,
    );
    const found = findingsOf(named("postern"), grown).map(({ text }) => text);
    assert.ok(found.some((text) => text.startsWith("edge-web listens: gopher")));
    assert.ok(!findingsOf(named("postern"), manifests).some(({ level }) => level !== "note"));
  });

  test("a program that no longer listens loses its flow", () => {
    const shrunk = manifests.map((one) => (one.name === "hub" ? { ...one, listens: [] } : one));
    assert.deepEqual(between(makePlan(layoutTopology("postern"), shrunk), "lan", "hub"), []);
  });

  test("every flow tells its reason and what breaks without it", () => {
    for (const name of layoutNames) {
      for (const { reason, breaks } of named(name).flows) assert.ok(reason !== "" && breaks !== "");
    }
  });
});

describe("csvText() and pictureText()", () => {
  const hostile = (text: string): Plan =>
    changed(
      "postern",
      `[flow.x]\nfrom = "edge"\nto = "internet"\nports = ["1/tcp"]\nreason = ${JSON.stringify(text)}\nbreaks = "x"`,
    );

  test("no cell begins like a formula, and quotes stay inside", () => {
    const text = csvText(hostile('=HYPERLINK("https://example.net","a")'));
    assert.ok(text.includes(`"'=HYPERLINK(""https://example.net"",""a"")"`));
    assert.ok(text.split("\r\n").every((line) => line === "" || /^"[a-z]/.test(line)));
  });

  test("the picture is one well-formed document in both colour schemes", () => {
    for (const name of layoutNames) {
      const text = pictureText({
        ...named(name),
        topology: { ...layoutTopology(name), name: "<a&b>" },
      });
      assert.ok(text.includes("prefers-color-scheme:dark") && text.includes("&lt;a&amp;b&gt;"));
      assert.ok(!/NaN|undefined|<a/.test(text));
    }
  });
});
