import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { integer, sequence } from "#formats/der";
import type { DkimResult } from "#model/verdict";
import type { Zone, ZoneEntry } from "../../../tests/kit/fake-dns.ts";
import { type Craft, craft, ed25519Key, rsaKey, verify, zoneOf } from "./fixture.test.ts";

const key = rsaKey("rsa");
const ed25519 = ed25519Key("ed");
const weak = rsaKey("weak", 768);
const bare = rsaKey("bare", 1024, "pkcs1");
/** Its signatures are refused before they are tried, so nobody needs the other half. */
const modulus = Buffer.alloc(1025, 0xff);
const published = sequence(integer(modulus), integer(65_537)).toString("base64");
const costly = { ...key, selector: "costly", published };
const zone = zoneOf([key, ed25519, weak, bare, costly]);

const head =
  "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: Lunch\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000";
const message = `${head}\r\n\r\nAt noon?\r\n`;
const now = 1_800_000_000;
const hour = 3600;

/** Key record of `key` with other tags. */
const record = (tags: string): Zone => ({
  "rsa._domainkey.example.org": [{ TXT: tags.replace("KEY", key.published) }],
});
const entries = (...all: readonly ZoneEntry[]): Zone => ({ "rsa._domainkey.example.org": all });
const good = { TXT: `v=DKIM1; p=${key.published}` };

type Case = readonly [
  what: string,
  result: DkimResult,
  why: RegExp,
  tags: Craft["tags"],
  other?: {
    readonly zone?: Zone;
    readonly alter?: (text: string) => string;
    readonly key?: typeof key;
  },
];

const change =
  (from: string | RegExp, to: string) =>
  (text: string): string =>
    text.replace(from, to);
const add = (field: string) => (text: string) => `${field}\r\n${text}`;

