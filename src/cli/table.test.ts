import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { localTime, textTable } from "./table.ts";

describe("textTable()", () => {
  test("pads columns and trims lines", () => {
    const rows = [
      ["a", "bb", ""],
      ["aaa", "b", "c"],
    ];
    assert.equal(textTable(rows), "a    bb\naaa  b   c");
  });

  test("what strangers wrote moves no cursor and adds no line", () => {
    const text = textTable([["\u001b[2J\u009b1m\r\nx\u202e@example.org", "\u2028y"]]);
    assert.match(text, /^[\x20-\x7e]+$/);
  });
});

describe("localTime()", () => {
  test("is in UTC, and a moment outside of all calendars is no failure", () => {
    assert.equal(localTime(0), "1970-01-01 00:00:00Z");
    assert.equal(localTime(1e300), "unknown");
  });
});
