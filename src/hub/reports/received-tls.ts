/** Reports on TLS that others sent us: kept once each, bounded, and asked about (RFC 8460). */

import type { TlsFailure, TlsReport, TlsReportPolicy } from "#formats/tls-report";
import { type Book, dayMs } from "./book.ts";
import type { Origin } from "./received.ts";

/** Ours: over all; those that nobody vouches for go first. */
const maxReports = 50_000;
/** Ours, of one report about one domain. */
const maxFailures = 200;
const maxPolicyText = 4000;

/** @returns false when all of it is there already: the same domain, organization and id */
export function keepTls(book: Book, report: TlsReport, origin: Origin): boolean {
  // One may be about several domains; where it names none, nobody can tell whom it is about.
  const byDomain = Map.groupBy(report.policies, ({ domain }) => domain);
  return book.together(() => {
    const kept = [...byDomain].map(([domain, policies]) =>
      keepDomain(book, report, { domain, policies, origin }),
    );
    book.run(
      `DELETE FROM tls_report WHERE id IN (SELECT id FROM tls_report ORDER BY reporter <> '', at_ms
        LIMIT max(0, (SELECT count(*) FROM tls_report) - ?))`,
      maxReports,
    );
    book.run("DELETE FROM tls_failure WHERE report NOT IN (SELECT id FROM tls_report)");
    return kept.some((isNew) => isNew);
  });
}

interface Part {
  readonly domain: string;
  readonly policies: readonly TlsReportPolicy[];
  readonly origin: Origin;
}

function keepDomain(
  book: Book,
  { organization, reportId, beginMs, endMs, contact }: TlsReport,
  { domain, policies, origin }: Part,
): boolean {
  const sum = (key: "successes" | "failures"): number =>
    policies.reduce((total, one) => total + one[key], 0);
  const more = JSON.stringify(policies.map(({ type, strings }) => ({ type, strings })));
  const { changes, rowId } = book.run(
    `INSERT INTO tls_report (org, report_id, domain, begin_ms, end_ms, at_ms, reporter, contact,
      successes, failures, more) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    organization,
    reportId,
    domain,
    beginMs,
    endMs,
    origin.atMs,
    origin.reporter,
    contact,
    sum("successes"),
    sum("failures"),
    more.length > maxPolicyText ? "[]" : more,
  );
  if (changes === 0) return false;
  const failures = policies.flatMap(({ details }) => details).slice(0, maxFailures);
  for (const failure of failures) keepFailure(book, rowId, failure);
  return true;
}

function keepFailure(book: Book, report: number, failure: TlsFailure): void {
  book.run(
    "INSERT INTO tls_failure VALUES (?, ?, ?, ?, ?, ?, ?)",
    report,
    failure.result,
    failure.sessions,
    failure.sendingIp ?? "",
    failure.receivingHost ?? "",
    failure.receivingIp ?? "",
    failure.reason ?? failure.additional ?? "",
  );
}

export function pruneTls(book: Book, keepDays: number, nowMs: number): void {
  book.run("DELETE FROM tls_report WHERE at_ms < ?", nowMs - keepDays * dayMs);
  book.run("DELETE FROM tls_failure WHERE report NOT IN (SELECT id FROM tls_report)");
}

/** What senders say of TLS to one of our domains. */
export interface TlsSummary {
  readonly domain: string;
  readonly reports: number;
  readonly senders: number;
  readonly successes: number;
  readonly failures: number;
  /** Most sessions first. */
  readonly failing: readonly TlsFailing[];
}

export interface TlsFailing {
  readonly org: string;
  readonly result: string;
  readonly sessions: number;
  readonly sendingIp: string;
  readonly receivingHost: string;
  readonly reason: string;
}

const maxDomains = 1000;
const maxFailing = 20;

/** Since then; reports that nobody vouches for are left out. */
export function tlsSummaries(book: Book, sinceMs: number, domain?: string): readonly TlsSummary[] {
  const rows = book.all(
    `SELECT domain, count(*) AS reports, count(DISTINCT org) AS senders,
      sum(successes) AS successes, sum(failures) AS failures FROM tls_report
      WHERE end_ms >= ?1 AND reporter <> '' AND (?2 IS NULL OR domain = ?2)
      GROUP BY domain ORDER BY failures DESC, domain LIMIT ${maxDomains}`,
    sinceMs,
    domain ?? null,
  ) as readonly Omit<TlsSummary, "failing">[];
  return rows.map((row) => ({
    ...row,
    failing: book.all(
      `SELECT org, result, sum(sessions) AS sessions, sending_ip AS sendingIp,
        receiving_host AS receivingHost, max(reason) AS reason
        FROM tls_failure JOIN tls_report ON tls_report.id = tls_failure.report
        WHERE end_ms >= ? AND reporter <> '' AND domain = ?
        GROUP BY org, result, sending_ip, receiving_host
        ORDER BY sessions DESC, org LIMIT ${maxFailing}`,
      sinceMs,
      row.domain,
    ) as readonly TlsFailing[],
  }));
}
