/** Reads reports on TLS that others send: JSON, mostly in gzip (RFC 8460 §4.4, §5.1). */

import { gunzipSync } from "node:zlib";
import { buffer } from "#base/bytes";
import { formatIp, parseIp } from "#base/ip";
import { accept, type Result, refuse } from "#base/result";
import { policyTypes, type TlsFailure, type TlsReport, type TlsReportPolicy } from "./report.ts";

export type TlsReportFault = "too-large" | "bad-archive" | "not-a-report";

/** Ours: in octets, packed and unpacked. */
const maxPacked = 4 * 1024 * 1024;
const maxUnpacked = 8 * 1024 * 1024;
/** Ours: those behind are left out. */
const maxPolicies = 1000;
const maxDetails = 5000;
const maxStrings = 50;
const maxText = 255;

/** @param octets untrusted: the decoded attachment, or the body of a request */
export function parseTlsReport(octets: Uint8Array): Result<TlsReport, TlsReportFault> {
  if (octets.length > maxPacked) return refuse("too-large", maxPacked);
  const bytes = buffer(octets);
  const text = bytes[0] === 0x1f && bytes[1] === 0x8b ? unpacked(bytes) : accept(bytes);
  if (!text.ok) return text;
  const json = parsed(text.value.toString("utf8"));
  const range = fieldsOf(json["date-range"]);
  const beginMs = moment(range["start-datetime"]);
  const endMs = moment(range["end-datetime"]);
  const policies = listOf(json["policies"]);
  const reportId = textOf(json["report-id"]);
  if (beginMs === undefined || endMs === undefined || policies.length === 0 || reportId === "") {
    return refuse("not-a-report");
  }
  const room = { details: maxDetails };
  return accept({
    organization: textOf(json["organization-name"]),
    beginMs,
    endMs,
    contact: textOf(json["contact-info"]),
    reportId,
    policies: policies.slice(0, maxPolicies).map((one) => readPolicy(fieldsOf(one), room)),
  });
}

function unpacked(bytes: Buffer): Result<Buffer, TlsReportFault> {
  try {
    return accept(gunzipSync(bytes, { maxOutputLength: maxUnpacked }));
  } catch (error) {
    const isLarge = (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
    return refuse(isLarge ? "too-large" : "bad-archive");
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** Nothing where it is no JSON, or nested deeper than there is room for. */
function parsed(text: string): Fields {
  try {
    return fieldsOf(JSON.parse(text.replace(/^\ufeff/, "")));
  } catch {
    return {};
  }
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function readPolicy(given: Fields, room: { details: number }): TlsReportPolicy {
  const policy = fieldsOf(given["policy"]);
  const summary = fieldsOf(given["summary"]);
  const details = listOf(given["failure-details"]).slice(0, room.details);
  room.details -= details.length;
  return {
    type: policyTypes.find((one) => one === policy["policy-type"]) ?? "other",
    strings: textsOf(policy["policy-string"]),
    domain: textOf(policy["policy-domain"]).toLowerCase(),
    mxHosts: textsOf(policy["mx-host"]),
    successes: countOf(summary["total-successful-session-count"]),
    failures: countOf(summary["total-failure-session-count"]),
    details: details.map((one) => readFailure(fieldsOf(one))),
  };
}

function readFailure(given: Fields): TlsFailure {
  return {
    result: textOf(given["result-type"]),
    sessions: countOf(given["failed-session-count"]),
    ...some("sendingIp", addressOf(given["sending-mta-ip"])),
    ...some("receivingHost", textOf(given["receiving-mx-hostname"])),
    ...some("receivingHelo", textOf(given["receiving-mx-helo"])),
    ...some("receivingIp", addressOf(given["receiving-ip"])),
    ...some("additional", textOf(given["additional-information"])),
    ...some("reason", textOf(given["failure-reason-code"])),
  };
}

function some<Key extends string>(key: Key, text: string): { readonly [K in Key]?: string } {
  return (text === "" ? {} : { [key]: text }) as { readonly [K in Key]?: string };
}

/** Printable, one line. */
function textOf(value: unknown): string {
  if (typeof value !== "string") return "";
  return value
    .slice(0, maxText)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}]/gu, " ")
    .trim();
}

/** RFC 8460 says "list" in words and has one text in places; both are read. */
function textsOf(value: unknown): readonly string[] {
  const list = typeof value === "string" ? [value] : listOf(value);
  return list
    .slice(0, maxStrings)
    .map(textOf)
    .filter((text) => text !== "");
}

function addressOf(value: unknown): string {
  const text = textOf(value).replace(/^\[|\]$/g, "");
  const address = parseIp(text);
  return address === undefined ? text : formatIp(address);
}

function countOf(value: unknown): number {
  const count = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return Number.isSafeInteger(count) && (count as number) > 0 ? (count as number) : 0;
}

const dateTime = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** RFC 3339 §5.6 */
function moment(value: unknown): number | undefined {
  if (typeof value !== "string" || !dateTime.test(value)) return undefined;
  const ms = Date.parse(value.toUpperCase().replace(" ", "T"));
  return Number.isFinite(ms) ? Math.floor(ms / 1000) * 1000 : undefined;
}
