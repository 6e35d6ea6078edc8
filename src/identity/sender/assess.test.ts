import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { parseHeader } from "#formats/message";
import { readAuthor } from "#identity/author";
import { assessSender, type SenderFacts } from "#identity/sender";
import { senderOrigins, type Verdict } from "#model/verdict";
import {
  arc,
  dkim,
  dmarc,
  facts,
  login,
  ours,
  partner,
  partnerLogin,
  senderId,
  spf,
} from "./fixture.ts";

const d = "bank.example";
const me = `a@${d}`;
const enforced = { policy: "reject" } as const;
const watched = { policy: "none" } as const;

type Row = readonly [
  what: string,
  given: SenderFacts,
  state: string,
  text: string,
  vouching?: string,
];

const notConfirmed = `We could not confirm this came from ${d}.`;
const forgedText = `${d} says this is not from them.`;
const silent = "Not checked: DNS did not answer.";
const handedIn = "Handed in by the partner acme, with the login acme-mail.";
const noRule = "which gives no rule for forged mail.";

const rows: readonly Row[] = [
  [
    "DMARC passes by DKIM",
    facts(me, [dkim("pass", d), dmarc("pass", d, { dkimAligned: [d] })]),
    "verified",
    `Sent by ${d}.`,
    d,
  ],
  [
    "DMARC passes by SPF",
    facts(me, [spf("pass", "mail.bank.example"), dmarc("pass", d, { spfAligned: true })]),
    "verified",
    `Sent by ${d}.`,
    "mail.bank.example",
  ],
  ["our own people", facts(`a@${ours}`, [login]), "internal", "Inside your organisation."],
  [
    "a login that writes as somebody else",
    facts(me, [login, dmarc("none", d)]),
    "not-verified",
    notConfirmed,
  ],
  [
    "a signature of the domain, no DMARC record",
    facts(me, [dkim("pass", d), dmarc("none", d)]),
    "verified-other",
    `From ${d}, ${noRule}`,
    d,
  ],
  [
    "SPF of the domain, no DMARC record",
    facts(me, [spf("pass", d), dmarc("none", d)]),
    "verified-other",
    `From ${d}, ${noRule}`,
    d,
  ],
  [
    "a signature of the domain above",
    facts("a@news.bank.example", [dkim("pass", d), dmarc("none", "news.bank.example")]),
    "verified-other",
    `From news.bank.example via ${d}, ${noRule}`,
    d,
  ],
  [
    "the same with a broken record",
    facts(me, [dkim("pass", d), dmarc("permerror", d)]),
    "verified-other",
    `From ${d}, ${noRule}`,
    d,
  ],
  [
    "a mailer that signs, no DMARC record",
    facts(me, [dkim("pass", "mailer.example"), dmarc("none", d)]),
    "verified-other",
    `From ${d} via mailer.example.`,
    "mailer.example",
  ],
  [
    "a server of a domain below",
    facts(me, [spf("pass", `bounces.${d}`), dmarc("none", d)]),
    "verified-other",
    `From ${d} via bounces.${d}.`,
    `bounces.${d}`,
  ],
  [
    "a mailer that only has SPF",
    facts(me, [spf("pass", "mailer.example"), dmarc("none", d)]),
    "not-verified",
    notConfirmed,
  ],
  [
    "a mailer whose signature is a test",
    facts(me, [{ ...dkim("pass", "mailer.example"), testing: true }, dmarc("none", d)]),
    "not-verified",
    notConfirmed,
  ],
  [
    "a mailer, against SPF of the domain",
    facts(me, [spf("fail", d), dkim("pass", "mailer.example"), dmarc("none", d)]),
    "not-verified",
    notConfirmed,
  ],
  [
    "a mailer, against Sender ID of the domain",
    facts(me, [
      senderId("fail", "not-listed", d),
      dkim("pass", "mailer.example"),
      dmarc("none", d),
    ]),
    "not-verified",
    notConfirmed,
  ],
  [
    "a mailer, DMARC fails",
    facts(me, [dkim("pass", "mailer.example"), dmarc("fail", d, watched)]),
    "not-verified",
    notConfirmed,
  ],
  [
    "nothing published",
    facts(me, [spf("none", d), dkim("none", ""), dmarc("none", d)]),
    "not-verifiable",
    `${d} does not let us check senders.`,
  ],
  [
    "nothing published, says Sender ID",
    facts(me, [spf("pass", "x.example"), senderId("none", "no-list", d), dmarc("none", d)]),
    "not-verifiable",
    `${d} does not let us check senders.`,
  ],
  [
    "a signature that fails is something published",
    facts(me, [spf("none", d), dkim("fail", d), dmarc("none", d)]),
    "not-verified",
    notConfirmed,
  ],
  [
    "nobody asked for the list of servers",
    facts(me, [spf("none", "x.example"), dmarc("none", d)]),
    "not-verified",
    notConfirmed,
  ],
  ["SPF neutral", facts(me, [spf("neutral", d), dmarc("none", d)]), "not-verified", notConfirmed],
  ["DMARC without an answer", facts(me, [dmarc("temperror", d)]), "not-checked", silent],
  [
    "SPF without an answer",
    facts(me, [spf("temperror", d), dmarc("none", d)]),
    "not-checked",
    silent,
  ],
  [
    "a key without an answer",
    facts(me, [spf("none", d), dkim("temperror", d), dmarc("none", d)]),
    "not-checked",
    silent,
  ],
  [
    "SPF of somebody else without an answer",
    facts(me, [spf("temperror", "x.example"), dmarc("none", d)]),
    "not-verified",
    notConfirmed,
  ],
  [
    "never looked at",
    facts(me, []),
    "not-checked",
    "Not checked: the sender was not looked at on arrival.",
  ],
  [
    "a DMARC verdict of another domain",
    facts(me, [dmarc("pass", "evil.example")]),
    "not-checked",
    "Not checked: the sender was not looked at on arrival.",
  ],
  ["DMARC fails, p=none", facts(me, [dmarc("fail", d, watched)]), "not-verified", notConfirmed],
  ["DMARC fails, p=reject", facts(me, [dmarc("fail", d, enforced)]), "forged", forgedText],
  [
    "DMARC fails, p=quarantine",
    facts(me, [dmarc("fail", d, { policy: "quarantine" })]),
    "forged",
    forgedText,
  ],
  [
    "a trusted forwarder saw it pass",
    facts(me, [arc("pass", d), dmarc("fail", d, enforced)]),
    "verified-other",
    `From ${d} via forwarder.example, which checked it on the way.`,
    "forwarder.example",
  ],
  [
    "a trusted forwarder saw it fail",
    facts(me, [arc("fail", d), dmarc("fail", d, enforced)]),
    "forged",
    forgedText,
  ],
  [
    "a trusted forwarder saw another domain",
    facts(me, [arc("pass", "x.example"), dmarc("fail", d, enforced)]),
    "forged",
    forgedText,
  ],
  [
    "somebody untrusted saw it pass",
    facts(me, [arc("pass", d, { trusted: false }), dmarc("fail", d, enforced)]),
    "forged",
    forgedText,
  ],
  [
    "our domain from outside",
    facts(`a@${ours}`, [spf("none", ours), dmarc("none", ours)]),
    "forged",
    `This claims to be from ${ours}, your own organisation, but came from outside without a login.`,
  ],
  [
    "a domain below ours from outside",
    facts(`a@x.${ours}`, [dkim("pass", "evil.example"), dmarc("none", `x.${ours}`)]),
    "forged",
    `This claims to be from x.${ours}, your own organisation, but came from outside without a login.`,
  ],
  [
    "our domain, DNS silent",
    facts(`a@${ours}`, [dmarc("temperror", ours)]),
    "forged",
    `This claims to be from ${ours}, your own organisation, but came from outside without a login.`,
  ],
  [
    "our domain, by a mailer of ours",
    facts(`a@${ours}`, [dmarc("pass", ours, { dkimAligned: [ours] })]),
    "verified",
    `Sent by ${ours}.`,
    ours,
  ],
  [
    "our domain, by our own signature",
    facts(`a@${ours}`, [dkim("pass", ours), dmarc("none", ours)]),
    "verified-other",
    `From ${ours}, ${noRule}`,
    ours,
  ],
  [
    "our domain, by the connector of a partner that is for any",
    facts(`a@${ours}`, [dmarc("none", ours)], { partner }),
    "not-verified",
    `We could not confirm this came from ${ours}. ${handedIn}`,
  ],
  [
    "our domain, by the connector of a partner that is for it",
    facts(`a@${ours}`, [dmarc("none", ours)], { partner, partnerDomains: [ours] }),
    "not-verified",
    `We could not confirm this came from ${ours}. ${handedIn}`,
  ],
  [
    "our domain, by the login of a partner that is for another",
    facts(`a@${ours}`, [dmarc("none", ours), partnerLogin], { partner, partnerDomains: [d] }),
    "forged",
    `This claims to be from ${ours}, your own organisation, but came from outside without a login. ${handedIn}`,
  ],
  [
    "a partner whose domain stands behind it",
    facts(me, [dmarc("pass", d, { dkimAligned: [d] })], {
      partner: { connector: "acme", identity: "ab".repeat(32), by: "certificate" },
    }),
    "verified",
    `Sent by ${d}. Handed in by the partner acme, with its certificate.`,
    d,
  ],
];

