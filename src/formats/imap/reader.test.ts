import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { CommandReader, type ReaderEvent } from "./reader.ts";

/** Feeds the octets in pieces; literals are collected, or streamed when the line says APPEND. */
function readAll(input: Buffer, cuts: () => number, limit = 65_536): unknown[] {
  const reader = new CommandReader(limit);
  const events: unknown[] = [];
  let streamed: Buffer[] = [];
  const note = (event: ReaderEvent): void => {
    if (event.kind === "octets") {
      streamed.push(event.chunk);
      if (event.last) events.push(["streamed", Buffer.concat(streamed).toString("latin1")]);
      if (event.last) streamed = [];
    } else if (event.kind === "literal") {
      events.push(["literal", event.sizeBytes, event.synchronizing, event.binary]);
      if (event.raw.lines[0]?.includes("APPEND") === true) reader.stream();
      else if (!reader.collect()) {
        events.push("refused");
        reader.refuse();
      }
    } else if (event.kind === "command") {
      const literals = event.raw.literals.map((literal) => literal.toString("latin1"));
      events.push(["command", [...event.raw.lines], literals]);
    } else events.push(["fault", event.fault, event.fatal]);
  };
  for (let at = 0; at < input.length; ) {
    const count = Math.max(1, cuts());
    reader.push(input.subarray(at, at + count));
    at += count;
    for (let event = reader.next(); event !== undefined; event = reader.next()) note(event);
  }
  return events;
}

const whole = (text: string, limit?: number): unknown[] =>
  readAll(Buffer.from(text, "latin1"), () => text.length, limit);

describe("CommandReader", () => {
  test("gives a command for each line", () => {
    assert.deepEqual(whole("a NOOP\r\nb IDLE\r\n"), [
      ["command", ["a NOOP"], []],
      ["command", ["b IDLE"], []],
    ]);
  });

  test("keeps literals between the lines, with line ends and braces inside them", () => {
    assert.deepEqual(whole("a LOGIN {4}\r\n}\r\n{ {3+}\r\nxyz\r\nb NOOP\r\n"), [
      ["literal", 4, true, false],
      ["literal", 3, false, false],
      ["command", ["a LOGIN ", " ", ""], ["}\r\n{", "xyz"]],
      ["command", ["b NOOP"], []],
    ]);
  });

  test("streams a literal in pieces and goes on behind it", () => {
    assert.deepEqual(whole("a APPEND x ~{5}\r\nab\r\nc\r\nb NOOP\r\n"), [
      ["literal", 5, true, true],
      ["streamed", "ab\r\nc"],
      ["command", ["a APPEND x ", ""], [""]],
      ["command", ["b NOOP"], []],
    ]);
  });

  test("takes an empty literal", () => {
    assert.deepEqual(whole("a X {0}\r\n\r\n"), [
      ["literal", 0, true, false],
      ["command", ["a X ", ""], [""]],
    ]);
  });

  const faults = [
    ["a X {4294967296}\r\nb NOOP\r\n", "literal-out-of-range", false],
    ["a X {99999999999999999999}\r\nb NOOP\r\n", "literal-out-of-range", false],
    ["a X {99999999999999999999+}\r\nb NOOP\r\n", "literal-out-of-range", true],
    ["a X {4097+}\r\nb NOOP\r\n", "literal-not-synchronized", true],
    ["a NOOP\nb NOOP\r\n", "bare-lf", false],
    ["a X {3+}\nb NOOP\r\n", "bare-lf", true],
    ["a NO\0OP\r\nb NOOP\r\n", "nul", false],
  ] as const;
  for (const [input, fault, fatal] of faults) {
    test(`answers ${JSON.stringify(input.slice(0, 34))} with ${fault} (I1, I3)`, () => {
      const events = whole(input);
      assert.deepEqual(events[0], ["fault", fault, fatal]);
      assert.deepEqual(events.slice(1), fatal ? [] : [["command", ["b NOOP"], []]]);
    });
  }

  for (const text of ["a X {-1}", "a X {1", "a X {}", "a X {+}", "a X {1 }", "a X 1}"]) {
    test(`takes ${text} for text, not for a literal (I1)`, () => {
      assert.deepEqual(whole(`${text}\r\n`), [["command", [text], []]]);
    });
  }

  test("stops at its limit without waiting for the end of the line (I1)", () => {
    assert.deepEqual(whole("x".repeat(101), 100), [["fault", "too-long", true]]);
    assert.deepEqual(whole("a X {91}\r\n", 100), [["literal", 91, true, false], "refused"]);
  });

  test("gives the same events however the octets are cut", () => {
    const text =
      "a LOGIN {4}\r\nu\r\n} {3+}\r\nxyz\r\nb X\0\r\nc APPEND x {9}\r\n0\r\n345678\r\nd\ne NOOP\r\n";
    const expected = whole(text);
    const random = seededRandom(11);
    for (let run = 0; run < 500; run += 1) {
      assert.deepEqual(
        readAll(Buffer.from(text, "latin1"), () => pick(random, 7)),
        expected,
      );
    }
  });

  test("survives random octets", () => {
    const random = seededRandom(12);
    const pieces = ["{", "}", "+", "~", "\r\n", "\n", "9", "4096", " ", "APPEND", "\0", "a", '"'];
    for (let run = 0; run < 3000; run += 1) {
      let text = "";
      for (let count = pick(random, 40); count > 0; count -= 1) {
        text += pieces[pick(random, pieces.length)];
      }
      readAll(Buffer.from(text, "latin1"), () => 1 + pick(random, 9), 200);
    }
  });

  test("is linear in the length of a line that comes octet by octet", () => {
    const input = Buffer.alloc(60_000, "x");
    const before = performance.now();
    readAll(input, () => 1);
    assert.ok(performance.now() - before < 2000);
  });
});
