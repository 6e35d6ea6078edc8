import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { type AggregateReport, openReport, parseAggregateReport } from "#formats/dmarc-report";
import { decodeBody, describeMessage } from "#formats/mime";
import type { Zone } from "../../../tests/kit/fake-dns.ts";
import type { OwnMail } from "../outgoing.ts";
import { dayMs, dayOf, openBook } from "./book.ts";
import { reportEvents } from "./events.ts";
import { evidenceOf } from "./evidence.ts";
import { dkimOf, dmarcOf, house, noonMs, seenOf, spfOf } from "./fixture.test.ts";
import { readReports } from "./read-reports.ts";
import { Seen } from "./seen-rows.ts";

const zone: Zone = {
  "_dmarc.one.example": [{ TXT: "v=DMARC1; p=reject; rua=mailto:rua@one.example" }],
  "_dmarc.two.example": [
    { TXT: "v=DMARC1; p=none; t=y; rua=mailto:x@agreed.test,mailto:y@stranger.test" },
  ],
  "two.example._report._dmarc.agreed.test": [{ TXT: "v=DMARC1" }],
  "_dmarc.three.example": [{ TXT: "v=DMARC1; p=reject; rua=mailto:y@stranger.test" }],
  "_dmarc.quiet.example": [{ TXT: "v=DMARC1; p=reject" }],
  "_dmarc.silent.example": ["TIMEOUT"],
  "_dmarc.us.example": [{ TXT: "v=DMARC1; p=reject; rua=mailto:DMARC-reports@us.example" }],
};

function reportIn(own: OwnMail | undefined): AggregateReport {
  assert.ok(own);
  const [report] = readReports(own.content).aggregates;
  assert.ok(report, "there is a report in the mail");
  return report;
}

describe("evidenceOf()", () => {
  const domain = "one.example";
  const forwarded = {
    method: "arc",
    result: "pass",
    sealers: ["list.example"],
    trusted: true,
    saw: { dmarc: "pass", fromDomain: domain },
    why: "",
  } as const;
  const cases = [
    ["quarantined where reject is asked for", {}, "quarantine", "quarantine local_policy"],
    ["as asked for", { published: "quarantine", policy: "quarantine" }, "quarantine", "quarantine"],
    ["tested", { policy: "quarantine" }, "quarantine", "quarantine policy_test_mode"],
    ["nothing asked for", { published: "none", policy: "none" }, "accept", "none"],
    ["let through", {}, "accept", "none local_policy"],
    ["refused", {}, "reject", "reject"],
    ["passed", { result: "pass", spfAligned: true }, "accept", "pass"],
    [
      "passed without a policy",
      { result: "pass", dkimAligned: [domain], published: "none" },
      "accept",
      "none",
    ],
  ] as const;
  for (const [what, verdict, disposition, expected] of cases) {
    test(`disposition and reason: ${what} (RFC 9990 §3.1.6)`, () => {
      const opinions = [{ stage: "dmarc", disposition, because: "" }];
      const seen = seenOf(domain, {
        verdicts: [dmarcOf(domain, verdict)],
        // Another stage was stricter: the report is about what the policy led to.
        decision: { disposition: "reject", opinions },
      });
      const row = evidenceOf(seen)?.row;
      const text = [row?.disposition, ...(row?.reasons ?? []).map(({ type }) => type)].join(" ");
      assert.equal(text, expected);
    });
  }

  test("a trusted forwarder is the reason where one saw it pass", () => {
    const opinions = [{ stage: "dmarc", disposition: "accept", because: "" } as const];
    const seen = seenOf(domain, {
      verdicts: [dmarcOf(domain), forwarded],
      decision: { disposition: "accept", opinions },
    });
    assert.deepEqual(evidenceOf(seen)?.row.reasons, [{ type: "trusted_forwarder" }]);
  });

  test("names the best signatures first, and at most eight (RFC 9990 §3.1.3)", () => {
    const verdicts = [
      ...Array.from({ length: 9 }, (_, nth) => dkimOf("fail", `f${nth}.example`)),
      dkimOf("pass", "other.example"),
      dkimOf("pass", "sub.one.example"),
      dkimOf("pass", domain),
      dkimOf("pass", "not a name"),
      dmarcOf(domain, { result: "pass", dkimAligned: ["sub.one.example", domain] }),
    ];
    const named = evidenceOf(seenOf(domain, { verdicts }))?.row.dkimResults ?? [];
    assert.deepEqual(
      named.slice(0, 4).map((one) => one.domain),
      [domain, "sub.one.example", "other.example", "f0.example"],
    );
    assert.equal(named.length, 8);
  });

  test("is silent without a policy, without an answer, and about who comes again", () => {
    const later = { disposition: "defer", opinions: [] } as const;
    for (const seen of [
      seenOf(domain, { verdicts: [spfOf("pass", domain)] }),
      seenOf(domain, { verdicts: [dmarcOf(domain, { result: "temperror" })] }),
      seenOf(domain, { verdicts: [dmarcOf("a b.example")] }),
      seenOf(domain, { decision: later }),
    ]) {
      assert.equal(evidenceOf(seen), undefined);
    }
  });
});

