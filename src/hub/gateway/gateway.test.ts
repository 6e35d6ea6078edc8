/** Who has a mailbox inside: lists, callouts, memory, and what happens when nobody can say. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { Misconfigured, Unavailable } from "#base/errors";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { seededRandom, systemRandom } from "#base/random";
import { linkPair } from "#contracts/link";
import type { Verdict } from "#model/verdict";
import { completeOutbound, outboundParameters } from "#transport/connectors";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { type SinkOptions, SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { recipientQuestions } from "../../edge/smtp/recipient-questions.ts";
import { gatewayWith, toldEvents } from "./fixture.ts";
import { listSource } from "./list.ts";
import { openGateways } from "./open.ts";
import { isSenderProven } from "./proven-sender.ts";
import { checkGateways } from "./settings.ts";
import type { RecipientSource } from "./source.ts";
import { Verifier } from "./verifier.ts";

const ana = "ana@example.org";
const nobody = "nobody@example.org";

describe("completeGateway() and checkGateways()", () => {
  const faults: readonly (readonly [object, RegExp])[] = [
    [{ domains: [] }, /^gateway\.test\.domains names no domain/],
    [{ domains: ["not a domain"] }, /^gateway\.test\.domains has "not a domain"/],
    [{ recipients: "list" }, /^gateway\.test\.listFile is missing/],
    [{ recipients: "ldap" }, /^gateway\.test\.ldapUrl must be/],
    [{ recipients: "ldap", ldapUrl: "ldap://h/dc=x" }, /^gateway\.test\.ldapUrl must end/],
    [{ recipients: "ldap", ldapUrl: "ldaps://h" }, /^gateway\.test\.ldapBase is missing/],
    [
      { recipients: "ldap", ldapUrl: "ldaps://h", ldapBase: "dc=x", ldapFilter: "(mail=*)" },
      /^gateway\.test\.ldapFilter must hold/,
    ],
    [
      { recipients: "ldap", ldapUrl: "ldaps://h", ldapBase: "dc=x", ldapFilter: "(mail={address}" },
      /^gateway\.test\.ldapFilter is no LDAP filter/,
    ],
    [
      { recipients: "ldap", ldapUrl: "ldaps://h", ldapBase: "dc=x", ldapUser: "cn=x" },
      /^gateway\.test\.ldapSecretFile is missing/,
    ],
  ];
  for (const [wishes, words] of faults) {
    test(`refuses ${JSON.stringify(wishes)}`, () => {
      assert.throws(() => gatewayWith(wishes), { name: "Misconfigured", message: words });
    });
  }

  test("says what to write for a domain that no connector leads inside", () => {
    const way = (spaces: string[], more: object = {}) =>
      completeOutbound("inside", {
        ...defaultsOf(outboundParameters),
        ...{ spaces, via: "inside", hosts: ["192.0.2.9:25"], tls: "none", ...more },
      });
    const gateways = [gatewayWith({})];
    checkGateways(gateways, [way(["example.org"])]);
    checkGateways(gateways, [way([".org"])]);
    const advice =
      /write \[outbound\.test\] with spaces = \["example\.org"\], via = "inside" and hosts/;
    for (const outbound of [[], [way(["example.net"])], [way(["*"])]]) {
      assert.throws(() => checkGateways(gateways, outbound), advice);
    }
    const outside = way(["example.org"], { via: "edge", tls: "opportunistic" });
    assert.throws(() => checkGateways(gateways, [outside]), advice);
    const twice = [gatewayWith({}), { ...gatewayWith({}), name: "other" }];
    assert.throws(() => checkGateways(twice, [way(["example.org"])]), /as gateway\.test does/);
  });
});

describe("listSource()", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "postern-list-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  test("knows addresses and whole domains, without case, and follows the file", async () => {
    const file = join(folder, "list");
    const clock = fakeClock();
    const told: string[] = [];
    writeFileSync(file, "# people\n Ana@example.org \r\n\n@all.example\nbo@example.org\n");
    const list = listSource(file, true, { clock, unusable: (why) => told.push(why) });
    for (const address of [ana, "ANA@example.org", "x@all.example", "bo+tag@example.org"]) {
      assert.equal(await list.has(address), true, address);
    }
    assert.equal(await list.has(nobody), false);
    writeFileSync(file, `${nobody}\n`);
    assert.equal(await list.has(nobody), false, "looked at once a second");
    await clock.advance(1100);
    assert.equal(await list.has(nobody), true);
    assert.equal(await list.has(ana), false);
    writeFileSync(file, "no address\n");
    await clock.advance(1100);
    assert.equal(await list.has(nobody), true, "what it said before holds");
    rmSync(file);
    await clock.advance(1100);
    assert.equal(await list.has(nobody), true);
    assert.match(list.trouble?.() ?? "", /list: the list cannot be read/);
    await clock.advance(1100);
    assert.equal(await list.has(nobody), true);
    assert.equal(told.length, 2, "each fault is reported once");
    assert.match(
      told.join("\n"),
      /list:1: neither an address nor @DOMAIN\n.*list: the list cannot/,
    );
    writeFileSync(file, `${ana}\n`);
    await clock.advance(1100);
    assert.equal(list.trouble?.(), "");
    assert.equal(await list.has(ana), true);
  });

  test("is not opened without a list that can be used", () => {
    const ports = { clock: fakeClock(), unusable() {} };
    assert.throws(() => listSource(join(folder, "none"), false, ports), Misconfigured);
    writeFileSync(join(folder, "bad"), "ana@example.org\n@@\n");
    assert.throws(() => listSource(join(folder, "bad"), false, ports), /bad:2: /);
  });
});

/** A source that answers as told and counts. */
function source(answer: (address: string) => boolean | Promise<boolean>): RecipientSource & {
  readonly asked: string[];
} {
  const asked: string[] = [];
  return {
    asked,
    async has(address) {
      asked.push(address);
      return await answer(address);
    },
    async [Symbol.asyncDispose]() {},
  };
}

