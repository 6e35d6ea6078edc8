/** Reads aggregate reports of both schemas (RFC 9990 §3.1.1; RFC 7489 appendix C). */

import { formatIp, parseIp } from "#base/ip";
import { accept, type Result, refuse } from "#base/result";
import type { DkimResult, SpfResult } from "#model/verdict";
import {
  type AggregateReport,
  type DkimEntry,
  namespace,
  overrideReasons,
  type ReportRecord,
  type SpfEntry,
} from "./report.ts";
import { readXml, type XmlElement, type XmlFault } from "./xml.ts";

export type AggregateFault = XmlFault | "not-a-report" | "bad-field" | "bad-charset";

/** Ours, in octets and in records: a large provider's report on one domain stays far below. */
const maxLength = 16 * 1024 * 1024;
const maxRecords = 50_000;
/** RFC 9990 §3.1.3 */
const maxSignatures = 100;

/** @param xml untrusted: the file as it was unpacked */
export function parseAggregateReport(
  xml: Uint8Array | string,
): Result<AggregateReport, AggregateFault> {
  if (xml.length > maxLength) return refuse("too-large", maxLength);
  const text = typeof xml === "string" ? xml : decoded(xml);
  if (text === undefined) return refuse("bad-charset");
  const draft: Draft = { records: [] };
  let fault: { readonly fault: AggregateFault; readonly at: number } | undefined;
  const root = readXml(text, (child) => {
    const wrong = take(child, draft);
    if (wrong !== undefined) fault = { fault: wrong, at: child.at };
    return wrong === undefined;
  });
  if (fault !== undefined) return refuse(fault.fault, fault.at);
  if (!root.ok) return root;
  const { metadata, policy, records } = draft;
  if (root.value.name !== "feedback" || metadata === undefined || policy === undefined) {
    return refuse("not-a-report");
  }
  const schema = root.value.namespace === namespace ? "rfc9990" : "rfc7489";
  return accept({ schema, ...metadata, policy, records });
}

