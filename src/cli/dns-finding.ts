/** One thing that the DNS says about a domain's mail, and whether it is right. */

import type { DnsAnswer, RecordType } from "#base/dns";

export interface DomainFinding {
  readonly area:
    | "MX"
    | "addresses"
    | "SPF"
    | "DKIM"
    | "DMARC"
    | "MTA-STS"
    | "TLS-RPT"
    | "DANE"
    | "clients"
    | "sending";
  /** "note": true, and often meant so; "unknown": the DNS did not answer. */
  readonly level: "ok" | "note" | "warn" | "bad" | "unknown";
  readonly text: string;
  readonly advice?: string;
}

export function unanswered(
  area: DomainFinding["area"],
  type: RecordType,
  name: string,
  answer: DnsAnswer & { readonly kind: "failed" },
): DomainFinding {
  return {
    area,
    level: "unknown",
    text: `DNS did not answer for ${type} of ${name}: ${answer.why}`,
  };
}
