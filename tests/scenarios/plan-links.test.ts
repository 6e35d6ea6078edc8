/** Tunnels of the plan with real programs: what they should carry passes, and nothing beside it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  hostRules,
  layoutText,
  makePlan,
  type Plan,
  readTopology,
  swanctlText,
  wireguardFiles,
  zoneRules,
} from "#assurance/planner";
import { manifests } from "../../src/assurance/planner/fixture.ts";
import { application } from "../kit/installation.ts";
import { makeNetwork, type Namespace, type Network, namespacesMissing } from "../kit/namespaces.ts";
import { networkPlanOf } from "../kit/planned-network.ts";

const wg = "/usr/bin/wg";
const charon = "/usr/lib/ipsec/charon";
const userSpace = "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so";
const needs = (files: readonly string[]): string | false => {
  const missing = files.find((file) => !existsSync(file));
  return namespacesMissing || (missing === undefined ? false : `${missing} is missing here`);
};

const listening = [22, 80, 465, 993, 2526, 2527, 5432];
const folder = mkdtempSync(join(tmpdir(), "postern-links-"));

/** Everything loaded: the network, rules on each host of the plan and on the router, open services. */
async function start(plan: Plan): Promise<Network> {
  const network = makeNetwork(networkPlanOf(plan.topology, []));
  network.router.loadRules(zoneRules(plan));
  for (const { name } of plan.topology.hosts) {
    network.host(name).loadRules(withoutKernel(hostRules(plan, name)));
    const program = join(application, "tests/kit/port-holder.ts");
    const child = network.host(name).start(process.execPath, [program, ...listening.map(String)]);
    assert.ok(child.stdout !== null);
    await once(child.stdout, "data");
  }
  return network;
}

/**
 * The user-space ESP of libipsec hands packets in through a device, where the kernel's own would mark
 * them: the rules of this test look for the device, nothing else of them is changed.
 */
function withoutKernel(rules: string): string {
  return rules
    .replaceAll("meta ipsec exists", 'iifname "ipsec0"')
    .replaceAll("rt ipsec exists", 'oifname "ipsec0"');
}

async function scan(from: Namespace, address: string): Promise<number[]> {
  const program = join(application, "tests/kit/port-scan.ts");
  const ran = await from.run(process.execPath, [
    program,
    address,
    "1500",
    ...listening.map(String),
  ]);
  assert.equal(ran.code, 0, ran.stderr);
  return JSON.parse(ran.stdout) as number[];
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 120; attempt += 1) {
    if (await isTrue()) return;
    await pause(250);
  }
  assert.fail(`${what}: not after half a minute`);
}

after(() => rmSync(folder, { recursive: true }));

describe("CAP-9 CAP-14 IPsec between a LAN client and the hub, strongSwan at both ends", {
  skip: needs([charon, userSpace, "/usr/sbin/swanctl"]),
}, () => {
  const plan = makePlan(
    readTopology(
      `${layoutText("postern")}
[host.laptop]\nzone = "lan"\naddresses = ["10.30.0.9", "fd30::9"]
[link.desk]\nbetween = ["laptop", "hub"]\nby = "ipsec"\n`,
      "ipsec",
    ),
    manifests,
  );
  let network: Network;
  before(async () => {
    network = await start(plan);
    makeCertificates();
    for (const name of ["hub", "laptop"])
      await startCharon(network.host(name), swanctlText(plan, name) ?? "");
  });
  after(() => network[Symbol.asyncDispose]());

  const swanctl = async (name: string, ...args: string[]): Promise<string> => {
    const uri = `unix://${join(folder, name, "vici")}`;
    const options = { env: { ...process.env, ...environment(name) } };
    const ran = await network.host(name).run("swanctl", [...args, "--uri", uri], options);
    assert.equal(ran.code, 0, `${name} swanctl ${args.join(" ")}: ${ran.stderr} ${ran.stdout}`);
    return ran.stdout;
  };

  async function startCharon(host: Namespace, text: string): Promise<void> {
    const own = join(folder, host.name);
    writeFileSync(join(own, "swanctl.conf"), text);
    writeFileSync(join(own, "strongswan.conf"), daemonSettings(own));
    // A /run of its own: every charon writes the same process file there.
    const command = `mount -t tmpfs none /run && exec ${charon}`;
    const child = host.start("sh", ["-c", command], {
      env: { ...process.env, ...environment(host.name) },
    });
    child.stdout?.resume();
    child.stderr?.resume();
    await until("charon listens", async () => existsSync(join(own, "vici")));
    await swanctl(host.name, "--load-all", "--file", join(own, "swanctl.conf"));
  }

  test("both ends accept the generated files, and the selectors are the two flows alone", async () => {
    const loaded = await swanctl("hub", "--list-conns", "--raw");
    const selectors = [...loaded.matchAll(/local-ts=\[([^\]]*\][^\]]*)\]/g)].map(([, one]) => one);
    assert.deepEqual(selectors, [
      "10.20.0.10/32[tcp/imaps] fd20::10/128[tcp/imaps",
      "10.20.0.10/32[tcp/submissions] fd20::10/128[tcp/submissions",
    ]);
  });

  test("mail passes inside the tunnel, nothing passes beside it or through to other ports", async () => {
    const [laptop, hub] = [network.host("laptop"), network.host("hub")];
    assert.deepEqual(await scan(laptop, "10.20.0.10"), [], "no tunnel yet");
    for (const child of ["to-hub-993-tcp", "to-hub-465-tcp"]) {
      await swanctl("laptop", "--initiate", "--child", child, "--timeout", "20");
    }
    assert.deepEqual(await scan(laptop, "10.20.0.10"), [465, 993]);
    const state = await swanctl("hub", "--list-sas");
    assert.match(state, /ESTABLISHED, IKEv2/);
    assert.match(state, /AES_GCM_16-256/);
    const packets = [...state.matchAll(/in .*? (\d+) packets/g)].map(([, count]) => Number(count));
    assert.ok(packets.length === 2 && packets.every((count) => count > 0), state);
    assert.deepEqual(await scan(hub, "10.30.0.9"), [], "the hub starts nothing towards the client");
  });
});

