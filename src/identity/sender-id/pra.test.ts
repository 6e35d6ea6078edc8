import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { parseHeader } from "#formats/message";
import { findPra } from "#identity/sender-id";

const pra = (lines: readonly string[]) => {
  const found = findPra(parseHeader(Buffer.from(`${lines.join("\r\n")}\r\n\r\nbody`)));
  return found.kind === "found" ? [found.header, found.address, found.traceAbove] : found.kind;
};

const received =
  "Received: from a.example ([192.0.2.1]) by b.example; Mon, 20 Feb 2006 15:04:47 -1000";
const resentSender = "Resent-Sender: rs@resent.example";
const resentFrom = "Resent-From: rf@resent.example";
const sender = "Sender: s@sender.example";
const from = "From: f@from.example";

/** What is shown, the header, and the result: field, address and trace fields above it. */
const cases = [
  ["From alone", [from], ["From", "f@from.example", 0]],
  ["Sender before From", [from, sender], ["Sender", "s@sender.example", 0]],
  [
    "Resent-From before Sender",
    [from, sender, resentFrom],
    ["Resent-From", "rf@resent.example", 0],
  ],
  [
    "Resent-Sender first of all",
    [from, sender, resentFrom, resentSender],
    ["Resent-Sender", "rs@resent.example", 0],
  ],
  [
    "Resent-Sender of the newer block, Resent-From of the older",
    [received, resentSender, received, resentFrom, from],
    ["Resent-Sender", "rs@resent.example", 1],
  ],
  [
    "Resent-From of the newer block, Resent-Sender of the older (step 1)",
    [received, resentFrom, received, resentSender, from],
    ["Resent-From", "rf@resent.example", 1],
  ],
  [
    "a Return-Path parts blocks too (step 1)",
    [resentFrom, "Return-Path: <x@y.example>", resentSender, from],
    ["Resent-From", "rf@resent.example", 0],
  ],
  [
    "other fields between part nothing",
    [received, resentFrom, "X-Received: no", "Subject: x", resentSender, from],
    ["Resent-Sender", "rs@resent.example", 1],
  ],
  [
    "trace fields above or below both part nothing",
    [received, resentFrom, resentSender, received, from],
    ["Resent-Sender", "rs@resent.example", 1],
  ],
  [
    "an empty Resent-From parts nothing",
    ["Resent-From: ", received, resentSender, from],
    ["Resent-Sender", "rs@resent.example", 1],
  ],
  [
    "an empty Resent-Sender is absent",
    ["Resent-Sender:  \t", resentFrom, from],
    ["Resent-From", "rf@resent.example", 0],
  ],
  [
    "the first that is not empty of several",
    ["Resent-Sender:", "Resent-Sender: a@a.example", "Resent-Sender: b@b.example", from],
    ["Resent-Sender", "a@a.example", 0],
  ],
  ["an empty Sender is absent", ["Sender:", from], ["From", "f@from.example", 0]],
  ["two Senders, one empty", ["Sender:\r\n ", sender, from], ["Sender", "s@sender.example", 0]],
  ["two Senders (step 3)", [sender, sender, from], "ill-formed"],
  ["two From fields (step 4)", [from, from], "ill-formed"],
  [
    "two From fields do not matter beside a Sender",
    [from, from, sender],
    ["Sender", "s@sender.example", 0],
  ],
  [
    "a malformed choice is not passed over (step 5)",
    ["Resent-Sender: nobody", resentFrom, sender, from],
    "ill-formed",
  ],
  ["two mailboxes (step 5)", ["From: a@a.example, b@b.example"], "ill-formed"],
  [
    "two mailboxes and a Sender",
    ["From: a@a.example, b@b.example", sender],
    ["Sender", "s@sender.example", 0],
  ],
  ["two mailboxes without a comma", ["From: <a@a.example> <b@b.example>"], "ill-formed"],
  ["a group is no mailbox", ["From: us: a@a.example;"], "ill-formed"],
  ["no domain", ["From: postmaster"], "ill-formed"],
  ["nothing behind the at sign", ["From: postmaster@"], "ill-formed"],
  ["an address literal is no domain name", ["From: a@[192.0.2.1]"], "ill-formed"],
  ["two at signs", ["From: a@b.example@c.example"], "ill-formed"],
  ["nothing at all (step 4)", ["Subject: x"], "missing"],
  ["only white space", ["From: ", "Sender:\t"], "missing"],
  [
    "names and comments are no address",
    ['From: "boss@bank.example" (x@y.example) <f@From.Example>'],
    ["From", "f@from.example", 0],
  ],
  [
    "encoded words are no address",
    ["From: =?utf-8?q?a=40bank.example?= <f@from.example>"],
    ["From", "f@from.example", 0],
  ],
  [
    "an internationalised domain",
    ["From: a@größe.example"],
    ["From", "a@xn--gre-6ka8i.example", 0],
  ],
] as const;

describe("findPra()", () => {
  for (const [what, lines, expected] of cases) {
    test(`CAP-54 ${what} (RFC 4407 §2)`, () => assert.deepEqual(pra(lines), expected));
  }

  test("CAP-54 trusts no absence in a header too long to be read", () => {
    const long = Array.from({ length: 20_001 }, () => "X: y");
    assert.equal(pra([from, ...long]), "ill-formed");
  });

  test("tells an incomplete or malformed domain from a missing one", () => {
    for (const domain of [
      "localhost",
      "a..example",
      "-a.example",
      "a_b.example",
      `${"x".repeat(64)}.example`,
    ]) {
      const found = findPra(parseHeader(Buffer.from(`From: a@${domain}\r\n\r\n`)));
      assert.ok(found.kind === "found" && found.malformed && found.domain === domain, domain);
    }
  });

  test("neither throws nor takes long over noise", () => {
    const random = seededRandom(4407);
    const pieces = [
      received,
      resentSender,
      resentFrom,
      sender,
      from,
      "\r\n",
      "\n",
      ":",
      " ",
      "\0",
      "<",
      ",",
    ];
    for (let round = 0; round < 5000; round += 1) {
      const length = pick(random, 20);
      const noise = Array.from({ length }, () => pieces[pick(random, pieces.length)]).join("");
      findPra(parseHeader(Buffer.from(noise)));
    }
    const startedAt = performance.now();
    for (const piece of [
      `${resentFrom}\r\n`,
      `${sender}\r\n`,
      "From: (",
      `${received}\r\n`,
      "From: a@",
    ]) {
      findPra(parseHeader(Buffer.from(piece.repeat(1_000_000 / piece.length))));
    }
    assert.ok(performance.now() - startedAt < 2000);
  });
});
