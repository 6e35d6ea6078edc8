/** An aggregate report as an attachment: its name, its subject, its octets (RFC 9990 §3.5). */

import { strict as assert } from "node:assert";
import { gzipSync } from "node:zlib";
import { formatAggregateReport } from "./format.ts";
import type { AggregateReport } from "./report.ts";

export interface ReportMail {
  readonly subject: string;
  readonly fileName: string;
  readonly contentType: "application/gzip";
  /** The same report gives the same octets: a second try is not taken for another report. */
  readonly octets: Uint8Array;
}

/** §3.5.1 */
const dotAtoms = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;
/** §3.5.2 unique-id */
const unique = /^[A-Za-z0-9]+$/;

/** @param submitter domain name of the mail receiver that makes the report */
export function reportMail(report: AggregateReport, submitter: string): ReportMail {
  return {
    subject: reportSubject(report, submitter),
    fileName: reportFileName(report, submitter),
    contentType: "application/gzip",
    octets: gzipSync(formatAggregateReport(report)),
  };
}

function reportSubject({ policy, reportId }: AggregateReport, submitter: string): string {
  const [local = "", domain, ...more] = reportId.split("@");
  assert.ok(dotAtoms.test(local) && more.length === 0, "our report id is of RFC 9990 §3.5.1");
  assert.ok(domain === undefined || dotAtoms.test(domain), "our report id is of RFC 9990 §3.5.1");
  return `Report Domain: ${policy.domain} Submitter: ${submitter} Report-ID: <${reportId}>`;
}

/** §3.1.4: the unique part is the Report-ID or nothing. */
function reportFileName(report: AggregateReport, submitter: string): string {
  const { policy, beginMs, endMs, reportId } = report;
  const times = [beginMs, endMs].map((ms) => String(Math.floor(ms / 1000)));
  const id = unique.test(reportId) ? [reportId] : [];
  return `${[submitter, policy.domain, ...times, ...id].join("!")}.xml.gz`;
}