function environment(name: string): Readonly<Record<string, string>> {
  const own = join(folder, name);
  return { STRONGSWAN_CONF: join(own, "strongswan.conf"), SWANCTL_DIR: own };
}

/** ESP in user space; its packets are marked, so that they do not go into the tunnel themselves. */
function daemonSettings(own: string): string {
  return `charon {
  load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey constraints gcm aes sha1 sha2 hmac kdf kernel-libipsec kernel-netlink socket-default vici
  plugins {
    vici { socket = unix://${own}/vici }
    kernel-libipsec { allow_peer_ts = yes }
    kernel-netlink { fwmark = !0x42 }
    socket-default { fwmark = 0x42 }
  }
}
`;
}

/** As the generated file's first lines ask for. */
function makeCertificates(): void {
  const openssl = (...args: string[]): void =>
    void execFileSync("openssl", args, { stdio: "pipe" });
  const authority = join(folder, "ca.pem");
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    join(folder, "ca.key"),
    "-out",
    authority,
    "-subj",
    "/CN=links",
  );
  for (const name of ["hub", "laptop"]) {
    const own = join(folder, name);
    for (const part of ["x509", "x509ca", "private"])
      mkdirSync(join(own, part), { recursive: true });
    const signed = ["-CA", authority, "-CAkey", join(folder, "ca.key")];
    const files = [
      "-keyout",
      join(own, "private", `${name}.pem`),
      "-out",
      join(own, "x509", `${name}.pem`),
    ];
    const names = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
    openssl("req", "-x509", ...key, ...signed, ...files, ...names);
    execFileSync("cp", [authority, join(own, "x509ca", "links-ca.pem")]);
  }
}

describe("CAP-9 CAP-14 WireGuard between the hub and the edge, in user space", {
  skip: needs(["/usr/bin/wireguard-go", "/usr/bin/wg-quick", "/dev/net/tun"]),
}, () => {
  const ends = ["hub", "edge"] as const;
  const keys = ends.map(() => {
    if (!existsSync(wg)) return { secret: "", open: "" };
    const secret = execFileSync(wg, ["genkey"], { encoding: "utf8" });
    return {
      secret,
      open: execFileSync(wg, ["pubkey"], { encoding: "utf8", input: secret }).trim(),
    };
  });
  const plan = (): Plan =>
    makePlan(
      readTopology(
        `${layoutText("postern")}
[link.servers]\nbetween = ["hub", "edge"]\nby = "wireguard"\ntunnel = ["10.99.0.1", "10.99.0.2"]
publicKeys = ${JSON.stringify(keys.map(({ open }) => open))}\n`,
        "wireguard",
      ),
      manifests,
    );
  let network: Network;
  before(async () => {
    network = await start(plan());
    for (const [index, name] of ends.entries())
      await bringUp(network.host(name), keys[index]?.secret ?? "");
  });
  after(() => network[Symbol.asyncDispose]());

  async function bringUp(host: Namespace, secret: string): Promise<void> {
    const [file] = wireguardFiles(plan(), host.name);
    assert.ok(file !== undefined);
    const place = join(host.etc, "wireguard");
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, `${file.device}.conf`), file.text, { mode: 0o600 });
    writeFileSync(join(place, `${file.device}.key`), secret, { mode: 0o600 });
    // A /run of its own: both ends name their device, and so its control socket, alike.
    const command = `mount -t tmpfs none /run && wg-quick up ${file.device} && echo up && exec sleep 600`;
    const env = { ...process.env, WG_QUICK_USERSPACE_IMPLEMENTATION: "wireguard-go" };
    const child = host.start("sh", ["-c", command], { env });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
    }
    await until(`${host.name} is up`, async () => {
      assert.equal(child.exitCode, null, said);
      return /^up$/m.test(said);
    });
  }

  test("the link passes inside the tunnel, and in the clear no more", async () => {
    const hub = network.host("hub");
    assert.deepEqual(await scan(hub, "10.99.0.2"), [2526, 2527]);
    assert.deepEqual(await scan(hub, "192.0.2.10"), []);
  });

  test("CAP-12 the tunnel opens nothing from the edge to the inside", async () => {
    const edge = network.host("edge");
    await edge.run("nft", ["flush", "ruleset"]);
    assert.deepEqual(await scan(edge, "10.99.0.1"), []);
    assert.deepEqual(await scan(edge, "10.20.0.10"), []);
  });
});
