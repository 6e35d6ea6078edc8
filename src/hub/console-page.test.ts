import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Finding } from "#store";
import { type ConsoleFacts, consolePage } from "./console-page.ts";

const counts = { records: 9, segments: 3, sizeBytes: 2 ** 20, messages: 4, contents: 4 };
const more = { accounts: 1, queued: 0, flushes: 1, recordsPerFlush: 1 };
const care = { repaired: 2, repairedThisWeek: 1, repairs: [], segments: 3, scrubbedThisWeek: 2 };

function storeOf(damaged: readonly Finding[]): ConsoleFacts["store"] {
  const repairedBy = { bit: 1, copy: 0, parity: 1 };
  return {
    stats: { ...counts, ...more },
    health: { ...care, repairedBy, damaged, withoutParity: 0 },
  };
}

describe("consolePage()", () => {
  test("shows what a hostile edge reported, as text and whatever its moment", async () => {
    const facts: ConsoleFacts = {
      hostname: "mail.example.org",
      version: "0",
      atMs: 0,
      health: [],
      legs: [],
      store: storeOf([]),
      messages: [
        {
          id: "0".repeat(32),
          atMs: 1e300,
          direction: "inbound",
          from: "<script>alert(1)</script>@x",
          to: ['"onload="x'],
          sizeBytes: 0,
          status: "refused",
        },
      ],
      accounts: [],
      queued: {},
    };
    const page = String(await consolePage(facts));
    assert.ok(page.includes("&lt;script&gt;alert(1)"));
    assert.ok(!page.includes("<script"));
    assert.ok(!page.includes('"onload='));
  });

  test("names the mail on a page beyond repair, as text", async () => {
    const mail = [
      { message: "ab".repeat(16), entries: [{ address: "ana@x", mailbox: "<b>Lists</b>" }] },
    ];
    const found = {
      file: "segment-00000002",
      page: 7,
      what: "checksum",
      foundAtMs: 0,
      mail,
    } as const;
    const empty = { health: [], legs: [], messages: [], accounts: [], queued: {} };
    const facts = { hostname: "h", version: "0", atMs: 0, ...empty, store: storeOf([found]) };
    const page = String(await consolePage(facts));
    assert.match(page, /segment-00000002<\/code> page 7: checksum/);
    assert.ok(page.includes(`${"ab".repeat(16)}, ana@x in &lt;b&gt;Lists&lt;/b&gt;`));
    assert.match(page, /2 of 3 segments/);
  });
});
