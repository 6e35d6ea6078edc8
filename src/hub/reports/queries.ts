/** What administrators ask of the reports. */

import type { AggregateReport, ReportRecord } from "#formats/dmarc-report";
import { type Book, dayMs } from "./book.ts";
import type { SentNote } from "./rounds.ts";

export interface ReceivedFilter {
  readonly domain?: string | undefined;
  /** Any moment of the UTC day that the report is about. */
  readonly dayMs?: number | undefined;
  /** Reports that name this source. */
  readonly source?: string | undefined;
  readonly limit: number;
}

export interface ReceivedRow {
  readonly id: number;
  readonly domain: string;
  readonly org: string;
  readonly reportId: string;
  readonly beginMs: number;
  readonly endMs: number;
  readonly receivedAtMs: number;
  /** Domain that DMARC verified as its author, "file", "ourselves", or "" for nobody. */
  readonly reporter: string;
  readonly messages: number;
  readonly passed: number;
  readonly records: number;
}

const receivedColumns = `id, domain, org, report_id AS reportId, begin_ms AS beginMs,
  end_ms AS endMs, at_ms AS receivedAtMs, reporter, messages, passed, records`;

/** Those about the latest days first. */
export function receivedReports(book: Book, filter: ReceivedFilter): readonly ReceivedRow[] {
  const { domain = null, dayMs: from = null, source = null, limit } = filter;
  return book.all(
    `SELECT ${receivedColumns} FROM report WHERE (?1 IS NULL OR domain = ?1)
      AND (?2 IS NULL OR (begin_ms < ?2 + ${dayMs} AND end_ms >= ?2))
      AND (?3 IS NULL OR id IN (SELECT report FROM record WHERE source_ip = ?3))
      ORDER BY end_ms DESC, id DESC LIMIT ?4`,
    domain,
    from,
    source,
    limit,
  ) as readonly ReceivedRow[];
}

export type ShownReport = ReceivedRow &
  Omit<AggregateReport, "orgName" | "records"> & { readonly rows: readonly ReportRecord[] };

/** The sources with the most messages first. */
export function receivedReport(book: Book, id: number, limit: number): ShownReport | undefined {
  const found = book.get(`SELECT ${receivedColumns}, more FROM report WHERE id = ?`, id) as
    | (ReceivedRow & { more: string })
    | undefined;
  if (found === undefined) return undefined;
  const { more, ...report } = found;
  const records = book.all(
    `SELECT source_ip AS sourceIp, count, disposition, dkim, spf, header_from AS headerFrom,
      envelope_from AS envelopeFrom, more FROM record WHERE report = ?
      ORDER BY count DESC, source_ip LIMIT ?`,
    id,
    limit,
  ) as readonly (Omit<ReportRecord, "envelopeFrom"> & Stored)[];
  const rows = records.map(({ more: rest, envelopeFrom, ...record }) => ({
    ...record,
    ...(envelopeFrom !== null && { envelopeFrom }),
    ...(JSON.parse(rest) as Pick<ReportRecord, "dkimResults" | "spfResults">),
  }));
  return { ...report, ...(JSON.parse(more) as Omit<AggregateReport, "records">), rows };
}

interface Stored {
  readonly envelopeFrom: string | null;
  readonly more: string;
}

export interface FeedbackRow {
  readonly receivedAtMs: number;
  readonly reporter: string;
  readonly type: string;
  readonly domain: string;
  readonly sourceIp: string;
  readonly [more: string]: unknown;
}

/** Newest first. */
export function feedbackReports(book: Book, filter: ReceivedFilter): readonly FeedbackRow[] {
  const { domain = null, dayMs: from = null, source = null, limit } = filter;
  const rows = book.all(
    `SELECT at_ms AS receivedAtMs, reporter, type, domain, source_ip AS sourceIp, more FROM feedback
      WHERE (?1 IS NULL OR domain = ?1) AND (?2 IS NULL OR at_ms BETWEEN ?2 AND ?2 + ${dayMs})
      AND (?3 IS NULL OR source_ip = ?3) ORDER BY id DESC LIMIT ?4`,
    domain,
    from,
    source,
    limit,
  ) as readonly (FeedbackRow & { more: string })[];
  return rows.map(({ more, ...row }) => ({ ...row, ...(JSON.parse(more) as object) }));
}

