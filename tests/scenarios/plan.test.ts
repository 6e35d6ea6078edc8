/** The plan against real firewalls: generated rules on every host and on the router between zones. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { layoutText, readTopology } from "#assurance/planner";
import { application } from "../kit/installation.ts";
import { makeNetwork, type Namespace, type Network, namespacesMissing } from "../kit/namespaces.ts";
import { type Guest, networkPlanOf } from "../kit/planned-network.ts";

const skip = namespacesMissing;
const node = process.execPath;

/** What the hosts have switched on, though the plan wants little of it. */
const listening = [
  22, 25, 53, 80, 110, 143, 443, 465, 514, 587, 636, 993, 995, 2526, 2527, 3268, 5432, 8080, 40_000,
];

const zoned = layoutText("postern")
  .replace("[zone.internet]", '[zone.internet]\ninterface = "zone0"')
  .replace("[zone.dmz]", '[zone.dmz]\ninterface = "zone1"')
  .replace("[zone.inside]", '[zone.inside]\ninterface = "zone2"');
const variants = {
  plain: zoned,
  published: `${zoned}\n[mail]\npublish = ["imaps", "submissions"]\nredirect = true\n`,
  provider: `${zoned}\n[provider]\nranges = ["203.0.113.0/24"]\nrelays = true\n`,
};
type Variant = keyof typeof variants;

const guests: readonly Guest[] = [
  { name: "stranger", zone: "internet", addresses: ["198.51.100.9", "2001:db8:ffff::9"] },
  { name: "provider", zone: "internet", addresses: ["203.0.113.9"] },
  { name: "laptop", zone: "lan", addresses: ["10.30.0.9", "fd30::9"] },
  { name: "desk", zone: "admin", addresses: ["10.40.0.9", "fd40::9"] },
];
const planned = ["edge", "resolver", "hub"];
const edge = ["192.0.2.10", "2001:db8:2::10"] as const;
const hub = ["10.20.0.10", "fd20::10"] as const;

const folder = mkdtempSync(join(tmpdir(), "postern-plan-"));
const fileOf = (variant: Variant): string => join(folder, `${variant}.toml`);
const rulesOf = (variant: Variant, name: string): string =>
  readFileSync(join(folder, variant, `${name}.nft`), "utf8");
let network: Network;

before(async () => {
  if (skip !== false) return;
  network = makeNetwork(networkPlanOf(readTopology(zoned, "plan"), guests));
  for (const [name, text] of Object.entries(variants)) {
    const variant = name as Variant;
    writeFileSync(fileOf(variant), text);
    const ran = await postern(
      network.router,
      "rules",
      fileOf(variant),
      "--into",
      join(folder, variant),
    );
    assert.equal(ran.code, 0, ran.stderr);
  }
  const names = [...planned, ...guests.map(({ name }) => name)];
  await Promise.all(names.map((name) => hold(network.host(name), listening)));
});