describe("assessSender()", () => {
  for (const [what, given, state, text, vouching] of rows) {
    test(`says ${state} of ${what}`, () => {
      const verdict = assessSender(given);
      assert.deepEqual([verdict.result, verdict.text, verdict.vouching], [state, text, vouching]);
    });
  }

  test("never calls a message safe, secure or trusted", () => {
    const texts = rows.map(([, given]) => assessSender(given)).map((one) => JSON.stringify(one));
    assert.doesNotMatch(texts.join(" "), /safe|secure|trust/i);
  });

  test("says of several authors that they could not be checked, whatever passed", () => {
    const header = "From: a@bank.example, b@evil.example\r\n\r\n";
    const author = readAuthor(parseHeader(Buffer.from(header)));
    const verdict = assessSender(facts(me, [dkim("pass", d), dmarc("pass", d)], { author }));
    assert.equal(verdict.result, "not-verified");
    assert.match(verdict.text, /^The sender could not be checked\./);
    assert.deepEqual([verdict.address, verdict.vouching], ["", undefined]);
    assert.deepEqual(
      verdict.evidence.map(({ type, claimed }) => [type, claimed]),
      [["ambiguous-author", "a@bank.example, b@evil.example"]],
    );
  });

  test("CAP-57 is not moved upwards by any class of Sender ID, alone", () => {
    for (const [result, sorted] of [
      ["pass", "listed"],
      ["fail", "not-listed"],
      ["softfail", "not-listed"],
      ["none", "no-list"],
      ["neutral", "no-list"],
      ["temperror", "no-list"],
      ["permerror", "no-list"],
    ] as const) {
      const verdicts = [senderId(result, sorted, d), dmarc("none", d)];
      const { result: state } = assessSender(facts(me, verdicts));
      assert.ok(["not-verified", "not-verifiable"].includes(state), `${result} ${state}`);
      const failed = [senderId(result, sorted, d), dmarc("fail", d, enforced)];
      assert.equal(assessSender(facts(me, failed)).result, "forged");
    }
  });

  test("the table above comes to all seven states", () => {
    assert.equal(new Set(rows.map(([, , state]) => state)).size, 7);
  });

  test("never says verified without a DMARC pass of the author's domain (seeded)", () => {
    const random = seededRandom(4);
    const one = <Value>(values: readonly Value[]): Value =>
      values[pick(random, values.length)] as Value;
    const domains = [d, "evil.example", ours, `x.${d}`, ""];
    const counts = new Map<string, number>();
    for (let round = 0; round < 50_000; round += 1) {
      const results = ["none", "pass", "fail", "neutral", "temperror", "permerror"] as const;
      const policy = one(["none", "quarantine", "reject"] as const);
      const pool: readonly Verdict[] = [
        spf(one(results), one(domains)),
        dkim(one(results), one(domains)),
        dkim(one(results), one(domains)),
        senderId(one(["pass", "none", "fail"]), one(["listed", "no-list"] as const), one(domains)),
        arc(one(results), one(domains), { trusted: one([true, false]) }),
        dmarc(one(["none", "pass", "fail", "temperror", "permerror"]), one(domains), {
          policy,
          spfAligned: one([true, false]),
          dkimAligned: one([[], [d]]),
        }),
        { method: "auth", result: one(["pass", "none"] as const), login: me },
      ];
      const verdicts = pool.filter(() => pick(random, 3) > 0);
      const address = `a@${one(domains.slice(0, 4))}`;
      const more = { ...one([{ partner }, {}]), isList: one([true, false]) };
      const { result, origin, vouching } = assessSender(facts(address, verdicts, more));
      counts.set(result, (counts.get(result) ?? 0) + 1);
      const domain = address.slice(2);
      const passed = verdicts.some(
        (v) => v.method === "dmarc" && v.result === "pass" && v.fromDomain === domain,
      );
      const isIn = verdicts.some((v) => v.method === "auth" && v.result === "pass");
      if (result === "verified") assert.ok(passed);
      if (result === "internal") assert.ok(isIn && domain === ours);
      if (result === "verified-other") assert.ok(vouching);
      assert.equal(origin === "inside", isIn);
    }
    assert.equal(counts.size, 7, JSON.stringify([...counts]));
  });
});