/** UTF-8, or what the declaration says where it is one octet a character. */
function decoded(octets: Uint8Array): string | undefined {
  const head = String.fromCharCode(...octets.subarray(0, 200));
  const label = /^<\?xml[^>]{0,150}encoding\s*=\s*["']([\w.:-]{1,40})["']/.exec(head)?.[1];
  const isLatin = /^(?:iso-8859-1|windows-1252|latin1)$/i.test(label ?? "");
  if (!isLatin && !/^(?:utf-?8|us-ascii)$/i.test(label ?? "utf-8")) return undefined;
  return new TextDecoder(isLatin ? "windows-1252" : "utf-8").decode(octets);
}

type Metadata = Omit<AggregateReport, "schema" | "policy" | "records">;

interface Draft {
  metadata?: Metadata | undefined;
  policy?: AggregateReport["policy"] | undefined;
  readonly records: ReportRecord[];
}

function take(child: XmlElement, draft: Draft): AggregateFault | undefined {
  switch (child.name) {
    case "report_metadata":
      draft.metadata = metadataOf(child);
      return draft.metadata === undefined ? "bad-field" : undefined;
    case "policy_published":
      draft.policy = policyOf(child);
      return draft.policy === undefined ? "bad-field" : undefined;
    case "record": {
      const record = recordOf(child);
      if (record === undefined) return "bad-field";
      if (draft.records.length >= maxRecords) return "too-large";
      draft.records.push(record);
      return undefined;
    }
    default:
      return undefined; // version, extensions and what nobody knows
  }
}

function metadataOf(element: XmlElement): Metadata | undefined {
  const range = part(element, "date_range");
  const [beginMs, endMs] = [momentOf(range, "begin"), momentOf(range, "end")];
  const orgName = textOf(element, "org_name");
  const reportId = textOf(element, "report_id");
  if (beginMs === undefined || endMs === undefined) return undefined;
  if (orgName === undefined || reportId === undefined) return undefined;
  return {
    orgName,
    email: textOf(element, "email") ?? "",
    ...present("extraContactInfo", textOf(element, "extra_contact_info")),
    reportId,
    beginMs,
    endMs,
    errors: element.children
      .filter(({ name, text }) => name === "error" && text !== "")
      .slice(0, 100)
      .map(({ text }) => text),
    ...present("generator", textOf(element, "generator")),
  };
}

function policyOf(element: XmlElement): AggregateReport["policy"] | undefined {
  const domain = domainOf(element, "domain");
  const p = wordOf(element, "p", policies);
  if (domain === undefined || p === undefined) return undefined;
  const testing = wordOf(element, "testing", ["y", "n"]);
  return {
    domain,
    p,
    ...present("sp", wordOf(element, "sp", policies)),
    ...present("np", wordOf(element, "np", policies)),
    ...present("adkim", wordOf(element, "adkim", ["r", "s"])),
    ...present("aspf", wordOf(element, "aspf", ["r", "s"])),
    ...present("fo", textOf(element, "fo")),
    ...(testing !== undefined && { testing: testing === "y" }),
    ...present("discoveryMethod", wordOf(element, "discovery_method", ["psl", "treewalk"])),
  };
}

const policies = ["none", "quarantine", "reject"] as const;
const passOrFail = ["pass", "fail"] as const;

function recordOf(element: XmlElement): ReportRecord | undefined {
  const row = part(element, "row");
  const evaluated = part(row, "policy_evaluated");
  const identifiers = part(element, "identifiers");
  const results = part(element, "auth_results")?.children ?? [];
  const source = parseIp(textOf(row, "source_ip") ?? "");
  const count = numberOf(row, "count");
  const disposition = wordOf(evaluated, "disposition", [...policies, "pass"]);
  const headerFrom = domainOf(identifiers, "header_from");
  if (source === undefined || count === undefined) return undefined;
  if (disposition === undefined || headerFrom === undefined) return undefined;
  const entries = (name: string) =>
    results.filter((one) => one.name === name).slice(0, maxSignatures);
  const dkimResults = entries("dkim").map(dkimEntry);
  const spfResults = entries("spf").map(spfEntry);
  if (dkimResults.includes(undefined) || spfResults.includes(undefined)) return undefined;
  return {
    sourceIp: formatIp(source),
    count,
    disposition,
    // Absent where nothing was there to evaluate.
    dkim: wordOf(evaluated, "dkim", passOrFail) ?? "fail",
    spf: wordOf(evaluated, "spf", passOrFail) ?? "fail",
    reasons: reasonsOf(evaluated),
    headerFrom,
    ...present("envelopeFrom", part(identifiers, "envelope_from")?.text.toLowerCase()),
    ...present("envelopeTo", domainOf(identifiers, "envelope_to")),
    dkimResults: dkimResults as DkimEntry[],
    spfResults: spfResults as SpfEntry[],
  };
}

function reasonsOf(evaluated: XmlElement | undefined): ReportRecord["reasons"] {
  const reasons = evaluated?.children.filter(({ name }) => name === "reason") ?? [];
  return reasons.slice(0, 20).map((one) => ({
    type: wordOf(one, "type", overrideReasons) ?? "other",
    ...present("comment", textOf(one, "comment")),
  }));
}

const dkimResults: readonly DkimResult[] = [
  "none",
  "pass",
  "fail",
  "policy",
  "neutral",
  "temperror",
  "permerror",
];
const spfResults: readonly SpfResult[] = [
  "none",
  "neutral",
  "pass",
  "fail",
  "softfail",
  "temperror",
  "permerror",
];
/** Words of older software, as the comments of RFC 7489 appendix C have them, and one more. */
const oldWords: Readonly<Record<string, string>> = {
  unknown: "temperror",
  error: "permerror",
  hardfail: "fail",
};

function dkimEntry(element: XmlElement): DkimEntry | undefined {
  const result = wordOf(element, "result", dkimResults);
  if (result === undefined) return undefined;
  return {
    domain: domainOf(element, "domain") ?? "",
    selector: textOf(element, "selector") ?? "",
    result,
    ...present("humanResult", textOf(element, "human_result")),
  };
}

function spfEntry(element: XmlElement): SpfEntry | undefined {
  const result = wordOf(element, "result", spfResults);
  if (result === undefined) return undefined;
  return {
    domain: domainOf(element, "domain") ?? "",
    ...present("scope", wordOf(element, "scope", ["mfrom", "helo"])),
    result,
    ...present("humanResult", textOf(element, "human_result")),
  };
}

function part(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return element?.children.find((one) => one.name === name);
}

/** Undefined where the element is missing or empty. */
function textOf(element: XmlElement | undefined, name: string): string | undefined {
  return part(element, name)?.text || undefined;
}

/** Names of domains are compared, so they are cut to what a name can be. */
function domainOf(element: XmlElement | undefined, name: string): string | undefined {
  return textOf(element, name)?.slice(0, 255).toLowerCase();
}

function wordOf<const Word extends string>(
  element: XmlElement | undefined,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const given = textOf(element, name)?.toLowerCase();
  if (given === undefined) return undefined;
  const meant = name === "result" && Object.hasOwn(oldWords, given) ? oldWords[given] : given;
  return words.find((word) => word === meant);
}

/** Below 10^10: sums over hundreds of thousands of records stay exact, and so do moments in ms. */
function numberOf(element: XmlElement | undefined, name: string): number | undefined {
  const digits = textOf(element, name);
  return digits !== undefined && /^\d{1,10}$/.test(digits) ? Number(digits) : undefined;
}

function momentOf(element: XmlElement | undefined, name: string): number | undefined {
  const seconds = numberOf(element, name);
  return seconds === undefined ? undefined : seconds * 1000;
}

function present<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: Value };
}
