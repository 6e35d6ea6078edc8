import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { seededRandom } from "#base/random";
import { parseFeedbackReport } from "#formats/feedback-report";
import { decodeBody, describeMessage, walkParts } from "#formats/mime";
import type { Zone } from "../../../tests/kit/fake-dns.ts";
import { dayMs } from "./book.ts";
import { dkimOf, dmarcOf, type House, house, noonMs, seenOf, spfOf } from "./fixture.test.ts";
import { readReports } from "./read-reports.ts";

const samples = new URL("../../../tests/conformance/reports/", import.meta.url);
const octetsOf = (name: string): Buffer => readFileSync(new URL(name, samples));
const names = (kind: string): readonly string[] =>
  readdirSync(new URL(kind, samples))
    .filter((name) => !name.endsWith(".json"))
    .map((name) => `${kind}/${name}`);
const address = "dmarc-reports@us.example";

/** A report of the older schema about a domain, with so many sources. */
function reportXml(domain: string, id: string, sources: number): string {
  const records = Array.from(
    { length: sources },
    (_, nth) => `<record><row><source_ip>192.0.2.${nth % 250}</source_ip><count>${nth + 1}</count>
<policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>${nth % 2 === 0 ? "pass" : "fail"}</spf></policy_evaluated></row>
<identifiers><header_from>${domain}</header_from></identifiers>
<auth_results><spf><domain>${domain}</domain><result>pass</result></spf></auth_results></record>`,
  );
  const [begin, end] = [noonMs / 1000 - 43_200, noonMs / 1000];
  return `<feedback><report_metadata><org_name>Org</org_name><email>e@org.test</email>
<report_id>${id}</report_id><date_range><begin>${begin}</begin><end>${end}</end></date_range></report_metadata>
<policy_published><domain>${domain}</domain><p>none</p></policy_published>${records.join("")}</feedback>`;
}

/** Mail to the address for reports, as the way of inbound mail tells of it. */
async function arrives(at: House, octets: Buffer, verifiedAs?: string): Promise<void> {
  const id = `m${at.mails.size}`;
  at.mails.set(id, octets);
  const dmarc = verifiedAs === undefined ? {} : { result: "pass", fromDomain: verifiedAs };
  const verdicts = [dmarcOf("x.example", dmarc as object)];
  at.reports.note(seenOf("x.example", { kept: id, recipients: [address], verdicts }));
  const before = count(at);
  for (let tries = 0; count(at) === before && tries < 500; tries += 1) await pause(10);
}

const count = ({ reports }: House): number => {
  const { reports: rows, failures } = reports.received({ limit: 1000 });
  const { unread } = reports.overview(0);
  return rows.length + failures.length + unread.reduce((sum, one) => sum + one.count, 0);
};