describe("origin", () => {
  const list = { isList: true } as const;
  for (const [what, given, origin] of [
    ["a login", facts(`a@${ours}`, [login]), "inside"],
    ["a partner's connector", facts(me, [dmarc("pass", d)], { partner }), "partner"],
    ["a partner's login", facts(me, [partnerLogin], { partner }), "partner"],
    ["the open Internet", facts(me, [dmarc("pass", d)]), "outside"],
    [
      "a relay of ours that does not tell",
      facts(me, [dmarc("none", d)], { source: "unknown" }),
      "unknown",
    ],
    ["a relay of ours that tells", facts(me, [dmarc("none", d)], { source: "relayed" }), "outside"],
    ["a chain of ARC", facts(me, [arc("pass", d), dmarc("fail", d)]), "forwarded"],
    [
      "a broken chain of ARC",
      facts(me, [arc("none", d, { result: "fail" }), dmarc("none", d)]),
      "outside",
    ],
    [
      "a list that signs",
      facts(me, [dkim("pass", "list.example"), dmarc("none", d)], list),
      "forwarded",
    ],
    [
      "a list of the author's domain",
      facts(me, [dkim("pass", d), dmarc("pass", d)], list),
      "outside",
    ],
    [
      "what calls itself a list",
      facts(me, [dkim("fail", "list.example"), dmarc("none", d)], list),
      "outside",
    ],
  ] as const) {
    test(`CAP-104 of ${what} is ${origin}`, () => {
      assert.equal(assessSender(given).origin, origin);
      assert.ok(senderOrigins.includes(origin));
    });
  }
});
