/** From what is known of a hop to what its TLS has to be. Pure. */

import { listsHost, type StsPolicy } from "#formats/mta-sts";
import type { Reply } from "#model/reply";
import type { TlsDemand, TlsProof } from "#model/tls-policy";
import { connectorDemand } from "./connector-demand.ts";
import type { DaneFinding } from "./dane.ts";
import type { Hop, HopAnswer } from "./hop.ts";

/** What a domain's MTA-STS says now. */
export interface StsFinding {
  /** Absent: it has none, or none that could be had. */
  readonly policy?: StsPolicy;
  /** It says that it has one, or that could not be found out; in the words of RFC 8460 §4.3.2. */
  readonly fault?: "sts-policy-fetch-error" | "sts-policy-invalid" | "sts-webpki-invalid";
  readonly why?: string;
}

export interface Findings {
  readonly dane: DaneFinding;
  readonly sts: StsFinding;
}

/**
 * DANE comes before MTA-STS (RFC 8461 §2), both before the connector's own word. Where the MX is
 * anybody's word, TLSA records prove the host and not that it is the domain's (RFC 7672 §2.2.1): a
 * policy that is enforced, or a connector that requires TLS, has to agree to the host as well.
 */
export function decide(hop: Hop, { dane, sts }: Findings): HopAnswer {
  const base = connectorDemand(hop.connector, hop.host);
  const { level } = hop.connector.tls;
  if (level === "none" || level === "pinned") return ownWord(hop, base);
  if (dane.kind === "failed") return refusal("4.4.3", `${dane.name}: ${dane.why} (dnssec-invalid)`);

  const isOurs = level === "required";
  const enforced = hop.viaMx && sts.policy?.mode === "enforce";
  const isListed = enforced && listsHost(sts.policy, hop.host);
  const isSigned = !hop.viaMx || hop.mxAuthenticated;
  if (enforced && !isListed && !(dane.kind === "usable" && isSigned)) {
    return refusal("4.7.5", `the MTA-STS policy of ${hop.domain} does not list ${hop.host}`);
  }
  if (!isSigned && !isListed) {
    if (isOurs && !isOfDomain(hop)) return byName(hop, base);
    if (hop.requireTls && !isOurs) return unprovenRoute(hop, sts);
  }
  if (dane.kind === "usable") {
    const proof: TlsProof = { kind: "dane", records: dane.records, names: dane.names };
    const demand: TlsDemand = { ...base, level: "required", serverName: dane.base, proof };
    return { ok: true, demand, policy: "dane" };
  }
  if (enforced) return required(base, proofByName("mta-sts", [hop.host], hop), "mta-sts");
  if (isOurs) return { ok: true, demand: base, policy: "connector" };
  // RFC 8689 §4.2.1: the route is proven; now the server by any authority.
  if (hop.requireTls) return required(base, proofByName("authority", [hop.host], hop), "none");
  if (dane.kind === "unusable") {
    return { ok: true, demand: { ...base, level: "required" }, policy: "dane" };
  }
  if (hop.viaMx && sts.policy?.mode === "testing") {
    // RFC 8461 §5: never in the way; whether the proof stands is for the report.
    const proof = proofByName("mta-sts", [hop.host], hop);
    return { ok: true, demand: { ...base, proof }, policy: "none" };
  }
  return { ok: true, demand: base, policy: "none" };
}

/** A connector for hosts inside, or one with keys written down: nobody else is asked. */
function ownWord({ connector, host, requireTls }: Hop, demand: TlsDemand): HopAnswer {
  if (requireTls && connector.tls.level === "none") {
    return refusal("5.7.30", `REQUIRETLS, and the way to ${host} is in the clear`);
  }
  return { ok: true, demand, policy: "connector" };
}

function isOfDomain({ domain, host }: Hop): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}

/**
 * A host that an unsigned MX names is the attacker's choice, who may well have a certificate and TLSA
 * records for it: what counts is what the administrator named.
 */
function byName(hop: Hop, base: TlsDemand): HopAnswer {
  const { host, connector } = hop;
  const { names } = connector.tls;
  if (names.length > 0) return required(base, proofByName("authority", names, hop), "connector");
  const text = `${host} is named by an MX that nobody signed: set outbound.${connector.name}.tlsNames or hosts`;
  return refusal("4.7.5", text);
}

function required(
  base: TlsDemand,
  proof: TlsProof,
  policy: "mta-sts" | "connector" | "none",
): HopAnswer {
  return { ok: true, demand: { ...base, level: "required", proof }, policy };
}

function proofByName(
  kind: "authority" | "mta-sts",
  names: readonly string[],
  { connector: { tls } }: Hop,
): TlsProof {
  return { kind, names, ...(tls.authorities !== undefined && { authorities: tls.authorities }) };
}

/** RFC 8689 §4.2.1: the MX needs DNSSEC or MTA-STS; for good where the domain has neither. */
function unprovenRoute({ domain }: Hop, { fault, why }: StsFinding): HopAnswer {
  if (fault !== undefined) return refusal("4.7.5", `REQUIRETLS, and ${why ?? fault} (${fault})`);
  return refusal(
    "5.7.30",
    `REQUIRETLS, and ${domain} has neither DNSSEC nor MTA-STS that is enforced`,
  );
}

function refusal(status: string, text: string): HopAnswer {
  const reply: Reply = { code: status.startsWith("5") ? 550 : 451, status, text };
  return { ok: false, reply };
}
