import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { field, fields, headerEnd, parseHeader, rawField, valueOf } from "#formats/message";

const read = (text: string) => parseHeader(Buffer.from(text, "latin1"));

describe("parseHeader()", () => {
  test("finds fields with their raw octets, folds included (RFC 5322 §2.2.3)", () => {
    const header = read("A: b\r\n c\r\n\td\r\nTo : x\r\n\r\nbody: no");
    assert.deepEqual(
      header.fields.map((one) => one.key),
      ["a", "to"],
    );
    const a = field(header, "A");
    assert.ok(a);
    assert.equal(rawField(header, a).toString(), "A: b\r\n c\r\n\td\r\n");
    assert.equal(valueOf(header, a), "b c\td");
    assert.equal(header.end, 24);
    assert.equal(headerEnd(header.octets), 24);
  });

  const odd: readonly (readonly [string, string, readonly string[], number])[] = [
    ["bare line feeds", "A: b\nB: c\n\nx", ["a", "b"], 11],
    ["no body", "A: b\r\n", ["a"], 6],
    ["no header", "\r\nbody", [], 2],
    ["nothing", "", [], 0],
    ["lines without a colon", "From x y\r\nA: b\r\n\r\n", ["", "a"], 18],
    ["a leading continuation", " x\r\nA: b\r\n\r\n", ["", "a"], 12],
    ["NUL and 8-bit", "A: \0\xff\r\n\r\n", ["a"], 9],
    ["a bare CR, which ends nothing", "A: b\rB: c\r\n\r\n", ["a"], 13],
  ];
  for (const [what, text, names, end] of odd) {
    test(`takes ${what}`, () => {
      const header = read(text);
      assert.deepEqual(
        header.fields.map((one) => one.key),
        names,
      );
      assert.equal(header.end, end);
    });
  }

  test("keeps repeated fields in order", () => {
    const header = read("Received: 1\r\nX: y\r\nRECEIVED: 2\r\n\r\n");
    assert.deepEqual(
      fields(header, "received").map((one) => valueOf(header, one)),
      ["1", "2"],
    );
  });

  test("reads UTF-8 and else windows-1252", () => {
    const utf8 = parseHeader(Buffer.from("A: ü\r\n\r\n"));
    assert.equal(valueOf(utf8, utf8.fields[0] as never), "ü");
    const old = read("A: \xfc\x80\r\n\r\n");
    assert.equal(valueOf(old, old.fields[0] as never), "ü€");
  });

  test("says when it looked no further, and still finds the body", () => {
    const header = read(`${"A: b\r\n".repeat(100_000)}\r\nx`);
    assert.equal(header.truncated, true);
    assert.equal(header.fields.length, 20_000);
    assert.equal(header.end, 600_002);
  });

  test("covers every octet once, on any input", () => {
    const random = seededRandom(7);
    const letters = "A: \r\n\t-\0\xffx";
    for (let round = 0; round < 3000; round += 1) {
      const text = Array.from(
        { length: pick(random, 60) },
        () => letters[pick(random, letters.length)],
      );
      const header = read(text.join(""));
      let at = 0;
      for (const one of header.fields) {
        assert.equal(one.start, at);
        assert.ok(one.start <= one.valueStart && one.valueStart <= one.valueEnd);
        assert.ok(one.valueEnd <= one.end);
        at = one.end;
      }
      assert.ok(header.end - at <= 2 && header.end >= at);
    }
  });
});
