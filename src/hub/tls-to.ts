/** What mail to a domain would meet: its hosts, and what TLS each has to be, for administrators. */

import type { Clock } from "#base/clock";
import type { OutboundConnector } from "#model/connector";
import { type HopAnswer, type TlsPolicies, tlsaText } from "#transport/tls-policy";
import type { ProbePorts } from "./connectors/index.ts";

export interface TlsTo {
  readonly domain: string;
  readonly connector: string;
  /** Why no host is known. */
  readonly fault?: string;
  readonly hosts: readonly TlsToHost[];
}

export interface TlsToHost {
  readonly host: string;
  /** DNSSEC protects that it is the domain's; "connector": it is written down here. */
  readonly route: "signed" | "unsigned" | "connector";
  readonly dane: string;
  readonly mtaSts: string;
  /** "dane", "mta-sts", "connector", "none", or "refused". */
  readonly policy: string;
  /** What we would do. */
  readonly demand: string;
}

export interface TlsToPorts extends Pick<ProbePorts, "hostsFor"> {
  readonly wayTo: (domain: string, nowMs: number) => { readonly connector: OutboundConnector };
  readonly policies: Pick<TlsPolicies, "explain">;
  readonly clock: Clock;
}

export async function tlsTo(domain: string, ports: TlsToPorts): Promise<TlsTo> {
  const { connector } = ports.wayTo(domain, ports.clock.nowMs());
  const found = await ports.hostsFor(connector, domain);
  const result = { domain, connector: connector.name };
  if (!found.ok) return { ...result, fault: [found.reply.text].flat().join(" "), hosts: [] };
  const hosts = found.hosts.map(async (one): Promise<TlsToHost> => {
    const { name: host, addresses: _, ...facts } = one;
    const hop = { domain, host, ...facts, connector, requireTls: false };
    const { findings, answer } = await ports.policies.explain(hop);
    const { dane, sts } = findings;
    return {
      host,
      route: !one.viaMx ? "connector" : one.mxAuthenticated ? "signed" : "unsigned",
      dane: daneText(dane),
      mtaSts: stsText(sts),
      policy: answer.ok ? answer.policy : "refused",
      demand: demandText(answer),
    };
  });
  return { ...result, hosts: await Promise.all(hosts) };
}

type Findings = Awaited<ReturnType<TlsPolicies["explain"]>>["findings"];

function daneText(dane: Findings["dane"]): string {
  switch (dane.kind) {
    case "none":
      return "none that DNSSEC protects";
    case "failed":
      return `${dane.name} cannot be looked up: ${dane.why}`;
    case "unusable":
      return "only records that nobody can use";
    case "usable":
      return dane.records.map(tlsaText).join(", ");
  }
}

function stsText({ policy, fault, why }: Findings["sts"]): string {
  if (policy !== undefined) return `${policy.mode}: ${policy.mx.join(" ")}`;
  return fault === undefined ? "none" : `${fault}: ${why ?? ""}`;
}

function demandText(answer: HopAnswer): string {
  if (!answer.ok) return `not used now: ${[answer.reply.text].flat().join(" ")}`;
  const { level, proof } = answer.demand;
  if (level === "none") return "in the clear";
  if (level === "opportunistic") return "TLS when it is offered, else in the clear";
  switch (proof?.kind) {
    case undefined:
      return "TLS with any certificate, or not at all";
    case "dane":
      return "TLS with a certificate that the TLSA records are for, or not at all";
    case "pin":
      return "TLS with a certificate that is pinned, or not at all";
    default:
      return `TLS with a trusted certificate for ${proof?.names.join(" or ")}, or not at all`;
  }
}
