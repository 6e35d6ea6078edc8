/** `postern reports`: what others see of our domains, and what we tell others of theirs. */

import type { Command } from "commander";
import { adminClient } from "../admin-client.ts";
import { exitCodes } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { addImport } from "./reports-import.ts";
import { countOf, dataOf, output } from "./shared.ts";

const examples = `
Examples:
  postern reports list                              our domains as others saw them, 30 days
  postern reports tls                               who could not reach us with TLS, and why
  postern reports received --domain example.org     the reports themselves
  postern reports show 12                           one of them, source by source
  postern reports sent                              what we told others
  postern reports send --now                        do not wait for the end of the day
  postern reports import mail.eml report.xml.gz     reports that came elsewhere

Reports come in by mail to [reports] address, which must be an account or an alias here; publish it
as rua in the DMARC and TLS-RPT records. Only reports whose author DMARC verified count in "list"
and "tls".`;

export function addReportCommands(program: Command): void {
  const reports = program
    .command("reports")
    .description("DMARC and TLS reports, received and sent")
    .addHelpText("after", examples);
  addList(reports);
  addTls(reports);
  addReceived(reports);
  addShow(reports);
  addSent(reports);
  addActs(reports);
  addImport(reports);
}

interface Overview {
  readonly domains: readonly DomainSummary[];
  readonly unverified: number;
  readonly unread: readonly { readonly why: string; readonly count: number }[];
  readonly tls: readonly TlsSummary[];
}

interface DomainSummary {
  readonly domain: string;
  readonly reports: number;
  readonly reporters: number;
  readonly messages: number;
  readonly passed: number;
  readonly failing: readonly {
    readonly sourceIp: string;
    readonly count: number;
    readonly reporters: number;
  }[];
}

function addList(reports: Command): void {
  reports
    .command("list")
    .description("per domain: messages, how many pass, and sources that fail")
    .option("--domain <name>", "only this one")
    .option("--days <count>", "how far back", "30")
    .action(async (options: { domain?: string; days: string }, command: Command) => {
      const query = queryOf({ domain: options.domain, days: countOf(options.days, "--days") });
      const overview = await adminClient(dataOf(command)).get<Overview>(`/reports?${query}`);
      output(command, overview, () => overviewText(overview, options.days));
    });
}

function overviewText({ domains, unverified, unread }: Overview, days: string): string {
  const parts = domains.map((one) => {
    const text = `${one.domain}: ${one.messages} messages in ${one.reports} reports of ${one.reporters} receivers, ${percent(one.passed, one.messages)} pass`;
    const head = textTable([[text]]); // strangers name domains
    const failing = one.failing.map(({ sourceIp, count, reporters }) => [
      `  ${sourceIp}`,
      `${count} fail`,
      reporters === 1 ? "seen by one receiver" : `seen by ${reporters} receivers`,
    ]);
    return failing.length === 0 ? head : `${head}; sources that fail:\n${textTable(failing)}`;
  });
  if (domains.length === 0) parts.push(`no verified report in ${days} days`);
  if (unverified > 0) {
    parts.push(`${unverified} reports that nobody vouches for are not counted (reports received)`);
  }
  for (const { why, count } of unread) {
    parts.push(`${count} times mail to the address had no report that can be read: ${why}`);
  }
  return parts.join("\n");
}

interface TlsSummary {
  readonly domain: string;
  readonly reports: number;
  readonly senders: number;
  readonly successes: number;
  readonly failures: number;
  readonly failing: readonly {
    readonly org: string;
    readonly result: string;
    readonly sessions: number;
    readonly sendingIp: string;
    readonly receivingHost: string;
    readonly reason: string;
  }[];
}

function addTls(reports: Command): void {
  reports
    .command("tls")
    .description("per domain: sessions with our mail servers whose TLS failed, and why (RFC 8460)")
    .option("--domain <name>", "only this one")
    .option("--days <count>", "how far back", "30")
    .action(async (options: { domain?: string; days: string }, command: Command) => {
      const query = queryOf({ domain: options.domain, days: countOf(options.days, "--days") });
      const { tls } = await adminClient(dataOf(command)).get<Overview>(`/reports?${query}`);
      const nothing = `no verified report on TLS in ${options.days} days`;
      output(command, tls, () => (tls.length === 0 ? nothing : tls.map(tlsText).join("\n")));
    });
}

