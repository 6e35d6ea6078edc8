/**
 * Reports on single messages: complaints (ARF, RFC 5965) and failed authentication (RFC 6591, for
 * DMARC RFC 9991).
 */

import { Buffer } from "node:buffer";
import { formatIp, parseIp } from "#base/ip";
import { accept, type Result, refuse } from "#base/result";
import { formatDate, parseDate } from "#formats/date";
import { field, fields, type Header, parseHeader, valueOf } from "#formats/message";

export type FeedbackFault = "too-long" | "no-type";

export interface FeedbackReport {
  /** Lower case: "abuse", "fraud", "virus", "not-spam", "other", "auth-failure". */
  readonly feedbackType: string;
  /** The program that wrote the report. */
  readonly userAgent: string;
  readonly arrivedAtMs?: number;
  /** How many messages like this one it stands for. */
  readonly incidents: number;
  readonly originalEnvelopeId?: string;
  /** Without angle brackets; "" for the null path. */
  readonly originalMailFrom?: string;
  readonly originalRcptTo: readonly string[];
  /** Without its type. */
  readonly reportingMta?: string;
  /** Canonical. */
  readonly sourceIp?: string;
  readonly sourcePort?: number;
  readonly authenticationResults: readonly string[];
  readonly reportedDomain: readonly string[];
  readonly reportedUri: readonly string[];
  /** Lower case: "dmarc", "bodyhash", "signature", "spf" and others. */
  readonly authFailure?: string;
  /** Lower case: "delivered", "spam", "policy", "reject", "other". */
  readonly deliveryResult?: string;
  /** RFC 9991 §4: which mechanisms gave no aligned pass; empty when all did. */
  readonly identityAlignment?: readonly ("dkim" | "spf")[];
  readonly dkimDomain?: string;
  readonly dkimIdentity?: string;
  readonly dkimSelector?: string;
  readonly spfDns: readonly string[];
}

/** Ours: in octets; real ones have some hundred. */
const maxBody = 1_048_576;
/** Ours: how often a field may come that may come again. */
const maxRepeats = 50;
/** Ours, in characters: a line stays below 998 octets (RFC 5322 §2.1.1). */
const maxValue = 900;

/** @param body untrusted: the decoded body of a message/feedback-report part */
export function parseFeedbackReport(body: Uint8Array): Result<FeedbackReport, FeedbackFault> {
  if (body.length > maxBody) return refuse("too-long", maxBody);
  const header = parseHeader(body);
  const one = (name: string): string | undefined => {
    const found = field(header, name);
    return found === undefined ? undefined : valueOf(header, found).slice(0, maxValue) || undefined;
  };
  const feedbackType = word(one("Feedback-Type"));
  if (feedbackType === undefined) return refuse("no-type");
  const arrived = parseDate(one("Arrival-Date") ?? one("Received-Date") ?? "");
  const source = parseIp(word(one("Source-IP")) ?? "");
  const mailFrom = one("Original-Mail-From");
  return accept({
    feedbackType,
    userAgent: one("User-Agent") ?? "",
    ...(arrived !== null && { arrivedAtMs: arrived }),
    incidents: number(one("Incidents"), 1_000_000_000) ?? 1,
    ...present("originalEnvelopeId", one("Original-Envelope-Id")),
    ...present("originalMailFrom", mailFrom === undefined ? undefined : bare(mailFrom)),
    originalRcptTo: all(header, "Original-Rcpt-To").map(bare),
    ...present("reportingMta", one("Reporting-MTA")?.replace(/^[\w-]{1,20}\s*;\s*/, "")),
    ...(source !== undefined && { sourceIp: formatIp(source) }),
    ...present("sourcePort", number(one("Source-Port"), 65_535)),
    authenticationResults: all(header, "Authentication-Results"),
    reportedDomain: all(header, "Reported-Domain").map((text) => text.toLowerCase()),
    reportedUri: all(header, "Reported-URI"),
    ...present("authFailure", word(one("Auth-Failure"))),
    ...present("deliveryResult", word(one("Delivery-Result"))),
    ...present("identityAlignment", mechanisms(one("Identity-Alignment"))),
    ...present("dkimDomain", one("DKIM-Domain")?.toLowerCase()),
    ...present("dkimIdentity", one("DKIM-Identity")),
    ...present("dkimSelector", one("DKIM-Selector")),
    spfDns: all(header, "SPF-DNS"),
  });
}

function all(header: Header, name: string): readonly string[] {
  const found = fields(header, name).slice(0, maxRepeats);
  return found.map((one) => valueOf(header, one).slice(0, maxValue)).filter((text) => text !== "");
}

