/** The reports in a mail or a file: aggregate ones of both schemas and feedback reports. Pure. */

import { buffer } from "#base/bytes";
import { type AggregateReport, openReport, parseAggregateReport } from "#formats/dmarc-report";
import { type FeedbackReport, parseFeedbackReport } from "#formats/feedback-report";
import { decodeBody, describeMessage, fileName, walkParts } from "#formats/mime";
import type { MimePart } from "#model/description";

export interface FoundReports {
  readonly aggregates: readonly AggregateReport[];
  readonly feedbacks: readonly FeedbackReport[];
  /** Of what looked like a report and is none; "no-report" where nothing did. */
  readonly faults: readonly string[];
}

/** Ours: a mail has one report, and perhaps some more. */
const maxParts = 10;
/** Ours: enough for the largest provider; those behind are not kept. */
const maxRecords = 10_000;

/** @param octets untrusted: a whole message, or a report as XML, in gzip or in a zip */
export function readReports(octets: Uint8Array): FoundReports {
  const bytes = buffer(octets);
  const found = { aggregates: [] as AggregateReport[], feedbacks: [] as FeedbackReport[] };
  const faults: string[] = [];
  const takeAggregate = (file: Uint8Array): void => {
    const opened = openReport(file);
    const parsed = opened.ok ? parseAggregateReport(opened.value) : opened;
    if (!parsed.ok) faults.push(parsed.fault);
    else found.aggregates.push(shortened(parsed.value));
  };
  if (isFile(bytes)) takeAggregate(bytes);
  else {
    for (const { part, kind } of candidates(describeMessage(bytes).root)) {
      const body = decodeBody(bytes.subarray(part.bodyStart, part.bodyEnd), part.encoding);
      if (kind === "aggregate") {
        takeAggregate(body);
        continue;
      }
      const parsed = parseFeedbackReport(body);
      if (parsed.ok) found.feedbacks.push(parsed.value);
      else faults.push(parsed.fault);
    }
  }
  const isEmpty = found.aggregates.length + found.feedbacks.length + faults.length === 0;
  return { ...found, faults: isEmpty ? ["no-report"] : faults };
}

function shortened(report: AggregateReport): AggregateReport {
  const { records } = report;
  return records.length <= maxRecords
    ? report
    : { ...report, records: records.slice(0, maxRecords) };
}

function isFile(bytes: Buffer): boolean {
  const start = bytes.toString("latin1", 0, 64);
  return /^(?:\x1f\x8b|PK\x03\x04|(?:\xef\xbb\xbf)?\s*<)/.test(start);
}

interface Candidate {
  readonly part: MimePart;
  readonly kind: "aggregate" | "feedback";
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
  const isNamed = /\.(?:xml|gz|zip)$/i.test(fileName(part) ?? "");
  return packedTypes.test(type) || isNamed ? "aggregate" : undefined;
}