function tlsText({ domain, reports, senders, successes, failures, failing }: TlsSummary): string {
  const whole = successes + failures;
  const text = `${domain || "(no domain)"}: ${whole} sessions in ${reports} reports of ${senders} senders, ${percent(successes, whole)} with TLS as it should be`;
  const head = textTable([[text]]); // strangers name domains
  if (failing.length === 0) return head;
  const rows = failing.map((one) => [
    `  ${one.org}`,
    one.result,
    `${one.sessions} sessions`,
    one.receivingHost,
    one.sendingIp,
    one.reason,
  ]);
  return `${head}; what failed:\n${textTable(rows)}`;
}

function percent(part: number, whole: number): string {
  if (whole === 0) return "-";
  // Rounded down: 100 % is said only of all.
  return `${(Math.floor((1000 * part) / whole) / 10).toFixed(1)} %`;
}

interface ReceivedRow {
  readonly id: number;
  readonly domain: string;
  readonly org: string;
  readonly reportId: string;
  readonly beginMs: number;
  readonly endMs: number;
  readonly reporter: string;
  readonly messages: number;
  readonly passed: number;
}

interface Received {
  readonly reports: readonly ReceivedRow[];
  readonly failures: readonly {
    readonly receivedAtMs: number;
    readonly reporter: string;
    readonly type: string;
    readonly domain: string;
    readonly sourceIp: string;
    readonly authFailure?: string;
  }[];
}

function addReceived(reports: Command): void {
  reports
    .command("received")
    .description("reports of others, the latest first")
    .option("--domain <name>", "about this domain")
    .option("--day <date>", "about this UTC day: 2026-11-21")
    .option("--source <address>", "that name this IP address")
    .option("--limit <count>", "at most so many", "100")
    .action(async (options: Record<string, string | undefined>, command: Command) => {
      const { domain, day, source, limit } = options;
      const query = queryOf({ domain, day, source, limit: countOf(limit ?? "", "--limit") });
      const found = await adminClient(dataOf(command)).get<Received>(`/reports/received?${query}`);
      output(command, found, () => receivedText(found));
    });
}

function receivedText({ reports, failures }: Received): string {
  const rows = reports.map((one) => [
    String(one.id),
    one.domain,
    dayText(one),
    one.org,
    one.reporter === "" ? "not verified" : one.reporter,
    `${one.messages} messages`,
    `${percent(one.passed, one.messages)} pass`,
  ]);
  const single = failures.map((one) => [
    localTime(one.receivedAtMs),
    one.type,
    one.domain,
    one.sourceIp,
    one.authFailure ?? "",
    one.reporter === "" ? "not verified" : one.reporter,
  ]);
  const tables = [rows, single].filter((table) => table.length > 0).map(textTable);
  return tables.length === 0 ? "no reports" : tables.join("\n\n");
}

function dayText({ beginMs, endMs }: { readonly beginMs: number; readonly endMs: number }): string {
  const [begin, end] = [localTime(beginMs).slice(0, 10), localTime(endMs - 1).slice(0, 10)];
  return begin === end ? begin : `${begin} to ${end}`;
}

interface Shown extends ReceivedRow {
  readonly schema: string;
  readonly email: string;
  readonly errors: readonly string[];
  readonly policy: Readonly<Record<string, unknown>>;
  readonly rows: readonly ShownRow[];
}

interface ShownRow {
  readonly sourceIp: string;
  readonly count: number;
  readonly disposition: string;
  readonly dkim: string;
  readonly spf: string;
  readonly headerFrom: string;
  readonly reasons: readonly { readonly type: string; readonly comment?: string }[];
  readonly dkimResults: readonly {
    readonly domain: string;
    readonly selector: string;
    readonly result: string;
  }[];
  readonly spfResults: readonly { readonly domain: string; readonly result: string }[];
}