describe("Verifier", () => {
  const verifier = (from: RecipientSource, wishes: object = {}) => {
    const clock = fakeClock();
    const { told, events } = toldEvents();
    const ports = { clock, random: seededRandom(3), events };
    return {
      clock,
      told,
      of: new Verifier(gatewayWith({ recipients: "any", ...wishes }), from, ports),
    };
  };

  test("remembers both answers for their time, and asks once for many", async () => {
    const from = source((address) => address === ana);
    const { clock, of } = verifier(from, { knownS: 100, unknownS: 10 });
    const many = await Promise.all([of.ask(ana), of.ask(ana), of.ask(nobody), of.ask(ana)]);
    assert.deepEqual(many, ["known", "known", "unknown", "known"]);
    assert.deepEqual(from.asked, [ana, nobody]);
    await clock.advance(11_000);
    assert.deepEqual([await of.ask(ana), await of.ask(nobody)], ["known", "unknown"]);
    assert.deepEqual(from.asked, [ana, nobody, nobody]);
    await clock.advance(90_000);
    await of.ask(ana);
    assert.equal(from.asked.length, 4);
  });

  test("V1 puts off what cannot be found out, never remembers it, and says so once", async () => {
    let isDown = true;
    const from = source(() => {
      if (isDown) throw new Unavailable("nobody answers");
      return true;
    });
    const { told, of } = verifier(from);
    assert.deepEqual([await of.ask(ana), await of.ask(ana)], ["later", "later"]);
    assert.equal(of.trouble, "nobody answers");
    isDown = false;
    assert.equal(await of.ask(ana), "known");
    assert.equal(of.trouble, "");
    assert.deepEqual(
      told.map((line) => line.split(" ")[0]),
      ["gateway.cannot-be-asked", "gateway.answers-again"],
    );
  });

  test("V1 a source that hangs: later within 15 s, 16 at once, at most 500 waiting", async () => {
    const from = source(() => new Promise(() => {}));
    const { clock, of } = verifier(from);
    const asked = Array.from({ length: 600 }, (_, at) => of.ask(`a${at}@example.org`));
    const first = await Promise.race(asked.slice(520));
    assert.equal(first, "later", "too many wait already");
    assert.equal(from.asked.length, 16);
    await clock.advance(15_000 * 40);
    assert.deepEqual([...new Set(await Promise.all(asked))], ["later"]);
  });

  test("who guesses names pushes out guesses only, in bounded room", async () => {
    const from = source((address) => address === ana);
    const { of } = verifier(from);
    await of.ask(ana);
    for (let at = 0; at < 21_000; at += 1) await of.ask(`guess${at}@example.org`);
    from.asked.length = 0;
    await of.ask(ana);
    await of.ask("guess20999@example.org");
    assert.deepEqual(from.asked, []);
    await of.ask("guess0@example.org");
    assert.deepEqual(from.asked, ["guess0@example.org"]);
  });

  test("finds out once a day whether the server takes any address", async () => {
    const from = source(() => true);
    const { clock, told, of } = verifier(from, { recipients: "callout", knownS: 0 });
    assert.equal(await of.ask(ana), "known");
    await clock.advance(0);
    assert.match(from.asked[1] ?? "", /^postern-probe-[0-9a-f]{24}@example\.org$/);
    assert.deepEqual(of.takesAny, ["example.org"]);
    assert.match(told.join("\n"), /gateway\.takes-any .*use recipients list or ldap/);
    assert.equal(await of.ask(ana), "known", "and mail goes on");
    assert.equal(from.asked.length, 3);
    from.asked.length = 0;
    await clock.advance(86_400_000);
    assert.equal(await of.ask(ana), "known");
    await clock.advance(0);
    assert.equal(from.asked.filter((one) => one.startsWith("postern-probe")).length, 1);
  });
});