describe("what was seen", () => {
  test("is bounded: sources without room are one sum, and all of them counted", async () => {
    await using at = house();
    const events = reportEvents(silentLog, new Registry());
    using book = openBook(join(at.folder, "bounded.sqlite"), 0, events);
    const limits = { rowsOfDomain: 5, rows: 8, inMemory: 3 };
    const seen = new Seen(book, "dmarc", events, limits);
    const group = (domain: string) => ({ day: dayOf(noonMs), domain });
    for (let nth = 0; nth < 60; nth += 1) {
      seen.note(group("one.example"), { sourceIp: `192.0.2.${nth % 20}` });
      seen.note(group(`d${nth}.example`), {});
    }
    seen.flush();
    const { records, leftOut } = seen.rowsOf({ day: dayOf(noonMs), domain: "one.example" });
    const counted = records.reduce((sum, { count }) => sum + count, 0);
    assert.equal(counted + leftOut, 60);
    assert.ok(records.length <= 5, `${records.length} rows`);
    assert.ok(seen.groups(Infinity).length <= 16);
    // The bounds hold over a start.
    const again = new Seen(book, "dmarc", events, limits);
    again.note(group("late.example"), {});
    again.flush();
    assert.equal(again.rowsOf({ day: dayOf(noonMs), domain: "late.example" }).records.length, 0);
  });

  test("survives a start, and a file that is none is put aside", async () => {
    await using at = house(zone);
    const path = join(at.folder, "broken.sqlite");
    const events = reportEvents(silentLog, new Registry());
    openBook(path, 0, events)[Symbol.dispose]();
    const other = new DatabaseSync(path);
    other.exec("PRAGMA user_version = 99");
    other.close();
    using book = openBook(path, 7, events);
    assert.deepEqual(new Seen(book, "dmarc", events).groups(Infinity), []);
    const aside = new DatabaseSync(`${path}.7.unreadable`, { readOnly: true });
    assert.equal(aside.prepare("PRAGMA user_version").get()?.["user_version"], 99);
    aside.close();
  });
});

