/** Reports on TLS: counted, sent by mail and by HTTPS, taken in and shown (RFC 8460, CAP-49). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { openMetricsText } from "#base/measures";
import { fields, parseHeader, valueOf } from "#formats/message";
import { decodeBody, describeMessage } from "#formats/mime";
import { parseTlsReport, type TlsReport } from "#formats/tls-report";
import type { TlsEvidence } from "#transport/tls-policy";
import { TlsWorld } from "../../../tests/kit/tls-world.ts";
import { dmarcOf, house, seenOf, spfOf } from "./fixture.test.ts";
import { postReport } from "./post-report.ts";

const zone = {
  "_smtp._tls.asks.example": [{ TXT: "v=TLSRPTv1; rua=mailto:tls@asks.example" }],
  "_smtp._tls.silent.example": ["TIMEOUT"],
} as const;

const sts = {
  type: "sts",
  domain: "asks.example",
  strings: ["version: STSv1"],
  mxHosts: ["mx.asks.example"],
} as const;
const none = { type: "no-policy-found", domain: "asks.example", strings: [], mxHosts: [] } as const;

function session(
  failure?: TlsEvidence["failure"],
  policy: TlsEvidence["policy"] = sts,
): TlsEvidence {
  return { domain: "asks.example", policy, ...(failure && { failure }) };
}

const expired = {
  result: "certificate-expired",
  receivingHost: "mx.asks.example",
  receivingIp: "192.0.2.25",
  reason: "its certificate has expired",
} as const;

function reportIn(content: Uint8Array): TlsReport {
  const octets = Buffer.from(content);
  const part = describeMessage(octets).root.parts.find(({ subtype }) => subtype === "tlsrpt+gzip");
  assert.ok(part);
  const body = decodeBody(octets.subarray(part.bodyStart, part.bodyEnd), part.encoding);
  const read = parseTlsReport(body);
  assert.ok(read.ok);
  return read.value;
}

describe("CAP-49 TLS reports that we send", () => {
  test("count sessions by policy and failure, and go once to who asks", async () => {
    await using at = house(zone);
    for (let count = 0; count < 5; count += 1) at.reports.noteTls(session());
    for (let count = 0; count < 3; count += 1) at.reports.noteTls(session(expired));
    at.reports.noteTls(session(undefined, none));
    at.reports.noteTls({ ...session(), domain: "quiet.example" });
    at.reports.noteTls({ ...session(), domain: "silent.example" });
    assert.deepEqual(await at.reports.sendNow(), { domains: 3, sent: 1, later: 1 });
    assert.equal(at.sent.length, 1);
    const [own] = at.sent;
    assert.ok(own);
    assert.deepEqual(own.recipients, ["tls@asks.example"]);
    assert.equal(own.tlsOptional, true);
    const header = parseHeader(own.content);
    const field = (name: string) =>
      fields(header, name)
        .map((one) => valueOf(header, one))
        .join();
    assert.equal(field("TLS-Report-Domain"), "asks.example");
    assert.equal(field("TLS-Report-Submitter"), "us.example");
    assert.equal(field("TLS-Required"), "No");
    const report = reportIn(own.content);
    assert.deepEqual(report.policies, [
      {
        ...{ type: "sts", strings: sts.strings, domain: "asks.example", mxHosts: sts.mxHosts },
        ...{ successes: 5, failures: 3 },
        details: [{ ...expired, sessions: 3 }],
      },
      { ...none, successes: 1, failures: 0, details: [] },
    ]);
    assert.deepEqual(await at.reports.sendNow(), { domains: 1, sent: 0, later: 1 });
    const [note] = at.reports.sent({ limit: 10 });
    assert.deepEqual([note?.kind, note?.domain, note?.messages], ["tls", "asks.example", 9]);
  });

  test("what comes after a report of the same day is in the next, of the time behind it", async () => {
    await using at = house(zone);
    at.reports.noteTls(session());
    await at.reports.sendNow();
    await at.clock.advance(60_000);
    at.reports.noteTls(session(expired));
    await at.reports.sendNow();
    const [first, second] = at.sent.map(({ content }) => reportIn(content));
    assert.ok(first && second);
    assert.ok(second.beginMs > first.endMs);
    assert.notEqual(first.reportId, second.reportId);
    assert.deepEqual(
      second.policies.map(({ successes, failures }) => [successes, failures]),
      [[0, 1]],
    );
  });

  test("survive a start, and 100,000 different failures of one domain stay bounded", async () => {
    await using at = house(zone);
    for (let count = 0; count < 100_000; count += 1) {
      at.reports.noteTls(session({ ...expired, reason: `text ${count}` }));
    }
    assert.equal((await at.reports.sendNow()).sent, 1);
    const report = reportIn(at.sent[0]?.content ?? new Uint8Array());
    assert.ok((report.policies[0]?.details.length ?? 0) <= 10_000);
  });

  test("are posted by HTTPS to a host whose certificate stands (RFC 8460 §5.4)", async () => {
    await using world = new TlsWorld();
    const got: { type: string | undefined; octets: Buffer }[] = [];
    const server = createServer(
      world.certificate({ names: ["r.example"] }),
      (request, response) => {
        const pieces: Buffer[] = [];
        request.on("data", (piece: Buffer) => pieces.push(piece));
        request.on("end", () => {
          got.push({ type: request.headers["content-type"], octets: Buffer.concat(pieces) });
          response.writeHead(request.url === "/v1?x=1" ? 201 : 500).end();
        });
      },
    );
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    world.say("A", "r.example", [{ address: "192.0.2.9" }]);
    world.lead("192.0.2.9:443", port);
    const ports = {
      resolver: world.resolver,
      dial: world.dial,
      clock: systemClock,
      authorities: [world.authority.rootPem],
    };
    await postReport("https://r.example/v1?x=1", Buffer.from("octets"), ports);
    assert.deepEqual(got, [{ type: "application/tlsrpt+gzip", octets: Buffer.from("octets") }]);
    await assert.rejects(
      postReport("https://r.example/other", Buffer.from("x"), ports),
      Unavailable,
    );
    await assert.rejects(
      postReport("https://r.example:8443/", Buffer.from("x"), ports),
      Unavailable,
    );
    const { authorities: _, ...strangers } = ports;
    await assert.rejects(
      postReport("https://r.example/v1?x=1", Buffer.from("x"), strangers),
      Unavailable,
    );
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});

const sample = (name: string): Buffer =>
  readFileSync(new URL(`../../../tests/conformance/reports/tlsrpt/${name}`, import.meta.url));

describe("CAP-49 TLS reports of others", () => {
  test("are taken from mail and files, once, and shown by who failed and why", async () => {
    await using at = house();
    assert.deepEqual(await at.reports.take(sample("rpt01.eml")), { kept: 1, known: 0, faults: [] });
    assert.deepEqual(await at.reports.take(sample("rpt01.json")), {
      kept: 0,
      known: 1,
      faults: [],
    });
    const [domain] = at.reports.overview(0).tls;
    assert.ok(domain);
    assert.deepEqual(
      [domain.domain, domain.reports, domain.senders, domain.successes, domain.failures],
      ["company-y.example", 1, 1, 5326, 303],
    );
    assert.deepEqual(
      domain.failing.map(({ org, result, sessions }) => [org, result, sessions]),
      [
        ["Company-X", "starttls-not-supported", 200],
        ["Company-X", "certificate-expired", 100],
        ["Company-X", "validation-failure", 3],
      ],
    );
    assert.deepEqual(at.reports.overview(0, "other.example").tls, []);
  });

  for (const passes of [true, false]) {
    test(`come to the address of the reports, ${passes ? "and count" : "and do not count on nobody's word"}`, async () => {
      await using at = house();
      const author = "company-x.example";
      at.mails.set("a", sample("rpt01.eml"));
      const dmarc = dmarcOf(author, passes ? { result: "pass", spfAligned: true } : {});
      const verdicts = [spfOf(passes ? "pass" : "fail", author), dmarc];
      at.reports.note(
        seenOf(author, { kept: "a", recipients: ["dmarc-reports@us.example"], verdicts }),
      );
      const isRead = () => openMetricsText(at.registry).includes('kind="tls"');
      for (let tries = 0; tries < 100 && !isRead(); tries += 1) await pause(100);
      assert.equal(at.reports.overview(0).tls.length, passes ? 1 : 0);
    });
  }

  test("go when they are old", async () => {
    await using at = house({}, { keepDays: 31 });
    await at.reports.take(sample("rpt01.eml"));
    await at.clock.advance(32 * 86_400_000);
    assert.deepEqual(at.reports.overview(0).tls, []);
  });
});