/** Gateways that ask a real SMTP session with the sink. */
async function callout(options: SinkOptions, more: object = {}) {
  const sink = new SmtpSink(options);
  const port = await sink.listen();
  const outbound = [
    completeOutbound("inside", {
      ...defaultsOf(outboundParameters),
      ...{ spaces: ["example.org"], via: "inside", hosts: [`127.0.0.1:${port}`], ...more },
    }),
  ];
  const gateways = openGateways(
    { gateways: [gatewayWith({})], outbound, hostname: "mail.example.org" },
    { clock: systemClock, random: systemRandom, log: silentLog, registry: new Registry() },
  );
  return { sink, gateways };
}

const answers =
  (said: Readonly<Record<string, string>>): NonNullable<SinkOptions["answer"]> =>
  (line) => {
    const path = /^RCPT TO:<([^>]*)>/.exec(line)?.[1];
    if (path === undefined) return undefined;
    return said[path] ?? "550 5.1.1 no such user";
  };

describe("callout", () => {
  test("asks with the null path, sends nothing, and resets", async () => {
    const { sink, gateways } = await callout({ answer: answers({ [ana]: "250 2.1.5 ok" }) });
    assert.deepEqual(
      [await gateways.ask(ana), await gateways.ask("berta@EXAMPLE.org")],
      ["known", "unknown"],
    );
    assert.equal(await gateways.ask("x@elsewhere.example"), "unknown");
    const said = sink.lines.slice(0, 5);
    assert.deepEqual(said, [
      "EHLO mail.example.org",
      "MAIL FROM:<>",
      `RCPT TO:<${ana}>`,
      "RSET",
      "QUIT",
    ]);
    assert.equal(sink.mails.length, 0);
    await sink.close();
  });

  const meanings: readonly (readonly [string, string])[] = [
    ["250 2.1.5 ok", "known"],
    ["251 2.1.5 will forward", "known"],
    ["550 5.1.1 user unknown", "unknown"],
    ["550 5.1.10 RESOLVER.ADR.RecipientNotFound", "unknown"],
    ["550 5.4.1 Recipient address rejected: Access denied", "unknown"],
    ["550 no such user", "unknown"],
    ["553 5.1.3 bad address", "unknown"],
    ["550 5.7.1 relaying denied", "later"],
    ["554 5.7.1 relay access denied", "later"],
    ["552 5.2.2 mailbox full", "later"],
    ["450 4.2.0 greylisted", "later"],
    ["451 4.3.0 not now", "later"],
    ["421 4.3.2 shutting down", "later"],
    ["500 5.5.2 what?", "later"],
    ["close", "later"],
  ];
  for (const [said, meaning] of meanings) {
    test(`"${said}" means ${meaning}`, async () => {
      const { sink, gateways } = await callout({ answer: answers({ [ana]: said }) });
      assert.equal(await gateways.ask(ana), meaning);
      await sink.close();
    });
  }

  test("a refusal before RCPT says nothing about the recipient", async () => {
    for (const options of [
      { answer: (line: string) => (line.startsWith("MAIL") ? "550 5.1.1 go away" : undefined) },
      { greeting: "554 5.7.1 no" },
    ]) {
      const { sink, gateways } = await callout(options);
      const answer = await gateways.ask(ana);
      await sink.close();
      assert.equal(answer, "later");
    }
  });

  test("a secret that is missing leaves no connection behind", async () => {
    const login = { auth: "plain", user: "us", tls: "required", secretFiles: ["/gone"] };
    const { sink, gateways } = await callout({}, login);
    assert.equal(await gateways.ask(ana), "later");
    assert.match(gateways.states()[0]?.trouble ?? "", /^\/gone: no secret there$/);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(sink.sessions, 0);
    await sink.close();
  });

  test("V1 nobody there: later; the next host is asked", async () => {
    const { sink, gateways } = await callout({}, { hosts: ["127.0.0.1:1"] });
    assert.equal(await gateways.ask(ana), "later");
    assert.match(gateways.states()[0]?.trouble ?? "", /nobody listens at 127\.0\.0\.1:1/);
    await sink.close();
    const two = new SmtpSink({ answer: answers({ [ana]: "250 ok" }) });
    const port = await two.listen();
    const second = await callout({}, { hosts: ["127.0.0.1:1", `127.0.0.1:${port}`] });
    assert.equal(await second.gateways.ask(ana), "known");
    await two.close();
    await second.sink.close();
  });
});

