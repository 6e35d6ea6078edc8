import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type SenderFigures, senderFigures } from "#assurance/measures";
import type { Sample } from "#base/measures";
import { senderIdStatuses } from "#model/verdict";
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

function pageOf(change: Partial<ConsoleFacts>): Promise<string> {
  const empty = { health: [], legs: [], messages: [], accounts: [], queued: {} };
  const senders: SenderFigures = senderFigures([]);
  const facts = { hostname: "h", version: "0", atMs: 0, ...empty, store: storeOf([]), senders };
  return Promise.resolve(consolePage({ ...facts, ...change })).then(String);
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
      senders: senderFigures([]),
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
    const page = await pageOf({ store: storeOf([found]) });
    assert.match(page, /segment-00000002<\/code> page 7: checksum/);
    assert.ok(page.includes(`${"ab".repeat(16)}, ana@x in &lt;b&gt;Lists&lt;/b&gt;`));
    assert.match(page, /2 of 3 segments/);
  });

  test("shows the ten statuses of Sender ID with their sum, and what was found (CAP-59, CAP-104)", async () => {
    const count = (name: string, labels: Sample["labels"], value: number): Sample => ({
      ...{ name, labels, value },
    });
    const samples = [
      ...senderIdStatuses.map((status) =>
        count("edge_sender_id_total", { status }, status === "none" ? 36 : 1),
      ),
      count("edge_verdicts_total", { method: "spf", result: "softfail" }, 7),
      count("auth_results_total", { method: "spf", result: "softfail" }, 4),
      count("spoof_evidence_total", { type: "own-domain", origin: "outside" }, 2),
      count("spoof_evidence_total", { type: "first-contact", origin: "partner" }, 3),
    ];
    const text = plain(await pageOf({ senders: senderFigures(samples) }));
    for (const row of [
      ...["Pass 1 2.2 %", "Neutral 1 2.2 %", "Soft fail 1 2.2 %", "None 36 80 %"],
      ...["Fail: not permitted 1 2.2 %", "Fail: malformed domain 1 2.2 %"],
      ...["Fail: non-existent domain 1 2.2 %", "TempError 1 2.2 %", "PermError 1 2.2 %"],
      ...["No PRA 1 2.2 %", "Validated 45 100 %", "SPF softfail 7 4"],
      ...["our own domain, without a login outside 2 2", "first contact partner 3 3"],
    ]) {
      assert.ok(text.includes(` ${row} `), row);
    }
    assert.ok(!text.includes("DMARC fail"), "a result that never came has no row");
  });

  test("says so while no sender has been checked", async () => {
    assert.match(await pageOf({}), /No sender has been checked since the start\./);
  });
});

/** The words of a page, one space apart. */
function plain(page: string): string {
  return page.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
}
