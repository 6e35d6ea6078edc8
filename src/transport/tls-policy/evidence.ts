/** How a session's TLS went, in the terms of a report (RFC 8460 §4.3). Pure. */

import { formatStsPolicy } from "#formats/mta-sts";
import { type TlsPolicyType, type TlsResult, tlsResults } from "#formats/tls-report";
import type { TlsFacts } from "#model/connection";
import type { TlsaRecord } from "#model/tls-policy";
import type { Findings } from "./decide.ts";
import type { Hop, HopAnswer } from "./hop.ts";

/** One session, or one policy that could not be had. */
export interface TlsEvidence {
  /** Whose owner is told: the next-hop domain, or the host that a connector names. */
  readonly domain: string;
  readonly policy: {
    readonly type: TlsPolicyType;
    readonly domain: string;
    readonly strings: readonly string[];
    readonly mxHosts: readonly string[];
  };
  /** Absent: TLS stood as the policy wants it. */
  readonly failure?: {
    readonly result: TlsResult;
    readonly receivingHost?: string;
    readonly receivingIp?: string;
    readonly reason?: string;
  };
}

export interface SessionFailure {
  readonly phase: string;
  readonly text: string;
}

/** Ours, of one report. */
const maxStrings = 10;
const maxReason = 120;

export function evidenceOf(
  hop: Hop,
  answer: HopAnswer,
  findings: Findings,
  outcome: { readonly failure?: SessionFailure; readonly tls?: TlsFacts },
): readonly TlsEvidence[] {
  const domain = hop.viaMx ? hop.domain : hop.host;
  const { fault, why } = findings.sts;
  const lost: readonly TlsEvidence[] =
    fault === undefined || findings.sts.policy !== undefined
      ? []
      : [
          {
            domain,
            policy: { type: "sts", domain, strings: [], mxHosts: [] },
            failure: { result: fault, ...reasonOf(why) },
          },
        ];
  const failure = failureOf(answer, findings, outcome);
  if (failure === "unknown") return lost;
  const one: TlsEvidence = {
    domain,
    policy: policyOf(domain, answer, findings),
    ...(failure !== undefined && {
      failure: {
        ...failure,
        receivingHost: hop.host,
        ...(hop.address !== undefined && { receivingIp: hop.address }),
      },
    }),
  };
  return [...lost, one];
}

/** §4.4: that which was applied; one under test as well. */
function policyOf(
  domain: string,
  answer: HopAnswer,
  { dane, sts }: Findings,
): TlsEvidence["policy"] {
  const applied = answer.ok ? answer.policy : undefined;
  if (dane.kind === "failed") return { type: "tlsa", domain, strings: [], mxHosts: [] };
  if (dane.kind !== "none" && (applied === "dane" || applied === undefined)) {
    const strings = dane.records.slice(0, maxStrings).map(tlsaText);
    return { type: "tlsa", domain: dane.base, strings, mxHosts: [] };
  }
  if (sts.policy !== undefined && sts.policy.mode !== "none") {
    const lines = formatStsPolicy(sts.policy).trimEnd().split("\r\n");
    const mxHosts = sts.policy.mx.slice(0, maxStrings);
    return { type: "sts", domain, strings: lines.slice(0, maxStrings + 3), mxHosts };
  }
  return { type: "no-policy-found", domain, strings: [], mxHosts: [] };
}

/** As a zone file has it (RFC 6698 §2.2). */
export function tlsaText({ usage, selector, matching, data }: TlsaRecord): string {
  return `${usage} ${selector} ${matching} ${data.slice(0, 150)}`;
}

type Failure = { readonly result: TlsResult; readonly reason?: string };

/** "unknown": the session ended before TLS was tried, or for reasons that are not TLS's. */
function failureOf(
  answer: HopAnswer,
  { dane, sts }: Findings,
  { failure, tls }: { readonly failure?: SessionFailure; readonly tls?: TlsFacts },
): Failure | "unknown" | undefined {
  if (!answer.ok) {
    if (dane.kind === "failed") return { result: "dnssec-invalid", ...reasonOf(dane.why) };
    const isUnlisted = sts.policy?.mode === "enforce";
    return isUnlisted
      ? { result: "validation-failure", reason: "the policy does not list this host" }
      : "unknown";
  }
  if (failure !== undefined) {
    if (failure.phase !== "tls") return "unknown";
    const told = tlsResults.find((word) => failure.text.includes(word)) ?? "validation-failure";
    // §4.3.2.1: a certificate that none of the records is for.
    const isTlsa = answer.policy === "dane" && told.startsWith("certificate-");
    return { result: isTlsa ? "tlsa-invalid" : told, ...reasonOf(failure.text) };
  }
  const { level, proof } = answer.demand;
  if (level === "none") return "unknown";
  if (level === "required") return undefined;
  // In the clear, or under test without standing it: nothing was stopped, and it is told.
  if (tls === undefined) return { result: "starttls-not-supported" };
  return proof !== undefined && tls.proof === undefined
    ? { result: "validation-failure" }
    : undefined;
}

function reasonOf(text: string | undefined): { readonly reason?: string } {
  return text === undefined
    ? {}
    : { reason: text.replace(/[^\x20-\x7e]+/g, " ").slice(0, maxReason) };
}
