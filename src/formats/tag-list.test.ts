import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { formatTagList, parseTagList } from "#formats/tag-list";

describe("parseTagList()", () => {
  test("reads names and values without the space around them", () => {
    const read = parseTagList(" v=DKIM1 ;\r\n\tp = MIG=;n=;");
    assert.deepEqual(read.ok && [...read.value], [
      ["v", "DKIM1"],
      ["p", "MIG="],
      ["n", ""],
    ]);
  });

  const faults = [
    ["a=1;a=2", "repeated-tag", 4],
    ["a=1;;b=2", "bad-name", 4],
    ["a=1;b", "bad-name", 4],
    ["a=1; b=ü", "bad-character", 4],
    ["", "bad-name", 0],
    ["x".repeat(8193), "too-long", 8192],
  ] as const;
  for (const [text, fault, at] of faults) {
    test(`refuses "${text.slice(0, 12)}" as ${fault}`, () => {
      assert.deepEqual(parseTagList(text), { ok: false, fault, at });
    });
  }

  test("takes tag names by case (RFC 6376 §3.2)", () => {
    assert.equal(parseTagList("a=1;A=2").ok, true);
  });

  test("neither throws nor hangs on noise, and points into it", () => {
    const random = seededRandom(6376);
    const alphabet = ["a", "B", "=", ";", " ", "\t", "\r\n", "0", "_", "ü", "\0", "p=x"];
    for (let round = 0; round < 20_000; round += 1) {
      const length = pick(random, 30);
      const noise = Array.from({ length }, () => alphabet[pick(random, alphabet.length)]).join("");
      const read = parseTagList(noise);
      if (!read.ok) assert.ok(read.at >= 0 && read.at <= noise.length);
    }
  });
});

describe("formatTagList()", () => {
  test("folds between tags and at the marks, and reads back", () => {
    const long = Array.from({ length: 9 }, () => "x".repeat(20)).join(" ");
    const text = formatTagList(
      [
        ["v", "1"],
        ["h", long],
        ["b", ""],
      ],
      16,
    );
    assert.ok(
      text.split("\r\n").every((line, index) => line.length + (index === 0 ? 16 : 7) <= 78),
    );
    const read = parseTagList(text);
    assert.equal(read.ok && read.value.get("h")?.replace(/\s/g, ""), long.replaceAll(" ", ""));
  });
});
