/** Reports that others sent us: kept once each, bounded, and asked about. */

import type { AggregateReport, ReportRecord } from "#formats/dmarc-report";
import type { FeedbackReport } from "#formats/feedback-report";
import { type Book, dayMs, dayOf } from "./book.ts";
import { domainOf } from "./evidence.ts";
import { pruneTls } from "./received-tls.ts";

/** Ours: records and feedback reports over all; those that nobody vouches for go first. */
const maxRecords = 500_000;
const maxFeedbacks = 50_000;

export interface Origin {
  readonly atMs: number;
  /** Domain that DMARC verified as its author, "file", "ourselves", or "" for nobody. */
  readonly reporter: string;
}

/** @returns false when it is there already: the same domain, organization and id */
export function keepAggregate(
  book: Book,
  report: AggregateReport,
  { atMs, reporter }: Origin,
): boolean {
  const { orgName, reportId, policy, beginMs, endMs, records } = report;
  const passed = records.filter(hasPassed);
  return book.together(() => {
    const { changes, rowId } = book.run(
      `INSERT INTO report (org, report_id, domain, begin_ms, end_ms, at_ms, reporter, more,
        messages, passed, records) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      orgName.slice(0, maxText),
      reportId.slice(0, maxText),
      policy.domain,
      beginMs,
      endMs,
      atMs,
      reporter,
      JSON.stringify(restOf(report)),
      sumOf(records),
      sumOf(passed),
      records.length,
    );
    if (changes === 0) return false;
    for (const record of records) keepRecord(book, rowId, record);
    makeRoom(book, rowId);
    return true;
  });
}

/** In characters: others write these. */
const maxText = 255;
const maxMore = 4000;

function restOf(report: AggregateReport): object {
  const { schema, email, extraContactInfo, errors, generator, policy } = report;
  const { fo } = policy;
  return {
    schema,
    email: email.slice(0, maxText),
    extraContactInfo: extraContactInfo?.slice(0, maxText),
    errors: errors.slice(0, 10).map((text) => text.slice(0, maxText)),
    generator: generator?.slice(0, maxText),
    policy: { ...policy, ...(fo !== undefined && { fo: fo.slice(0, 20) }) },
  };
}

function keepRecord(book: Book, report: number, record: ReportRecord): void {
  const { sourceIp, count, disposition, dkim, spf, headerFrom, envelopeFrom, ...more } = record;
  const whole = JSON.stringify(more);
  // Longer than any honest one: what is left tells enough.
  const bare = JSON.stringify({ reasons: [], dkimResults: [], spfResults: [] });
  book.run(
    "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    report,
    sourceIp,
    count,
    disposition,
    dkim,
    spf,
    headerFrom,
    envelopeFrom ?? null,
    whole.length > maxMore ? bare : whole,
  );
}

function makeRoom(book: Book, newest: number): void {
  const total = (): number =>
    (book.get("SELECT sum(records) AS sum FROM report") as { sum: number | null } | undefined)
      ?.sum ?? 0;
  while (total() > maxRecords) {
    const oldest = book.get(
      "SELECT id FROM report WHERE id <> ? ORDER BY reporter <> '', at_ms LIMIT 1",
      newest,
    ) as { id: number } | undefined;
    if (oldest === undefined) return;
    removeReport(book, oldest.id);
  }
}

function removeReport(book: Book, id: number): void {
  book.run("DELETE FROM record WHERE report = ?", id);
  book.run("DELETE FROM report WHERE id = ?", id);
}

/** In short: whose addresses were in it stays out of the file. */
export function keepFeedback(
  book: Book,
  feedback: FeedbackReport,
  { atMs, reporter }: Origin,
): void {
  const { feedbackType, reportedDomain, sourceIp = "", userAgent, incidents } = feedback;
  const { authFailure, deliveryResult, identityAlignment, dkimDomain, dkimSelector } = feedback;
  const { originalMailFrom, arrivedAtMs } = feedback;
  const mailFrom = originalMailFrom === undefined ? undefined : domainOf(originalMailFrom);
  const more = { userAgent, incidents, arrivedAtMs, mailFrom, authFailure, deliveryResult };
  book.together(() => {
    book.run(
      "INSERT INTO feedback (at_ms, reporter, type, domain, source_ip, more) VALUES (?, ?, ?, ?, ?, ?)",
      atMs,
      reporter,
      feedbackType.slice(0, maxText),
      (reportedDomain[0] ?? mailFrom ?? "").slice(0, maxText),
      sourceIp,
      cut(JSON.stringify({ ...more, identityAlignment, dkimDomain, dkimSelector })),
    );
    book.run(
      `DELETE FROM feedback WHERE id IN (SELECT id FROM feedback ORDER BY reporter <> '', at_ms
        LIMIT max(0, (SELECT count(*) FROM feedback) - ?))`,
      maxFeedbacks,
    );
  });
}

/** Longer than any honest one. */
function cut(json: string): string {
  return json.length > maxMore ? "{}" : json;
}

export function noteUnread(book: Book, why: string, atMs: number): void {
  book.run(
    "INSERT INTO unread VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
    dayOf(atMs),
    why,
  );
}

/** Forgets what is old. */
export function prune(book: Book, keepDays: number, nowMs: number): void {
  const before = nowMs - keepDays * dayMs;
  book.together(() => {
    const old = book.all("SELECT id FROM report WHERE at_ms < ?", before) as readonly {
      id: number;
    }[];
    for (const { id } of old) removeReport(book, id);
    book.run("DELETE FROM feedback WHERE at_ms < ?", before);
    book.run("DELETE FROM sent WHERE at_ms < ?", before);
    book.run("DELETE FROM unread WHERE day < ?", dayOf(before));
    pruneTls(book, keepDays, nowMs);
  });
}

function hasPassed({ dkim, spf }: Pick<ReportRecord, "dkim" | "spf">): boolean {
  return dkim === "pass" || spf === "pass";
}

export function sumOf(records: readonly { readonly count: number }[]): number {
  return records.reduce((sum, { count }) => sum + count, 0);
}