describe("received reports", () => {
  test("the samples are read, as mail and as files, and shown; once each", async () => {
    await using at = house();
    const all = [...names("dmarc"), ...names("arf")];
    const same = new Set(["dmarc/004.xml"]);
    for (const name of all) {
      if (name.endsWith(".eml")) await arrives(at, octetsOf(name), "receiver.example");
      // The sample of the newer schema has organization, domain and id of one of the older.
      else assert.equal((await at.reports.take(octetsOf(name))).kept, same.has(name) ? 0 : 1, name);
    }
    const { reports: rows, failures } = at.reports.received({ limit: 100 });
    assert.equal(rows.length, names("dmarc").length - same.size);
    assert.equal(failures.length, names("arf").length);
    for (const name of names("dmarc")) {
      assert.deepEqual(await at.reports.take(octetsOf(name)), { kept: 0, known: 1, faults: [] });
    }
    const google = rows.find(({ org }) => org === "google.com");
    const shown = at.reports.show(google?.id ?? 0, 100);
    const expected = readReports(octetsOf("dmarc/100.eml")).aggregates[0];
    assert.ok(expected);
    assert.deepEqual(shown?.rows.map(({ sourceIp }) => sourceIp).sort(), [
      ...expected.records.map(({ sourceIp }) => sourceIp).sort(),
    ]);
    assert.deepEqual(shown?.rows[0]?.dkimResults, expected.records[0]?.dkimResults);
    const parts = [shown?.reportId, shown?.email, shown?.policy, shown?.reporter];
    const { reportId, email, policy } = expected;
    assert.deepEqual(parts, [reportId, email, policy, "receiver.example"]);
    assert.equal(at.reports.show(9999, 1), undefined);
  });

  test("are found by domain, day and source; sums say who fails", async () => {
    await using at = house();
    await at.reports.take(Buffer.from(reportXml("a.example", "1", 4)));
    await at.reports.take(gzipSync(reportXml("a.example", "2", 2)));
    await at.reports.take(Buffer.from(reportXml("b.example", "1", 1)));
    const found = (filter: object): number =>
      at.reports.received({ limit: 9, ...filter }).reports.length;
    const midnight = Math.floor(noonMs / dayMs) * dayMs;
    assert.deepEqual(
      [
        found({ domain: "a.example" }),
        found({ source: "192.0.2.3" }),
        found({ dayMs: midnight }),
        found({ dayMs: midnight - dayMs }),
        found({ dayMs: midnight + dayMs }),
      ],
      [2, 1, 3, 0, 0],
    );
    const [a] = at.reports.overview(noonMs - dayMs).domains;
    assert.deepEqual(
      [a?.domain, a?.reports, a?.messages, a?.passed, a?.failing],
      [
        "a.example",
        2,
        13,
        5,
        [
          { sourceIp: "192.0.2.1", count: 4, reporters: 1 },
          { sourceIp: "192.0.2.3", count: 4, reporters: 1 },
        ],
      ],
    );
    assert.deepEqual(at.reports.ownSources("a.example", 0).slice(0, 2), [
      { ip: "192.0.2.1", count: 4, passed: 0, mailFrom: "postmaster@a.example" },
      { ip: "192.0.2.3", count: 4, passed: 0, mailFrom: "postmaster@a.example" },
    ]);
    assert.deepEqual(at.reports.overview(noonMs + dayMs).domains, []);
  });

  test("that nobody vouches for are kept and shown, and count nowhere", async () => {
    await using at = house();
    await arrives(at, Buffer.from(reportXml("us.example", "forged", 3)));
    assert.equal(at.reports.received({ limit: 9 }).reports[0]?.reporter, "");
    const { domains, unverified } = at.reports.overview(0);
    assert.deepEqual([domains, unverified], [[], 1]);
    assert.deepEqual(at.reports.ownSources("us.example", 0), []);
  });

  test("with counts that no sum could hold are refused, and the others stay readable", async () => {
    await using at = house();
    const most = reportXml("us.example", "a", 9999).replace(/<count>\d+/g, "<count>9999999999");
    await arrives(at, Buffer.from(most), "big.example");
    const [row] = at.reports.received({ limit: 9 }).reports;
    assert.equal(row?.messages, 9999 * 9_999_999_999);
    assert.equal(at.reports.overview(0).domains[0]?.messages, row.messages);
    await arrives(at, Buffer.from(most.replaceAll("<count>", "<count>9")), "big.example");
    assert.deepEqual(at.reports.overview(0).unread, [{ why: "bad-field", count: 1 }]);
  });

  test("of feedback reports no address is written down", async () => {
    await using at = house();
    for (const name of names("arf")) await at.reports.take(octetsOf(name));
    const { failures } = at.reports.received({ limit: 100 });
    assert.equal(failures.length, 3);
    const text = JSON.stringify(failures);
    assert.doesNotMatch(text, /[\w.]@[\w]/);
  });

  test("hostile ones are counted with their reason, and mail goes on", async () => {
    await using at = house();
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, " "), { level: 9 });
    const deep = Buffer.from(`<feedback>${"<a>".repeat(200_000)}`);
    const cases = [
      ["a letter", Buffer.from("Subject: hi\r\n\r\nwords\r\n"), "no-report"],
      ["a bomb", bomb, "too-large"],
      ["a deep tree", deep, undefined],
      ["half a gzip", bomb.subarray(0, 1000), "bad-archive"],
    ] as const;
    for (const [what, octets, why] of cases) {
      const before = at.reports.overview(0).unread.length;
      await arrives(at, octets);
      const { unread } = at.reports.overview(0);
      assert.equal(unread.length, before + 1, what);
      if (why !== undefined)
        assert.ok(
          unread.some((one) => one.why === why),
          JSON.stringify(unread),
        );
    }
  });

  test("the largest that is read keeps its first 10,000 sources, off the main thread", async () => {
    await using at = house();
    const octets = gzipSync(reportXml("a.example", "1", 30_000));
    let longestMs = 0;
    let lastMs = performance.now();
    const watch = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      lastMs = performance.now();
    }, 5);
    await at.reports.take(octets);
    clearInterval(watch);
    const [row] = at.reports.received({ limit: 1 }).reports;
    assert.equal(row?.records, 10_000);
    console.log(
      `${octets.length} octets; the main thread stood still for ${longestMs.toFixed(0)} ms`,
    );
  });

  test("readReports() survives damaged samples (seeded)", () => {
    const random = seededRandom(11);
    const all = [...names("dmarc"), ...names("arf")].map(octetsOf);
    for (let round = 0; round < 300; round += 1) {
      const octets = Buffer.from(all[round % all.length] ?? "");
      for (let hits = 0; hits < 1 + (round % 20); hits += 1) {
        octets[Math.floor(random.fraction() * octets.length)] = random.bytes(1)[0] ?? 0;
      }
      const cut = octets.subarray(0, Math.ceil(random.fraction() * octets.length));
      const { aggregates, feedbacks, faults } = readReports(round % 2 === 0 ? octets : cut);
      assert.ok(aggregates.length + feedbacks.length + faults.length > 0);
    }
  });
});

