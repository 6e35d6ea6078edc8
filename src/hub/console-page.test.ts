import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ConsoleFacts, consolePage } from "./console-page.ts";

describe("consolePage()", () => {
  test("shows what a hostile edge reported, as text and whatever its moment", async () => {
    const facts: ConsoleFacts = {
      hostname: "mail.example.org",
      version: "0",
      atMs: 0,
      health: [],
      legs: [],
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
});
