/** The reports in a mail or a file: aggregate ones of both schemas, feedback reports, reports on TLS. Pure. */

import { buffer } from "#base/bytes";
import type { Result } from "#base/result";
import {
  type AggregateFault,
  type AggregateReport,
  type OpenFault,
  openReport,
  parseAggregateReport,
} from "#formats/dmarc-report";
import { type FeedbackReport, parseFeedbackReport } from "#formats/feedback-report";
import { decodeBody, describeMessage, fileName, walkParts } from "#formats/mime";
import { parseTlsReport, type TlsReport } from "#formats/tls-report";
import type { MimePart } from "#model/description";

export interface FoundReports {
  readonly aggregates: readonly AggregateReport[];
  readonly feedbacks: readonly FeedbackReport[];
  readonly tls: readonly TlsReport[];
  /** Of what looked like a report and is none; "no-report" where nothing did. */
  readonly faults: readonly string[];
}

/** Ours: a mail has one report, and perhaps some more. */
const maxParts = 10;
/** Ours: enough for the largest provider; those behind are not kept. */
const maxRecords = 10_000;

/** @param octets untrusted: a whole message, or a report as XML or JSON, in gzip or in a zip */
export function readReports(octets: Uint8Array): FoundReports {
  const bytes = buffer(octets);
  const aggregates: AggregateReport[] = [];
  const feedbacks: FeedbackReport[] = [];
  const tls: TlsReport[] = [];
  const faults: string[] = [];
  const take = (kind: Candidate["kind"], body: Uint8Array): void => {
    if (kind === "feedback") {
      const parsed = parseFeedbackReport(body);
      if (parsed.ok) feedbacks.push(parsed.value);
      else faults.push(parsed.fault);
      return;
    }
    // Both come as gzip, and not all say which they are.
    const about = kind === "tls" ? undefined : aggregateOf(body);
    if (about?.ok) return void aggregates.push(shortened(about.value));
    const session = parseTlsReport(body);
    if (session.ok) tls.push(session.value);
    else faults.push(about?.fault ?? session.fault);
  };
  if (isFile(bytes)) take("aggregate", bytes);
  else {
    for (const { part, kind } of candidates(describeMessage(bytes).root)) {
      take(kind, decodeBody(bytes.subarray(part.bodyStart, part.bodyEnd), part.encoding));
    }
  }
  const isEmpty = aggregates.length + feedbacks.length + tls.length + faults.length === 0;
  return { aggregates, feedbacks, tls, faults: isEmpty ? ["no-report"] : faults };
}

function aggregateOf(file: Uint8Array): Result<AggregateReport, OpenFault | AggregateFault> {
  const opened = openReport(file);
  return opened.ok ? parseAggregateReport(opened.value) : opened;
}

function shortened(report: AggregateReport): AggregateReport {
  const { records } = report;
  return records.length <= maxRecords
    ? report
    : { ...report, records: records.slice(0, maxRecords) };
}

function isFile(bytes: Buffer): boolean {
  const start = bytes.toString("latin1", 0, 64);
  return /^(?:\x1f\x8b|PK\x03\x04|(?:\xef\xbb\xbf)?\s*[<{])/.test(start);
}

interface Candidate {
  readonly part: MimePart;
  readonly kind: "aggregate" | "feedback" | "tls";
}

function candidates(root: MimePart): readonly Candidate[] {
  const found: Candidate[] = [];
  for (const part of walkParts(root)) {
    const kind = kindOf(part);
    if (kind !== undefined && found.length < maxParts) found.push({ part, kind });
  }
  return found;
}

const packedTypes =
  /^(?:application\/(?:gzip|x-gzip|gzip-compressed|zip|x-zip|x-zip-compressed|xml|octet-stream)|text\/xml)$/;

function kindOf(part: MimePart): Candidate["kind"] | undefined {
  const type = `${part.type}/${part.subtype}`;
  if (type === "message/feedback-report") return "feedback";
  if (part.parts.length > 0) return undefined;
  const name = fileName(part) ?? "";
  if (type.startsWith("application/tlsrpt+") || /\.json(?:\.gz)?$/i.test(name)) return "tls";
  const isNamed = /\.(?:xml|gz|zip)$/i.test(name);
  return packedTypes.test(type) || isNamed ? "aggregate" : undefined;
}
