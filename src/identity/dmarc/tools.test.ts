import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { findPolicy, parseDmarcRecord, reportDestinations } from "#identity/dmarc";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";

const txt = (text: string) => [{ TXT: text }];

describe("findPolicy()", () => {
  const zone: Zone = {
    "_dmarc.example.com": txt("v=DMARC1; p=none; sp=reject; t=y"),
    "_dmarc.twice.example.com": [{ TXT: "v=DMARC1; p=none" }, { TXT: "v=DMARC1; p=reject" }],
    "_dmarc.bad.example.com": txt("v=DMARC1; p=x"),
    "_dmarc.lost.example.org": ["SERVFAIL"],
  };
  const find = (domain: string) => findPolicy(domain, zoneResolver(zone));

  test("tells where the policy stands and what was asked", async () => {
    const finding = await find("twice.example.com");
    assert.equal(finding.result, "found");
    assert.equal(finding.published?.domain, "example.com");
    assert.equal(finding.organizationalDomain, "example.com");
    assert.deepEqual(finding.applied, { published: "reject", policy: "quarantine", tag: "sp" });
    assert.deepEqual(
      finding.queries.map(({ name, answer }) => `${name} ${answer}`),
      ["_dmarc.twice.example.com several", "_dmarc.example.com record", "_dmarc.com none"],
    );
  });

  test("tells none, unusable and failed apart", async () => {
    const none = await find("example.net");
    assert.equal(none.result, "none");
    assert.equal(none.organizationalDomain, "example.net");
    const unusable = await find("bad.example.com");
    assert.equal(unusable.result, "unusable");
    assert.match(unusable.why, /p=x means nothing/);
    const failed = await find("lost.example.org");
    assert.equal(failed.result, "failed");
    assert.equal(failed.organizationalDomain, undefined);
  });
});

describe("reportDestinations() (RFC 9990 §4)", () => {
  const zone: Zone = {
    "_dmarc.example.com": txt("v=DMARC1; p=none"),
    "example.com._report._dmarc.willing.example": txt("v=DMARC1"),
    "example.com._report._dmarc.other.example": txt("v=DMARC1; rua=mailto:in@other.example"),
    "example.com._report._dmarc.chain.example": txt("v=DMARC1; rua=mailto:x@victim.example"),
    "example.com._report._dmarc.web.example": txt("v=DMARC1; rua=https://web.example/"),
    "example.com._report._dmarc.wrong.example": txt("hello"),
    "example.com._report._dmarc.lost.example": ["TIMEOUT"],
    "*.com._report._dmarc.any.example": txt("v=DMARC1;"),
    "_dmarc.lost.com": ["SERVFAIL"],
  };
  const of = async (tags: string, policyDomain = "example.com") => {
    const parsed = parseDmarcRecord(`v=DMARC1; p=none; ${tags}`);
    assert.ok(parsed.ok);
    return await reportDestinations(parsed.value, policyDomain, zoneResolver(zone));
  };

  const cases: readonly (readonly [
    name: string,
    tags: string,
    sent: string,
    leftOut: string | undefined,
  ])[] = [
    ["the domain itself", "rua=mailto:a@example.com", "a@example.com", undefined],
    [
      "a subdomain of the organization",
      "rua=mailto:a@in.example.com",
      "a@in.example.com",
      undefined,
    ],
    ["one who agrees", "rua=mailto:a@willing.example", "a@willing.example", undefined],
    ["one who names another mailbox", "rua=mailto:a@other.example", "in@other.example", undefined],
    ["one who leads elsewhere", "rua=mailto:a@chain.example", "", "leads to another host"],
    ["one who wants it by the web", "rua=mailto:a@web.example", "", "names no mailbox"],
    ["one who says nothing", "rua=mailto:a@victim.example", "", "does not say that it wants them"],
    ["one whose record is something else", "rua=mailto:a@wrong.example", "", "does not say"],
    ["a neighbour below the same suffix", "rua=mailto:a@victim.com", "", "does not say"],
    ["silence of the DNS", "rua=mailto:a@lost.example", "", "did not answer"],
    ["silence on the way to the organization", "rua=mailto:a@lost.com", "", "did not answer"],
    ["another scheme", "rua=https://example.com/", "", "only mailto"],
    ["all who take any", "rua=mailto:a@any.example", "a@any.example", undefined],
  ];
  for (const [name, tags, sent, leftOut] of cases) {
    test(name, async () => {
      const found = await of(tags);
      assert.equal(found.rua.map(({ address }) => address).join(), sent);
      assert.match(found.leftOut.map(({ why }) => why).join(), new RegExp(leftOut ?? "^$"));
      assert.equal(found.leftOut[0]?.temporary === true, leftOut === "did not answer");
    });
  }

  test("failure reports ask for their own tag, and public suffixes get none (RFC 9991 §2, §5)", async () => {
    const found = await of("ruf=mailto:a@other.example; rua=mailto:a@other.example");
    assert.deepEqual(found.ruf, [{ address: "a@other.example", external: true }]);
    const suffix = await of("psd=y; ruf=mailto:a@com; rua=mailto:a@com", "com");
    assert.deepEqual(suffix.ruf, []);
    assert.deepEqual(suffix.rua, [{ address: "a@com", external: false }]);
  });

  test("a name that is too long is no agreement", async () => {
    const long = `${"a".repeat(60)}.`.repeat(3);
    const found = await of(`rua=mailto:a@${long}example`, `${long}com`);
    assert.match(found.leftOut[0]?.why ?? "", /too long/);
  });

  test("sends once to a mailbox that is named twice", async () => {
    const found = await of("rua=mailto:a@example.com,mailto:a@EXAMPLE.com");
    assert.equal(found.rua.length, 1);
  });
});
