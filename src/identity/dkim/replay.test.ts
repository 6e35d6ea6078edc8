import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DkimResult } from "#model/verdict";
import type { Zone } from "../../../tests/kit/fake-dns.ts";
import { type Craft, craft, rsaKey, verify, zoneOf } from "./fixture.test.ts";

const key = rsaKey("rsa");
const zone = zoneOf([key]);
const message =
  "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: Lunch\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\nAt noon?\r\n";
const now = 1_800_000_000;
const hour = 3600;

type Case = readonly [
  what: string,
  result: DkimResult,
  why: RegExp,
  tags: Craft["tags"],
  other?: {
    readonly zone?: Zone;
    readonly alter?: (text: string) => string;
  },
];

const change =
  (from: string | RegExp, to: string) =>
  (text: string): string =>
    text.replace(from, to);
const add = (field: string) => (text: string) => `${field}\r\n${text}`;

/** A replay sends what was signed once to others: what may be altered on the way, and what not. */
const a9: readonly Case[] = [
  [
    "a second From, oversigned",
    "fail",
    /does not fit/,
    { h: "From:From:To:Subject:Date" },
    { alter: add("From: x@example.com") },
  ],
  [
    "a second Subject, oversigned",
    "fail",
    /does not fit/,
    { h: "From:To:Subject:Subject:Date" },
    { alter: add("Subject: x") },
  ],
  [
    "a second To, oversigned",
    "fail",
    /does not fit/,
    { h: "From:To:To:Subject:Date" },
    { alter: add("To: x@example.com") },
  ],
  [
    "a second Date, oversigned",
    "fail",
    /does not fit/,
    { h: "From:To:Subject:Date:Date" },
    { alter: add("Date: x") },
  ],
  [
    "a Content-Type, signed as absent",
    "fail",
    /does not fit/,
    { h: "From:To:Subject:Date:Content-Type" },
    { alter: add("Content-Type: text/html") },
  ],
  [
    "a MIME-Version, signed as absent",
    "fail",
    /does not fit/,
    { h: "From:To:Subject:Date:MIME-Version" },
    { alter: add("MIME-Version: 1.0") },
  ],
  [
    "a Reply-To, signed as absent",
    "fail",
    /does not fit/,
    { h: "From:To:Subject:Date:Reply-To" },
    { alter: add("Reply-To: x@example.com") },
  ],
  [
    "nothing, oversigned",
    "pass",
    /^signed by example.org$/,
    { h: "From:From:To:To:Subject:Subject:Date:Date:Cc:Reply-To" },
  ],
  [
    "a trace field",
    "pass",
    /^signed by example.org$/,
    { h: "From:From:To:Subject:Date" },
    { alter: add("Received: by x; y") },
  ],
  [
    "a replay after x=",
    "permerror",
    /expired/,
    { t: `${now - 20 * 24 * hour}`, x: `${now - 6 * 24 * hour}` },
  ],
  [
    "a replay before x=",
    "pass",
    /^signed/,
    { t: `${now - 10 * 24 * hour}`, x: `${now + 4 * 24 * hour}` },
  ],
  [
    "a body put behind l=0",
    "policy",
    /not signed/,
    { l: "0" },
    { alter: change("At noon?", "Buy!") },
  ],
  [
    "an l= put into a signature without it",
    "fail",
    /does not fit|changed/,
    {},
    { alter: change("; bh=", "; l=0; bh=") },
  ],
  [
    "a later x= put into a signature",
    "fail",
    /does not fit/,
    { x: `${now + 1}` },
    { alter: change(`x=${now + 1}`, `x=${now + 9}`) },
  ],
  [
    "another d= put into a signature",
    "fail",
    /does not fit/,
    {},
    { alter: change("d=example.org", "d=example.com"), zone: zoneOf([key], "example.com") },
  ],
];

describe("checkDkim() A9", () => {
  for (const [what, result, why, tags, other = {}] of a9) {
    test(`A9: ${what}: ${result}`, async () => {
      const text = craft(message, { key, ...(tags && { tags }) });
      const [verdict] = await verify(other.alter?.(text) ?? text, other.zone ?? zone, {
        nowMs: now * 1000,
      });
      assert.equal(verdict?.result, result, verdict?.why ?? "");
      assert.match(verdict?.why ?? "", why);
    });
  }
});