describe("sending aggregate reports", () => {
  test("one a domain and day, counted by row, to those who asked and agreed", async () => {
    await using at = house(zone);
    const { reports, sent, clock } = at;
    for (let nth = 0; nth < 3; nth += 1) reports.note(seenOf("one.example"));
    reports.note(seenOf("one.example", { recipients: ["b@us.example", "c@other.example"] }));
    const domains = ["two", "three", "quiet", "gone", "silent"];
    for (const name of domains) reports.note(seenOf(`${name}.example`));
    const reply = { code: 550, text: "no" };
    const { verdicts, source, decision, ...refusal } = seenOf("one.example");
    const refused = { ...refusal, reply, id: "r", connection: {} as never, steps: [] };
    reports.refused(refused, { verdicts, source, decision });
    reports.refused({ ...refused, reply: { ...reply, code: 451 } }, { verdicts, source, decision });
    await clock.advance(dayMs);
    assert.deepEqual(
      sent.map(({ recipients }) => recipients),
      [["rua@one.example"], ["x@agreed.test"]],
    );
    const one = reportIn(sent[0]);
    assert.deepEqual(
      one.records.map(({ count, envelopeTo, sourceIp }) => [count, envelopeTo, sourceIp]),
      [
        [4, "us.example", "192.0.2.7"],
        [1, undefined, "192.0.2.7"],
      ],
    );
    const midnight = dayOf(noonMs) * dayMs;
    assert.deepEqual([one.beginMs, one.endMs], [midnight, midnight + dayMs - 1000]);
    assert.equal(one.policy.p, "reject");
    assert.equal(reportIn(sent[1]).policy.testing, true);
    // Each was told of once; the silent one is asked again for some days, then let go.
    assert.equal((await reports.sendNow()).later, 1);
    await clock.advance(4 * dayMs);
    assert.equal((await reports.sendNow()).domains, 0);
    assert.equal(sent.length, 2);
    const counted = { beginMs: midnight, messages: 5, addresses: ["rua@one.example"] };
    const row = reports.sent({ domain: "one.example", limit: 9 })[0];
    assert.deepEqual({ ...row, ...counted }, row);
  });

  test("its mail has the subject and name of RFC 9990 §3.5.2, and does not answer machines", async () => {
    await using at = house(zone);
    at.reports.note(seenOf("one.example"));
    assert.deepEqual(await at.reports.sendNow(), { domains: 1, sent: 1, later: 0 });
    const content = Buffer.from(at.sent[0]?.content ?? "");
    const { envelope, root } = describeMessage(content);
    const { reportId } = reportIn(at.sent[0]);
    assert.equal(
      envelope.subject,
      `Report Domain: one.example Submitter: us.example Report-ID: <${reportId}>`,
    );
    const [, part] = root.parts;
    const name = part?.dispositionParameters.find(([key]) => key === "filename")?.[1];
    const begin = (dayOf(noonMs) * dayMs) / 1000;
    assert.equal(name, `us.example!one.example!${begin}!${noonMs / 1000 - 1}!${reportId}.xml.gz`);
    assert.equal(`${part?.type}/${part?.subtype}`, "application/gzip");
    assert.match(content.toString(), /\r\nAuto-Submitted: auto-generated\r\n/);
    assert.equal(at.sent[0]?.reversePath, "dmarc-reports@us.example");
    const body = decodeBody(content.subarray(part?.bodyStart, part?.bodyEnd), "base64");
    const opened = openReport(body);
    assert.ok(opened.ok && parseAggregateReport(opened.value).ok);
  });

  test("a day reported in part goes on behind that part, and nothing is counted twice", async () => {
    await using at = house(zone);
    at.reports.note(seenOf("one.example"));
    await at.reports.sendNow();
    assert.deepEqual(await at.reports.sendNow(), { domains: 0, sent: 0, later: 0 });
    at.reports.note(seenOf("one.example", { atMs: noonMs + 5000 }));
    await at.clock.advance(dayMs);
    const [first, second] = [reportIn(at.sent[0]), reportIn(at.sent[1])];
    assert.equal(second.beginMs, first.endMs + 1000);
    assert.notEqual(second.reportId, first.reportId);
    assert.deepEqual([first.records[0]?.count, second.records[0]?.count], [1, 1]);
    assert.equal(at.sent.length, 2);
  });

  test("of a domain of ours needs no mail: it is kept as received", async () => {
    await using at = house(zone);
    at.reports.note(seenOf("us.example"));
    await at.reports.sendNow();
    assert.equal(at.sent.length, 0);
    const [own] = at.reports.received({ limit: 9 }).reports;
    assert.deepEqual([own?.domain, own?.reporter, own?.messages], ["us.example", "ourselves", 1]);
    assert.deepEqual(at.reports.ownSources("us.example", 0), [
      { ip: "192.0.2.7", count: 1, passed: 0, mailFrom: "postmaster@us.example" },
    ]);
  });

  test("mail to the reports' address alone is not reported on", async () => {
    await using at = house(zone);
    const to = (...recipients: string[]): void =>
      at.reports.note(seenOf("one.example", { recipients }));
    to("DMARC-Reports@us.example");
    assert.equal((await at.reports.sendNow()).domains, 0);
    to("dmarc-reports@us.example", "ana@us.example");
    assert.equal((await at.reports.sendNow()).domains, 1);
  });

  test("off by default: nothing is collected, and asking for it says so", async () => {
    await using at = house(zone, { send: false });
    at.reports.note(seenOf("one.example"));
    await assert.rejects(at.reports.sendNow(), /send is false/);
    await at.clock.advance(dayMs);
    assert.equal(at.sent.length, 0);
  });

  test("too large, it loses its smallest rows and says how many messages they had", async () => {
    await using at = house(zone, { maxKib: 16 });
    for (let nth = 0; nth < 4000; nth += 1) {
      const address = `10.${nth % 251}.${nth % 241}.${nth % 239}`;
      const source = { kind: "direct", address, helo: "", passed: 0 } as const;
      for (let twice = nth % 7; twice >= 0; twice -= 1) {
        at.reports.note(seenOf("one.example", { source }));
      }
    }
    await at.reports.sendNow();
    const { records, errors } = reportIn(at.sent[0]);
    const counted = records.reduce((sum, { count }) => sum + count, 0);
    const leftOut = Number(/^\d+/.exec(errors[0] ?? "")?.[0]);
    assert.ok(records.length < 4000 && leftOut > 0, `${records.length} rows, ${leftOut} left out`);
    assert.equal(counted + leftOut, 15_994);
    assert.ok((at.reports.sent({ limit: 1 })[0]?.bytes ?? 0) <= 16 * 1024);
  });
});