function addShow(reports: Command): void {
  reports
    .command("show <id>")
    .description("a received report, source by source")
    .action(async (id: string, _options, command: Command) => {
      const path = `/reports/received/${encodeURIComponent(id)}`;
      const shown = await adminClient(dataOf(command)).get<Shown>(path);
      output(command, shown, () => shownText(shown));
    });
}

function shownText(shown: Shown): string {
  const { domain, org, email, reporter, policy, rows, errors, messages, passed } = shown;
  const published = Object.entries(policy).filter(([name]) => name !== "domain");
  const facts = textTable([
    ["about", `${domain}, ${dayText(shown)}`],
    ["from", `${org} <${email}>, ${reporter === "" ? "not verified" : reporter}`],
    ["id", `${shown.reportId} (${shown.schema})`],
    ["policy", published.map(([name, value]) => `${name}=${String(value)}`).join(" ")],
    ["messages", `${messages}, ${percent(passed, messages)} pass`],
    ...errors.map((error) => ["error", error]),
  ]);
  const table = textTable([
    ["source", "messages", "from", "done", "aligned", "checked"],
    ...rows.map((row) => [
      row.sourceIp,
      String(row.count),
      row.headerFrom,
      [row.disposition, ...row.reasons.map(({ type }) => type)].join(" "),
      `dkim=${row.dkim} spf=${row.spf}`,
      [
        ...row.dkimResults.map((one) => `dkim ${one.domain}/${one.selector}: ${one.result}`),
        ...row.spfResults.map((one) => `spf ${one.domain}: ${one.result}`),
      ].join(", "),
    ]),
  ]);
  return `${facts}\n\n${table}`;
}

interface SentRow {
  readonly kind: "aggregate" | "failure" | "tls";
  readonly domain: string;
  readonly beginMs: number;
  readonly endMs: number;
  readonly addresses: readonly string[];
  readonly message: string;
  readonly messages: number;
  readonly sentAtMs: number;
}

function addSent(reports: Command): void {
  reports
    .command("sent")
    .description("reports that we sent, newest first")
    .option("--domain <name>", "about this domain")
    .option("--limit <count>", "at most so many", "100")
    .action(async (options: { domain?: string; limit: string }, command: Command) => {
      const query = queryOf({ domain: options.domain, limit: countOf(options.limit, "--limit") });
      const rows = await adminClient(dataOf(command)).get<SentRow[]>(`/reports/sent?${query}`);
      output(command, rows, () => (rows.length === 0 ? "none" : sentText(rows)));
    });
}

function sentText(rows: readonly SentRow[]): string {
  return textTable(
    rows.map((row) => [
      localTime(row.sentAtMs),
      row.kind,
      row.domain,
      dayText(row),
      `${row.messages} ${row.kind === "tls" ? "sessions" : "messages"}`,
      row.addresses.join(", "),
      row.message,
    ]),
  );
}

function addActs(reports: Command): void {
  reports
    .command("send")
    .description("send reports about what was seen until now")
    .requiredOption("--now", "do not wait for the end of the day (UTC)")
    .action(async (_options, command: Command) => {
      const client = adminClient(dataOf(command), patienceMs);
      const result = await client.send<Round>("POST", "/reports/send", {});
      const { domains, sent, later } = result;
      output(
        command,
        result,
        () => `${domains} domains seen, ${sent} reports sent, ${later} to be tried again`,
      );
      if (later > 0) process.exitCode = exitCodes.tryAgain;
    });
}

/** The DNS is asked for each domain, and may be slow. */
const patienceMs = 3_600_000;

interface Round {
  readonly domains: number;
  readonly sent: number;
  readonly later: number;
}

function queryOf(values: Readonly<Record<string, string | undefined>>): URLSearchParams {
  const given = Object.entries(values).filter((one): one is [string, string] => one[1] != null);
  return new URLSearchParams(given);
}
