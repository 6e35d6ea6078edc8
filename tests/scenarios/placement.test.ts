/** The real programs where the plan puts them, with its firewall rules on every host and between. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { hostRules, layoutText, makePlan, readTopology, zoneRules } from "#assurance/planner";
import { manifest as edgeSmtp } from "../../programs/edge-smtp.ts";
import { manifest as edgeWeb } from "../../programs/edge-web.ts";
import { manifest as hub } from "../../programs/hub.ts";
import { manifest as keyring } from "../../programs/keyring.ts";
import { adminClient } from "../../src/cli/admin-client.ts";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { application, runCli } from "../kit/installation.ts";
import { makeNetwork, type Namespace, type Network, namespacesMissing } from "../kit/namespaces.ts";
import { networkPlanOf } from "../kit/planned-network.ts";
import { enrol, invite, type Machine, machine } from "../kit/split.ts";

const skip = namespacesMissing;
const topology = readTopology(layoutText("postern"), "placement");
const plan = makePlan(topology, [edgeSmtp, edgeWeb, hub, keyring]);
const addresses = { edge: "192.0.2.10", resolver: "192.0.2.53", hub: "10.20.0.10" } as const;
const stranger = "198.51.100.9";
const ana = "ana@us.test";
const password = "a long pass phrase of hers";

/** What the world asks the edge's name server about. */
const zone = {
  "remote.example": [{ MX: [10, "mx.remote.example"] }],
  "mx.remote.example": [{ A: stranger }],
  "strangers.example": [{ TXT: `v=spf1 ip4:${stranger} -all` }],
};

let network: Network;
let folder: string;
let inside: Machine;
let edge: Machine;
/** Mail that reached the Internet. */
const outside: string[] = [];

before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), "postern-placement-"));
  const guests = [
    { name: "stranger", zone: "internet", addresses: [stranger] },
    { name: "desk", zone: "admin", addresses: ["10.40.0.9"] },
  ];
  network = makeNetwork(networkPlanOf(topology, guests, { edge: addresses.resolver }));
  network.router.loadRules(zoneRules(plan));
  for (const { name } of topology.hosts) network.host(name).loadRules(hostRules(plan, name));
  await serveInternet("stranger", "mail", (line) => void outside.push(line));
  await serveInternet("resolver", "names", () => {});
  edge = machine("edge", {
    data: join(folder, "edge"),
    start: startIn("edge"),
    config: `[listen]
smtp = "${addresses.edge}:25"
https = "${addresses.edge}:443"
linkSmtp = "${addresses.edge}:2526"
linkWeb = "${addresses.edge}:2527"
[dns]
servers = ["${addresses.resolver}:53"]
[egress]
private = true # the addresses of documentation are nobody's
`,
  });
  inside = machine("hub", {
    data: join(folder, "inside"),
    start: startIn("hub"),
    config: `[site]
domain = "us.test"
[listen]
submission = "${addresses.hub}:465"
imap = "${addresses.hub}:993"
[queue]
firstRetryS = 2
`,
  });
  const invited = await invite(inside, "dmz1", "--address", addresses.edge);
  const { code, stderr } = await enrol(edge, invited.token);
  assert.equal(code, 0, stderr);
  assert.equal((await invited.ended).code, 0);
  await edge.start();
  await inside.start();
  const made = await runCli(inside.data, ["account", "add", ana], `${password}\n`);
  assert.equal(made.code, 0, made.stderr);
  await until("the links", linked);
});

