/** Reports as received: what mail-auth reads from them, and what we read. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { type AggregateReport, openReport, parseAggregateReport } from "#formats/dmarc-report";
import { type FeedbackReport, parseFeedbackReport } from "#formats/feedback-report";
import { decodeBody, describeMessage } from "#formats/mime";
import type { MimePart } from "#model/description";

const folder = new URL("../../../tests/conformance/reports/", import.meta.url);
const octetsOf = (name: string): Buffer => readFileSync(new URL(name, folder));
const jsonOf = (name: string): unknown =>
  JSON.parse(octetsOf(name.replace(/\.\w+$/, ".json")).toString());
const files = (kind: string) =>
  readdirSync(new URL(kind, folder)).filter((name) => !name.endsWith(".json"));

/** Decoded bodies of all parts that are no multipart. */
function bodies(message: Buffer): readonly (readonly [string, Buffer])[] {
  const walk = (part: MimePart): (readonly [string, Buffer])[] =>
    part.parts.length > 0
      ? part.parts.flatMap(walk)
      : [
          [
            `${part.type}/${part.subtype}`,
            decodeBody(message.subarray(part.bodyStart, part.bodyEnd), part.encoding),
          ],
        ];
  return walk(describeMessage(message).root);
}

function aggregateOf(name: string): AggregateReport {
  const octets = octetsOf(`dmarc/${name}`);
  const attachments = name.endsWith(".xml")
    ? [octets]
    : bodies(octets).flatMap(([type, body]) => (type.startsWith("application/") ? [body] : []));
  assert.equal(attachments.length, 1, name);
  const opened = openReport(attachments[0] ?? octets);
  assert.ok(opened.ok);
  const parsed = parseAggregateReport(opened.value);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const camel = (text: string): string => text.split("_").map(capital).join("");
const words: Readonly<Record<string, string>> = {
  r: "Relaxed",
  s: "Strict",
  mfrom: "MailFrom",
  temperror: "TempError",
  permerror: "PermError",
  softfail: "SoftFail",
};
const named = (text: string | undefined): string =>
  text === undefined ? "Unspecified" : (words[text] ?? capital(text));

/** Our reading in the names of mail-auth, as far as it has them. */
function inTheirNames(report: AggregateReport): unknown {
  const { policy } = report;
  return {
    report_metadata: {
      org_name: report.orgName,
      email: report.email,
      extra_contact_info: report.extraContactInfo ?? null,
      report_id: report.reportId,
      date_range: { begin: report.beginMs / 1000, end: report.endMs / 1000 },
      error: report.errors,
      ...(report.generator !== undefined && { generator: report.generator }),
    },
    policy_published: {
      domain: policy.domain,
      version_published: null,
      adkim: named(policy.adkim),
      aspf: named(policy.aspf),
      p: named(policy.p),
      sp: named(policy.sp),
      ...(policy.np !== undefined && { np: named(policy.np) }),
      testing: policy.testing ?? false,
      ...(policy.discoveryMethod && { discovery_method: named(policy.discoveryMethod) }),
      fo: policy.fo ?? null,
    },
    record: report.records.map((one) => ({
      row: {
        source_ip: one.sourceIp,
        count: one.count,
        policy_evaluated: {
          disposition: named(one.disposition),
          dkim: named(one.dkim),
          spf: named(one.spf),
          reason: one.reasons.map(({ type, comment }) => ({
            type_: camel(type),
            comment: comment ?? null,
          })),
        },
      },
      identifiers: {
        envelope_to: one.envelopeTo ?? null,
        envelope_from: one.envelopeFrom ?? "",
        header_from: one.headerFrom,
      },
      auth_results: {
        dkim: one.dkimResults.map(({ domain, selector, result, humanResult }) => ({
          domain,
          selector,
          result: named(result),
          human_result: humanResult ?? null,
        })),
        spf: one.spfResults.map(({ domain, scope, result, humanResult }) => ({
          domain,
          scope: named(scope),
          result: named(result),
          human_result: humanResult ?? null,
        })),
      },
    })),
  };
}

/** Without the version, which says nothing, and the extensions, which we do not read. */
function theirs(name: string): unknown {
  const { report_metadata, policy_published, record } = jsonOf(name) as {
    readonly report_metadata: unknown;
    readonly policy_published: unknown;
    readonly record: readonly Record<string, unknown>[];
  };
  const records = record.map(({ row, identifiers, auth_results }) => ({
    row,
    identifiers,
    auth_results,
  }));
  return { report_metadata, policy_published, record: records };
}

describe("aggregate reports as received", () => {
  for (const name of files("dmarc")) {
    test(name, () => {
      const report = aggregateOf(name);
      assert.deepEqual(inTheirNames(report), theirs(`dmarc/${name}`));
      assert.equal(report.schema, name === "004.xml" ? "rfc9990" : "rfc7489");
    });
  }
});

const failures: Readonly<Record<string, string>> = { bodyhash: "BodyHash", dmarc: "Dmarc" };

function feedbackInTheirNames(report: FeedbackReport): Readonly<Record<string, unknown>> {
  return {
    feedback_type: report.feedbackType.split("-").map(capital).join(""),
    arrival_date: report.arrivedAtMs === undefined ? null : report.arrivedAtMs / 1000,
    incidents: report.incidents,
    original_envelope_id: report.originalEnvelopeId ?? null,
    original_rcpt_to: report.originalRcptTo[0] ?? null,
    reported_domain: report.reportedDomain,
    reported_uri: report.reportedUri,
    source_ip: report.sourceIp ?? null,
    user_agent: report.userAgent,
    auth_failure: failures[report.authFailure ?? ""] ?? "Unspecified",
    delivery_result: named(report.deliveryResult),
    dkim_domain: report.dkimDomain ?? null,
    dkim_selector: report.dkimSelector ?? null,
  };
}

describe("feedback reports as received", () => {
  for (const name of files("arf")) {
    test(name, () => {
      const found = bodies(octetsOf(`arf/${name}`)).filter(
        ([type]) => type === "message/feedback-report",
      );
      assert.equal(found.length, 1);
      const parsed = parseFeedbackReport(found[0]?.[1] ?? Buffer.alloc(0));
      assert.ok(parsed.ok);
      const ours = feedbackInTheirNames(parsed.value);
      const json = jsonOf(`arf/${name}`) as Readonly<Record<string, unknown>>;
      // We take the angle brackets off.
      const bare = (value: unknown) =>
        typeof value === "string" ? value.replace(/[<>]/g, "") : value;
      for (const [key, value] of Object.entries(ours))
        assert.deepEqual(value, bare(json[key]), key);
      assert.equal(parsed.value.originalMailFrom ?? null, bare(json["original_mail_from"]));
      const results = (json["authentication_results"] as string[]).map((text) =>
        text.replace(/\n/g, ""),
      );
      assert.deepEqual(parsed.value.authenticationResults, results);
    });
  }
});
