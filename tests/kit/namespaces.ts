/**
 * Zones as network namespaces: every host of a topology is one, a router joins them all. Root only.
 *
 * Hosts of one zone meet on a bridge, so that the router filters what crosses zones and nothing else,
 * as in a real network. Everything is taken away on disposal, and when the process ends.
 */

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isInNetwork, parseIp } from "#base/ip";

export interface NetworkZone {
  readonly name: string;
  /** As the router has them on its side: "192.0.2.1/24", "2001:db8:1::1/64". */
  readonly gateways: readonly string[];
}

export interface NetworkHost {
  readonly name: string;
  readonly zone: string;
  /** With their prefix: "192.0.2.10/24". */
  readonly addresses: readonly string[];
  /** Name server in its /etc/resolv.conf; without it the file names none. */
  readonly nameServer?: string;
}

export interface NetworkPlan {
  readonly zones: readonly NetworkZone[];
  readonly hosts: readonly NetworkHost[];
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

/** One host (or the router): what runs in it sees its addresses and rules, and this machine's files. */
export interface Namespace {
  readonly name: string;
  /** As `ip netns` knows it. */
  readonly namespace: string;
  /** Folder whose files lie over /etc for what runs there. */
  readonly etc: string;
  /** Without prefix, in the order of the plan. */
  readonly addresses: readonly string[];
  /** Runs to its end; a failure is a code, not an error. */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Starts a program that is killed at the end at the latest. */
  start(command: string, args: readonly string[], options?: RunOptions): ChildProcess;
  /** `nft -f`: @throws Error with what nft says */
  loadRules(text: string): void;
}

export interface Network extends AsyncDisposable {
  readonly router: Namespace;
  /** @throws Error for a name that the plan does not hold */
  host(name: string): Namespace;
}

const ip = "/sbin/ip";

/** False where namespaces, bridges and nftables work; else why not: for `skip` of a test. */
export const namespacesMissing: string | false = findOut();

function findOut(): string | false {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = newName("try");
  try {
    removeLeftovers();
    command(ip, ["netns", "add", name]);
  } catch {
    return "network namespaces cannot be made here";
  }
  try {
    command(ip, ["-n", name, "link", "add", "bridge0", "type", "bridge"]);
    command(ip, ["-n", name, "link", "add", "one", "type", "veth", "peer", "name", "other"]);
    command(ip, ["netns", "exec", name, "nft", "list", "ruleset"]);
    return false;
  } catch {
    return "bridges, veth pairs or nftables are missing here";
  } finally {
    command(ip, ["netns", "del", name]);
  }
}

/** The maker's process is part of the name, so that what a killed run left can be told. */
function newName(last: string): string {
  return `postern-${process.pid}-${randomBytes(2).toString("hex")}-${last}`;
}

function removeLeftovers(): void {
  for (const line of command(ip, ["netns", "list"]).split("\n")) {
    const [, name, pid] = /^(postern-(\d+)-\S+)/.exec(line) ?? [];
    if (name !== undefined && !existsSync(`/proc/${pid}`)) removeNamespace(name);
  }
}

function command(name: string, args: readonly string[], input?: string): string {
  return execFileSync(name, args, {
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
    ...(input !== undefined && { input }),
  });
}

export function makeNetwork(plan: NetworkPlan): Network {
  const made = new Map<string, Namespace>();
  const remove = (): void => {
    for (const one of made.values()) removeNamespace(one.namespace);
    made.clear();
  };
  process.once("exit", remove);
  try {
    const router = makeNamespace(newName("router"), "router", []);
    made.set("", router);
    for (const [index, zone] of plan.zones.entries()) makeZone(router, zone, `zone${index}`);
    forward(router);
    for (const [index, host] of plan.hosts.entries()) {
      const zone = plan.zones.findIndex(({ name }) => name === host.zone);
      const gateways = plan.zones[zone]?.gateways;
      if (gateways === undefined) throw new Error(`${host.name}: no zone ${host.zone}`);
      const place = makeNamespace(newName(host.name), host.name, host.addresses);
      made.set(host.name, place);
      writeNames(place, host.nameServer);
      connectHost(place, router, { cable: `cable${index}`, bridge: `zone${zone}`, host, gateways });
    }
    return networkOf(router, made, remove);
  } catch (error) {
    remove();
    throw error;
  }
}

function networkOf(
  router: Namespace,
  made: ReadonlyMap<string, Namespace>,
  remove: () => void,
): Network {
  return {
    router,
    host(name) {
      const found = made.get(name);
      if (found === undefined) throw new Error(`no host ${name} in this network`);
      return found;
    },
    async [Symbol.asyncDispose]() {
      process.removeListener("exit", remove);
      remove();
    },
  };
}

function makeNamespace(namespace: string, name: string, withPrefix: readonly string[]): Namespace {
  command(ip, ["netns", "add", namespace]);
  command(ip, ["-n", namespace, "link", "set", "lo", "up"]);
  const inside = (program: string, args: readonly string[]): string[] => [
    "netns",
    "exec",
    namespace,
    program,
    ...args,
  ];
  return {
    name,
    namespace,
    etc: overlay(namespace),
    addresses: withPrefix.map((one) => one.split("/")[0] ?? one),
    run: (program, args, options = {}) =>
      new Promise((resolve) => {
        const { timeoutMs = 60_000, input, ...rest } = options;
        const settings = { timeout: timeoutMs, maxBuffer: 64 << 20, ...rest };
        const child = execFile(ip, inside(program, args), settings, (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
          resolve({ code, stdout, stderr });
        });
        child.stdin?.on("error", () => {}).end(input ?? "");
      }),
    start: (program, args, options = {}) =>
      spawn(ip, inside(program, args), {
        stdio: ["ignore", "pipe", "pipe"],
        ...(options.cwd !== undefined && { cwd: options.cwd }),
        ...(options.env !== undefined && { env: options.env }),
      }),
    loadRules: (text) => void command(ip, inside("nft", ["-f", "-"]), text),
  };
}

function makeZone({ namespace }: Namespace, zone: NetworkZone, bridge: string): void {
  command(ip, ["-n", namespace, "link", "add", bridge, "type", "bridge", "stp_state", "0"]);
  for (const gateway of zone.gateways) addAddress(namespace, bridge, gateway);
  command(ip, ["-n", namespace, "link", "set", bridge, "up"]);
}

/** Nothing to detect in a network of our own: a duplicate check would only cost a second. */
function addAddress(namespace: string, device: string, address: string): void {
  const detection = address.includes(":") ? ["nodad"] : [];
  command(ip, ["-n", namespace, "address", "add", address, "dev", device, ...detection]);
}

/** It routes, and leaves alone what hosts of one zone say to each other over their bridge. */
function forward({ namespace }: Namespace): void {
  const routing = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
  const bridging = ["iptables", "ip6tables"].map((one) => `net.bridge.bridge-nf-call-${one}=0`);
  command(ip, ["netns", "exec", namespace, "sysctl", "-q", "-e", "-w", ...routing, ...bridging]);
}

function connectHost(
  place: Namespace,
  router: Namespace,
  { cable, bridge, host, gateways }: Cable,
): void {
  const inside = (namespace: string, ...args: string[]): void => {
    command(ip, ["-n", namespace, ...args]);
  };
  const ends = ["type", "veth", "peer", "name", "eth0", "netns", place.namespace];
  inside(router.namespace, "link", "add", cable, ...ends);
  inside(router.namespace, "link", "set", cable, "master", bridge, "up");
  for (const address of host.addresses) addAddress(place.namespace, "eth0", address);
  inside(place.namespace, "link", "set", "eth0", "up");
  for (const gateway of gateways) {
    const via = gateway.split("/")[0] ?? gateway;
    if (!host.addresses.some((one) => isNeighbour(via, one))) continue;
    const family = gateway.includes(":") ? "-6" : "-4";
    command(ip, ["-n", place.namespace, family, "route", "add", "default", "via", via]);
  }
}

function isNeighbour(address: string, withPrefix: string): boolean {
  const [own = "", bits] = withPrefix.split("/");
  const [one, other] = [parseIp(address), parseIp(own)];
  return one !== undefined && other !== undefined && isInNetwork(one, other, Number(bits));
}

interface Cable {
  readonly cable: string;
  readonly bridge: string;
  readonly host: NetworkHost;
  readonly gateways: readonly string[];
}

/** `ip netns exec` lays what is in this folder over /etc. */
const overlay = (namespace: string): string => join("/etc/netns", namespace);

function writeNames({ etc }: Namespace, nameServer: string | undefined): void {
  mkdirSync(etc, { recursive: true });
  const text = nameServer === undefined ? "" : `nameserver ${nameServer}\n`;
  writeFileSync(join(etc, "resolv.conf"), text);
}

/** With all that runs in it; its end of each cable goes too. */
function removeNamespace(namespace: string): void {
  for (const pid of command(ip, ["netns", "pids", namespace]).split("\n")) {
    if (pid === "") continue;
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended by itself in between.
    }
  }
  command(ip, ["netns", "del", namespace]);
  rmSync(overlay(namespace), { recursive: true, force: true });
}
