/** DMARC reports of a running installation: made, sent, taken in, shown (RFC 9990, RFC 9991). */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { authenticate } from "mailauth";
import {
  type AggregateReport,
  formatAggregateReport,
  openReport,
  parseAggregateReport,
} from "#formats/dmarc-report";
import { composeMessage, decodeBody, describeMessage, walkParts } from "#formats/mime";
import { adminClient } from "../../src/cli/admin-client.ts";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";
import { type SinkMail, SmtpSink } from "../kit/smtp-sink.ts";

const reportAddress = "dmarc-reports@postern.test";
const samples = join(import.meta.dirname, "../conformance/reports");
const here = "v=spf1 ip4:127.0.0.1 -all";
const elsewhere = "v=spf1 ip4:192.0.2.1 -all";
const dmarc = (text: string) => [{ TXT: `v=DMARC1; ${text}` }];

let dns: FakeDns;
let sink: SmtpSink;
let installation: Installation;

before(async () => {
  dns = await startFakeDns({
    "pass.example": [{ TXT: here }],
    "_dmarc.pass.example": dmarc("p=reject; rua=mailto:agg@pass.example"),
    "refused.example": [{ TXT: elsewhere }],
    "_dmarc.refused.example": dmarc("p=reject; rua=mailto:r@collector.test"),
    "refused.example._report._dmarc.collector.test": dmarc(""),
    "junk.example": [{ TXT: elsewhere }],
    "_dmarc.junk.example": dmarc(
      "p=quarantine; rua=mailto:agg@junk.example; ruf=mailto:ruf@junk.example",
    ),
    "alien.example": [{ TXT: here }],
    "_dmarc.alien.example": dmarc("p=none; rua=mailto:victim@stranger.test"),
    "none.example": [{ TXT: here }],
  });
  sink = new SmtpSink();
  const port = await sink.listen();
  installation = await startInstallation({
    config: `
[dns]
servers = ["${dns.endpoint.host}:${dns.endpoint.port}"]
[egress]
ports = ["${port}"]
private = true
[outbound.everybody]
spaces = ["*"]
hosts = ["127.0.0.1:${port}"]
[dmarc]
reject = "reject"
[reports]
send = true
orgName = "Postern test"
failure = "headers"
`,
  });
  await cli("alias", "add", reportAddress, "ana@postern.test");
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  await sink.close();
  await dns[Symbol.asyncDispose]();
});

async function cli(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await installation.cli(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** What the command line asks for, without its start. */
function asked<Value>(path: string): Promise<Value> {
  return adminClient(installation.data).get<Value>(path);
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await holds()) return;
    await pause(100);
  }
  assert.fail(`${what}: not in time`);
}

let nth = 0;

async function from(domain: string, expected: RegExp): Promise<void> {
  nth += 1;
  const [sender, to] = [`a@${domain}`, "ana@postern.test"];
  const octets = plainMessage({ from: sender, to, marker: `${nth}@${domain}`, subject: "secret" });
  const reply = await sendMail(installation.ready().smtp, { from: sender, to: [to], octets });
  assert.match(reply ?? "broken", expected);
}

/** The only report on the domain that reached its destination, and its XML. */
function reportOn(domain: string): { mail: SinkMail; xml: Buffer; report: AggregateReport } {
  const found = sink.mails.filter(({ octets }) => octets.includes(`Report Domain: ${domain} `));
  assert.equal(found.length, 1, domain);
  const [mail] = found;
  assert.ok(mail);
  const part = [...walkParts(describeMessage(mail.octets).root)].find(
    ({ subtype }) => subtype === "gzip",
  );
  assert.ok(part);
  const opened = openReport(
    decodeBody(mail.octets.subarray(part.bodyStart, part.bodyEnd), part.encoding),
  );
  assert.ok(opened.ok);
  const parsed = parseAggregateReport(opened.value);
  assert.ok(parsed.ok);
  return { mail, xml: Buffer.from(opened.value), report: parsed.value };
}

const counts = ({ records }: AggregateReport) =>
  records.map(({ count, disposition, dkim, spf, reasons }) => [
    count,
    disposition,
    dkim,
    spf,
    ...reasons.map(({ type }) => type),
  ]);