after(async () => {
  await network?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function hold(host: Namespace, ports: readonly number[]): Promise<void> {
  const program = join(application, "tests/kit/port-holder.ts");
  const child = host.start(node, [program, ...ports.map(String)]);
  assert.ok(child.stdout !== null);
  await once(child.stdout, "data");
}

function postern(where: Namespace, ...args: string[]): ReturnType<Namespace["run"]> {
  const program = join(application, "programs/postern.ts");
  return where.run(node, [program, "--data", folder, "plan", ...args], { timeoutMs: 120_000 });
}

function load(variant: Variant): void {
  network.router.loadRules(rulesOf(variant, "zone-firewall"));
  for (const name of planned) network.host(name).loadRules(rulesOf(variant, name));
}

/** TCP connects to all 65,535 ports, or to those that the hosts have switched on. */
async function scan(from: string, address: string, what: "all" | "listening"): Promise<number[]> {
  const program = join(application, "tests/kit/port-scan.ts");
  const ports = what === "all" ? ["all"] : listening.map(String);
  const args = [program, address, "1500", ...ports];
  const ran = await network.host(from).run(node, args, { timeoutMs: 170_000 });
  assert.equal(ran.code, 0, ran.stderr);
  return JSON.parse(ran.stdout) as number[];
}

describe("generated rules on every host and on the router", { skip }, () => {
  test("every file of every layout is what nft accepts", async () => {
    const links = `${zoned}
[host.directory]\nzone = "inside"\naddresses = ["10.20.0.30", "fd20::30"]\nroles = ["directory-server"]
[host.router]\nzone = "dmz"\naddresses = ["192.0.2.1"]\nroles = ["router"]
[link.lan]\nbetween = ["lan", "hub"]\nby = "ipsec"\nhybrid = true
[link.directory]\nbetween = ["hub", "directory"]\nby = "vlan"\nvlan = 20
[link.servers]\nbetween = ["hub", "edge"]\nby = "wireguard"\ntunnel = ["10.99.0.1", "10.99.0.2"]
publicKeys = ["${"A".repeat(43)}=", "${"B".repeat(43)}="]\n`;
    const files: string[] = [];
    for (const [name, text] of Object.entries({ ...variants, links })) {
      writeFileSync(join(folder, `${name}.toml`), text);
      const into = join(folder, name);
      const ran = await postern(
        network.router,
        "rules",
        join(folder, `${name}.toml`),
        "--into",
        into,
      );
      assert.equal(ran.code, 0, ran.stderr);
      files.push(...ran.stdout.trim().split("\n"));
    }
    for (const layout of ["legacy", "proxy"]) {
      const into = join(folder, layout);
      const ran = await postern(network.router, "rules", "--layout", layout, "--into", into);
      files.push(...ran.stdout.trim().split("\n"));
    }
    const rules = files.filter((file) => file.endsWith(".nft"));
    for (const file of rules) {
      const ran = await network.router.run("nft", ["-c", "-f", file]);
      assert.equal(ran.code, 0, `${file}: ${ran.stderr}`);
    }
    assert.equal(rules.length, 4 + 4 + 4 + 6 + 4 + 5);
  });

  test("CAP-11 a scan of all TCP ports from the Internet finds 25 and 443 and nothing else", async () => {
    load("plain");
    assert.deepEqual(await scan("stranger", edge[0], "all"), [25, 443]);
    assert.deepEqual(await scan("stranger", edge[1], "listening"), [25, 443]);
    for (const address of [...hub, "192.0.2.53", "2001:db8:2::53", "10.30.0.9", "fd40::9"]) {
      assert.deepEqual(await scan("stranger", address, "listening"), [], address);
    }
  });

  test("CAP-11 published protocols open because the plan says so, and only those", async () => {
    load("published");
    assert.deepEqual(await scan("stranger", edge[0], "listening"), [25, 80, 443, 465, 993]);
    assert.deepEqual(await scan("stranger", edge[1], "listening"), [25, 80, 443, 465, 993]);
  });

  test("CAP-12 from a taken edge nothing inside can be reached, its own rules thrown away", async () => {
    load("plain");
    assert.deepEqual(await scan("edge", hub[0], "listening"), []);
    await network.host("edge").run("nft", ["flush", "ruleset"]);
    assert.deepEqual(await scan("edge", hub[0], "all"), []);
    for (const address of [hub[1], "10.30.0.9", "fd30::9", "10.40.0.9", "fd40::9"]) {
      assert.deepEqual(await scan("edge", address, "listening"), [], address);
    }
    await network.router.run("nft", ["flush", "ruleset"]);
    const alone = await scan("edge", hub[0], "listening");
    assert.deepEqual(alone, [], "the rules of the hub hold without those of the router");
  });

  test("CAP-6 the link from the inside to the edge carries data both ways, and people get in", async () => {
    load("plain");
    assert.deepEqual(await scan("hub", edge[0], "listening"), [2526, 2527]);
    assert.deepEqual(await scan("hub", edge[1], "listening"), [2526, 2527]);
    assert.deepEqual(await scan("laptop", hub[1], "listening"), [465, 993]);
    assert.deepEqual(await scan("laptop", edge[0], "listening"), [443]);
    assert.deepEqual(await scan("desk", hub[0], "listening"), [22]);
    // Mail, and the policies of other domains (RFC 8461).
    assert.deepEqual(await scan("edge", "198.51.100.9", "listening"), [25, 443]);
  });

  test("CAP-13 with a managed provider, others are refused on port 25 and counted", async () => {
    load("provider");
    assert.deepEqual(await scan("provider", edge[0], "listening"), [25, 443]);
    assert.deepEqual(await scan("stranger", edge[0], "listening"), [443]);
    assert.deepEqual(await scan("edge", "198.51.100.9", "listening"), [443]);
    assert.deepEqual(await scan("edge", "203.0.113.9", "listening"), [25, 443]);
    await network.router.run("nft", ["flush", "ruleset"]);
    assert.deepEqual(await scan("stranger", edge[0], "listening"), [443]);
    const { stdout } = await network.host("edge").run("nft", ["list", "ruleset"]);
    const counted = /counter packets (\d+) bytes \d+ drop comment "not from the provider"/.exec(
      stdout,
    );
    assert.ok(Number(counted?.[1]) >= 1, stdout);
  });

  test("a packet that pretends to come from inside is dropped at the outer side of the router", async () => {
    load("plain");
    const { namespace } = network.host("stranger");
    const ip = (...args: string[]): ReturnType<Namespace["run"]> =>
      network.router.run("ip", ["-n", namespace, ...args]);
    await ip("address", "add", "10.20.0.99/32", "dev", "eth0");
    await ip("route", "replace", "192.0.2.0/24", "via", "198.51.100.1", "src", "10.20.0.99");
    assert.deepEqual(await scan("stranger", edge[0], "listening"), []);
    await ip("route", "delete", "192.0.2.0/24");
    await ip("address", "delete", "10.20.0.99/32", "dev", "eth0");
    const { stdout } = await network.router.run("nft", ["list", "ruleset"]);
    const counted =
      /"zone0" ip saddr [^\n]*counter packets (\d+) bytes \d+ drop comment "forged source"/.exec(
        stdout,
      );
    assert.ok(Number(counted?.[1]) >= listening.length, stdout);
  });
});

describe("postern plan verify", { skip }, () => {
  const verify = async (
    from: string,
    ...more: string[]
  ): Promise<{ code: number; result: Verified }> => {
    const ran = await postern(network.host(from), "verify", fileOf("plain"), "--json", ...more);
    assert.ok(ran.stdout.startsWith("{"), ran.stderr);
    return { code: ran.code, result: JSON.parse(ran.stdout) as Verified };
  };

  test("agrees with the plan from every zone", async () => {
    load("plain");
    const open = {
      stranger: ["edge 25", "edge 443"],
      edge: ["resolver 53"],
      hub: ["edge 2526", "edge 2527"],
      laptop: ["edge 443", "hub 465", "hub 993"],
      desk: ["edge 22", "hub 22", "resolver 22"],
    };
    for (const [name, expected] of Object.entries(open)) {
      const more = name === "stranger" ? ["--from", "internet"] : [];
      const { code, result } = await verify(name, ...more);
      assert.deepEqual([code, result.findings], [0, []], name);
      const seen = result.open.map(({ host, port }) => `${host} ${port}`);
      assert.deepEqual([...new Set(seen)], expected);
    }
  });

  test("finds a hole that was opened by hand, and a door that is shut", async () => {
    load("plain");
    const rule = ["ip", "daddr", hub[0], "tcp", "dport", "5432", "accept"];
    await network.router.run("nft", ["insert", "rule", "inet", "postern", "forward", ...rule]);
    await network.host("hub").run("nft", ["insert", "rule", "inet", "postern", "input", ...rule]);
    await network.host("edge").run("nft", ["insert", "rule", "inet", "postern", "output", ...rule]);
    const found = await verify("edge");
    assert.equal(found.code, 2);
    assert.deepEqual(
      found.result.findings.map(({ host, port, expected, answer }) => [
        host,
        port,
        expected,
        answer,
      ]),
      [["hub", 5432, "closed", "open"]],
    );
    load("plain");
    const shut = ["tcp", "dport", "2527", "drop"];
    await network.host("edge").run("nft", ["insert", "rule", "inet", "postern", "input", ...shut]);
    const missing = await verify("hub");
    assert.equal(missing.code, 2);
    assert.deepEqual(
      missing.result.findings.map(({ port, expected, answer }) => [port, expected, answer]),
      [
        [2527, "open", "silent"],
        [2527, "open", "silent"],
      ],
    );
  });
});

interface Verified {
  readonly open: readonly { readonly host: string; readonly port: number }[];
  readonly findings: readonly {
    readonly host: string;
    readonly port: number;
    readonly expected: string;
    readonly answer: string;
  }[];
}
