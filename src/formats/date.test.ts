import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { formatDate, formatInternalDate, parseDate, parseInternalDate } from "#formats/date";

const moment = Date.UTC(2026, 10, 1, 9, 5, 7);

describe("dates", () => {
  test("are written as the standards want them", () => {
    assert.equal(formatDate(moment), "Sun, 1 Nov 2026 09:05:07 +0000");
    assert.equal(formatInternalDate(moment), " 1-Nov-2026 09:05:07 +0000");
  });

  for (const [text, wanted] of [
    ["Sun, 1 Nov 2026 10:05:07 +0100", moment],
    ["1 Nov 2026 09:05:07 GMT", moment],
    ["Sun, 01 Nov 26 04:05:07 EST", moment],
    ["Sun , 1 Nov\r\n 2026 09 : 05 : 07 (a (nested) comment) -0000", moment],
    ["Sun Nov  1 09:05:07 2026", moment],
    ["Sun, 1 Nov 2026 09:05 Z", moment - 7000],
    ["Sun, 31 Dec 1998 23:59:60 +0000", Date.UTC(1998, 11, 31, 23, 59, 59)],
    ["1 Nov 97 09:05:07 +0000", Date.UTC(1997, 10, 1, 9, 5, 7)],
    ["31 Feb 2026 09:05:07 +0000", null],
    ["1 Nov 2026 25:05:07 +0000", null],
    ["1 Foo 2026 09:05:07 +0000", null],
    ["", null],
    ["x".repeat(100_000), null],
  ] as const) {
    test(`${JSON.stringify(text.slice(0, 50))} is ${wanted}`, () => {
      assert.equal(parseDate(text), wanted);
    });
  }

  test("come back as they went (seeded)", () => {
    const random = seededRandom(7);
    for (let count = 0; count < 5000; count += 1) {
      const ms = pick(random, 4_000_000_000) * 1000;
      assert.equal(parseDate(formatDate(ms)), ms);
      assert.equal(parseInternalDate(formatInternalDate(ms)), ms);
      const cut = formatDate(ms).split("");
      cut[pick(random, cut.length)] = String.fromCharCode(pick(random, 300));
      parseDate(cut.join(""));
    }
    assert.equal(
      parseInternalDate('"17-Jul-1996 02:44:25 -0700"'),
      Date.UTC(1996, 6, 17, 9, 44, 25),
    );
    assert.equal(parseInternalDate("17-Jul-1996"), null);
  });
});
