import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { parseRange } from "#base/ip";
import { parseHeader } from "#formats/message";
import { findSource } from "#identity/hops";
import { checkSenderId, type PraMode, parseSubmitter } from "#identity/sender-id";
import { checkSpf } from "#identity/spf";
import { senderIdStatuses } from "#model/verdict";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";

const received =
  "Received: from a.example ([192.0.2.1]) by b.example; Mon, 20 Feb 2006 15:04:47 -1000";

interface Asked {
  readonly lines: readonly string[];
  readonly zone?: Zone;
  readonly mailFrom?: string;
  readonly client?: string;
  readonly own?: readonly string[];
  readonly mode?: PraMode;
  readonly submitter?: string;
}

const header = (lines: readonly string[]) =>
  parseHeader(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`));
const ranges = (texts: readonly string[]) =>
  texts.map((text) => parseRange(text) ?? assert.fail(text));

function check(asked: Asked) {
  const read = header(asked.lines);
  const connection = { clientAddress: asked.client ?? "192.0.2.1", helo: "client.example" };
  const source = findSource(read, connection, ranges(asked.own ?? []));
  const question = {
    header: read,
    mailFrom: asked.mailFrom ?? "",
    source,
    receiver: "mx.receiver.example",
    mode: asked.mode ?? "rfc4407",
    ...(asked.submitter !== undefined && { submitter: asked.submitter }),
  };
  return checkSenderId(question, zoneResolver(asked.zone ?? {}), systemClock);
}

const from = ["From: f@from.example"];
const publishing = (...texts: readonly string[]): Zone => ({
  "from.example": texts.map((text) => ({ TXT: text })),
});

/** Status, class, result word, and the message and zone that lead to it. */
const vectors = [
  ["pass", "listed", "pass", { lines: from, zone: publishing("spf2.0/pra ip4:192.0.2.0/24 -all") }],
  ["neutral", "no-list", "neutral", { lines: from, zone: publishing("spf2.0/pra ?all") }],
  ["softfail", "not-listed", "softfail", { lines: from, zone: publishing("spf2.0/pra ~all") }],
  ["none", "no-list", "none", { lines: from, zone: publishing("something else") }],
  ["not-permitted", "not-listed", "fail", { lines: from, zone: publishing("spf2.0/pra -all") }],
  ["malformed-domain", "no-list", "fail", { lines: ["From: f@localhost"] }],
  ["non-existent-domain", "no-list", "fail", { lines: from }],
  ["temperror", "no-list", "temperror", { lines: from, zone: { "from.example": ["TIMEOUT"] } }],
  ["permerror", "no-list", "permerror", { lines: from, zone: publishing("spf2.0/pra ip4:x -all") }],
  ["no-pra", "no-list", "permerror", { lines: ["Subject: x"] }],
] as const;

describe("checkSenderId()", () => {
  for (const [status, classOf, result, asked] of vectors) {
    test(`CAP-58 ${status}, and CAP-57 its class ${classOf}, in the word ${result}`, async () => {
      const verdict = await check(asked);
      assert.deepEqual([verdict.status, verdict.class, verdict.result], [status, classOf, result]);
      assert.ok(verdict.why.length > 0);
    });
  }

  test("CAP-58 there are ten statuses and a vector for each; CAP-57 three classes hold them", () => {
    assert.deepEqual(
      vectors.map(([status]) => status),
      senderIdStatuses,
    );
    assert.equal(new Set(vectors.map(([, classOf]) => classOf)).size, 3);
  });

  test("names the address, where it stands, and the term that decided", async () => {
    const verdict = await check({ lines: from, zone: publishing("spf2.0/mfrom,pra a -all") });
    assert.deepEqual(verdict, {
      method: "sender-id",
      result: "fail",
      status: "not-permitted",
      class: "not-listed",
      pra: "f@from.example",
      praHeader: "From",
      domain: "from.example",
      why: "-all in the spf2.0/mfrom,pra record of from.example",
    });
  });

  test("says why there is no address", async () => {
    const verdict = await check({ lines: ["From: a@a.example", "From: b@b.example"] });
    assert.deepEqual(
      [verdict.status, verdict.domain, verdict.pra, verdict.why],
      ["no-pra", "", undefined, "there are several From fields"],
    );
  });

  test("a domain that exists and has no TXT record at all has no list", async () => {
    const verdict = await check({ lines: from, zone: { "from.example": [{ A: "192.0.2.1" }] } });
    assert.equal(verdict.status, "none");
  });
});

/** Records of one domain; which of them decides for the PRA and for MAIL FROM (RFC 4406 §4.4). */
const selections = [
  ["a record of the scope goes before v=spf1", ["v=spf1 -all", "spf2.0/pra +all"], "pass", "fail"],
  ["the order in the answer does not matter", ["spf2.0/pra +all", "v=spf1 -all"], "pass", "fail"],
  ["v=spf1 stands in for both (§3.4)", ["v=spf1 +all"], "pass", "pass"],
  [
    "v=spf1 stands in for the scope that is missing",
    ["v=spf1 ~all", "spf2.0/mfrom +all"],
    "softfail",
    "pass",
  ],
  ["a record of the other scope only", ["spf2.0/mfrom +all"], "none", "pass"],
  ["one record for both", ["spf2.0/mfrom,pra +all"], "pass", "pass"],
  ["in any order and case", ["SPF2.0/PRA,MFROM +ALL"], "pass", "pass"],
  ["scopes that are unknown are passed over (§3.1)", ["spf2.0/other,pra +all"], "pass", "none"],
  ["a scope is a whole word", ["spf2.0/prab,xpra +all"], "none", "none"],
  ["two of one scope (§3.2)", ["spf2.0/pra +all", "spf2.0/pra +all"], "permerror", "none"],
  [
    "two of one scope, one of them wider",
    ["spf2.0/pra +all", "spf2.0/mfrom,pra ~all"],
    "permerror",
    "softfail",
  ],
  ["two v=spf1", ["v=spf1 +all", "v=spf1 +all"], "permerror", "permerror"],
  [
    "two v=spf1 beside one of the scope",
    ["v=spf1 -all", "v=spf1 -all", "spf2.0/pra +all"],
    "pass",
    "permerror",
  ],
  ["another minor version (§3.1.1)", ["spf2.7/pra +all"], "pass", "none"],
  [
    "no version of ours",
    ["spf2/pra +all", "spf2.0 +all", "spf2.0/ +all", "spf2.0/pra,+all"],
    "none",
    "none",
  ],
  [
    "a fault in the other record does not matter",
    ["v=spf1 what", "spf2.0/pra +all"],
    "pass",
    "permerror",
  ],
  [
    "modifiers stand anywhere, unknown ones are passed over (§3.3)",
    ["spf2.0/pra pos=x a new=y +all z=1"],
    "pass",
    "none",
  ],
  ["redirect keeps the scope", ["spf2.0/mfrom,pra redirect=both.example"], "pass", "fail"],
  ["include keeps the scope", ["spf2.0/mfrom,pra include:both.example ?all"], "pass", "neutral"],
  ["include of a v=spf1 record", ["spf2.0/pra include:one.example ?all"], "pass", "none"],
] as const;

describe("records of Sender ID", () => {
  for (const [what, texts, pra, mfrom] of selections) {
    test(`${what}: pra ${pra}, mfrom ${mfrom}`, async () => {
      const zone = {
        ...publishing(...texts),
        "both.example": [{ TXT: "spf2.0/pra +all" }, { TXT: "spf2.0/mfrom -all" }],
        "one.example": [{ TXT: "v=spf1 +all" }],
      };
      const word = { fail: "not-permitted" } as Readonly<Record<string, string>>;
      assert.equal((await check({ lines: from, zone })).status, word[pra] ?? pra);
      const fallback = { mode: "mail-from-fallback", mailFrom: "f@from.example" } as const;
      const byMailFrom = await check({ lines: ["Subject: x"], zone, ...fallback });
      assert.equal(byMailFrom.status, word[mfrom] ?? mfrom);
    });
  }

  test("SPF itself knows v=spf1 only (RFC 7208 §4.5)", async () => {
    for (const [texts, result] of [
      [["spf2.0/mfrom,pra +all"], "none"],
      [["v=spf1 -all", "spf2.0/mfrom +all"], "fail"],
    ] as const) {
      const question = {
        ip: "192.0.2.1",
        helo: "x.example",
        mailFrom: "f@from.example",
        receiver: "r",
      };
      const verdict = await checkSpf(question, zoneResolver(publishing(...texts)), systemClock);
      assert.equal(verdict.result, result);
    }
  });

  test("macros speak of the address that is judged", async () => {
    const zone = {
      ...publishing("spf2.0/pra exists:%{l}.%{o}.%{ir}.%{h}.list.example -all"),
      "f.from.example.1.2.0.192.client.example.list.example": [{ A: "127.0.0.2" }],
    };
    assert.equal((await check({ lines: from, zone })).status, "pass");
  });
});

describe("modes and sources", () => {
  const zone = publishing("v=spf1 ip4:192.0.2.1 -all");
  const mailFrom = "m@from.example";

  test("CAP-54 RFC 4407 never looks at MAIL FROM", async () => {
    assert.equal((await check({ lines: ["Subject: x"], mailFrom, zone })).status, "no-pra");
  });

  test("CAP-54 the compatibility mode falls back to MAIL FROM when no field is there", async () => {
    const mode = "mail-from-fallback";
    const verdict = await check({ lines: ["Subject: x"], mailFrom, zone, mode });
    assert.deepEqual(
      [verdict.status, verdict.praHeader, verdict.pra],
      ["pass", "MAIL FROM", mailFrom],
    );
    const two = ["From: a@a.example", "From: b@b.example"];
    assert.equal((await check({ lines: two, mailFrom, zone, mode })).status, "no-pra");
    assert.equal((await check({ lines: ["Subject: x"], zone, mode })).status, "no-pra");
    const named = await check({ lines: ["From: f@other.example"], mailFrom, zone, mode });
    assert.deepEqual([named.praHeader, named.status], ["From", "non-existent-domain"]);
  });

  test("CAP-56 our own relay is never judged in the place of an unknown source", async () => {
    const open = publishing("v=spf1 +all");
    const verdict = await check({ lines: from, zone: open, own: ["192.0.2.0/24"] });
    assert.deepEqual([verdict.status, verdict.class], ["none", "no-list"]);
    assert.match(verdict.why, /not known which host/);
  });

  test("SUBMITTER that is not the address of the header is told (RFC 4405 §4.2)", async () => {
    const same = await check({ lines: from, zone, submitter: "f@FROM.example" });
    assert.doesNotMatch(same.why, /SUBMITTER/);
    for (const submitter of ["F@from.example", "x@other.example"]) {
      const other = await check({ lines: from, zone, submitter });
      assert.ok(other.why.endsWith(`; SUBMITTER named ${submitter} instead`), other.why);
    }
    const none = await check({ lines: ["Subject: x"], submitter: "f@from.example" });
    assert.equal(none.why, "there is no From field; SUBMITTER named f@from.example instead");
  });

  test("SUBMITTER comes as xtext (RFC 4405)", () => {
    assert.deepEqual(parseSubmitter("a+2Bb@From.example"), { ok: true, value: "a+b@from.example" });
    assert.deepEqual(parseSubmitter("a+2x"), { ok: false, fault: "bad-xtext", at: 0 });
    assert.equal(parseSubmitter("nobody").ok, false);
    assert.equal(parseSubmitter("").ok, false);
  });
});

/**
 * Ways that break checks of MAIL FROM. From the sender's server 203.0.113.5 the author writes as
 * f@from.example, whose list has that server alone; the client at our door is another.
 */
const list = { "list.example": [{ TXT: "v=spf1 ip4:198.51.100.7 -all" }] };
const forwarder = { "forwarder.example": [{ TXT: "v=spf1 ip4:198.51.100.8 -all" }] };
const strict = { ...publishing("v=spf1 ip4:203.0.113.5 -all"), ...list, ...forwarder };

const corpus = [
  [
    "mailing list that sets Sender and its own MAIL FROM",
    {
      client: "198.51.100.7",
      mailFrom: "owner@list.example",
      lines: [received, "Sender: l@list.example", ...from],
    },
    ...["pass", "pass"],
  ],
  [
    "mailing list that sets no Sender",
    { client: "198.51.100.7", mailFrom: "owner@list.example", lines: [received, ...from] },
    ...["pass", "not-permitted"],
  ],
  [
    "mailing list that writes itself into From",
    {
      client: "198.51.100.7",
      mailFrom: "owner@list.example",
      lines: [received, "From: F via L <l@list.example>"],
    },
    ...["pass", "pass"],
  ],
  [
    "forwarder that keeps MAIL FROM and adds nothing",
    { client: "198.51.100.8", mailFrom: "f@from.example", lines: [received, ...from] },
    ...["fail", "not-permitted"],
  ],
  [
    "forwarder that adds Resent-From and keeps MAIL FROM",
    {
      client: "198.51.100.8",
      mailFrom: "f@from.example",
      lines: ["Resent-From: u@forwarder.example", received, ...from],
    },
    ...["fail", "pass"],
  ],
  [
    "forwarder that rewrites MAIL FROM and adds nothing",
    { client: "198.51.100.8", mailFrom: "SRS0=x=f@forwarder.example", lines: [received, ...from] },
    ...["pass", "not-permitted"],
  ],
  [
    "forwarder behind a list: the newest block is the forwarder's",
    {
      client: "198.51.100.8",
      mailFrom: "owner@list.example",
      lines: [
        "Resent-From: u@forwarder.example",
        received,
        "Resent-Sender: l@list.example",
        ...from,
      ],
    },
    ...["fail", "pass"],
  ],
  [
    "smart host of a provider that the list of the domain forgot",
    { client: "198.51.100.9", mailFrom: "f@from.example", lines: [received, ...from] },
    ...["fail", "not-permitted"],
  ],
  [
    "smart host fails, and the server delivers itself",
    { client: "203.0.113.5", mailFrom: "f@from.example", lines: from },
    ...["pass", "pass"],
  ],
  [
    "alternate address: sent with the private From through the office",
    { client: "203.0.113.5", mailFrom: "f@from.example", lines: ["From: me@home.example"] },
    ...["pass", "non-existent-domain"],
  ],
  [
    "alternate address with the office as Sender",
    {
      client: "203.0.113.5",
      mailFrom: "f@from.example",
      lines: ["From: me@home.example", "Sender: f@from.example"],
    },
    ...["pass", "pass"],
  ],
  [
    "bounce without a return path",
    { client: "203.0.113.5", mailFrom: "", lines: ["From: mailer-daemon@from.example"] },
    ...["none", "pass"],
  ],
] as const;

describe("CAP-55 mail that goes another way", () => {
  for (const [what, asked, spf, senderId] of corpus) {
    test(`CAP-55 ${what}: spf ${spf}, sender-id ${senderId}`, async () => {
      const { client: ip, mailFrom } = asked;
      const question = { ip, helo: "client.example", mailFrom, receiver: "mx.receiver.example" };
      const bySpf = await checkSpf(question, zoneResolver(strict), systemClock);
      const bySenderId = await check({ ...asked, zone: strict });
      assert.deepEqual([bySpf.result, bySenderId.status], [spf, senderId]);
    });
  }
});

test("CAP-56 the listing 3.1 of the seed: two hops of our own, then the source, whose list has it", async () => {
  const lines = [
    "x-sender: bounce@marketing.example",
    "x-receiver: somebody@company.example",
    "Received: from relay.company.example ([192.0.2.20]) by mail.company.example with Microsoft SMTPSVC(6.0.3790.1830); Mon, 20 Feb 2006 15:04:53 -1000",
    "Received: from mx12.marketing.example ([203.0.113.12]) by relay.company.example (Mirapoint Messaging Server MOS 3.3.2CR) with ESMTP id AGC33650; Mon, 20 Feb 2006 15:04:47 -1000",
    "Received: from app.marketing.example (unknown [10.1.2.3]) by mx12.marketing.example (Postfix) with SMTP id 8ABFE30424 for <somebody@company.example>; Mon, 20 Feb 2006 17:04:43 -0800 (PST)",
    "From: Old Friends <profile@marketing.example>",
    "Subject: somebody looked at your page",
  ];
  const zone = {
    "marketing.example": [
      { TXT: "v=spf1 ip4:203.0.113.0/24 ?all" },
      { TXT: "spf2.0/pra ip4:203.0.113.0/24 ?all" },
    ],
  };
  const own = ["192.0.2.0/24"];
  const source = findSource(
    header(lines),
    { clientAddress: "192.0.2.10", helo: "mail" },
    ranges(own),
  );
  assert.deepEqual(source, {
    kind: "relayed",
    address: "203.0.113.12",
    helo: "mx12.marketing.example",
    passed: 2,
  });
  const verdict = await check({ lines, zone, client: "192.0.2.10", own });
  assert.deepEqual(
    [verdict.status, verdict.pra, verdict.praHeader, verdict.why],
    [
      "pass",
      "profile@marketing.example",
      "From",
      "ip4:203.0.113.0/24 in the spf2.0/pra record of marketing.example",
    ],
  );
});
