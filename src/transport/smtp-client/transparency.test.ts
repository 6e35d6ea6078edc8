import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { Transparency } from "./transparency.ts";

function through(text: string, stuffing: boolean, cut = text.length): string {
  const safe = new Transparency(stuffing);
  const bytes = Buffer.from(text, "latin1");
  const parts = [safe.push(bytes.subarray(0, cut)), safe.push(bytes.subarray(cut)), safe.end()];
  return Buffer.concat(parts).toString("latin1");
}

const cases: readonly (readonly [given: string, data: string, bdat: string])[] = [
  ["", "", ""],
  ["a\r\nb\r\n", "a\r\nb\r\n", "a\r\nb\r\n"],
  ["a", "a\r\n", "a\r\n"],
  [".\r\n", "..\r\n", ".\r\n"],
  ["a\r\n.b\r\n..c\r\n", "a\r\n..b\r\n...c\r\n", "a\r\n.b\r\n..c\r\n"],
  ["a\n.\nb", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n"],
  ["a\r.\rb", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n"],
  ["a\r\r\n.\r\r\nb\r\n", "a\r\n\r\n..\r\n\r\nb\r\n", "a\r\n\r\n.\r\n\r\nb\r\n"],
  ["a\r\n\0.\r\nb\r\n", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n"],
  ["a\r\0\nb\r\n", "a\r\nb\r\n", "a\r\nb\r\n"],
  ["a\r", "a\r\n", "a\r\n"],
];

describe("Transparency", () => {
  for (const [given, data, bdat] of cases) {
    test(`makes ${JSON.stringify(given)} safe wherever it is cut`, () => {
      for (let cut = 0; cut <= given.length; cut += 1) {
        assert.equal(through(given, true, cut), data);
        assert.equal(through(given, false, cut), bdat);
      }
    });
  }

  test("hands clean content on without a copy", () => {
    const chunk = Buffer.from("Subject: x\r\n\r\ntext\r\n");
    assert.equal(new Transparency(true).push(chunk), chunk);
  });

  test("never lets a bare CR, bare LF, NUL or single leading dot out (seeded)", () => {
    const random = seededRandom(11);
    const alphabet = ["\r", "\n", "\0", ".", "a", "\r\n", "\r\n."];
    for (let round = 0; round < 20_000; round += 1) {
      let text = "";
      for (let count = pick(random, 16); count > 0; count -= 1) {
        text += alphabet[pick(random, alphabet.length)] ?? "";
      }
      const out = through(text, true, pick(random, text.length + 1));
      assert.match(out, /^(?:(?:\.\.[^\r\n\0]*|[^.\r\n\0][^\r\n\0]*)?\r\n)*$/);
      assert.equal(out.replace(/(^|\n)\./g, "$1"), through(text, false));
    }
  });
});