describe("reports that we send", () => {
  test("count what came, kept and refused, and go to who asked and agreed", async () => {
    const sent = [
      ["pass.example", 3, /^250 /],
      ["refused.example", 2, /^550 5\.7\.26 /],
      ["junk.example", 2, /^250 /],
      ["alien.example", 1, /^250 /],
      ["none.example", 1, /^250 /],
    ] as const;
    for (const [domain, times, reply] of sent) {
      for (let count = 0; count < times; count += 1) await from(domain, reply);
    }
    await until("refusals reach the inside", async () => {
      const traces = await asked<unknown[]>("/trace?text=a@refused.example");
      return traces.length === 2;
    });
    const round = await cli("reports", "send", "--now", "--json");
    assert.deepEqual(JSON.parse(round), { domains: 4, sent: 3, later: 0 });
    const isAggregate = ({ octets }: SinkMail) => octets.includes("Report Domain: ");
    await until("three reports arrive", () => sink.mails.filter(isAggregate).length === 3);
    assert.deepEqual(counts(reportOn("pass.example").report), [[3, "pass", "fail", "pass"]]);
    assert.deepEqual(counts(reportOn("refused.example").report), [[2, "reject", "fail", "fail"]]);
    assert.deepEqual(counts(reportOn("junk.example").report), [[2, "quarantine", "fail", "fail"]]);
    assert.deepEqual(reportOn("refused.example").mail.recipients, ["<r@collector.test>"]);
    assert.ok(sink.mails.every(({ octets }) => !octets.includes("stranger.test")));
  });

  test("validate against the schema of RFC 9990", (context) => {
    if (spawnSync("xmllint", ["--version"]).status !== 0) {
      return context.skip("xmllint of libxml2-utils is not installed");
    }
    for (const domain of ["pass.example", "refused.example", "junk.example"]) {
      const file = join(installation.data, `${domain}.xml`);
      writeFileSync(file, reportOn(domain).xml);
      execFileSync("xmllint", ["--noout", "--schema", join(samples, "rfc9990.xsd"), file], {
        stdio: "pipe",
      });
    }
  });

  test("are signed by us, so that they pass DMARC (RFC 9990 §3.5.2)", async () => {
    const { mail } = reportOn("pass.example");
    assert.match(mail.from, /^<dmarc-reports@postern\.test>/);
    const shown = await cli("dns", "show", "postern.test", "--json");
    const records = JSON.parse(shown) as { type: string; name: string; value: string }[];
    const result = await authenticate(mail.octets, {
      resolver: async (name: string, type: string) => {
        const one = records.find(
          (record) => record.type === type && `${record.name}.postern.test` === name,
        );
        if (one === undefined) throw Object.assign(new Error("none"), { code: "ENOTFOUND" });
        return [[one.value]];
      },
      trustReceived: false,
      disableArc: true,
      disableBimi: true,
    });
    const verdicts = result.dkim.results.map(({ status, signingDomain }) => [
      status.result,
      signingDomain,
    ]);
    assert.deepEqual(verdicts, [
      ["pass", "postern.test"],
      ["pass", "postern.test"],
    ]);
  });

  test("are listed, with their place in the trace", async () => {
    const rows = await asked<{ kind: string; domain: string; message: string }[]>("/reports/sent");
    const aggregates = rows.filter(({ kind }) => kind === "aggregate");
    assert.deepEqual(aggregates.map(({ domain }) => domain).sort(), [
      ...["junk.example", "pass.example", "refused.example"],
    ]);
    const trace = await asked<object>(`/trace/${aggregates[0]?.message}`);
    assert.match(JSON.stringify(trace), /DMARC report about /);
    assert.match(await cli("reports", "sent"), /aggregate +pass\.example .* 3 messages +agg@pass/);
  });

  test("on single failures show no subject and no recipient (RFC 9991)", async () => {
    const isFailure = ({ octets }: SinkMail) => octets.includes("Feedback-Type: auth-failure");
    await until("failure reports arrive", () => sink.mails.some(isFailure));
    for (const { octets, recipients } of sink.mails.filter(isFailure)) {
      assert.deepEqual(recipients, ["<ruf@junk.example>"]);
      assert.doesNotMatch(octets.toString(), /secret|ana@/);
    }
  });
});

interface Received {
  readonly reports: readonly { id: number; org: string; domain: string; reporter: string }[];
  readonly failures: readonly { type: string }[];
}