/** Reports that nobody vouches for: they are shown, and count nowhere. */
export function unverifiedReports(book: Book, sinceMs: number): number {
  const sql = "SELECT count(*) AS count FROM report WHERE end_ms >= ? AND reporter = ''";
  return (book.get(sql, sinceMs) as { count: number } | undefined)?.count ?? 0;
}

export interface UnreadRow {
  readonly why: string;
  readonly count: number;
}

export function unreadMail(book: Book, sinceMs: number): readonly UnreadRow[] {
  return book.all(
    "SELECT why, sum(count) AS count FROM unread WHERE day >= ? GROUP BY why ORDER BY 2 DESC",
    Math.floor(sinceMs / dayMs),
  ) as readonly UnreadRow[];
}

export interface DomainSummary {
  readonly domain: string;
  readonly reports: number;
  readonly reporters: number;
  readonly messages: number;
  readonly passed: number;
  /** Where neither DKIM nor SPF aligned, most messages first. */
  readonly failing: readonly FailingSource[];
}

export interface FailingSource {
  readonly sourceIp: string;
  readonly count: number;
  /** Who says so. */
  readonly reporters: number;
}

const maxFailing = 10;
/** Anybody with a domain can report on any: each has sums of its own to be made. */
const maxDomains = 1000;

/** What others saw of the domains since then; reports that nobody vouches for are left out. */
export function summaries(book: Book, sinceMs: number, domain?: string): readonly DomainSummary[] {
  const rows = book.all(
    `SELECT domain, count(*) AS reports, count(DISTINCT org) AS reporters,
      sum(messages) AS messages, sum(passed) AS passed FROM report
      WHERE end_ms >= ?1 AND reporter <> '' AND (?2 IS NULL OR domain = ?2)
      GROUP BY domain ORDER BY messages DESC, domain LIMIT ${maxDomains}`,
    sinceMs,
    domain ?? null,
  ) as readonly Omit<DomainSummary, "failing">[];
  return rows.map((row) => ({
    ...row,
    failing: book.all(
      `SELECT source_ip AS sourceIp, sum(count) AS count, count(DISTINCT org) AS reporters
        FROM record JOIN report ON report.id = record.report
        WHERE end_ms >= ? AND reporter <> '' AND domain = ? AND dkim <> 'pass' AND spf <> 'pass'
        GROUP BY source_ip ORDER BY count DESC, source_ip LIMIT ${maxFailing}`,
      sinceMs,
      row.domain,
    ) as readonly FailingSource[],
  }));
}

/** Where mail of a domain came from, as others saw it, in the shape that a replay of SPF takes. */
export interface OwnSource {
  readonly ip: string;
  readonly count: number;
  /** Reports tell only the domain of it, or nothing at all. */
  readonly mailFrom?: string;
  /** How many of them had an aligned pass. */
  readonly passed: number;
}

const maxSources = 1000;

export function ownSources(book: Book, domain: string, sinceMs: number): readonly OwnSource[] {
  const rows = book.all(
    `SELECT source_ip AS ip, sum(count) AS count,
      coalesce(envelope_from, json_extract(record.more, '$.spfResults[0].domain')) AS sender,
      sum(CASE WHEN dkim = 'pass' OR spf = 'pass' THEN count ELSE 0 END) AS passed
      FROM record JOIN report ON report.id = record.report
      WHERE domain = ? AND end_ms >= ? AND reporter <> ''
      GROUP BY source_ip, sender ORDER BY count DESC, ip LIMIT ${maxSources}`,
    domain,
    sinceMs,
  ) as readonly (OwnSource & { sender: string | null })[];
  return rows.map(({ sender, ...row }) => {
    if (sender === null) return row;
    return { ...row, mailFrom: sender === "" ? "" : `postmaster@${sender}` };
  });
}

export interface SentRow extends Omit<SentNote, "atMs"> {
  readonly id: number;
  readonly sentAtMs: number;
}

/** Newest first. */
export function sentReports(
  book: Book,
  { domain = null, limit }: { readonly domain?: string | null; readonly limit: number },
): readonly SentRow[] {
  const rows = book.all(
    `SELECT id, kind, domain, begin_ms AS beginMs, end_ms AS endMs, report_id AS reportId,
      addresses, message, messages, bytes, at_ms AS sentAtMs FROM sent
      WHERE (?1 IS NULL OR domain = ?1) ORDER BY id DESC LIMIT ?2`,
    domain,
    limit,
  ) as readonly (Omit<SentRow, "addresses"> & { addresses: string })[];
  return rows.map((row) => ({ ...row, addresses: JSON.parse(row.addresses) as string[] }));
}
