/** Sends reports on TLS to those who ask, by mail or HTTPS (RFC 8460 §3, §5). */

import { hash } from "node:crypto";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import {
  packTlsReport,
  parseTlsRptRecord,
  sumsOf,
  type TlsFailure,
  type TlsReport,
  type TlsReportPolicy,
  tlsReportMail,
  tlsRptName,
} from "#formats/tls-report";
import type { TlsEvidence } from "#transport/tls-policy";
import type { OwnMail } from "../outgoing.ts";
import type { Book } from "./book.ts";
import type { ReportEvents } from "./events.ts";
import { dropSeen, type Outcome, periodOf, type Reporter, rememberSent } from "./rounds.ts";
import type { Seen, SeenGroup, SeenRows } from "./seen-rows.ts";
import type { ReportSettings } from "./settings.ts";

/** Sessions of the same domain with the same row are counted together. */
export type TlsRow = Omit<TlsEvidence, "domain">;

export interface TlsPorts {
  readonly book: Book;
  readonly seen: Seen<TlsRow>;
  readonly settings: ReportSettings;
  readonly resolver: Pick<Resolver, "query">;
  readonly sendOwn: (own: OwnMail) => Promise<void>;
  /** @throws Unavailable where it was not taken */
  readonly post: (url: string, octets: Uint8Array) => Promise<void>;
  readonly clock: Clock;
  readonly events: ReportEvents;
}

export class TlsReporter implements Reporter {
  readonly #ports: TlsPorts;

  constructor(ports: TlsPorts) {
    this.#ports = ports;
  }

  groups(before: number): readonly SeenGroup[] {
    return this.#ports.seen.groups(before);
  }

  drop(group: SeenGroup, why: string): Outcome {
    return dropSeen(this.#ports, group, why);
  }

  async report(group: SeenGroup): Promise<Outcome> {
    const { book, resolver, seen, settings, clock } = this.#ports;
    const answer = await resolver.query(tlsRptName(group.domain), "TXT");
    if (answer.kind === "failed") return "later";
    const texts = answer.kind === "found" ? answer.records.map(({ text }) => text) : [];
    const record = parseTlsRptRecord(texts);
    if (!record.ok) return this.drop(group, `it wants none (${record.fault})`);
    const rows = seen.rowsOf(group);
    const period = periodOf(book, "tls", group, clock.nowMs());
    const report = tlsReport(group.domain, rows, period, settings);
    const { mail, https } = record.value;
    const message = mail.length > 0 ? await this.#mail(group.domain, report, mail) : "";
    const posted = await this.#post(group.domain, report, https);
    if (message === "" && posted.length === 0) return "later";
    this.#remember(group, rows, { report, addresses: [...mail, ...posted], message });
    return "sent";
  }

  async #mail(domain: string, report: TlsReport, to: readonly string[]): Promise<string> {
    const { settings, clock, sendOwn } = this.#ports;
    const { address, orgName, submitter } = settings;
    const id = hash("sha256", `tls report ${domain} ${report.reportId}`).slice(0, 32);
    const from = { name: orgName, email: address };
    const content = tlsReportMail({ report, domain, submitter, from, to, madeAtMs: clock.nowMs() });
    const step = { step: "reported", text: `TLS report about ${domain}` };
    const facts = { id, reversePath: address, recipients: to, sender: address, content, step };
    // RFC 8460 §5.3, RFC 8689 §3: the report may be about the TLS on its own way.
    await sendOwn({ ...facts, tlsOptional: true });
    return id;
  }

  /** Those that took it. */
  async #post(
    domain: string,
    report: TlsReport,
    urls: readonly string[],
  ): Promise<readonly string[]> {
    const octets = packTlsReport(report);
    const took: string[] = [];
    for (const url of urls) {
      try {
        await this.#ports.post(url, octets);
        took.push(url);
      } catch (error) {
        this.#ports.events.failed(`posting a TLS report about ${domain}`, error);
      }
    }
    return took;
  }

  #remember(
    group: SeenGroup,
    rows: SeenRows<TlsRow>,
    {
      report,
      addresses,
      message,
    }: { report: TlsReport; addresses: readonly string[]; message: string },
  ): void {
    const { book, seen, clock, events } = this.#ports;
    const { successes, failures } = sumsOf(report);
    book.together(() => {
      seen.takeOff(group, rows.rows);
      rememberSent(book, {
        kind: "tls",
        domain: group.domain,
        beginMs: report.beginMs,
        endMs: report.endMs,
        reportId: report.reportId,
        addresses,
        message,
        messages: successes + failures,
        bytes: packTlsReport(report).length,
        atMs: clock.nowMs(),
      });
    });
    events.sent("tls", group.domain, successes + failures);
  }
}

type Row = TlsRow & { readonly count: number };

/** The same domain, period and submitter give the same id: what is sent twice is known to be one. */
function tlsReport(
  domain: string,
  { records, leftOut }: Pick<SeenRows<TlsRow>, "records" | "leftOut">,
  { beginMs, endMs }: { readonly beginMs: number; readonly endMs: number },
  { orgName, address, submitter }: ReportSettings,
): TlsReport {
  const byPolicy = Map.groupBy(records, ({ policy }) => JSON.stringify(policy));
  const policies = [...byPolicy.values()].map(policyOf);
  // Sessions without room for their row: that they were is told.
  const rest: TlsReportPolicy = {
    ...{ type: "no-policy-found", strings: [], domain, mxHosts: [], successes: 0 },
    ...{ failures: leftOut, details: [{ result: "validation-failure", sessions: leftOut }] },
  };
  return {
    organization: orgName,
    contact: address,
    beginMs,
    endMs,
    reportId: hash("sha256", ["tls", submitter, domain, beginMs, endMs].join(" ")).slice(0, 16),
    policies: leftOut > 0 && policies.length === 0 ? [rest] : policies,
  };
}

function policyOf(rows: readonly Row[]): TlsReportPolicy {
  const { type, domain, strings, mxHosts } = (rows[0] as Row).policy;
  const sum = (some: readonly Row[]): number => some.reduce((total, { count }) => total + count, 0);
  const failed = rows.filter(({ failure }) => failure !== undefined);
  return {
    type,
    domain,
    strings,
    mxHosts,
    successes: sum(rows.filter(({ failure }) => failure === undefined)),
    failures: sum(failed),
    details: failed.map(failureOf),
  };
}

function failureOf({ failure, count }: Row): TlsFailure {
  const { result = "validation-failure", receivingHost, receivingIp, reason } = failure ?? {};
  return {
    result,
    sessions: count,
    ...(receivingHost !== undefined && { receivingHost }),
    ...(receivingIp !== undefined && { receivingIp }),
    ...(reason !== undefined && { reason }),
  };
}