describe("failure reports", () => {
  const zone: Zone = {
    "_dmarc.one.example": [{ TXT: "v=DMARC1; p=reject; ruf=mailto:ruf@one.example" }],
    "one.example": [{ TXT: "v=spf1 -all" }],
    "_dmarc.two.example": [{ TXT: "v=DMARC1; p=reject; fo=s; ruf=mailto:ruf@two.example" }],
    "_dmarc.three.example": [{ TXT: "v=DMARC1; p=reject; ruf=mailto:x@stranger.test" }],
  };
  const original = Buffer.from(
    [
      "Received: from x by us.example for <ana@us.example>; Sat, 21 Nov 2026 12:00:00 +0000",
      "Received: from y by relay.example for <Ana@us.example>; Sat, 21 Nov 2026 11:59:59 +0000",
      "From: Boss <boss@one.example>",
      "To: <ana@us.example>",
      "Subject: our secret",
      "",
      "and its body",
      "",
    ].join("\r\n"),
  );

  async function fails(at: House, domain: string, times = 1): Promise<void> {
    for (let nth = 0; nth < times; nth += 1) {
      const kept = `f${at.mails.size}`;
      at.mails.set(kept, original);
      const verdicts = [spfOf("fail", domain), dkimOf("fail", domain, "sel"), dmarcOf(domain)];
      at.reports.note(seenOf(domain, { kept, verdicts }));
    }
    await at.clock.advance(10);
    await pause(50);
  }

  test("tell the owner how it failed, without subject, recipients and body (RFC 9991)", async () => {
    await using at = house(zone, { failure: "headers", send: false });
    await fails(at, "one.example");
    const [own] = at.sent;
    assert.ok(own);
    assert.deepEqual(own.recipients, ["ruf@one.example"]);
    const text = Buffer.from(own.content).toString();
    assert.doesNotMatch(text, /secret|its body|ana@us/i);
    assert.match(text, /Received: from y by relay\.example for <redacted@us\.example>/);
    const part = [...walkParts(describeMessage(own.content).root)].find(
      ({ subtype }) => subtype === "feedback-report",
    );
    const body = Buffer.from(own.content).subarray(part?.bodyStart, part?.bodyEnd);
    const parsed = parseFeedbackReport(decodeBody(body, "7bit"));
    assert.ok(parsed.ok);
    const { authFailure, identityAlignment, dkimSelector, spfDns, deliveryResult } = parsed.value;
    assert.deepEqual(
      [authFailure, identityAlignment, dkimSelector, spfDns, deliveryResult],
      ["dmarc", ["dkim", "spf"], "sel", ['txt : one.example : "v=spf1 -all"'], "spam"],
    );
    assert.equal(at.reports.sent({ limit: 9 })[0]?.kind, "failure");
  });

  test("leave out recipients who are not ASCII, too (RFC 6532)", async () => {
    await using at = house(zone, { failure: "headers", send: false });
    const text = original.toString().replace("Ana@us.example", "zoë+(@us.example");
    at.mails.set("utf8", Buffer.from(text));
    const recipients = ["zoë+(@us.example"];
    at.reports.note(seenOf("one.example", { kept: "utf8", recipients }));
    await at.clock.advance(10);
    await pause(50);
    assert.match(Buffer.from(at.sent[0]?.content ?? "").toString(), /for <redacted@us\.example>/);
  });

  test("are few: so many a day, and only to who asks for them and agrees", async () => {
    await using at = house(zone, { failure: "headers", failuresPerDay: 3 });
    await fails(at, "one.example", 10);
    await fails(at, "two.example");
    await fails(at, "three.example");
    assert.equal(at.sent.length, 3);
    await at.clock.advance(dayMs);
    at.mails.set("next", original);
    const atMs = at.clock.nowMs();
    at.reports.note(seenOf("one.example", { kept: "next", atMs }));
    await at.clock.advance(10);
    await pause(50);
    assert.equal(at.sent.filter(({ recipients }) => recipients[0] === "ruf@one.example").length, 4);
  });

  test("none by default", async () => {
    await using at = house(zone);
    await fails(at, "one.example");
    assert.equal(at.sent.length, 0);
  });
});