const a8: readonly Case[] = [
  ["a signature by the book", "pass", /^signed by example.org$/, {}],
  [
    "a tail behind l=",
    "policy",
    /^10 octets of the body are not signed$/,
    { l: "10" },
    { alter: (text) => `${text}Call 123\r\n` },
  ],
  ["l=0, so that any body fits", "policy", /^10 octets of the body/, { l: "0" }],
  ["l= of the whole body", "pass", /^signed/, { l: "10" }],
  ["l= beyond the body", "permerror", /shorter than l=/, { l: "11" }],
  ["l= that is no number", "permerror", /^l= is no number$/, { l: "-1" }],
  ["l= of 76 digits", "permerror", /shorter than l=/, { l: "9".repeat(76) }],
  ["l= of 77 digits", "permerror", /^l= is no number$/, { l: "9".repeat(77) }],
  ["From outside h=", "permerror", /^From is not signed$/, { h: "To:Subject:Date" }],
  ["an empty h=", "permerror", /^From is not signed$/, { h: "" }],
  [
    "a second From above",
    "policy",
    /^there are 2 From fields$/,
    {},
    { alter: add("From: boss@example.org") },
  ],
  [
    "a second From below",
    "fail",
    /does not fit/,
    {},
    { alter: change("\r\n\r\n", "\r\nFrom: boss@example.org\r\n\r\n") },
  ],
  [
    "a second From where none may be added",
    "fail",
    /does not fit/,
    { h: "From:From:To:Subject:Date" },
    { alter: add("From: boss@example.org") },
  ],
  [
    "a second Subject",
    "policy",
    /^of 2 Subject fields only 1 are signed$/,
    {},
    { alter: add("Subject: Pay at once") },
  ],
  ["a second To", "policy", /^of 2 To fields only 1/, {}, { alter: add("To: all@example.net") }],
  [
    "a second Date",
    "policy",
    /^of 2 Date fields only 1/,
    {},
    { alter: add("Date: Sat, 21 Nov 2026 10:00:00 +0000") },
  ],
  [
    "a Reply-To that is added",
    "pass",
    /^signed by example.org, but not Reply-To$/,
    {},
    { alter: add("Reply-To: thief@example.com") },
  ],
  [
    "a Content-Type that is added",
    "pass",
    /but not Content-Type$/,
    {},
    { alter: add("Content-Type: text/html") },
  ],
  ["a Subject that is not signed", "pass", /but not Subject, Date$/, { h: "from:to" }],
  ["SHA-1", "permerror", /^a=rsa-sha1/, { a: "rsa-sha1" }],
  ["an unknown algorithm", "permerror", /^a= is not known$/, { a: "rsa-md5" }],
  ["a= in capitals", "permerror", /^a= is not known$/, { a: "RSA-SHA256" }],
  ["an RSA key of 768 bits", "policy", /^an RSA key of 768 bits is too weak$/, {}, { key: weak }],
  ["an RSA key of 1024 bits without its frame", "pass", /^signed/, {}, { key: bare }],
  ["an RSA key of 8200 bits", "policy", /8200 bits.*too costly/, {}, { key: costly }],
  ["Ed25519", "pass", /^signed/, {}, { key: ed25519 }],
  ["an altered body", "fail", /^the body was changed$/, {}, { alter: change("noon", "nine") }],
  [
    "an altered Subject",
    "fail",
    /^the signature does not fit$/,
    {},
    { alter: change("Lunch", "Launch") },
  ],
  [
    "an expired signature",
    "permerror",
    /^the signature has expired$/,
    { t: `${now - 2 * hour}`, x: `${now - hour}` },
  ],
  ["x= before t=", "permerror", /^x= is not after t=$/, { t: `${now}`, x: `${now}` }],
  ["x= to come", "pass", /^signed/, { t: `${now}`, x: `${now + hour}` }],
  ["t= in an hour", "pass", /^signed/, { t: `${now + hour}` }],
  ["t= tomorrow", "policy", /^t= lies in the future$/, { t: `${now + 24 * hour}` }],
  ["t= that is no time", "permerror", /^t= or x= is no time$/, { t: "yesterday" }],
  ["i= of a subdomain", "pass", /^signed/, { i: "ann@mail.example.org" }],
  ["i= of another domain", "permerror", /^i= is not within d=$/, { i: "ann@example.com" }],
  ["i= whose end only looks right", "permerror", /^i= is not within d=$/, { i: "@badexample.org" }],
  ["i= without @", "permerror", /^i= is not within d=$/, { i: "example.org" }],
  [
    "t=s and i= of a subdomain",
    "permerror",
    /t=s/,
    { i: "@mail.example.org" },
    { zone: record("v=DKIM1; t=s; p=KEY") },
  ],
  [
    "t=s and i= of the domain",
    "pass",
    /^signed/,
    { i: "ann@example.org" },
    { zone: record("v=DKIM1; t=y:s; p=KEY") },
  ],
  ["v=2", "permerror", /^v= is not 1$/, { v: "2" }],
  ["no v=", "permerror", /^v= is not 1$/, { v: undefined }],
  ["no bh=", "permerror", /^bh= is missing$/, { bh: undefined }],
  ["no d=", "permerror", /^d= is missing$/, { d: undefined }],
  ["no s=", "permerror", /^s= is missing$/, { s: undefined }],
  ["a tag twice", "permerror", /^the signature has a tag twice$/, { z: "1; z=2" }],
  [
    "a comment in d= (dkimpy's baddomain)",
    "permerror",
    /^d= is no domain$/,
    { d: "example.org(.example.com" },
  ],
  ["NUL in d=", "permerror", /other than ASCII/, { d: "example.org\0.example.com" }],
  ["q= of another kind", "permerror", /^q= is not known$/, { q: "http/get" }],
  ["q= of two kinds", "pass", /^signed/, { q: "http/get:dns/txt" }],
  ["an unknown c=", "permerror", /^c= is not known$/, { c: "strict/strict" }],
  ["c= with a name of Object", "permerror", /^c= is not known$/, { c: "constructor" }],
  ["tags that nobody knows", "pass", /^signed/, { zz: "top" }],
  ["no key", "permerror", /^there is no key \(rsa._domainkey.example.org\)$/, {}, { zone: {} }],
  ["a silent DNS", "temperror", /^no answer: timeout/, {}, { zone: entries("TIMEOUT") }],
  [
    "a DNS that fails",
    "temperror",
    /^no answer: server failure/,
    {},
    { zone: entries("SERVFAIL") },
  ],
  ["a revoked key", "permerror", /revoked/, {}, { zone: record("v=DKIM1; p=") }],
  ["two keys", "permerror", /several keys/, {}, { zone: entries(good, { TXT: "v=DKIM1; p=" }) }],
  [
    "a key and a record of SPF",
    "pass",
    /^signed/,
    {},
    { zone: entries({ TXT: "v=spf1 -all" }, good) },
  ],
  [
    "a record too large",
    "permerror",
    /cannot be read: too-long/,
    {},
    { zone: record(`v=DKIM1; n=${"x".repeat(9000)}; p=KEY`) },
  ],
  [
    "a key for another type",
    "permerror",
    /k= is not known/,
    {},
    { zone: record("v=DKIM1; k=dsa; p=KEY") },
  ],
  [
    "a key of Ed25519 for a=rsa-sha256",
    "permerror",
    /the key is for ed25519/,
    {},
    { zone: record(`v=DKIM1; k=ed25519; p=${ed25519.published}`) },
  ],
  [
    "an RSA key that says k=ed25519",
    "permerror",
    /no Ed25519 key/,
    {},
    { zone: record("v=DKIM1; k=ed25519; p=KEY") },
  ],
  [
    "a key for SHA-1 alone",
    "permerror",
    /not for SHA-256/,
    {},
    { zone: record("v=DKIM1; h=sha1; p=KEY") },
  ],
  [
    "a key for both hashes",
    "pass",
    /^signed/,
    {},
    { zone: record("v=DKIM1; h=sha1:sha256; p=KEY") },
  ],
  [
    "a key for another service",
    "permerror",
    /not for mail/,
    {},
    { zone: record("v=DKIM1; s=tlsrpt; p=KEY") },
  ],
  [
    "a key for mail and another service",
    "pass",
    /^signed/,
    {},
    { zone: record("v=DKIM1; s=tlsrpt : email; p=KEY") },
  ],
  [
    "a key with its version in second place",
    "permerror",
    /not the first tag/,
    {},
    { zone: record("k=rsa; v=DKIM1; p=KEY") },
  ],
  ["a key without version", "pass", /^signed/, {}, { zone: record("p=KEY;") }],
  ["a key that is no key", "permerror", /no RSA key/, {}, { zone: record("v=DKIM1; p=AAAA") }],
  ["a key that is not base64", "permerror", /not base64/, {}, { zone: record("v=DKIM1; p=***") }],
  [
    "a key of another kind in the frame",
    "permerror",
    /no RSA key/,
    {},
    {
      zone: record(
        `v=DKIM1; p=${Buffer.from("302a300506032b6570032100", "hex").toString("base64")}`,
      ),
    },
  ],
];

