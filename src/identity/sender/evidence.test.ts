import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { assessSender, foldName, type SenderFacts } from "#identity/sender";
import { spoofTypes } from "#model/verdict";
import { arc, dmarc, facts, from, login, ours } from "./fixture.ts";

const d = "bank.example";
const me = `a@${d}`;
const passed = [dmarc("pass", d, { dkimAligned: [d] })];

const typesOf = (given: SenderFacts): readonly string[] =>
  assessSender(given).evidence.map(({ type, claimed }) => `${type} ${claimed}`);
const named = (name: string, address = me): SenderFacts =>
  facts(address, passed, { author: from(address, name) });

describe("suspected spoofs", () => {
  test("CAP-104 each has a type, what it claims, a sentence and a class of origin", () => {
    const given = [
      facts(`a@${ours}`, [dmarc("none", ours)]),
      facts(me, [dmarc("fail", d, { policy: "reject" })]),
      facts(me, [], {
        author: { kind: "several", why: "Why.", shown: [{ name: null, email: me }] },
      }),
      facts("a@examp1e.com", [dmarc("pass", "examp1e.com")]),
      named("service@paypal.example"),
      facts(me, passed, { author: from(me, "Erika Muster"), isNameOfOurs: () => true }),
      named("Bank\u202egpj"),
    ].map(assessSender);
    assert.deepEqual(
      given.flatMap(({ evidence, origin }) => evidence.map(({ type }) => [type, origin])),
      spoofTypes.map((type) => [type, "outside"]),
    );
    for (const { evidence } of given) {
      for (const { claimed, text } of evidence) assert.ok(claimed !== "" && text.endsWith("."));
    }
  });

  test("a name without letters is nobody's", () => {
    const given = { author: from(me, "***"), isNameOfOurs: (folded: string) => folded === "" };
    assert.deepEqual(typesOf(facts(me, passed, given)), []);
  });

  test("a fail under p=none, or one that a trusted forwarder explains, is none", () => {
    assert.deepEqual(typesOf(facts(me, [dmarc("fail", d, { policy: "none" })])), []);
    const failed = dmarc("fail", d, { policy: "reject" });
    assert.deepEqual(typesOf(facts(me, [failed, arc("pass", d)])), []);
  });

  test("CAP-104 of our own people, only a name that is another's is told", () => {
    const more = { isFirstContact: true, subject: "new IBAN" };
    const own = { ...more, author: from(`a@${ours}`, "Ann") };
    assert.deepEqual(typesOf(facts(`a@${ours}`, [login], own)), []);
    const others = { ...own, isNameOfOurs: () => true };
    assert.deepEqual(typesOf(facts(`a@${ours}`, [login], others)), ["name-of-ours Ann"]);
    const address = { ...more, author: from(`a@${ours}`, "b@elsewhere.example") };
    assert.deepEqual(typesOf(facts(`a@${ours}`, [login], address)), [
      "name-holds-address b@elsewhere.example",
    ]);
  });

  for (const [name, claimed] of [
    ["service@paypal.example", "service@paypal.example"],
    ["Service (service@paypal.example)", "service@paypal.example"],
    ["'b@bank.example' via List", "b@bank.example"],
    ["paypal.com", "paypal.com"],
    ["PayPal.COM Support", "paypal.com"],
    ["www.paypal.com/login", "www.paypal.com"],
    ["service＠paypal．example", "service@paypal.example"],
    ["Bücher.de", "xn--bcher-kva.de"],
    ["a@bank.example", undefined],
    ["A@BANK.EXAMPLE", undefined],
    ["News.bank.example", undefined],
    ["J.R. Smith", undefined],
    ["J.R.Smith", undefined],
    ["Kegelfreunde e.V.", undefined],
    ["Node.js Weekly", undefined],
    ["@handle", undefined],
    ["Dr. Who @ Home", undefined],
  ] as const) {
    test(`name-holds-address: ${name} claims ${claimed}`, () => {
      const expected = claimed === undefined ? [] : [`name-holds-address ${claimed}`];
      assert.deepEqual(typesOf(named(name)), expected);
    });
  }

  test("name-of-ours: folds case, order, marks and letters of other scripts", () => {
    const name = foldName("Jürgen Müller");
    for (const other of ["juergen mueller", "Max Müller"]) assert.notEqual(foldName(other), name);
    for (const other of ["Müller, Jürgen", "JURGEN MULLER", "Jürgen  Müller", "Jürgеn Мüllеr"]) {
      assert.equal(foldName(other), name, other);
    }
    const isNameOfOurs = (folded: string): boolean => folded === name;
    const given = (address: string): SenderFacts =>
      facts(address, [dmarc("pass", address.slice(2))], {
        author: from(address, "Müller, Jürgen"),
        isNameOfOurs,
      });
    assert.deepEqual(typesOf(given(me)), ["name-of-ours Müller, Jürgen"]);
    assert.deepEqual(typesOf(given(`a@${ours}`)), []);
  });

  for (const [what, name, claimed] of [
    ["an override of direction", "Bank\u202ekna\u202c", "Bank\\u{202e}kna\\u{202c}"],
    ["a zero-width space", "Pay\u200bPal", "Pay\\u{200b}Pal"],
    ["a soft hyphen", "Pay\u00adPal", "Pay\\u{ad}Pal"],
    ["a joiner between Latin letters", "Pay\u200dPal", "Pay\\u{200d}Pal"],
    ["a Cyrillic letter in a Latin word", "PаyPal", "P\\u{430}yPal"],
    ["a Greek one", "Αmazon", "\\u{391}mazon"],
    ["NUL", "Bank\0", "Bank\\u{0}"],
  ] as const) {
    test(`deceptive-characters: ${what}`, () => {
      assert.deepEqual(typesOf(named(name)), [`deceptive-characters ${claimed}`]);
    });
  }

  for (const name of [
    "Иван Петров",
    "Jürgen Müller",
    "山田太郎",
    "ヤマダ Taro",
    "김철수",
    "Αλέξης Τσίπρας",
    "محمد علی",
    "می\u200cخواهم",
    "👨\u200d👩\u200d👧 Family",
    "Иван Petrov",
    "葛\u{e0100}飾",
  ]) {
    test(`deceptive-characters: none in ${name}`, () => {
      assert.deepEqual(typesOf(named(name)), []);
    });
  }
});

