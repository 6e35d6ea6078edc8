import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { hashBody } from "#identity/dkim";

/** The rules of RFC 6376 §3.4.4 one behind the other, slow and plain. */
function relaxed(body: string): string {
  const lines = body.split("\r\n").map((line) => line.replace(/[ \t]+/g, " ").replace(/ $/, ""));
  while (lines.at(-1) === "") lines.pop();
  return lines.map((line) => `${line}\r\n`).join("");
}

const wanted = (body: string): string =>
  hash("sha256", Buffer.from(relaxed(body), "latin1"), "base64");
const hashed = (body: string): string => hashBody([Buffer.from(body, "latin1")]);

describe("hashBody()", () => {
  test("hashes the example of RFC 6376 §3.4.5 as it says", () => {
    const canonical = Buffer.from(" C\r\nD E\r\n");
    assert.equal(hashed(" C \r\nD \t E\r\n\r\n\r\n"), hash("sha256", canonical, "base64"));
  });

  const cases = [
    ["nothing", ""],
    ["empty lines only", "\r\n\r\n \r\n\t\r\n"],
    ["no break at the end", "a"],
    ["space at the end without a break", "a \t"],
    ["empty lines inside", "a\r\n\r\n \r\nb\r\n"],
    ["a bare line feed", "a \nb\r\n"],
    ["ten thousand empty lines inside", `a${"\r\n".repeat(10_000)}b\r\n`],
    ["a line of 100,000 octets", `${"x ".repeat(50_000)}  y\r\nz\r\n`],
  ] as const;
  for (const [what, body] of cases) {
    test(`agrees with the rules on ${what}`, () => assert.equal(hashed(body), wanted(body)));
  }

  test("agrees with the rules on any body in any chunks", () => {
    const random = seededRandom(3440);
    const pieces = [
      "a",
      " ",
      "  ",
      "\t",
      "\r\n",
      "\r\n\r\n",
      "word",
      " \r\n",
      "é",
      ".",
      "x".repeat(5000),
    ];
    for (let round = 0; round < 3000; round += 1) {
      const length = pick(random, 40);
      const body = Array.from({ length }, () => pieces[pick(random, pieces.length)]).join("");
      // In memory of exactly its size: nothing may look behind the end.
      const octets = Buffer.from(new Uint8Array(Buffer.from(`head${body}`, "latin1")).buffer);
      const chunks: Buffer[] = [];
      for (let at = 0; at < octets.length; ) {
        const size = 1 + pick(random, 30);
        chunks.push(octets.subarray(at, at + size));
        at += size;
      }
      assert.equal(hashBody(chunks, 4), wanted(body), JSON.stringify(body));
    }
  });

  test("is linear when every line, or no line at all, needs work", () => {
    const million = [" a", "\t", "  \r\n", "a \r\n", "x", "\r\n", " \r"].map((piece) =>
      Buffer.alloc(1_000_000, piece),
    );
    const startedAt = performance.now();
    for (const body of million) {
      hashBody([body]);
      const chunks = Array.from({ length: 2000 }, (_, at) =>
        body.subarray(at * 500, at * 500 + 500),
      );
      hashBody(chunks);
    }
    assert.ok(performance.now() - startedAt < 2500);
  });
});