after(async () => {
  await edge?.stop();
  await inside?.stop();
  await network?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

function startIn(host: string): (args: readonly string[]) => ChildProcess {
  return (args) => network.host(host).start(process.execPath, args, { cwd: application });
}

async function serveInternet(
  host: "stranger" | "resolver",
  what: "mail" | "names",
  onLine: (line: string) => void,
): Promise<void> {
  const place = network.host(host);
  const program = join(application, "tests/kit/internet-host.ts");
  const [address = ""] = place.addresses;
  const child = place.start(process.execPath, [program, what, address, JSON.stringify(zone)]);
  assert.ok(child.stdout !== null);
  const lines = createInterface({ input: child.stdout });
  await once(lines, "line");
  lines.on("line", onLine);
}

async function until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  for (const deadlineMs = Date.now() + 90_000; Date.now() < deadlineMs; await pause(200)) {
    if (await isSo()) return;
  }
  throw new Error(`${what} did not come about:\n${inside.log()}\n${edge.log()}`);
}

async function linked(): Promise<boolean> {
  try {
    const { links } = await adminClient(inside.data).get<{ links: object }>("/status");
    return Object.values(links).every(Boolean);
  } catch {
    return false;
  }
}

/** TCP ports that answer. */
async function scan(from: string, address: string, ports: readonly string[]): Promise<number[]> {
  const program = join(application, "tests/kit/port-scan.ts");
  const args = [program, address, "1500", ...ports];
  const ran = await network.host(from).run(process.execPath, args, { timeoutMs: 170_000 });
  assert.equal(ran.code, 0, ran.stderr);
  return JSON.parse(ran.stdout) as number[];
}

/** Local endpoints of TCP sockets that listen, and of UDP sockets, in one namespace. */
async function sockets(place: Namespace): Promise<{ tcp: string[]; udp: string[] }> {
  const of = async (flags: string): Promise<string[]> => {
    const { stdout } = await place.run("ss", [flags]);
    const lines = stdout.split("\n").filter((line) => line !== "");
    return lines.map((line) => line.trim().split(/\s+/)[3] ?? "").toSorted();
  };
  return { tcp: await of("-Htln"), udp: await of("-Huan") };
}

describe("in the network of the plan, with its rules loaded", { skip }, () => {
  test("CAP-3 mail comes in from the Internet", async () => {
    const { code, stdout } = await network
      .host("stranger")
      .run("swaks", [
        ...["--server", addresses.edge, "--helo", "mx.strangers.example", "--to", ana],
        ...["--from", "a@strangers.example", "--header", "Subject: into the house"],
      ]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /<- {2}250 2\.0\.0 kept as/);
    const found = await adminClient(inside.data).get<unknown[]>(
      "/trace?limit=5&text=a%40strangers",
    );
    assert.equal(found.length, 1);
  });

  test("mail goes out: names through the resolver, the message through the edge", async () => {
    const curl = [
      ...[
        "-sS",
        "--insecure",
        "--url",
        `smtps://${addresses.hub}:465`,
        "--user",
        `${ana}:${password}`,
      ],
      ...["--mail-from", ana, "--mail-rcpt", "bob@remote.example", "--upload-file", "-"],
    ];
    const input = `From: ${ana}\r\nTo: bob@remote.example\r\nSubject: out of the house\r\n\r\nHello\r\n`;
    const ran = await network.host("hub").run("curl", curl, { input });
    assert.equal(ran.code, 0, ran.stderr);
    await until("the mail outside", () =>
      outside.some((line) => line.includes("out of the house")),
    );
  });

  test("CAP-11 a scan of every port from the Internet finds 25 and 443, and nothing inside", async () => {
    assert.deepEqual(await scan("stranger", addresses.edge, ["all"]), [25, 443]);
    assert.deepEqual(
      await scan("stranger", addresses.hub, ["22", "443", "465", "993", "2444"]),
      [],
    );
  });

  test("CAP-6 CAP-12 from a shell on the edge nothing inside can be reached", async () => {
    // The links are up: 2526 and 2527 are open on the edge, and lead nowhere.
    assert.deepEqual(await scan("edge", addresses.hub, ["all"]), []);
    assert.deepEqual(await scan("edge", "10.40.0.9", ["22", "80", "443"]), []);
    await network.host("edge").run("nft", ["flush", "ruleset"]);
    assert.deepEqual(await scan("edge", addresses.hub, ["22", "465", "993", "2444"]), []);
    network.host("edge").loadRules(hostRules(plan, "edge"));
    await until("the links", linked);
  });

  test("CAP-7 the programs listen where the configuration says, and on no port of chance", async () => {
    const dmz = await sockets(network.host("edge"));
    const at = (ports: readonly number[]): string[] =>
      ports.map((port) => `${addresses.edge}:${port}`).toSorted();
    assert.deepEqual(dmz.tcp, at([25, 443, 2526, 2527]));
    const house = await sockets(network.host("hub"));
    const expected = [`${addresses.hub}:465`, `${addresses.hub}:993`, "127.0.0.1:2444"];
    assert.deepEqual(house.tcp, expected.toSorted());
    assert.deepEqual(house.udp, []);
  });

  test("webmail opens through the edge, in a browser on the Internet", {
    skip: hasBrowser ? false : "no browser here",
  }, async () => {
    const wrapper = join(folder, "chromium");
    const { namespace } = network.host("stranger");
    writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${namespace} /usr/bin/chromium "$@"\n`);
    chmodSync(wrapper, 0o755);
    const args = [`--host-resolver-rules=MAP mail.us.test ${addresses.edge}`];
    const browser = await launchBrowser({ executable: wrapper, args });
    try {
      const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
      await page.goto("https://mail.us.test/");
      await page.getByLabel("E-mail address").fill(ana);
      await page.getByLabel("Password").fill(password);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("navigation", { name: "Mailboxes" }).waitFor();
      await page.locator(".row-open", { hasText: "into the house" }).waitFor();
    } finally {
      await browser.close();
    }
  });
});