describe("checkDkim() A8", () => {
  for (const [what, result, why, tags, other = {}] of a8) {
    test(`A8: ${what}: ${result}`, async () => {
      const text = craft(message, { key: other.key ?? key, ...(tags && { tags }) });
      const altered = other.alter?.(text) ?? text;
      const verdicts = await verify(altered, other.zone ?? zone, { nowMs: now * 1000 });
      assert.equal(verdicts.length, 1);
      assert.equal(verdicts[0]?.result, result, verdicts[0]?.why ?? "");
      assert.match(verdicts[0]?.why ?? "", why);
    });
  }

  test("A8: a message without a signature has one verdict, none", async () => {
    assert.deepEqual(await verify(message, zone), [
      {
        method: "dkim",
        result: "none",
        domain: "",
        selector: "",
        identity: "",
        algorithm: "",
        mark: "",
        why: "there is no signature",
      },
    ]);
  });

  test("A8: ten signatures are looked at, and the last verdict says so", async () => {
    let text = message;
    for (let count = 0; count < 13; count += 1) text = craft(text, { key });
    const verdicts = await verify(text, zone);
    assert.deepEqual(
      verdicts.map(({ result }) => result),
      Array(10).fill("pass"),
    );
    assert.match(verdicts[9]?.why ?? "", /; 3 more signatures were not looked at$/);
    assert.doesNotMatch(verdicts[8]?.why ?? "", /more signatures/);
  });

  test("A8: verdicts name the signature and keep the order of the header", async () => {
    const below = craft(message, {
      key: ed25519,
      tags: { i: "Ann@Mail.example.org", d: "EXAMPLE.org" },
    });
    const [first, second] = await verify(craft(below, { key }), zone);
    assert.deepEqual(
      [first?.algorithm, first?.selector, first?.identity, first?.domain],
      ["rsa-sha256", "rsa", "@example.org", "example.org"],
    );
    assert.deepEqual(
      [second?.algorithm, second?.selector, second?.identity, second?.domain],
      ["ed25519-sha256", "ed", "Ann@Mail.example.org", "example.org"],
    );
    const mark = below.slice(below.indexOf("b=", below.indexOf("bh=") + 3) + 2).slice(0, 8);
    assert.equal(second?.mark, mark);
    assert.equal(second?.result, "pass", second?.why);
  });

  test("A8: t=y is told, of a pass and of a fail", async () => {
    const testing = record("v=DKIM1; t=y; p=KEY");
    const text = craft(message, { key });
    const [pass] = await verify(text, testing);
    const [fail] = await verify(text.replace("noon", "nine"), testing);
    assert.deepEqual([pass?.result, pass?.testing], ["pass", true]);
    assert.deepEqual([fail?.result, fail?.testing], ["fail", true]);
  });

  test("A8: a header too large to be read wholly is not judged", async () => {
    const [verdict] = await verify(
      craft(`${head}\r\n${"X: y\r\n".repeat(21_000)}\r\nz`, { key }),
      zone,
    );
    assert.equal(verdict?.result, "neutral");
  });
});
