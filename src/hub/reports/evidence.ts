/** From what was found out about a message to its row in an aggregate report (RFC 9990 §3.1.1.7). */

import type { DkimEntry, ReportRecord, SpfEntry } from "#formats/dmarc-report";
import type { Source } from "#model/connection";
import type { Decision } from "#model/decision";
import type { MessageId } from "#model/mailbox";
import type { ArcVerdict, DkimVerdict, DmarcVerdict, SpfVerdict, Verdict } from "#model/verdict";

/** A message that was judged, whether it was kept or refused. */
export interface SeenMessage {
  readonly atMs: number;
  readonly verdicts: readonly Verdict[];
  readonly source: Source;
  readonly decision: Decision;
  readonly reversePath: string;
  readonly recipients: readonly string[];
  /** Absent for a refused one. */
  readonly kept?: MessageId;
}

/** Messages of the same domain with the same row are counted together. */
export interface Evidence {
  /** Where the policy was found: the report goes to its owner. */
  readonly policyDomain: string;
  /** Without its count. */
  readonly row: Omit<ReportRecord, "count">;
}

/** Ours: an edge is not trusted with the size of a row. */
const maxSignatures = 8;
const domainName = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,126}$/;

/** Undefined where no policy was found, or a try again will tell more. */
export function evidenceOf(seen: SeenMessage): Evidence | undefined {
  const dmarc = findVerdict(seen.verdicts, "dmarc");
  if (dmarc === undefined || seen.decision.disposition === "defer") return undefined;
  const { policyDomain, fromDomain, result } = dmarc;
  if (result !== "pass" && result !== "fail") return undefined;
  if (policyDomain === undefined || !domainName.test(policyDomain)) return undefined;
  if (!domainName.test(fromDomain)) return undefined;
  const envelopeTo = recipientDomain(seen.recipients);
  return {
    policyDomain,
    row: {
      sourceIp: seen.source.address,
      ...applied(dmarc, seen),
      dkim: dmarc.dkimAligned.length > 0 ? "pass" : "fail",
      spf: dmarc.spfAligned ? "pass" : "fail",
      headerFrom: fromDomain,
      envelopeFrom: domainOf(seen.reversePath),
      ...(envelopeTo !== undefined && { envelopeTo }),
      dkimResults: dkimEntries(dmarc, seen.verdicts),
      spfResults: spfEntries(findVerdict(seen.verdicts, "spf")),
    },
  };
}

type Applied = Pick<ReportRecord, "disposition" | "reasons">;

/** §3.1.1.9: what the policy led to, whatever else was found wrong; a departure has its reason. */
function applied(dmarc: DmarcVerdict, { verdicts, decision }: SeenMessage): Applied {
  const { published = "none", policy = "none" } = dmarc;
  if (dmarc.result === "pass") {
    return { disposition: published === "none" ? "none" : "pass", reasons: [] };
  }
  const advised = decision.opinions.find(({ stage }) => stage === "dmarc")?.disposition;
  const done = dispositions[advised ?? decision.disposition];
  if (done === published) return { disposition: done, reasons: [] };
  if (done === policy) return { disposition: done, reasons: [{ type: "policy_test_mode" }] };
  const arc = findVerdict(verdicts, "arc");
  if (done === "none" && isForwarded(arc, dmarc)) {
    return { disposition: done, reasons: [{ type: "trusted_forwarder" }] };
  }
  return { disposition: done, reasons: [{ type: "local_policy" }] };
}

const dispositions = {
  accept: "none",
  quarantine: "quarantine",
  defer: "reject",
  reject: "reject",
} as const;

function isForwarded(arc: ArcVerdict | undefined, { fromDomain }: DmarcVerdict): boolean {
  return arc?.trusted === true && arc.saw?.dmarc === "pass" && arc.saw.fromDomain === fromDomain;
}

/** In the order of §3.1.3, for those behind the last place are left out. */
function dkimEntries(dmarc: DmarcVerdict, verdicts: readonly Verdict[]): readonly DkimEntry[] {
  const aligned = new Set(dmarc.dkimAligned);
  const rank = ({ result, domain }: DkimVerdict): number => {
    if (result !== "pass") return 3;
    if (domain === dmarc.fromDomain) return 0;
    return aligned.has(domain) ? 1 : 2;
  };
  return verdicts
    .filter((one): one is DkimVerdict => one.method === "dkim" && one.result !== "none")
    .filter(({ domain }) => domainName.test(domain))
    .sort((one, other) => rank(one) - rank(other))
    .slice(0, maxSignatures)
    .map(({ domain, selector, result }) => ({ domain, selector, result }));
}

function spfEntries(spf: SpfVerdict | undefined): readonly SpfEntry[] {
  if (spf === undefined || !domainName.test(spf.domain)) return [];
  const scope = spf.identity === "mailfrom" ? "mfrom" : "helo";
  return [{ domain: spf.domain, scope, result: spf.result }];
}

/** Only one that all of them share: the rows of a message are not doubled. */
function recipientDomain(recipients: readonly string[]): string | undefined {
  const [domain, ...more] = new Set(recipients.map(domainOf));
  return more.length === 0 ? domain : undefined;
}

export function domainOf(path: string): string {
  return path
    .slice(path.lastIndexOf("@") + 1)
    .toLowerCase()
    .slice(0, 255);
}

export function isSame(address: string, other: string): boolean {
  return address.toLowerCase() === other.toLowerCase();
}

export function findVerdict<Method extends Verdict["method"]>(
  verdicts: readonly Verdict[],
  method: Method,
): Extract<Verdict, { method: Method }> | undefined {
  return verdicts.find((one): one is Extract<Verdict, { method: Method }> => one.method === method);
}