describe("hints", () => {
  test("CAP-65 first contact", () => {
    assert.deepEqual(typesOf(facts(me, passed, { isFirstContact: true })), [`first-contact ${me}`]);
  });

  for (const [replyTo, elsewhere] of [
    [["x@evil.example"], "x@evil.example"],
    [[me, "x@evil.example"], "x@evil.example"],
    [[me], undefined],
    [["x@support.bank.example"], undefined],
    [["not an address"], undefined],
    [[], undefined],
  ] as const) {
    test(`reply-elsewhere: ${replyTo.join(", ")}`, () => {
      const expected = elsewhere === undefined ? [] : [`reply-elsewhere ${elsewhere}`];
      assert.deepEqual(typesOf(facts(me, passed, { replyTo })), expected);
      assert.deepEqual(typesOf(facts(me, passed, { replyTo, isList: true })), []);
    });
  }

  for (const text of [
    "Please note our new bank details for all future payments",
    "our bank account has changed",
    "We have updated our IBAN",
    "invoice account number: changes from Monday",
    "Can you buy five Apple gift cards for a client?",
    "urgent wire needed today",
    "This payment is urgent",
    "Bitte beachten Sie unsere neue Bankverbindung",
    "Unsere Kontodaten haben sich geändert",
    "Änderung unserer IBAN",
    "Dringende Überweisung heute",
    "Bitte kaufen Sie Gutscheinkarten",
    "Nos nouvelles coordonnées bancaires",
    "Changement de RIB",
    "Virement urgent",
    "Nuevos datos bancarios del proveedor",
    "Transferencia urgente hoy",
    "necesito que compres tarjetas de regalo",
  ]) {
    test(`CAP-105 finds: ${text}`, () => {
      const [found] = assessSender(facts(me, passed, { textSample: text })).evidence;
      assert.equal(found?.type, "payment-change");
      const [inSubject] = assessSender(facts(me, passed, { subject: text })).evidence;
      assert.equal(inSubject?.type, "payment-change");
      assert.equal(assessSender(facts(me, passed, { textSample: text })).result, "verified");
    });
  }

  for (const text of [
    "Your account statement is ready",
    "New message from the bank. The account is fine.",
    "Payment received, thank you",
    "Ihre Rechnung über 20 Euro, IBAN siehe unten",
    "What a lovely new house",
    "Changed: the meeting is at ten",
    "Les nouvelles du jour",
    "Gift cards are sold in our shop",
  ]) {
    test(`CAP-105 leaves alone: ${text}`, () => {
      assert.deepEqual(typesOf(facts(me, passed, { textSample: text })), []);
    });
  }
});

test("names, subjects and texts of a million characters cost little and never throw (seeded)", () => {
  const random = seededRandom(8);
  const pieces = [
    "a",
    "@",
    ".",
    " ",
    "a.b",
    "new ",
    "iban ",
    "urgent ",
    "é",
    "\u202e",
    "а",
    "<",
    "\0",
    "x@y.com",
    "-",
  ];
  const size = 1_000_000;
  const evil = [
    ...pieces.map((piece) => piece.repeat(size / piece.length)),
    Array.from({ length: size }, () => pieces[pick(random, pieces.length)])
      .join("")
      .slice(0, size),
  ];
  const startMs = performance.now();
  for (const text of evil) {
    const author = from(me, text);
    const several = { kind: "several", why: "", shown: [{ name: text, email: text }] } as const;
    const more = { subject: text, textSample: text, replyTo: [text] };
    assessSender(facts(me, passed, { ...more, author }));
    assessSender(facts(me, passed, { ...more, author: several }));
  }
  const eachMs = (performance.now() - startMs) / evil.length;
  assert.ok(eachMs < 200, `${eachMs} ms each`);
});