const received = (): Promise<Received> => asked<Received>("/reports/received");

/** A report in a mail, as an attachment. */
function mailed(file: string, type: string, octets: Uint8Array, sender: string): string {
  return composeMessage({
    from: [{ name: null, email: sender }],
    to: [{ name: null, email: reportAddress }],
    subject: "Report",
    text: "A report.",
    attachments: [{ name: file, type, octets }],
    messageId: `<${file}@${nth}>`,
    dateMs: Date.now(),
  }).toString("latin1");
}

async function toReports(octets: string, sender: string): Promise<void> {
  nth += 1;
  const lines = `${octets.trimEnd()}\n`.replace(/\r?\n/g, "\r\n");
  const mail = { from: sender, to: [reportAddress], octets: lines };
  assert.match((await sendMail(installation.ready().smtp, mail)) ?? "broken", /^250 /);
}

describe("reports that others send", () => {
  test("as mail, of both schemas, in zip, gzip and plain, are taken in and shown", async () => {
    for (const name of ["dmarc/100.eml", "dmarc/102.eml", "dmarc/103.eml", "arf/003.eml"]) {
      await toReports(readFileSync(join(samples, name), "latin1"), "r@none.example");
    }
    const newer = readFileSync(join(samples, "dmarc/004.xml"));
    await toReports(mailed("004.xml", "text/xml", newer, "r@none.example"), "r@none.example");
    await until("five reports are kept", async () => {
      const { reports, failures } = await received();
      return reports.length === 4 && failures.length === 1;
    });
    const { reports } = await received();
    const id = (org: string) => String(reports.find((one) => one.org === org)?.id);
    const google = await cli("reports", "show", id("google.com"));
    assert.match(google, /about +stalw\.art, 2022-11-27/);
    assert.match(google, /\n2a01:4f9:c011:b43c::1 +1 +stalw\.art +none +dkim=/);
    assert.match(google, /google\.com <noreply-dmarc-support@google\.com>, not verified/);
    const shown = (org: string) => asked<{ schema: string }>(`/reports/received/${id(org)}`);
    assert.equal((await shown("Sample Reporter")).schema, "rfc9990");
    assert.equal((await shown("Mail.Ru")).schema, "rfc7489");
    const day = ["--domain", "stalw.art", "--day", "2022-11-27"];
    const found = JSON.parse(await cli("reports", "received", ...day, "--json")) as Received;
    assert.deepEqual(
      found.reports.map(({ org }) => org),
      ["google.com"],
    );
  });

  test("by a verified author count, and tell which sources of ours fail", async () => {
    const { report } = reportOn("refused.example");
    const about = { ...report.policy, domain: "postern.test" };
    const records = [
      ...report.records.map((one) => ({ ...one, headerFrom: "postern.test" })),
      ...report.records.map((one) => ({ ...one, sourceIp: "192.0.2.9", spf: "pass" as const })),
    ];
    const ours = { ...report, orgName: "Pass", policy: about, records };
    const xml = Buffer.from(formatAggregateReport(ours));
    await toReports(mailed("a.xml", "text/xml", xml, "r@pass.example"), "r@pass.example");
    await until("it is kept", async () => (await received()).reports.length === 5);
    const text = await cli("reports", "list");
    assert.match(text, /postern\.test: 4 messages in 1 reports of 1 receivers, 50\.0 % pass/);
    assert.match(text, /\n {2}127\.0\.0\.1 +2 fail/);
    const { reports } = await received();
    assert.equal(reports.find(({ org }) => org === "Pass")?.reporter, "pass.example");
  });

  test("are imported from files, each once; what is none is said", async () => {
    const files = ["dmarc/001.xml", "dmarc/003.xml"].map((name) => join(samples, name));
    files.push(files[0] ?? "", join(installation.data, "postern.toml"));
    const { code, stdout } = await installation.cli("reports", "import", ...files, "--json");
    assert.equal(code, 2);
    const results = JSON.parse(stdout) as { kept: number; known: number; faults: string[] }[];
    assert.deepEqual(
      results.map(({ kept, known, faults }) => [kept + known, ...faults]),
      [[1], [1], [1], [0, "no-report"]],
    );
    assert.equal(results[2]?.known, 1);
  });
});
