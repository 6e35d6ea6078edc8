/** Writes a report on TLS, and the mail that carries it (RFC 8460 §4.4, §5.1, §5.3). */

import { gzipSync } from "node:zlib";
import { composeMessage } from "#formats/mime";
import type { TlsFailure, TlsReport, TlsReportPolicy } from "./report.ts";

/** In gzip; the same report gives the same octets. */
export function packTlsReport(report: TlsReport): Buffer {
  return gzipSync(formatTlsReport(report));
}

/** §4.4 */
export function formatTlsReport(report: TlsReport): string {
  return JSON.stringify({
    "organization-name": report.organization,
    "date-range": { "start-datetime": time(report.beginMs), "end-datetime": time(report.endMs) },
    "contact-info": report.contact,
    "report-id": report.reportId,
    policies: report.policies.map(policyFields),
  });
}

function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function policyFields(one: TlsReportPolicy): object {
  return {
    policy: {
      "policy-type": one.type,
      ...(one.strings.length > 0 && { "policy-string": one.strings }),
      "policy-domain": one.domain,
      ...(one.mxHosts.length > 0 && { "mx-host": one.mxHosts }),
    },
    summary: {
      "total-successful-session-count": one.successes,
      "total-failure-session-count": one.failures,
    },
    ...(one.details.length > 0 && { "failure-details": one.details.map(failureFields) }),
  };
}

function failureFields(one: TlsFailure): object {
  return {
    "result-type": one.result,
    "sending-mta-ip": one.sendingIp,
    "receiving-mx-hostname": one.receivingHost,
    "receiving-mx-helo": one.receivingHelo,
    "receiving-ip": one.receivingIp,
    "failed-session-count": one.sessions,
    "additional-information": one.additional,
    "failure-reason-code": one.reason,
  };
}

export interface TlsReportMail {
  readonly report: TlsReport;
  /** Whom it is about. */
  readonly domain: string;
  /** Our domain name: the reporter. */
  readonly submitter: string;
  readonly from: { readonly name: string; readonly email: string };
  readonly to: readonly string[];
  readonly madeAtMs: number;
}

/** §5.1: who, about whom, from when to when, in seconds. */
export function tlsReportFileName({
  report,
  domain,
  submitter,
}: Pick<TlsReportMail, "report" | "domain" | "submitter">): string {
  const times = [report.beginMs, report.endMs].map((ms) => String(Math.floor(ms / 1000)));
  return `${[submitter, domain, ...times, report.reportId].join("!")}.json.gz`;
}

/** §5.3. Sent whatever the TLS on its way is (RFC 8689 §3): it may be about that TLS. */
export function tlsReportMail(mail: TlsReportMail): Buffer {
  const { report, domain, submitter } = mail;
  const { successes, failures } = sumsOf(report);
  const text = [
    `TLS report of ${submitter} about sessions with the mail servers of ${domain}`,
    `from ${time(report.beginMs)} to ${time(report.endMs)}: ${successes} went well, ${failures} failed.`,
    "The attachment is for programs (RFC 8460).",
    "",
  ];
  return composeMessage({
    from: [mail.from],
    to: mail.to.map((email) => ({ name: null, email })),
    subject: `Report Domain: ${domain} Submitter: ${submitter} Report-ID: <${report.reportId}@${submitter}>`,
    text: "",
    structure: {
      kind: "multipart",
      subtype: "report",
      parameters: [["report-type", "tlsrpt"]],
      parts: [
        { kind: "text", subtype: "plain", text: text.join("\r\n") },
        {
          kind: "attachment",
          attachment: {
            name: tlsReportFileName(mail),
            type: "application/tlsrpt+gzip",
            octets: packTlsReport(report),
          },
        },
      ],
    },
    messageId: `<${report.reportId}@${submitter}>`,
    dateMs: mail.madeAtMs,
    further: [
      ["TLS-Report-Domain", domain],
      ["TLS-Report-Submitter", submitter],
      ["TLS-Required", "No"],
      ["Auto-Submitted", "auto-generated"], // RFC 3834 §5: no machine answers it
    ],
  });
}

export function sumsOf({ policies }: Pick<TlsReport, "policies">): {
  readonly successes: number;
  readonly failures: number;
} {
  return {
    successes: policies.reduce((sum, one) => sum + one.successes, 0),
    failures: policies.reduce((sum, one) => sum + one.failures, 0),
  };
}