describe("link kind recipient, from both ends", () => {
  const joined = (answer?: unknown) => {
    const [edge, hub] = linkPair();
    hub.onStream((stream) => {
      if (answer !== undefined) stream.answer(answer);
    });
    const clock = fakeClock();
    return { clock, edge, questions: recipientQuestions({ forKind: () => edge }, clock) };
  };

  test("an answer of the inside is believed, anything else is later", async () => {
    for (const [answer, meaning] of [
      [{ recipient: "known" }, "known"],
      [{ recipient: "unknown" }, "unknown"],
      [{ recipient: "later" }, "later"],
      [{ recipient: "KNOWN" }, "later"],
      [{ recipient: true }, "later"],
      ["known", "later"],
      [null, "later"],
    ] as const) {
      assert.equal(await joined(answer).questions.ask(ana), meaning, JSON.stringify(answer));
    }
  });

  test("V1 an inside that never answers: later after 20 s; no link: at once", async () => {
    const { clock, questions } = joined();
    const asked = questions.ask(ana);
    await clock.advance(20_000);
    assert.equal(await asked, "later");
    const none = recipientQuestions({ forKind: () => undefined }, clock);
    assert.equal(await none.ask(ana), "later");
  });

  test("a link that breaks under the question: later", async () => {
    const { edge, questions } = joined();
    const asked = questions.ask(ana);
    edge.close("gone");
    assert.equal(await asked, "later");
    assert.equal(await questions.ask(ana), "later");
  });

  test("at most 64 questions at once and 512 that wait", async () => {
    let open = 0;
    const [edge, hub] = linkPair();
    hub.onStream(() => {
      open += 1;
    });
    const clock = fakeClock();
    const questions = recipientQuestions({ forKind: () => edge }, clock);
    const asked = Array.from({ length: 600 }, (_, at) => questions.ask(`a${at}@example.org`));
    assert.equal(await asked[599], "later");
    await clock.advance(0);
    assert.equal(open, 64);
    await clock.advance(20_000 * 10);
    assert.deepEqual([...new Set(await Promise.all(asked))], ["later"]);
  });
});

describe("isSenderProven() (S16)", () => {
  const spf = (result: string, domain: string, identity = "mailfrom"): Verdict =>
    ({ method: "spf", result, domain, identity, why: "" }) as Verdict;
  const dkim = (result: string, domain: string): Verdict =>
    ({ method: "dkim", result, domain }) as Verdict;
  const dmarc = (result: string, fromDomain: string, organizationalDomain?: string): Verdict =>
    ({ method: "dmarc", result, fromDomain, organizationalDomain }) as Verdict;
  const auth = (connector: string): Verdict =>
    ({ method: "auth", result: "pass", login: "a", connector }) as Verdict;
  for (const [path, verdicts, isProven] of [
    ["a@example.net", [spf("pass", "example.net")], true],
    ["a@example.net", [spf("pass", "example.net", "helo")], false],
    ["a@example.net", [spf("softfail", "example.net")], false],
    ["a@example.net", [spf("pass", "other.example")], false],
    ["a@example.net", [dkim("pass", "example.net")], true],
    ["b@bounce.example.net", [dkim("pass", "example.net")], true],
    ["a@example.net", [dkim("pass", "mail.example.net")], false],
    ["a@badexample.net", [dkim("pass", "example.net")], false],
    ["a@example.net", [dkim("fail", "example.net")], false],
    ["a@example.net", [dmarc("pass", "x.example.net", "example.net")], true],
    ["a@example.net", [dmarc("fail", "example.net", "example.net")], false],
    ["a@example.net", [dmarc("pass", "example.com", "example.com")], false],
    ["a@example.net", [auth("partner")], false],
    ["a@example.net", [], false],
  ] as const) {
    test(`${path} with ${JSON.stringify(verdicts)}: ${isProven}`, () => {
      assert.equal(isSenderProven(path, verdicts), isProven);
    });
  }
});
