import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatTrace, traceToJson } from "#assurance/trace";
import type { Trace } from "#model/trace";

const startMs = Date.UTC(2026, 0, 5, 12);
const trace: Trace = {
  id: "0123456789abcdef0123456789abcdef",
  atMs: startMs,
  direction: "submission",
  from: "alice@example.org",
  to: ["bob@example.net", "carol@example.net"],
  sizeBytes: 1234,
  status: "failed",
  messageIdHeader: "<1@example.org>",
  steps: [
    { atMs: startMs, program: "hub", step: "committed", text: "kept" },
    { atMs: startMs + 42, program: "hub", step: "attempted", text: "mx.example.net: 450 later" },
    {
      atMs: startMs + 14_700_000,
      program: "hub",
      step: "bounced",
      text: "\x1b[2Jgone\r\nfor good",
    },
  ],
};

describe("formatTrace()", () => {
  test("aligns the steps and counts their times from the first", () => {
    assert.equal(
      formatTrace(trace),
      [
        "message    0123456789abcdef0123456789abcdef",
        "when       2026-01-05T12:00:00.000Z",
        "direction  submission",
        "status     failed",
        "from       alice@example.org",
        "to         bob@example.net",
        "           carol@example.net",
        "Message-ID <1@example.org>",
        "size       1234 bytes",
        "",
        "   +0.000 s  hub  committed  kept",
        "   +0.042 s  hub  attempted  mx.example.net: 450 later",
        "+4 h 05 min  hub  bounced     [2Jgone for good",
        "",
      ].join("\n"),
    );
  });

  test("stands a trace without steps, recipients or sender", () => {
    const empty = formatTrace({ ...trace, from: "", to: [], steps: [], atMs: Number.NaN });
    assert.match(empty, /from +<> \(null reverse path\)\n/);
    assert.match(empty, /when +unknown\n/);
  });

  test("writes long waits in days", () => {
    const late = { atMs: startMs + 97 * 3_600_000, program: "hub", step: "failed", text: "" };
    assert.match(formatTrace({ ...trace, steps: [...trace.steps, late] }), /\+4 d 01 h/);
  });
});

describe("traceToJson()", () => {
  test("adds readable moments and keeps all facts", () => {
    const json = JSON.parse(JSON.stringify(traceToJson(trace)));
    assert.equal(json.at, "2026-01-05T12:00:00.000Z");
    assert.equal(json.steps[1].sinceMs, 42);
    assert.equal(json.steps[1].at, "2026-01-05T12:00:00.042Z");
    assert.equal(json.messageIdHeader, "<1@example.org>");
  });
});
