/** Probes from where it runs, compared with the plan: what is open must be meant, and what is meant open. */

import type { Flow } from "./flow.ts";
import { isWithin } from "./network.ts";
import type { Plan } from "./plan.ts";
import type { Host } from "./topology.ts";

/** "refused": the host answered that nobody listens. "silent": nothing came back in time. */
export type ProbeAnswer = "open" | "refused" | "silent";
export type Probe = (address: string, port: number) => Promise<ProbeAnswer>;

export interface Vantage {
  /** The host of the plan that this is, when it is one. */
  readonly host?: string;
  readonly zone: string;
}

export interface ProbeResult {
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly expected: "open" | "closed";
  readonly answer: ProbeAnswer;
}

export interface Verification {
  readonly from: Vantage;
  readonly probed: number;
  /** Everything that is not as planned. */
  readonly findings: readonly ProbeResult[];
  /** Open and meant so. */
  readonly open: readonly ProbeResult[];
  /** Flows from here that a TCP connection cannot prove. */
  readonly notProbed: readonly Flow[];
}

/** Ports of services that are often left open, besides all that some flow of the plan names. */
const usuallyOpen: readonly number[] = [
  20, 21, 22, 23, 25, 53, 80, 81, 88, 110, 111, 119, 135, 139, 143, 161, 179, 389, 443, 445, 464,
  465, 514, 515, 548, 587, 593, 631, 636, 691, 873, 990, 993, 995, 1080, 1433, 1521, 1723, 2049,
  2181, 2375, 2376, 2379, 2443, 2444, 2465, 2525, 2526, 2527, 2993, 3000, 3128, 3268, 3269, 3306,
  3389, 4190, 4443, 4900, 5000, 5060, 5432, 5601, 5672, 5900, 5984, 5985, 5986, 6000, 6379, 6443,
  7001, 8000, 8008, 8080, 8081, 8443, 8888, 9000, 9090, 9100, 9200, 9418, 9443, 10_000, 10_250,
  11_211, 11_333, 11_334, 15_672, 25_565, 27_017, 50_000,
];

/** @param local addresses of this machine; @param zone as the administrator says, when they tell nothing */
export function vantageOf(
  plan: Plan,
  local: readonly string[],
  zone: string | undefined,
): Vantage | undefined {
  const { hosts, zones } = plan.topology;
  const host = hosts.find(
    (one) =>
      one.addresses.some((address) => local.includes(address)) &&
      (zone === undefined || zone === one.zone),
  );
  if (host !== undefined) return { host: host.name, zone: host.zone };
  if (zone !== undefined) return zones.some(({ name }) => name === zone) ? { zone } : undefined;
  const found = zones.find(({ networks }) =>
    local.some((address) => networks.some((network) => isWithin(address, network))),
  );
  return found === undefined ? undefined : { zone: found.name };
}

export interface VerifyOptions {
  /** Besides the ports that are always tried; up to all 65,535. */
  readonly ports: readonly number[];
  readonly local: readonly string[];
  readonly parallel: number;
  readonly signal?: AbortSignal;
}

export async function verifyPlan(
  plan: Plan,
  from: Vantage,
  probe: Probe,
  options: VerifyOptions,
): Promise<Verification> {
  const started = startedAt(plan, from, options.local);
  const tunnelled = started.filter(({ inside }) => isTunnel(plan, inside));
  const named = plan.flows.flatMap(({ ports }) =>
    ports === undefined || ports.first !== ports.last ? [] : [ports.first],
  );
  const ports = [...new Set([...usuallyOpen, ...named, ...options.ports])].sort((a, b) => a - b);
  const waiting = targets(plan, from, options.local).flatMap(({ name, addresses }) =>
    addresses.flatMap((address) =>
      ports
        .filter((port) => !tunnelled.some((flow) => isTo(flow, name, port)))
        .map((port) => ({ host: name, address, port })),
    ),
  );
  const results: ProbeResult[] = [];
  let at = 0;
  const work = async (): Promise<void> => {
    for (let next = waiting[at++]; next !== undefined; next = waiting[at++]) {
      if (options.signal?.aborted === true) return;
      const { host, address, port } = next;
      const meant = started.some((flow) => isTo(flow, host, port));
      const answer = await probe(address, port);
      results.push({ host, address, port, expected: meant ? "open" : "closed", answer });
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, work));
  options.signal?.throwIfAborted();
  const isAsMeant = ({ expected, answer }: ProbeResult): boolean =>
    (expected === "open") === (answer === "open");
  return {
    from,
    probed: results.length,
    findings: results.filter((one) => !isAsMeant(one)).toSorted(byPlace),
    open: results.filter((one) => one.answer === "open" && isAsMeant(one)).toSorted(byPlace),
    notProbed: started.filter(
      ({ to, protocol, inside }) =>
        protocol !== "tcp" || to.kind === "zone" || isTunnel(plan, inside),
    ),
  };
}

function byPlace(one: ProbeResult, other: ProbeResult): number {
  return one.host.localeCompare(other.host) || one.port - other.port;
}

/** Flows that may be started from here. Where only a provider may, it must be the provider's network. */
function startedAt(plan: Plan, from: Vantage, local: readonly string[]): readonly Flow[] {
  return plan.flows.filter(({ from: { name }, only, protocol }) => {
    if (protocol === "ah" || (name !== from.host && name !== from.zone)) return false;
    if (only === undefined || name === from.host) return true;
    return only.some((network) => local.some((address) => isWithin(address, network)));
  });
}

/** The other hosts, by those of their addresses that this machine speaks the IP version of. */
function targets(plan: Plan, from: Vantage, local: readonly string[]): readonly Host[] {
  const speaks = (address: string): boolean =>
    local.some((one) => one.includes(":") === address.includes(":"));
  return plan.topology.hosts
    .filter(({ name }) => name !== from.host)
    .map((host) => ({ ...host, addresses: host.addresses.filter(speaks) }));
}

/** Whether it answers depends on the tunnel being up, which a probe of the plan cannot know. */
function isTunnel({ topology }: Plan, inside: string | undefined): boolean {
  return topology.links.some(({ name, by }) => name === inside && by !== "vlan");
}

function isTo({ to, protocol, ports }: Flow, host: string, port: number): boolean {
  if (to.name !== host || protocol !== "tcp") return false;
  return ports !== undefined && port >= ports.first && port <= ports.last;
}