/** The first word in lower case: some write a comment behind it. */
function word(text: string | undefined): string | undefined {
  return text?.split(/[\s(;]/, 1)[0]?.toLowerCase() || undefined;
}

function bare(path: string): string {
  return path.startsWith("<") && path.endsWith(">") ? path.slice(1, -1) : path;
}

function number(text: string | undefined, max: number): number | undefined {
  const value = /^\d{1,10}$/.test(text ?? "") ? Number(text) : Number.NaN;
  return value <= max ? value : undefined;
}

const mechanismNames = ["dkim", "spf"] as const;

function mechanisms(text: string | undefined): readonly ("dkim" | "spf")[] | undefined {
  if (text === undefined) return undefined;
  const given = text.toLowerCase().split(/[\s,]+/);
  return mechanismNames.filter((name) => given.includes(name));
}

function present<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: Value };
}

/** The machine's part: header fields (RFC 5965 §3). */
export function formatFeedbackReport(report: FeedbackReport): string {
  const { arrivedAtMs, originalMailFrom: from, identityAlignment: aligned } = report;
  const failed = aligned?.length === 0 ? "none" : aligned?.join(", ");
  const lines: readonly (readonly [string, string | number | undefined])[] = [
    ["Feedback-Type", report.feedbackType],
    ["User-Agent", report.userAgent],
    ["Version", 1],
    ["Auth-Failure", report.authFailure],
    ["Identity-Alignment", failed],
    ["Delivery-Result", report.deliveryResult],
    ["Original-Envelope-Id", report.originalEnvelopeId],
    ["Original-Mail-From", from === undefined ? undefined : `<${from}>`],
    ...report.originalRcptTo.map((path) => ["Original-Rcpt-To", `<${path}>`] as const),
    ["Arrival-Date", arrivedAtMs === undefined ? undefined : formatDate(arrivedAtMs)],
    ["Reporting-MTA", report.reportingMta && `dns; ${report.reportingMta}`],
    ["Source-IP", report.sourceIp],
    ["Source-Port", report.sourcePort],
    ["Incidents", report.incidents === 1 ? undefined : report.incidents],
    ...report.authenticationResults.map((text) => ["Authentication-Results", text] as const),
    ...report.reportedDomain.map((text) => ["Reported-Domain", text] as const),
    ...report.reportedUri.map((text) => ["Reported-URI", text] as const),
    ["DKIM-Domain", report.dkimDomain],
    ["DKIM-Identity", report.dkimIdentity],
    ["DKIM-Selector", report.dkimSelector],
    ...report.spfDns.map((text) => ["SPF-DNS", text] as const),
  ];
  return lines
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${name}: ${clean(String(value))}\r\n`)
    .join("");
}

export interface FeedbackMail {
  /** Address that may be answered; its domain is that of the Message-ID. */
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  /** Unique, of letters, digits and dots: boundary and Message-ID are made from it. */
  readonly id: string;
  readonly madeAtMs: number;
  /** For people; one paragraph. */
  readonly text: string;
  readonly report: FeedbackReport;
  /** The header section of the message it is about, as far as the receiver may see it. */
  readonly originalHeader: Uint8Array;
}

/** A whole message (RFC 5965 §2); of the original only its header, as RFC 9991 advises for privacy. */
export function formatFeedbackMail(mail: FeedbackMail): Buffer {
  const boundary = `=_${mail.id}`;
  const domain = mail.from.slice(mail.from.lastIndexOf("@") + 1);
  const head = [
    `From: <${clean(mail.from)}>`,
    `To: ${mail.to.map((address) => `<${clean(address)}>`).join(",\r\n ")}`,
    `Subject: ${clean(mail.subject).replace(/[^\x20-\x7e]/g, "?")}`,
    `Date: ${formatDate(mail.madeAtMs)}`,
    `Message-ID: <${mail.id}@${domain}>`,
    "Auto-Submitted: auto-generated", // RFC 3834 §5: so that no machine answers it
    "MIME-Version: 1.0",
    `Content-Type: multipart/report; report-type=feedback-report;\r\n boundary="${boundary}"`,
  ];
  const parts = [
    part(boundary, "text/plain; charset=utf-8", Buffer.from(`${mail.text}\r\n`)),
    part(boundary, "message/feedback-report", Buffer.from(formatFeedbackReport(mail.report))),
    part(boundary, "text/rfc822-headers", Buffer.from(mail.originalHeader)),
  ];
  return Buffer.concat([
    Buffer.from(`${head.join("\r\n")}\r\n\r\n`),
    ...parts,
    Buffer.from(`--${boundary}--\r\n`),
  ]);
}

function part(boundary: string, type: string, content: Buffer): Buffer {
  const encoding = content.some((octet) => octet > 127) ? "8bit" : "7bit";
  const head = `--${boundary}\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`;
  // The CRLF before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
  return Buffer.concat([Buffer.from(head), content, Buffer.from("\r\n")]);
}

/** One line without control characters: what others wrote cannot forge a field. */
function clean(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, " ")
    .trim()
    .slice(0, maxValue);
}
