/** Writes an aggregate report as RFC 9990 appendix A wants it. */

import type { AggregateReport, ReportRecord } from "./report.ts";
import { namespace, type OverrideReason } from "./report.ts";
import { escapeXml } from "./xml.ts";

/** §3.1.3 */
const maxSignatures = 100;

/** Reports of the older schema come out in the new one. The records must be at least one. */
export function formatAggregateReport(report: AggregateReport): string {
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<feedback xmlns="${namespace}">`,
    "  <version>1.0</version>", // §3.1.1.2
    ...group(1, "report_metadata", metadata(report)),
    ...group(1, "policy_published", policy(report.policy)),
    ...report.records.flatMap((record) => group(1, "record", recordLines(record))),
    "</feedback>",
  ];
  return `${lines.join("\n")}\n`;
}

function metadata(report: AggregateReport): readonly string[] {
  const { orgName, email, extraContactInfo, reportId, errors, generator } = report;
  return [
    ...leaf("org_name", orgName),
    ...leaf("email", email),
    ...leaf("extra_contact_info", extraContactInfo),
    ...leaf("report_id", reportId),
    ...group(0, "date_range", [
      ...leaf("begin", Math.floor(report.beginMs / 1000)),
      ...leaf("end", Math.floor(report.endMs / 1000)),
    ]),
    ...leaf("error", errors.length > 0 ? errors.join("; ") : undefined),
    ...leaf("generator", generator),
  ];
}

/** §3.1.1.5: tags that are not published have their default values. */
function policy(published: AggregateReport["policy"]): readonly string[] {
  const { domain, p, sp = p, np, adkim = "r", aspf = "r", fo = "0", testing } = published;
  return [
    ...leaf("domain", domain),
    ...leaf("discovery_method", published.discoveryMethod),
    ...leaf("p", p),
    ...leaf("sp", sp),
    ...leaf("np", np),
    ...leaf("fo", fo),
    ...leaf("adkim", adkim),
    ...leaf("aspf", aspf),
    ...leaf("testing", testing === true ? "y" : "n"),
  ];
}

/** The order within each of them is a must (§3.1.1.7 to §3.1.1.11). */
function recordLines(record: ReportRecord): readonly string[] {
  const { sourceIp, count, disposition, dkim, spf, reasons } = record;
  return [
    ...group(0, "row", [
      ...leaf("source_ip", sourceIp),
      ...leaf("count", count),
      ...group(0, "policy_evaluated", [
        ...leaf("disposition", disposition),
        ...leaf("dkim", dkim),
        ...leaf("spf", spf),
        ...reasons.flatMap(({ type, comment }) =>
          group(0, "reason", [...leaf("type", reason(type)), ...leaf("comment", comment)]),
        ),
      ]),
    ]),
    ...group(0, "identifiers", [
      ...leaf("header_from", record.headerFrom),
      ...leaf("envelope_from", record.envelopeFrom),
      ...leaf("envelope_to", record.envelopeTo),
    ]),
    ...group(0, "auth_results", authResults(record)),
  ];
}

function authResults({ dkimResults, spfResults }: ReportRecord): readonly string[] {
  const dkim = dkimResults
    .slice(0, maxSignatures)
    .flatMap(({ domain, selector, result, humanResult }) =>
      group(0, "dkim", [
        ...leaf("domain", domain),
        ...leaf("selector", selector),
        ...leaf("result", result),
        ...leaf("human_result", humanResult),
      ]),
    );
  const spf = spfResults.slice(0, 1).flatMap(({ domain, scope, result, humanResult }) =>
    group(0, "spf", [
      ...leaf("domain", domain),
      ...leaf("scope", scope === "mfrom" ? scope : undefined), // §3.1.1.13 has no other
      ...leaf("result", result),
      ...leaf("human_result", humanResult),
    ]),
  );
  return [...dkim, ...spf];
}

/** §3.1.6 has dropped two of the older reasons. */
function reason(type: OverrideReason): OverrideReason {
  return type === "forwarded" || type === "sampled_out" ? "other" : type;
}

function leaf(name: string, value: string | number | undefined): readonly string[] {
  return value === undefined ? [] : [`<${name}>${escapeXml(String(value))}</${name}>`];
}

function group(depth: number, name: string, lines: readonly string[]): readonly string[] {
  const indent = "  ".repeat(depth);
  const inner = lines.map((line) => `${indent}  ${line}`);
  return [`${indent}<${name}>`, ...inner, `${indent}</${name}>`];
}
