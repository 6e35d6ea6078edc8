/** Makes an aggregate report and the mail that carries it (RFC 9990 §3.1, §3.5). */

import { hash } from "node:crypto";
import { domainToASCII } from "node:url";
import {
  type AggregateReport,
  type ReportMail,
  type ReportRecord,
  reportMail,
} from "#formats/dmarc-report";
import { composeMessage } from "#formats/mime";
import type { PolicyFinding } from "#identity/dmarc";
import { sumOf } from "./received.ts";
import type { ReportSettings } from "./settings.ts";

export interface Period {
  /** First and last second of it. */
  readonly beginMs: number;
  readonly endMs: number;
}

export type Published = NonNullable<PolicyFinding["published"]>;
type Policies = Extract<Published["record"]["policies"], object>;

interface Rows {
  readonly records: readonly ReportRecord[];
  /** Messages that have no row. */
  readonly leftOut: number;
}

const generator = "Postern";

/** The same domain, period and submitter give the same id: what is sent twice is known to be one. */
export function aggregateReport(
  { records, leftOut }: Rows,
  { domain, record }: Published,
  { beginMs, endMs }: Period,
  { address, orgName, submitter }: ReportSettings,
): AggregateReport {
  const { policies } = record;
  const { p, sp = p, np } = typeof policies === "object" ? policies : ({ p: "none" } as Policies);
  const missing = `${leftOut} messages are left out: they came from too many sources`;
  return {
    schema: "rfc9990",
    orgName,
    email: address,
    reportId: hash("sha256", [submitter, domain, beginMs, endMs].join(" ")).slice(0, 16),
    beginMs,
    endMs,
    errors: [...record.faults.slice(0, 10), ...(leftOut > 0 ? [missing] : [])],
    generator,
    policy: {
      domain,
      p,
      sp,
      ...(np !== undefined && { np }),
      adkim: record.adkim,
      aspf: record.aspf,
      fo: record.fo.join(":"),
      testing: record.testing,
      discoveryMethod: "treewalk",
    },
    records,
  };
}

export interface Packed {
  readonly report: AggregateReport;
  readonly mail: ReportMail;
}

/** Packs it, without the rows of the fewest messages where it would be too large. */
export function packed(
  rows: Rows,
  make: (rows: Rows) => AggregateReport,
  { submitter, maxKib }: ReportSettings,
): Packed {
  let { records, leftOut } = rows;
  for (;;) {
    const report = make({ records, leftOut });
    const mail = reportMail(report, submitter);
    if (mail.octets.length <= maxKib * 1024 || records.length <= 1) return { report, mail };
    const half = Math.ceil(records.length / 2);
    leftOut += sumOf(records.slice(half));
    records = records.slice(0, half);
  }
}

export function aggregateMail(
  { report, mail }: Packed,
  to: readonly string[],
  { address, orgName, submitter }: ReportSettings,
  madeAtMs: number,
): Buffer {
  const { policy, beginMs, endMs, records } = report;
  const messages = sumOf(records);
  const time = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const text = [
    `DMARC aggregate report of ${submitter} about mail from ${policy.domain}`,
    `from ${time(beginMs)} to ${time(endMs)}: ${messages} messages.`,
    "The attachment is for programs (RFC 9990).",
    "",
  ];
  return composeMessage({
    from: [{ name: orgName, email: address }],
    to: to.map((email) => ({ name: null, email: asciiAddress(email) })),
    subject: mail.subject,
    text: text.join("\r\n"),
    attachments: [{ name: mail.fileName, type: mail.contentType, octets: mail.octets }],
    messageId: `<${report.reportId}@${submitter}>`,
    dateMs: madeAtMs,
    further: [["Auto-Submitted", "auto-generated"]], // RFC 3834 §5: no machine answers it
  });
}

function asciiAddress(address: string): string {
  const at = address.lastIndexOf("@") + 1;
  return address.slice(0, at) + domainToASCII(address.slice(at));
}
